"""How contiguous the memory of a process is, by mapping.

    python contiguity.py PID

Prints for the ten mappings with the most memory how much of it there is, in how many pieces
of physical memory, and how much of it huge pages map. Needs CAP_SYS_ADMIN and polars.
"""

import sys

import polars
import process_introspection


def main() -> int:
    target = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    try:
        process = process_introspection.Process(target)
        records = process.physical_regions(backed=True)
    except process_introspection.IntrospectionError as error:
        print(error.strerror, file=sys.stderr)
        return 3 if error.is_permission_denied else 1
    regions = polars.DataFrame(records)
    is_huge = polars.col("page_size") > process.page_size
    by_mapping = (
        regions.group_by(polars.col("path").fill_null("(anonymous)"))
        .agg(
            (polars.col("size").sum() // 1024).alias("KiB"),
            polars.len().alias("pieces"),
            (polars.col("size").filter(is_huge).sum() // 1024).alias("huge KiB"),
        )
        .sort("KiB", descending=True)
    )
    print(f"{process.command_line}: {regions['size'].sum() // 1024} KiB")
    with polars.Config(tbl_rows=10, fmt_str_lengths=60, tbl_hide_dataframe_shape=True):
        print(by_mapping.head(10))
    return 0


sys.exit(main())
