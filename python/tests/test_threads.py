"""The interpreter during a walk: released, and looking for signals."""

import mmap
import signal
import sys
import threading
import time
from types import FrameType

import pytest
from conftest import Target
from process_introspection import Process


def test_other_threads_run_during_a_walk(large_target: Target) -> None:
    process = Process(large_target.pid)
    turns = 0
    is_over = threading.Event()

    def turn() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            time.sleep(0.0001)

    # The interpreter takes itself away from no thread: others run if one lets go of it.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    thread = threading.Thread(target=turn)
    try:
        thread.start()
        for query in (process.resident_regions, process.summary, process.contiguity_metrics):
            before = turns
            # On a busy machine the other thread may get no CPU during a query.
            any(query() and turns > before for _ in range(50))
            assert turns > before, query
    finally:
        is_over.set()
        sys.setswitchinterval(interval)
        thread.join()


def test_threads_share_a_process(large_target: Target) -> None:
    process = Process(large_target.pid)
    sizes = []

    def walk() -> None:
        records = process.resident_regions(large_target.start, large_target.end, backed=True)
        sizes.append(len(records))

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [large_target.pages // 2] * 4


class Stop(Exception):
    """Raised by the handler of a signal."""


@pytest.mark.usefixtures("root")
def test_a_signal_ends_a_walk() -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stop

    # A reservation of 2^28 pages, which would be as many rows.
    reservation = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
    process = Process.current()
    previous = signal.signal(signal.SIGALRM, stop)
    records = None
    try:
        with pytest.raises(Stop):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            records = process.page_table(0, None)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert records is None
    reservation.close()
