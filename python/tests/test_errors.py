"""Exceptions: their classes, predicates, numbers and messages."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import process_introspection
import pytest
from conftest import Target
from process_introspection import (
    AccessDeniedError,
    FramesHiddenError,
    IntrospectionError,
    InvalidArgumentError,
    NotMappedError,
    Process,
    ProcessGoneError,
)

PREDICATES = [name for name in vars(IntrospectionError) if name.startswith("is_")]

# Without root's rights: a line of JSON for each query.
UNPRIVILEGED = """
import ctypes, json, os, sys
import process_introspection
other = int(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
# Who changes its user may not open its own files, unless it says so.
assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
this = process_introspection.Process.current()
for query in (
    lambda: this.physical_regions(),
    lambda: this.page_table(0, None),
    lambda: this.extents(0, 1),
    lambda: this.physical_address(0),
    lambda: process_introspection.owners([(0, 4096)]),
    lambda: process_introspection.machine(),
    lambda: process_introspection.Process(other).virtual_regions(),
    lambda: this.virtual_regions(),
    lambda: this.resident_regions(),
    lambda: this.summary(),
):
    try:
        answer = len(query())
    except process_introspection.IntrospectionError as error:
        true = [name for name in dir(error) if name.startswith("is_") and getattr(error, name)]
        answer = [type(error).__name__, error.errno, true, isinstance(error, PermissionError)]
    print(json.dumps(answer))
"""


def true_predicates(error: IntrospectionError) -> list[str]:
    return [name for name in PREDICATES if getattr(error, name)]


@pytest.mark.usefixtures("root")
def test_without_privileges_addresses_are_refused_and_the_layout_is_not(
    tmp_path: Path, target: Target
) -> None:
    arguments = [sys.executable, "-c", UNPRIVILEGED, str(target.pid)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, cwd=tmp_path)
    answers: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    both = ["is_frames_hidden", "is_permission_denied"]
    hidden = ["FramesHiddenError", errno.EPERM, both, True]
    denied = ["AccessDeniedError", errno.EPERM, ["is_permission_denied"], True]
    assert answers[:5] == [hidden] * 5
    assert answers[5:7] == [denied] * 2
    assert all(isinstance(rows, int) and rows > 0 for rows in answers[7:])
    assert len(answers) == 10


def test_a_process_that_is_not_there_is_gone() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        process = Process(child.pid)
        number = process.unique_pid
        child.kill()
    queries: list[Callable[[], object]]
    queries = [process.virtual_regions, process.summary, lambda: Process(number)]
    for query in queries:
        with pytest.raises(ProcessGoneError) as caught:
            query()
        assert isinstance(caught.value, ProcessLookupError)
        assert caught.value.errno == errno.ESRCH
        assert true_predicates(caught.value) == ["is_gone"]
    for other in (-5, 1 << 62, "no process has this name"):
        with pytest.raises(ProcessLookupError):
            Process(other)


def test_arguments_are_checked() -> None:
    process = Process.current()
    with pytest.raises(InvalidArgumentError, match="greater than its end") as caught:
        process.virtual_regions(2, 1)
    assert isinstance(caught.value, ValueError)
    assert true_predicates(caught.value) == ["is_invalid_argument"]
    for ranges, deadline in (([(2, 1)], 1.0), ([], -1.0), ([], float("nan"))):
        with pytest.raises(InvalidArgumentError):
            process_introspection.owners(ranges, deadline=deadline)
    for number in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            process.virtual_regions(number)


def test_memory_that_is_not_mapped_cannot_be_read() -> None:
    with pytest.raises(NotMappedError) as caught:
        Process.current().read_memory(0, 1)
    assert true_predicates(caught.value) == ["is_not_mapped"]


def test_a_message_names_the_process_and_the_reason() -> None:
    with pytest.raises(ProcessGoneError, match="process 2147483647: cannot find the process"):
        Process((1 << 31) - 1)


def test_classes_are_those_that_programs_handle() -> None:
    assert issubclass(FramesHiddenError, AccessDeniedError)
    assert issubclass(AccessDeniedError, PermissionError)
    assert issubclass(process_introspection.NoAnswerError, TimeoutError)
    names = [name for name in process_introspection.__all__ if name.endswith("Error")]
    for name in names:
        error = getattr(process_introspection, name)
        assert issubclass(error, (IntrospectionError, process_introspection.LakeError))
