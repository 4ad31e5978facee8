"""The examples in README.md."""

import re
from pathlib import Path

import process_introspection
import pytest
from conftest import Command, Target

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.usefixtures("root")
def test_the_examples_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, target: Target
) -> None:
    command.run("snapshot", str(target.pid), "-o", str(tmp_path / "lake"))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)


def test_the_readme_names_everything() -> None:
    text = README.read_text()
    classes = ("ListedProcess", "RowIterator", "Coverage", "Snapshot", "Table", "Machine")
    for name in process_introspection.__all__:
        assert name.startswith("__") or name in classes or name in text, name
    for name in dir(process_introspection.Process):
        if not name.startswith("_") and callable(getattr(process_introspection.Process, name)):
            assert name == "current" or f"process.{name}(" in text, name
