"""Records against what the command prints of the same process."""

from typing import Any

import process_introspection
import pyarrow
import pytest
from conftest import PAGE, Command, Target, plain
from process_introspection import InvalidArgumentError, Machine, Process, Records


# Shares of pages change with other processes that map the same libraries.
SHARED = ("pss", "uss")


def without_shares(value: Any) -> Any:
    """Returns a value without numbers that depend on other processes."""
    if isinstance(value, dict):
        return {name: without_shares(one) for name, one in value.items() if name not in SHARED}
    return [without_shares(one) for one in value] if isinstance(value, list) else value


def fields(records: Records) -> list[str]:
    """Returns the fields of records: without columns of all bytes of a name."""
    schema = pyarrow.table(records).schema
    return [field.name for field in schema if not pyarrow.types.is_binary(field.type)]


def check(records: Records, printed: list[dict[str, Any]], *ignored: str) -> None:
    """Checks that all fields of all records are equal."""
    rows = records.to_pylist()
    assert len(rows) == len(printed) > 0
    for row, line in zip(rows, printed, strict=True):
        names = [name for name in fields(records) if name not in ignored]
        assert {name for name in line if not name.endswith("_hex")} <= {*names, *ignored}
        for name in names:
            expected = plain(line.get(name), row[name])
            assert without_shares(row[name]) == without_shares(expected), name


def test_mappings_are_those_of_the_command(target: Target, command: Command) -> None:
    check(Process(target.pid).virtual_regions(), command.json("virtual", str(target.pid)))


def test_residence_is_that_of_the_command(target: Target, command: Command) -> None:
    check(Process(target.pid).resident_regions(), command.json("resident", str(target.pid)))


@pytest.mark.usefixtures("root")
def test_regions_and_entries_are_those_of_the_command(target: Target, command: Command) -> None:
    process = Process(target.pid)
    pid, text = str(target.pid), f"{target.start:x}-{target.end:x}"
    of_range = (target.start, target.end)
    check(process.physical_regions(), command.json("physical", pid))
    check(
        process.physical_regions(*of_range, details=True, backed=True),
        command.json("physical", pid, text, "--details", "--backed"),
        "details",
    )
    check(process.page_table(*of_range), command.json("pagetable", pid, text))
    exact = (target.start + 5, target.start + PAGE - 7)
    printed = command.json("extents", pid, f"{exact[0]:x}-{exact[1]:x}")
    check(process.extents(*exact), printed)


@pytest.mark.usefixtures("root")
def test_summaries_are_those_of_the_command(target: Target, command: Command) -> None:
    process, pid = Process(target.pid), str(target.pid)
    # Counters of the whole machine go on.
    check(process.summary(), command.json("summary", pid), "thp")
    printed = command.json("summary", pid, "--by-mapping")
    printed.sort(key=lambda line: int(line["vaddr"], 0))
    check(process.mapping_usage(), printed, *SHARED)
    check(process.contiguity_metrics(), command.json("summary", pid, "--contiguity"))


@pytest.mark.usefixtures("root")
def test_owners_are_those_of_the_command(target: Target, command: Command) -> None:
    start = Process(target.pid).physical_address(target.start)
    assert start is not None
    records, _ = process_introspection.owners([(start, start + PAGE)])
    check(records, command.json("owner", f"{start:x}"))


def test_the_machine_is_that_of_the_command(machine: Machine, command: Command) -> None:
    for records, arguments in ((machine.summary(), ()), (machine.uses(), ("--by", "use"))):
        printed = command.json("machine", *arguments)
        assert len(records) == len(printed)
        assert fields(records) == [name for name in printed[0] if not name.endswith("_hex")]
    uses = machine.uses().to_pylist()
    assert [row["use"] for row in uses] == [line["use"] for line in printed]
    # Each frame is in one use, whenever it is read.
    present = machine.summary()[0]["present"]
    assert sum(row["bytes"] for row in uses) == sum(line["bytes"] for line in printed) == present


def test_frames_are_grouped_by_place(machine: Machine) -> None:
    nodes, zones = machine.groups("node").to_pylist(), machine.groups("zone").to_pylist()
    present = machine.summary()[0]["present"]
    assert sum(row["bytes"] for row in nodes) == sum(row["bytes"] for row in zones) == present
    assert {row["group"] for row in nodes} == {"node"}
    assert {row["name"] for row in zones} <= {"DMA", "DMA32", "Normal", "Movable", "Device"}
    with pytest.raises(InvalidArgumentError, match="cgroup, unit"):
        machine.groups("colour")  # type: ignore[arg-type]


def test_metrics_of_the_machine_are_numbers(machine: Machine) -> None:
    rows = machine.contiguity_metrics().to_pylist()
    assert any(row["zone"] for row in rows)
    assert any(isinstance(row["value"], float) and row["value"] > 0 for row in rows)
