"""Processes: opened by numbers and names, and listed."""

import os
import subprocess
import sys

import pytest
from conftest import Target
from process_introspection import (
    InvalidArgumentError,
    Process,
    processes,
    processes_named,
)


def test_a_process_is_opened_by_each_of_its_numbers(target: Target) -> None:
    process = Process(target.pid)
    assert process.pid == target.pid
    assert Process(process.unique_pid).pid == target.pid
    assert process.unique_pid & 0xFFFFFFFF == target.pid
    assert process.command_line.startswith(f"{sys.executable} -c")
    assert process.has_memory and process.page_size == os.sysconf("SC_PAGESIZE")
    assert str(target.pid) in repr(process)


def test_zero_is_the_calling_process() -> None:
    assert Process(0).pid == Process.current().pid == os.getpid()


def test_a_name_is_that_of_one_process() -> None:
    name = "a-name-of-tests"
    sleeping = ["bash", "-c", f"exec -a {name} sleep 100"]

    def started(count: int) -> list[int]:
        while len(named := processes_named(name)) < count:
            pass
        return [process.pid for process in named]

    with subprocess.Popen(sleeping) as one:
        assert started(1) == [one.pid]
        assert Process(name).pid == one.pid
        with subprocess.Popen(sleeping) as two:
            assert started(2) == sorted([one.pid, two.pid])
            with pytest.raises(InvalidArgumentError, match=f"{one.pid}"):
                Process(name)
            two.kill()
        one.kill()
    assert processes_named(name) == []


def test_all_processes_are_listed(target: Target) -> None:
    listed = processes()
    pids = [process.pid for process in listed]
    assert pids == sorted(pids) and {os.getpid(), target.pid} <= set(pids)
    found = next(process for process in listed if process.pid == target.pid)
    assert found.open().unique_pid == found.unique_pid
    assert found in set(listed)
