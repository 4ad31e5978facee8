"""Lakes: lists of snapshots, selection, and tables, against the command that wrote them."""

import datetime
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest
from conftest import Command, Target, plain
from process_introspection import Lake, LakeError, Process, SnapshotNotFoundError

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(name="folder", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory, command: Command, target: Target) -> Path:
    """A lake with two snapshots of the target."""
    folder = tmp_path_factory.mktemp("lake")
    for _ in range(2):
        command.run("snapshot", str(target.pid), "-o", str(folder))
    return folder


def test_snapshots_are_those_that_the_command_lists(folder: Path, command: Command) -> None:
    rows = Lake(folder).snapshots().to_pylist()
    printed = command.json("snapshots", str(folder))
    assert len(rows) == len(printed) == 2
    for row, line in zip(rows, printed, strict=True):
        taken_at = row.pop("taken_at")
        assert taken_at == datetime.datetime.fromisoformat(line.pop("taken_at"))
        row.pop("host_bytes")
        assert row == {name: plain(line[name], row[name]) for name in row}


def test_a_snapshot_is_selected_by_id_and_time(folder: Path) -> None:
    lake = Lake(str(folder))
    first, second = [row["snapshot_id"] for row in lake.snapshots()]
    assert lake.select().id == lake.select("latest").id == second
    earlier = lake.select(first)
    assert earlier.id == first and earlier.is_complete and earlier.host
    # Times of ids are exact to a millisecond.
    at = earlier.taken_at
    assert at.tzinfo is not None
    assert lake.select(at).id == lake.select(at.isoformat().replace("+00:00", "Z")).id == first
    assert lake.select(host=earlier.host).id == second
    for when in (at - datetime.timedelta(days=1), "2001-01-01T00:00:00Z", second[::-1]):
        with pytest.raises((SnapshotNotFoundError, ValueError)):
            lake.select(when)
    with pytest.raises(SnapshotNotFoundError):
        lake.select(host="another")
    with pytest.raises(ValueError, match="no snapshot's id"):
        lake.select("yesterday")


def test_tables_have_the_rows_of_their_files(folder: Path, target: Target) -> None:
    snapshot = Lake(folder).select()
    assert snapshot.tables == ["snapshots", "processes", "mappings", "regions"]
    for name in snapshot.tables:
        table = snapshot.table(name)
        expected = pyarrow.parquet.ParquetFile(table.path).read()
        read = pyarrow.table(table)
        read.validate(full=True)
        assert read.equals(expected) and table.column_names == read.column_names
        rows = list(table)
        assert rows == table.read().to_pylist()
        # Unsigned numbers are signed columns.
        assert [row.keys() for row in rows] == [row.keys() for row in read.to_pylist()]
        assert len(polars.DataFrame(table)) == len(rows) > 0
    regions = snapshot.table("regions")
    answer = duckdb.sql(
        f"select sum(pages) from regions where vpn >= {target.start // snapshot.page_size}"
        f" and vpn < {target.end // snapshot.page_size} and state = 'ram'"
    )
    assert answer is not None
    assert answer.fetchall() == [(target.pages // 2,)]


def test_stored_mappings_are_those_of_the_process(folder: Path, target: Target) -> None:
    rows = Lake(folder).select().table("mappings").read().to_pylist()
    live = Process(target.pid).virtual_regions().to_pylist()
    stored = [(row["vaddr"], row["path"], row["kind"]) for row in rows]
    assert stored == [(row["vaddr"], row["path"], row["kind"]) for row in live]


def test_numbers_of_rows_are_unsigned(tmp_path: Path, command: Command, target: Target) -> None:
    command.run("snapshot", str(target.pid), "-o", str(tmp_path))
    table = Lake(tmp_path).select().table("regions")
    bits = pyarrow.table({"vpn": pyarrow.array([1, -1], pyarrow.int64())})
    pyarrow.parquet.write_table(bits, table.path, compression="zstd")
    assert [row["vpn"] for row in table] == [1, (1 << 64) - 1]
    assert pyarrow.table(table).column("vpn").to_pylist() == [1, -1]


def test_what_is_missing_or_damaged_is_reported(
    folder: Path, tmp_path: Path, command: Command, target: Target
) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Lake("/nonexistent")
    assert missing.value.filename == "/nonexistent"
    with pytest.raises(SnapshotNotFoundError, match="has no snapshots"):
        Lake(tmp_path).select()
    with pytest.raises(LookupError, match="no table 'frames'|no table \"frames\""):
        Lake(folder).select().table("frames")
    command.run("snapshot", str(target.pid), "-o", str(tmp_path))
    snapshot = Lake(tmp_path).select()
    regions = snapshot.table("regions")
    Path(regions.path).write_bytes(b"damaged")
    assert not snapshot.is_complete
    assert [row["state"] for row in Lake(tmp_path).snapshots()] == ["incomplete"]
    for read in (regions.read, regions.__iter__, lambda: polars.DataFrame(regions)):
        with pytest.raises(LakeError, match="is not usable"):
            read()
