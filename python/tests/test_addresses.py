"""Addresses and states against the kernel's own files, read here."""

import struct
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from conftest import PAGE, Target
from process_introspection import Process, owners

T = TypeVar("T")
PRESENT, FRAME = 1 << 63, (1 << 55) - 1


def page_map(target: Target) -> list[int | None]:
    """Returns the frame of each page; None without one."""
    with open(f"/proc/{target.pid}/pagemap", "rb", buffering=0) as file:
        file.seek(target.start // PAGE * 8)
        entries = struct.unpack(f"={target.pages}Q", file.read(target.pages * 8))
    return [entry & FRAME if entry & PRESENT else None for entry in entries]


def unmoved(target: Target, query: Callable[[], T]) -> tuple[list[int | None], T]:
    """Returns the frames, and the answer of a query during which no page moved."""
    for _ in range(20):
        before, answer = page_map(target), query()
        if page_map(target) == before:
            return before, answer
    pytest.fail("pages move all the time")


def frames(rows: list[dict[str, Any]], target: Target) -> list[int | None]:
    """Returns the frame of each page that regions cover."""
    found: list[int | None] = []
    for row in rows:
        assert row["vaddr"] == target.start + len(found) * PAGE, "a gap"
        for page in range(row["size"] // PAGE):
            found.append(None if row["pfn"] is None else row["pfn"] + page)
    return found


@pytest.mark.usefixtures("root")
def test_frames_are_those_of_the_page_map(target: Target) -> None:
    process = Process(target.pid)
    for query in (
        lambda: process.physical_regions(target.start, target.end),
        lambda: process.physical_regions(target.start, target.end, details=True, threads=1),
        lambda: process.page_table(target.start, target.end),
        lambda: process.extents(target.start, target.end),
    ):
        expected, records = unmoved(target, query)
        assert frames(records.to_pylist(), target) == expected
        assert sum(frame is not None for frame in expected) == target.pages // 2


@pytest.mark.usefixtures("root")
def test_the_address_of_a_byte_is_that_of_its_frame(target: Target) -> None:
    process = Process(target.pid)
    expected, address = unmoved(target, lambda: process.physical_address(target.start + 17))
    assert expected[0] is not None
    assert address == expected[0] * PAGE + 17
    assert process.physical_address(target.start + PAGE) is None


@pytest.mark.usefixtures("root")
def test_backed_regions_leave_out_pages_without_memory(target: Target) -> None:
    process = Process(target.pid)
    regions = process.physical_regions(target.start, target.end, backed=True)
    entries = process.page_table(target.start, target.end, backed=True)
    resident = process.resident_regions(target.start, target.end, backed=True)
    for records in (regions, entries, resident):
        rows = records.to_pylist()
        assert sum(row["size"] for row in rows) == target.pages // 2 * PAGE
        assert {row["vaddr"] % (2 * PAGE) for row in rows} == {target.start % (2 * PAGE)}


@pytest.mark.usefixtures("root")
def test_details_count_the_flags_of_frames(target: Target) -> None:
    process = Process(target.pid)
    rows = process.physical_regions(
        target.start, target.start + PAGE, details=True
    ).to_pylist()
    details = rows[0]["details"]
    assert (details["pages"], details["frames"]) == (1, 1)
    assert {"name": "anon", "count": 1} in details["flags"]
    assert details["mapcount"] == {"min": 1, "max": 1}
    without = process.physical_regions(target.start, target.end)
    assert "details" not in without.column_names


def test_mappings_are_those_of_the_kernels_text(target: Target) -> None:
    expected = []
    with open(f"/proc/{target.pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            fields = line.split(None, 5)
            start, end = (int(number, 16) for number in fields[0].split("-"))
            path = fields[5].rstrip("\n") if len(fields) > 5 else None
            if path == "[vsyscall]":
                # Memory of the kernel, which belongs to no process.
                continue
            expected.append((start, end - start, fields[1][:3], path))
    rows = Process(target.pid).virtual_regions().to_pylist()
    assert [(row["vaddr"], row["size"], row["prot"], row["path"]) for row in rows] == expected


def test_memory_is_copied(target: Target) -> None:
    process = Process(target.pid)
    assert process.read_memory(target.start, 2) == b"\x01\x00"
    assert process.read_memory(target.start + 2 * PAGE, 1) == b"\x03"
    assert process.read_memory(target.start, 0) == b""


@pytest.mark.usefixtures("root")
def test_owners_of_a_frame_are_its_processes(target: Target) -> None:
    process = Process(target.pid)
    address = process.physical_address(target.start)
    assert address is not None
    records, coverage = owners([(address, address + PAGE)])
    rows = records.to_pylist()
    assert [(row["record"], row["pid"], row["vaddr"]) for row in rows] == [
        ("mapped", target.pid, target.start)
    ]
    assert coverage.read > 0 and coverage.sees_all in (True, False)
    none, _ = owners([])
    assert len(none) == 0
