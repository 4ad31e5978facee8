"""Answers of DuckDB about the lake of a fleet, compared with what the command prints about each
host, and with sums over the rows of the files.

    gate.py LAKE INTROSPECT SCRATCH

LAKE was made by the example multiply with --interrupted, INTROSPECT is the command."""

import collections
import json
import pathlib
import subprocess
import sys

import pyarrow.dataset

import engines

LAKE, INTROSPECT, SCRATCH = sys.argv[1:]
# Hosts whose questions about regions are compared: each is a run of the command.
SOME = ("host-0003", "host-0004", "host-0009")


def command(*arguments):
    """Returns the records that the command prints."""
    run = subprocess.run([INTROSPECT, *arguments, "--format", "json"], capture_output=True, text=True)
    # 1: an answer with something that is missing, such as the last host's table.
    assert run.returncode in (0, 1), f"{arguments}: {run.stderr}"
    return json.loads(run.stdout)


def total(values):
    """Returns the sum as SQL has it: of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def equal(what, answer, expected):
    assert answer == expected, f"{what}:\n  answer   {answer}\n  expected {expected}"


def rows_of(table):
    """Returns the rows of all files of a table, as they are, without nested columns."""
    import pyarrow

    files = pyarrow.dataset.dataset(f"{LAKE}/{table}", partitioning="hive")
    flat = [field.name for field in files.schema if not pyarrow.types.is_nested(field.type)]
    return files.to_table(columns=flat).to_pylist()


class Fleet:
    """What the command prints about the lake."""

    def __init__(self):
        self.snapshots = command("snapshots", LAKE)
        self.by_host = collections.defaultdict(list)
        for snapshot in sorted(self.snapshots, key=lambda one: one["snapshot_id"]):
            self.by_host[snapshot["host"]].append(snapshot)
        self.newest = {host: ones[-1]["snapshot_id"] for host, ones in self.by_host.items()}
        self.summaries, self.machines = {}, {}

    def ids(self, host, date):
        ones = self.by_host[host]
        return [one["snapshot_id"] for one in ones if one["taken_at"].startswith(date)]

    def dates(self):
        return sorted({one["taken_at"][:10] for one in self.snapshots})

    def summary(self, host, snapshot):
        if snapshot not in self.summaries:
            at = f"{LAKE}@{snapshot}"
            self.summaries[snapshot] = command("summary", "--all", "--from", at, "--host", host)
        return self.summaries[snapshot]

    def machine(self, host, snapshot):
        if snapshot not in self.machines:
            at = f"{LAKE}@{snapshot}"
            (self.machines[snapshot],) = command("machine", "--from", at, "--host", host)
        return self.machines[snapshot]


def group(rows, key, **columns):
    """Returns sums of columns by key."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return {
        key: {name: total(column(row) for row in rows) for name, column in columns.items()}
        for key, rows in groups.items()
    }


def check_kinds_of_host(records, fleet):
    names = {"size": "virtual", "resident": "resident", "uss": "uss", "swap": "swap", "hugetlb": "hugetlb"}
    unread = {(row["snapshot_id"], row["unique_pid"]) for row in rows_of("processes") if row["unread"]}
    # What was read of processes before they ended is memory, too.
    parts = [row for row in rows_of("mappings") if (row["snapshot_id"], row["unique_pid"]) in unread]
    ids = fleet.ids("host-0003", "2026-11-25")
    equal("snapshots", sorted({row["snapshot_id"] for row in records}), ids)
    for snapshot in ids:
        kinds = [kind for one in fleet.summary("host-0003", snapshot) for kind in one["kinds"]]
        of_parts = [row for row in parts if row["snapshot_id"] == snapshot]
        kinds += [{**row, "virtual": row["size"]} for row in of_parts]
        columns = {name: lambda row, of=of: row[of] for name, of in names.items()}
        expected = group(kinds, lambda row: row["kind"], pss=lambda row: row["pss"], **columns)
        ours = {row["kind"]: row for row in records if row["snapshot_id"] == snapshot}
        equal("kinds", set(ours), set(expected))
        for kind, sums in expected.items():
            equal(kind, [ours[kind][name] for name in names], [sums[name] for name in names])
            # PSS of each mapping is rounded.
            assert abs((ours[kind]["pss"] or 0) - (sums["pss"] or 0)) <= ours[kind]["mappings"], (ours[kind], sums)


