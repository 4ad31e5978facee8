"""Questions about a lake, answered by pandas with pyarrow, by polars and by DuckDB.

    readers.py ROOT PID PFN DOCUMENT

prints a JSON object with the answers of each. PID is a process of the lake's only snapshot,
PFN a page frame. The programs in DOCUMENT run as they are there, and again after they have
compacted the lake.
"""

import json
import pathlib
import sys
import tempfile

import duckdb
import pandas
import polars
import pyarrow.dataset

TABLES = ("snapshots", "processes", "mappings", "regions")
HUGE = 2 << 20


def by_pandas(root, pid, pfn):
    tables = {
        name: pyarrow.dataset.dataset(f"{root}/{name}", partitioning="hive").to_table().to_pandas()
        for name in TABLES
    }
    counts = {name: len(table) for name, table in tables.items()}
    base = int(tables["snapshots"].page_size[0])
    processes = tables["processes"][["snapshot_id", "unique_pid", "pid"]]
    regions = tables["regions"].merge(tables["snapshots"][["snapshot_id"]])
    regions = regions.merge(processes, on=["snapshot_id", "unique_pid"])
    mappings = tables["mappings"][["snapshot_id", "unique_pid", "vaddr", "kind"]]
    regions = regions.merge(
        mappings,
        left_on=["snapshot_id", "unique_pid", "mapping_vaddr"],
        right_on=["snapshot_id", "unique_pid", "vaddr"],
    )
    ram = regions[regions.state == "ram"]
    own = ram[ram.pid == pid].sort_values("vpn")
    resident = own.groupby("kind", observed=True).pages.sum() * base
    ends = own[["vpn", "pfn"]].add(own.pages, axis=0).shift()
    starts = (own.vpn != ends.vpn) | (own.pfn != ends.pfn)
    extents = own.groupby(starts.cumsum()).agg({"vpn": "first", "pages": "sum", "pfn": "first"})
    extents = extents[extents.pages * base >= HUGE] * base
    owners = ram[(ram.pfn <= pfn) & (pfn < ram.pfn + ram.pages)]
    vaddrs = (owners.vpn + pfn - owners.pfn) * base
    return {
        "rows": counts,
        "resident": {kind: int(size) for kind, size in resident.items()},
        "extents": [[int(number) for number in row] for row in extents.to_numpy()],
        "owners": [[int(owner), int(vaddr)] for owner, vaddr in zip(owners.pid, vaddrs)],
    }


def by_polars(root, pid, pfn):
    tables = {
        name: polars.scan_parquet(
            f"{root}/{name}/**/*.parquet",
            hive_partitioning=True,
            missing_columns="insert",
            extra_columns="ignore",
        )
        for name in TABLES
    }
    counts = {name: table.collect().height for name, table in tables.items()}
    base = tables["snapshots"].select("page_size").unique().collect().item()
    col = polars.col
    regions = (
        tables["regions"]
        .join(tables["snapshots"].select("snapshot_id"), on="snapshot_id")
        .join(
            tables["processes"].select("snapshot_id", "unique_pid", "pid"),
            on=["snapshot_id", "unique_pid"],
        )
        .join(
            tables["mappings"].select("snapshot_id", "unique_pid", "vaddr", "kind"),
            left_on=["snapshot_id", "unique_pid", "mapping_vaddr"],
            right_on=["snapshot_id", "unique_pid", "vaddr"],
        )
    )
    ram = regions.filter(col("state").cast(polars.String) == "ram")
    own = ram.filter(col("pid") == pid).sort("vpn")
    resident = own.group_by(col("kind").cast(polars.String)).agg(col("pages").sum() * base)
    continues = (col("vpn") == (col("vpn") + col("pages")).shift()) & (
        col("pfn") == (col("pfn") + col("pages")).shift()
    )
    extents = (
        own.with_columns((~continues).fill_null(True).cum_sum().alias("extent"))
        .group_by("extent")
        .agg(col("vpn").min() * base, col("pages").sum() * base, col("pfn").min() * base)
        .filter(col("pages") >= HUGE)
        .select("vpn", "pages", "pfn")
    )
    owners = ram.filter(col("pfn") <= pfn, pfn < col("pfn") + col("pages")).select(
        "pid", (col("vpn") + pfn - col("pfn")) * base
    )
    return {
        "rows": counts,
        "resident": dict(resident.collect().rows()),
        "extents": extents.collect().rows(),
        "owners": owners.collect().rows(),
    }


