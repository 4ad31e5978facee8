"""Answers of DuckDB and of Spark about a lake: equal rows, seconds, and bytes read from files.

    scale.py LAKE SCRATCH

prints a table for docs/FLEET.md. Spark runs as local-cluster[2,1,1024]: two executors, each a
process of its own with one core and 1 GiB."""

import pathlib
import sys

import engines

LAKE, SCRATCH = sys.argv[1:]


def shown(size):
    return "-" if size is None else f"{size / 1e6:.1f}"


def main():
    files = [file for file in pathlib.Path(LAKE).rglob("*.parquet")]
    size = sum(file.stat().st_size for file in files)
    duckdb = engines.DuckDB(LAKE, SCRATCH)
    rows = {
        name: duckdb.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for name in ("snapshots", "processes", "mappings", "regions", "frames")
    }
    hosts = duckdb.connection.execute("SELECT count(DISTINCT host) FROM snapshots").fetchone()[0]
    print(f"{hosts} hosts, {len(files)} files, {size / 1e6:.1f} MB, rows: {rows}", flush=True)
    answers = {question: duckdb.ask(question) for question in engines.QUESTIONS}
    duckdb.close()
    for question, answer in answers.items():
        print(f"duckdb {question.stem} {answer.seconds:.2f} s", flush=True)
    spark = engines.Spark(LAKE, SCRATCH)
    others = {}
    for question in engines.QUESTIONS:
        others[question] = spark.ask(question)
        print(f"spark {question.stem} {others[question].seconds:.2f} s", flush=True)
    read, executors = spark.close()
    different = []
    print("| question | rows | DuckDB s | MB | Spark s | MB |")
    print("|---|---|---|---|---|---|")
    print(f"| (views) | | {duckdb.opened.seconds:.1f} | {shown(duckdb.opened.read)} | {spark.opened.seconds:.1f} | {shown(read.get('open'))} |")
    for question, ours in answers.items():
        theirs = others[question]
        if (ours.columns, ours.rows) != (theirs.columns, theirs.rows):
            unequal = [pair for pair in zip(ours.rows, theirs.rows) if pair[0] != pair[1]]
            different.append(f"{question.stem}: {len(ours.rows)} and {len(theirs.rows)} rows, {unequal[:3]}")
        print(f"| {question.stem} | {len(ours.rows)} | {ours.seconds:.1f} | {shown(ours.read)} | {theirs.seconds:.1f} | {shown(read.get(question.stem))} |")
    assert len(executors) == 2 and "driver" not in executors, executors
    empty = [question.stem for question, answer in answers.items() if not answer.rows]
    print("without rows:", " ".join(empty) or "none")
    print("\n".join(different) or "equal rows", flush=True)
    return 1 if different else 0


sys.exit(main())
