"""Physical memory behind the addresses of processes, on Linux.

>>> import process_introspection
>>> process = process_introspection.Process.current()
>>> process.resident_regions(backed=True)  # doctest: +ELLIPSIS
<Records: ... rows, ... columns>

Results are tables in memory: polars, pyarrow and DuckDB take them as they are, and without
these packages a row is a dictionary. Physical addresses need CAP_SYS_ADMIN; an address is
valid when it is read, and only as long as the page stays in its frame.
"""

from ._native import (
    Coverage,
    Lake,
    ListedProcess,
    Machine,
    Process,
    Records,
    RowIterator,
    Snapshot,
    Table,
    __version__,
    machine,
    owners,
    processes,
    processes_named,
)
from .errors import (
    AccessDeniedError,
    FramesHiddenError,
    IntrospectionError,
    InvalidArgumentError,
    LakeError,
    NoAnswerError,
    NotMappedError,
    ProcessGoneError,
    SnapshotNotFoundError,
    UnsupportedError,
)

__all__ = [
    "AccessDeniedError",
    "Coverage",
    "FramesHiddenError",
    "IntrospectionError",
    "InvalidArgumentError",
    "Lake",
    "LakeError",
    "ListedProcess",
    "Machine",
    "NoAnswerError",
    "NotMappedError",
    "Process",
    "ProcessGoneError",
    "Records",
    "RowIterator",
    "Snapshot",
    "SnapshotNotFoundError",
    "Table",
    "UnsupportedError",
    "__version__",
    "machine",
    "owners",
    "processes",
    "processes_named",
]