def check_regions_of_host(records, fleet):
    for snapshot in fleet.ids("host-0003", "2026-11-25"):
        ours = [row for row in records if row["snapshot_id"] == snapshot]
        (one,) = [one for one in fleet.snapshots if one["snapshot_id"] == snapshot]
        equal("regions", sum(row["regions"] for row in ours), one["regions"])
        rows = [row for row in rows_of("regions") if row["snapshot_id"] == snapshot]
        columns = {
            "bytes": lambda row: row["pages"] << 12,
            "huge_bytes": lambda row: row["pages"] << 12 if row["pages"] >= 512 else 0,
        }
        answer = {row["state"]: {name: row[name] for name in columns} for row in ours}
        equal("states", answer, group(rows, lambda row: row["state"], **columns))
        # What was read of processes before they ended is memory, too.
        extents = sum(one["contiguity"]["bytes"] for one in fleet.summary("host-0003", snapshot))
        assert answer["ram"]["bytes"] >= extents > 0, (answer, extents)


def newest_summaries(fleet):
    for host, snapshot in fleet.newest.items():
        for one in fleet.summary(host, snapshot):
            yield host, one


def check_units(records, fleet):
    for name in ("pss", "uss", "swap"):
        expected = total(one["total"][name] for _, one in newest_summaries(fleet))
        equal(name, total(row[name] for row in records), expected)
    equal("processes", sum(row["processes"] for row in records), len(list(newest_summaries(fleet))))
    newest = set(fleet.newest.values())
    rows = [row for row in rows_of("processes") if row["snapshot_id"] in newest and row["unread"] is None]
    expected = group(rows, lambda row: row["unit"], pss=lambda row: row["pss"], uss=lambda row: row["uss"])
    answer = {row["unit"]: {"pss": row["pss"], "uss": row["uss"]} for row in records}
    equal("units", answer, expected)
    by_host = group(rows, lambda row: (row["unit"], row["host"]), pss=lambda row: row["pss"])
    for row in records:
        hosts = {host: sums["pss"] for (unit, host), sums in by_host.items() if unit == row["unit"]}
        equal("hosts", (row["hosts"], row["most_pss"]), (len(hosts), max(hosts.values())))
        equal("host", hosts[row["most_pss_host"]], row["most_pss"])


def check_growth(records, fleet):
    first, last = fleet.dates()[0], fleet.dates()[-1]
    hosts = [host for host in fleet.by_host if fleet.ids(host, first) and fleet.ids(host, last)]
    rows = [row for row in rows_of("processes") if row["unread"] is None]
    sums = []
    for date in (first, last):
        wanted = {fleet.ids(host, date)[-1] for host in hosts}
        chosen = [row for row in rows if row["snapshot_id"] in wanted]
        sums.append(group(chosen, lambda row: row["unit"], pss=lambda row: row["pss"]))
    for row in records:
        before, after = (one.get(row["unit"], {}).get("pss", 0) for one in sums)
        equal(row["unit"], (row["pss_before"], row["pss_after"]), (before, after))
        equal(row["unit"], row["growth"], after - before)
    equal("units", {row["unit"] for row in records}, set(sums[0]) | set(sums[1]))


def check_huge_pages(records, fleet):
    known = [one for _, one in newest_summaries(fleet) if one["huge_pages"]]
    for name, key in {"huge": "mapped", "holes": "holes", "policy": "policy", "too_small": "too_small"}.items():
        expected = total(one["huge_pages"][key] for one in known)
        equal(name, total(row[name] for row in records), expected)
    equal("resident", sum(row["resident"] for row in records), sum(one["total"]["resident"] for one in known))
    equal("kernels", {row["kernel"] for row in records}, {one["kernel"] for one in fleet.snapshots})


