-- Views of a lake for the questions, in SQL that DuckDB and Spark read alike.
--
-- sql/register/<engine>.sql names the tables lake_snapshots and so on. A snapshot without a row
-- in lake_snapshots does not exist, so that each view of another table joins it, by the
-- partition columns too: a filter on date or host then reaches the files of both tables.
--
-- date and host are text (2026-11-25). page_size of a region is what each of its page-table
-- entries maps; base_page_size is the size of the pages that are counted. A view has all columns
-- of its table (docs/DATASETS.md) and those that are named here.

-- A row is a snapshot.
CREATE OR REPLACE TEMPORARY VIEW snapshots AS
SELECT * FROM lake_snapshots;

-- A row is the newest snapshot of a host.
CREATE OR REPLACE TEMPORARY VIEW newest_snapshots AS
SELECT s.*
FROM lake_snapshots s
JOIN (SELECT host, max(snapshot_id) AS snapshot_id FROM lake_snapshots GROUP BY host) newest
  ON s.host = newest.host AND s.snapshot_id = newest.snapshot_id;

-- A row is the newest snapshot of a host and day.
CREATE OR REPLACE TEMPORARY VIEW daily_snapshots AS
SELECT s.*
FROM lake_snapshots s
JOIN (SELECT date, host, max(snapshot_id) AS snapshot_id FROM lake_snapshots GROUP BY date, host) newest
  ON s.date = newest.date AND s.host = newest.host AND s.snapshot_id = newest.snapshot_id;

-- A row is a process.
CREATE OR REPLACE TEMPORARY VIEW processes AS
SELECT p.*, s.taken_at, s.kernel, s.page_size AS base_page_size
FROM lake_processes p
JOIN lake_snapshots s ON p.date = s.date AND p.host = s.host AND p.snapshot_id = s.snapshot_id;

-- A row is a mapping of a process.
CREATE OR REPLACE TEMPORARY VIEW mappings AS
SELECT m.*, s.taken_at, s.kernel, s.page_size AS base_page_size
FROM lake_mappings m
JOIN lake_snapshots s ON m.date = s.date AND m.host = s.host AND m.snapshot_id = s.snapshot_id;

-- A row is a physical region of a mapping.
CREATE OR REPLACE TEMPORARY VIEW regions AS
SELECT r.*, s.taken_at, s.kernel, s.page_size AS base_page_size
FROM lake_regions r
JOIN lake_snapshots s ON r.date = s.date AND r.host = s.host AND r.snapshot_id = s.snapshot_id;

-- A row is a run of frames of RAM. bytes: its size.
CREATE OR REPLACE TEMPORARY VIEW frames AS
SELECT f.*, f.pages * s.page_size AS bytes, s.taken_at, s.kernel, s.page_size AS base_page_size
FROM lake_frames f
JOIN lake_snapshots s ON f.date = s.date AND f.host = s.host AND f.snapshot_id = s.snapshot_id;

-- A row is a number of the machine.
CREATE OR REPLACE TEMPORARY VIEW metrics AS
SELECT m.*, s.taken_at, s.kernel, s.page_size AS base_page_size
FROM lake_metrics m
JOIN lake_snapshots s ON m.date = s.date AND m.host = s.host AND m.snapshot_id = s.snapshot_id;

-- A row is a counter of the kernel, summed over nodes and zones, before the frames were read and
-- after: bytes of names that end with _bytes, otherwise what the end of the name says.
CREATE OR REPLACE TEMPORARY VIEW counters AS
SELECT date, host, snapshot_id, name, max(base_page_size) AS base_page_size,
  CAST(sum(CASE WHEN kind = 'before' THEN value END) AS BIGINT) AS before,
  CAST(sum(CASE WHEN kind = 'after' THEN value END) AS BIGINT) AS after
FROM metrics
WHERE kind IS NOT NULL AND page_order IS NULL
GROUP BY date, host, snapshot_id, name;

-- A row is the free memory in blocks of one size: size and bytes, in bytes, and the number of
-- blocks, after the frames were read.
CREATE OR REPLACE TEMPORARY VIEW free_blocks AS
SELECT date, host, snapshot_id, node, zone, page_order,
  CAST(power(2, page_order) AS BIGINT) * base_page_size AS size,
  CAST(value AS BIGINT) AS blocks,
  CAST(value AS BIGINT) * CAST(power(2, page_order) AS BIGINT) * base_page_size AS bytes
FROM metrics
WHERE name = 'free_blocks_count' AND kind = 'after';
