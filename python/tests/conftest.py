"""Targets with known memory, and the command whose answers are compared."""

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import process_introspection
import pytest
from process_introspection import Machine

PAGE = mmap.PAGESIZE

# Maps, touches every second page, prints the address, and waits.
SCRIPT = """
import ctypes, mmap, sys
pages, read_only = int(sys.argv[1]), sys.argv[2] == "zero"
memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(0, pages, 2):
    if read_only:
        memory[page * mmap.PAGESIZE]
    else:
        memory[page * mmap.PAGESIZE] = page % 251 + 1
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Target:
    """Process that waits, with memory of which every second page was touched."""

    pid: int
    start: int
    pages: int

    @property
    def end(self) -> int:
        """End of the memory."""
        return self.start + self.pages * PAGE


def run(pages: int, kind: str) -> Iterator[Target]:
    arguments = [sys.executable, "-c", SCRIPT, str(pages), kind]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        start = int(child.stdout.readline())
        yield Target(child.pid, start, pages)
        child.stdin.close()


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """A process with 64 pages, of which 32 have memory of their own."""
    yield from run(64, "memory")


@pytest.fixture(scope="session")
def large_target() -> Iterator[Target]:
    """A process with 2^16 pages, every second of which is the zero page."""
    yield from run(1 << 16, "zero")


@pytest.fixture(scope="session")
def root() -> None:
    """Skips a test that needs root's rights."""
    if os.geteuid() != 0:
        pytest.skip("needs root: physical addresses need CAP_SYS_ADMIN")


@pytest.fixture(scope="session")
def machine(root: None) -> Machine:
    """The memory of the machine: one pass over all frames, which takes seconds."""
    assert root is None
    return process_introspection.machine()


class Command:
    """The command, whose answers are compared."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *arguments: str) -> str:
        """Runs it, and returns what it prints."""
        done = subprocess.run([self.path, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """Runs it, and returns its records."""
        lines = self.run(*arguments, "--format", "jsonl").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def command() -> Command:
    """The command that `cargo xtask python` has built."""
    path = os.environ.get("INTROSPECT")
    if path is None:
        pytest.skip("needs INTROSPECT, the path of the command: see cargo xtask python")
    return Command(Path(path))


def plain(value: Any, like: Any) -> Any:
    """Returns a value of JSON as the package has one: JSON has addresses as text."""
    if isinstance(value, dict) and isinstance(like, dict):
        # JSON leaves out what is optional.
        return {name: plain(value.get(name), like[name]) for name in like}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [plain(one, two) for one, two in zip(value, like, strict=True)]
    if isinstance(value, str) and isinstance(like, int):
        return int(value, 0)
    return value