def check_fragmentation(records, fleet):
    expected = []
    for date in fleet.dates():
        for host in sorted(fleet.by_host):
            if not fleet.ids(host, date):
                continue
            free = fleet.machine(host, fleet.ids(host, date)[-1])["free"]
            sizes = [(one["size"], one["size"] * one["blocks"]) for one in free]
            whole = sum(size for _, size in sizes)
            huge = sum(bytes for size, bytes in sizes if size >= 2 << 20)
            expected.append((date, host, whole, huge, 1000 * huge // whole, max(size for size, bytes in sizes if bytes)))
    equal("free memory", [tuple(row.values()) for row in records], expected)


def check_moved_pages(records, fleet):
    equal("hosts", {row["host"] for row in records}, set(fleet.by_host))
    for row in records:
        ones = fleet.by_host[row["host"]]
        equal(row["host"], (row["first_id"], row["last_id"]), (ones[0]["snapshot_id"], ones[-1]["snapshot_id"]))
        if row["host"] in SOME:
            ends = [f"{LAKE}@{row[name]}" for name in ("first_id", "last_id")]
            changes = command("diff", *ends, "--host", row["host"])
            (whole,) = [change for change in changes if change["record"] == "total"]
            equal(row["host"], row["moved"], whole["moved"])
    assert any(row["moved"] for row in records if row["host"] in SOME), records


def check_unread(records, fleet):
    ones = [one for one in fleet.snapshots if one["unread"]]
    key = lambda one: (one["taken_at"][:10], one["host"])
    expected = group(ones, key, unread=lambda one: one["unread"])
    answer = group(records, lambda row: (row["date"], row["host"]), unread=lambda row: row["processes"])
    equal("unread processes", answer, expected)
    assert {row["reason"] for row in records} <= {"gone", "refused", "silent", "failed"}


def newest_machines(fleet):
    return {host: fleet.machine(host, snapshot) for host, snapshot in fleet.newest.items()}


def check_hugetlb(records, fleet):
    expected = {}
    for host, machine in newest_machines(fleet).items():
        uses = {one["use"]: one["bytes"] for one in machine["uses"]}
        unused = uses.get("hugetlb-unmapped", 0)
        whole = unused + uses.get("hugetlb-mapped", 0)
        if whole:
            expected[host] = (machine["mem_total"], whole, unused)
    assert expected, "no host has hugetlb"
    equal("hugetlb", {row["host"]: (row["mem_total"], row["hugetlb"], row["unused"]) for row in records}, expected)


def check_uses(records, fleet):
    kernels = {one["host"]: one["kernel"] for one in fleet.snapshots}
    machines = newest_machines(fleet).items()
    uses = [(kernels[host], one) for host, machine in machines for one in machine["uses"] if one["bytes"]]
    expected = group(uses, lambda use: (use[0], use[1]["use"]), bytes=lambda use: use[1]["bytes"])
    answer = {(row["kernel"], row["page_use"]): {"bytes": row["bytes"]} for row in records}
    equal("uses", answer, expected)


def newest_files(fleet):
    newest = set(fleet.newest.values())
    for row in rows_of("mappings"):
        if row["snapshot_id"] in newest and row["kind"] in ("elf", "file") and row["path"] and row["resident"]:
            yield row


def check_file_copies(records, fleet):
    copies = collections.defaultdict(collections.Counter)
    for row in newest_files(fleet):
        if row["ino"] and not row["deleted"]:
            copies[row["host"], row["path"], row["dev"], row["ino"]][row["unique_pid"]] += row["resident"]
    names = collections.defaultdict(list)
    for (host, path, _, _), processes in copies.items():
        names[host, path].append(max(processes.values()))
    expected = collections.defaultdict(lambda: [0, 0, 0, 0])
    for (_, path), sizes in names.items():
        if len(sizes) > 1:
            for at, number in enumerate((1, len(sizes), sum(sizes), sum(sizes) - max(sizes))):
                expected[path][at] += number
    equal("files", {row["path"]: list(row.values())[1:] for row in records}, dict(expected))


def check_file_cache(records, fleet):
    hosts = collections.defaultdict(set)
    for row in newest_files(fleet):
        hosts[row["path"]].add(row["host"])
    for row in records:
        equal(row["path"], row["hosts"], len(hosts[row["path"]]))
    equal("most hosts", records[0]["hosts"], max(map(len, hosts.values())))
    equal("files", len(records), min(50, len(hosts)))


def check_poisoned(records, fleet):
    machines = newest_machines(fleet).items()
    expected = {host for host, machine in machines if any(use["use"] == "poisoned" and use["bytes"] for use in machine["uses"])}
    equal("hosts", {row["host"] for row in records}, expected)
    for host in sorted(expected)[:3]:
        ours = [row for row in records if row["host"] == host]
        at = f"{LAKE}@{ours[0]['owner_id']}"
        owners = command("owner", f"pfn:{ours[0]['pfn']}", "--from", at, "--host", host)
        expected = sorted((one["pid"], int(one["vaddr"], 16) >> 12) for one in owners if one["record"] == "mapped")
        equal(host, sorted((row["pid"], row["vpn"]) for row in ours), expected)


def check_owners(records, fleet):
    for host in SOME:
        owners = command("owner", "100000000+256M", "--by-process", "--from", LAKE, "--host", host)
        expected = {one["pid"]: one["size"] for one in owners if one["pid"] is not None and one["size"]}
        equal(host, {row["pid"]: row["bytes"] for row in records if row["host"] == host}, expected)


def check_contiguity(records, fleet):
    known = [one["contiguity"] for _, one in newest_summaries(fleet) if one["contiguity"] and one["contiguity"]["extents"]]
    for name in ("bytes", "extents"):
        equal(name, sum(row[name] for row in records), sum(one[name] for one in known))
    equal("processes", sum(row["processes"] for row in records), len(known))


def check_unexplained(records, fleet):
    expected = {host: machine["unexplained"] for host, machine in newest_machines(fleet).items()}
    equal("unexplained", {row["host"]: row["unexplained"] for row in records}, expected)


def check_cost(records, fleet):
    key = lambda one: (one["taken_at"][:10], one["host"])
    columns = {name: lambda one, name=name: one[name] for name in ("size", "regions")}
    expected = group(fleet.snapshots, key, **columns)
    answer = {(row["date"], row["host"]): {"size": row["bytes"], "regions": row["regions"]} for row in records}
    equal("cost", answer, expected)
    for row in records[:-2]:
        files = pathlib.Path(LAKE).glob(f"*/date={row['date']}/host={row['host']}/*.parquet")
        sizes = sum(file.stat().st_size for file in files if file.parts[-4] != "snapshots")
        if row["host"] != max(fleet.by_host):
            equal("files", row["bytes"], sizes)


def check_silent_hosts(records, fleet):
    last = max(fleet.by_host)
    ones = fleet.by_host[last]
    expected = [(last, fleet.dates()[0], ones[-1]["snapshot_id"], len(ones))]
    equal("hosts", [tuple(row.values()) for row in records], expected)


def check_incomplete(records, fleet):
    expected = [(one["snapshot_id"], one["mappings"]) for one in fleet.snapshots if one["state"] != "complete"]
    assert len(expected) == 1, expected
    equal("snapshots", [(row["snapshot_id"], row["missing"]) for row in records], expected)


def check_swap(records, fleet):
    columns = {name: lambda one, name=name: one[1]["total"][name] for name in ("resident", "swap")}
    expected = group(newest_summaries(fleet), lambda one: one[0], **columns)
    answer = {row["host"]: {"resident": row["resident"], "swap": row["swap"]} for row in records}
    equal("swap", answer, expected)


def main():
    fleet = Fleet()
    duckdb = engines.DuckDB(LAKE, SCRATCH)
    failed = 0
    checks = {name.removeprefix("check_") for name in globals() if name.startswith("check_")}
    equal("questions with checks", sorted(checks), [question.stem for question in engines.QUESTIONS])
    for question in engines.QUESTIONS:
        answer = engines.Answer([], [], 0, 0)
        try:
            answer = duckdb.ask(question)
            assert answer.rows, "no rows"
            equal("order", answer.rows, duckdb.ask(question).rows)
            globals()[f"check_{question.stem}"](answer.records(), fleet)
            result = "ok"
        except Exception as error:
            failed += 1
            result = f"FAILED {type(error).__name__} {str(error)[:2000]}"
        print(f"{question.stem:<18} {len(answer.rows):>6} rows {answer.seconds:>6.2f} s  {result}", flush=True)
    # A question about one host and date opens its files, and of the others the ends alone.
    pruned, whole = (duckdb.ask(engines.SQL / "questions" / f"{name}.sql").read for name in ("regions_of_host", "contiguity"))
    print(f"regions_of_host reads {pruned} bytes, contiguity {whole}")
    duckdb.close()
    return 1 if failed else 0


sys.exit(main())
