"""Time in which a million regions become a polars frame.

    cargo xtask python --bench

A process touches every second page of 4 GiB, so that a million regions take turns: single
pages, which are scattered over the machine, and single pages that are not present. Times
are the medians of several turns, without and with the walk.
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
        end = start + PAGES * mmap.PAGESIZE
        queries, frames, wholes = [], [], []
        for _ in range(TURNS):
            begun = time.perf_counter()
            records = process.physical_regions(start, end)
            queried = time.perf_counter()
            frame = polars.DataFrame(records)
            ended = time.perf_counter()
            assert len(frame) >= PAGES, frame
            queries.append(queried - begun)
            frames.append(ended - queried)
            wholes.append(ended - begun)
            del records, frame
        target.stdin.close()
    for name, times in (("query", queries), ("frame", frames), ("both", wholes)):
        median = statistics.median(times) * 1000
        print(f"{name:5} {median:6.1f} ms  {min(times) * 1000:.1f}..{max(times) * 1000:.1f}")


main()
