"""Time in which a million regions become a polars frame.

    cargo xtask python --bench

A process touches every second page of 4 GiB, so that a million regions take turns: single
pages, which are scattered over the machine, and single pages that are not present. A query of
the backed ones walks as far and makes half of the rows, so that twice the difference is what
all rows cost beyond the walk. Medians of several turns, of the clock and of the CPUs' time.
"""

import mmap
import statistics
import subprocess
import sys
import time

import polars
import process_introspection

PAGES = 1 << 20
TURNS = 9
TARGET = """
import mmap, sys
pages = int(sys.argv[1])
memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(0, pages, 2):
    memory[page * mmap.PAGESIZE] = 1
print(flush=True)
sys.stdin.read()
"""


def main() -> None:
    arguments = [sys.executable, "-c", TARGET, str(PAGES)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        assert target.stdout is not None and target.stdin is not None
        target.stdout.readline()
        process = process_introspection.Process(target.pid)
        mappings = process.virtual_regions().to_pylist()
        start = next(m["vaddr"] for m in mappings if m["size"] >= PAGES * mmap.PAGESIZE)
        end_of_memory = start + PAGES * mmap.PAGESIZE
        begun: dict[str, float] = {}
        costs: dict[str, list[tuple[float, float]]] = {}

        def begin() -> None:
            begun.update(clock=time.perf_counter(), cpu=time.process_time())

        def end(name: str) -> None:
            cpu, clock = time.process_time() - begun["cpu"], time.perf_counter() - begun["clock"]
            costs.setdefault(name, []).append((clock, cpu))

        for _ in range(TURNS):
            begin()
            process.physical_regions(start, end_of_memory, backed=True)
            end("half")
            begin()
            records = process.physical_regions(start, end_of_memory)
            end("query")
            begin()
            frame = polars.DataFrame(records)
            end("frame")
            assert len(frame) >= PAGES, frame
            del records, frame
        target.stdin.close()
    medians = {
        name: [statistics.median(cost[index] for cost in costs[name]) for index in (0, 1)]
        for name in costs
    }
    rows = [2 * (full - half) for full, half in zip(medians["query"], medians["half"])]
    beyond = [row + frame for row, frame in zip(rows, medians["frame"])]
    for name, (clock, cpu) in (*medians.items(), ("rows", rows), ("rows and frame", beyond)):
        print(f"{name:14} {clock * 1000:7.1f} ms {cpu * 1000:7.1f} ms of CPU")


main()
