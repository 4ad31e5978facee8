"""Records in pyarrow, polars and DuckDB, and without any of them."""

import duckdb
import polars
import pyarrow
import pytest
from conftest import PAGE, Target
from process_introspection import Process, Records

# Arrow's columns are signed, rows are not: addresses of the kernel differ.
USER = 1 << 47


@pytest.fixture(name="records", params=["mappings", "regions", "summary"])
def make_records(request: pytest.FixtureRequest, target: Target) -> Records:
    process = Process(target.pid)
    if request.param == "mappings":
        return process.virtual_regions(0, USER)
    if request.param == "summary":
        return process.summary()
    request.getfixturevalue("root")
    return process.physical_regions(0, USER, details=True)


def test_pyarrow_has_the_rows(records: Records) -> None:
    for _ in range(2):
        table = pyarrow.table(records)
        table.validate(full=True)
        assert table.to_pylist() == records.to_pylist()
        assert table.column_names == records.column_names
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert metadata == records.metadata
    assert metadata["page_size"] == str(PAGE)


def test_a_reader_takes_the_stream_in_batches(records: Records) -> None:
    reader = pyarrow.RecordBatchReader.from_stream(records)
    assert sum(batch.num_rows for batch in reader) == len(records)


def test_polars_has_the_rows(records: Records) -> None:
    frame = polars.DataFrame(records)
    assert frame.columns == records.column_names
    names = [name for name in frame.columns if name != "details"]
    rows = [{name: row[name] for name in names} for row in records]
    assert frame.select(names).to_dicts() == rows


def test_duckdb_has_the_rows(target: Target) -> None:
    records = Process(target.pid).resident_regions(target.start, target.end)
    answer = duckdb.sql("select state, sum(size)::bigint from records group by 1 order by 1")
    half = target.pages // 2 * PAGE
    assert answer is not None
    assert answer.fetchall() == [("not-present", half), ("resident", half)]
    # Once more, beside another.
    again = duckdb.sql("select count(*) from records join records other using (vaddr)")
    assert again is not None
    assert again.fetchall() == [(len(records),)]


def test_rows_are_dictionaries_without_any_engine(records: Records) -> None:
    rows = records.to_pylist()
    assert list(records) == rows == [records[index] for index in range(len(records))]
    assert records[-1] == rows[-1] and list(rows[0]) == records.column_names
    for index in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError):
            records[index]


def test_a_result_without_rows_has_its_columns(target: Target) -> None:
    records = Process(target.pid).virtual_regions(0, 0)
    assert len(records) == 0 and records.to_pylist() == [] and list(records) == []
    assert pyarrow.table(records).column_names == records.column_names
    assert polars.DataFrame(records).columns == records.column_names


def test_a_stream_that_nobody_takes_is_released(target: Target) -> None:
    records = Process(target.pid).virtual_regions()
    for _ in range(1000):
        records.__arrow_c_stream__()
    # Neither does a stream need its records.
    stream = pyarrow.RecordBatchReader.from_stream(Process(target.pid).virtual_regions())
    assert stream.read_all().num_rows == len(records)