def by_duckdb(root, pid, pfn):
    engine = duckdb.connect()
    for name in TABLES:
        engine.sql(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet("
            f"'{root}/{name}/*/*/*.parquet', hive_partitioning=true, union_by_name=true)"
        )
    rows = lambda query: engine.sql(query).fetchall()
    counts = {name: len(rows(f"SELECT * FROM {name}")) for name in TABLES}
    engine.sql(
        """CREATE VIEW ram AS
        SELECT regions.*, processes.pid, mappings.kind, snapshots.page_size AS base
        FROM regions JOIN snapshots USING (snapshot_id)
        JOIN processes USING (snapshot_id, unique_pid)
        JOIN mappings ON mappings.snapshot_id = regions.snapshot_id
            AND mappings.unique_pid = regions.unique_pid
            AND mappings.vaddr = regions.mapping_vaddr
        WHERE regions.state = 'ram'"""
    )
    resident = rows(f"SELECT kind, sum(pages * base)::BIGINT FROM ram WHERE pid = {pid} GROUP BY kind")
    extents = rows(
        f"""WITH marked AS (
            SELECT *, CASE WHEN vpn = lag(vpn + pages) OVER addresses
                AND pfn = lag(pfn + pages) OVER addresses THEN 0 ELSE 1 END AS starts
            FROM ram WHERE pid = {pid} WINDOW addresses AS (ORDER BY vpn)
        ), numbered AS (SELECT *, sum(starts) OVER (ORDER BY vpn) AS extent FROM marked)
        SELECT min(vpn) * base, (sum(pages) * base)::BIGINT, min(pfn) * base
        FROM numbered GROUP BY extent, base HAVING sum(pages) * base >= {HUGE}"""
    )
    owners = rows(
        f"""SELECT pid, (vpn + {pfn} - pfn) * base FROM ram
        WHERE pfn <= {pfn} AND {pfn} < pfn + pages"""
    )
    return {"rows": counts, "resident": dict(resident), "extents": extents, "owners": owners}


def uses(root):
    """Returns the bytes of each use of frames, and the counter MemTotal; None without frames."""
    if not (pathlib.Path(root) / "frames").exists():
        return None
    engine = duckdb.connect()
    table = lambda name: (
        f"read_parquet('{root}/{name}/*/*/*.parquet', hive_partitioning=true, union_by_name=true)"
    )
    rows = engine.sql(
        f"""SELECT page_use, (sum(pages) * any_value(page_size))::BIGINT
        FROM {table("frames")} JOIN {table("snapshots")} USING (snapshot_id) GROUP BY page_use"""
    ).fetchall()
    ((total,),) = engine.sql(
        f"""SELECT value FROM {table("metrics")}
        WHERE name = 'MemTotal_bytes' AND kind = 'after'"""
    ).fetchall()
    return {"uses": dict(rows), "mem_total": total}


def in_order(answers):
    """Makes the answers of all engines comparable."""
    for name in ("extents", "owners"):
        answers[name] = sorted(list(row) for row in answers[name])
    return answers


def programs(document):
    """Returns the programs of the document."""
    parts = document.read_text().split("```python\n")[1:]
    return [part.split("```")[0] for part in parts]


def by_process(answer):
    """Returns the answer of a program of the document: pages by unique PID."""
    if isinstance(answer, pandas.Series):
        answer = answer.items()
    elif isinstance(answer, polars.DataFrame):
        answer = answer.rows()
    return {str(process): int(pages) for process, pages in answer}


def run(document, root, compact):
    """Returns the answers of the document's programs; those without one compact the lake."""
    answers = []
    for program in programs(document):
        names = {"ROOT": root, "COMPACT": compact}
        exec(program, names)
        if "answer" in names:
            answers.append(by_process(names["answer"]))
    return answers


def main(root, pid, pfn, document):
    arguments = (root, int(pid), int(pfn))
    answers = {
        "pandas": in_order(by_pandas(*arguments)),
        "polars": in_order(by_polars(*arguments)),
        "duckdb": in_order(by_duckdb(*arguments)),
    }
    with tempfile.TemporaryDirectory() as compact, tempfile.TemporaryDirectory() as again:
        document = pathlib.Path(document)
        answers["document"] = run(document, root, compact) + run(document, compact, again)
        arguments = (compact, int(pid), int(pfn))
        answers["compacted"] = in_order(by_duckdb(*arguments))
    answers["machine"] = uses(root)
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])
