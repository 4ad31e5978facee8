-- How contiguous is the memory of each program, by its name, in the newest snapshot of each host? A
-- program, and its allocator, decide for themselves how their memory can be translated.
--
-- name: name of the process, null if it is unknown · processes: number of them · bytes: memory, with
-- hugetlb · extents: number of extents, contiguous in both address spaces · mean: bytes of an extent
-- largest: bytes of the largest region of 1 GiB at most, as far as regions show it
-- huge_bytes: bytes in regions of 512 base pages or more
WITH of_regions AS (
  SELECT r.host, r.snapshot_id, r.unique_pid, max(r.pages * r.base_page_size) AS largest,
    sum(CASE WHEN r.pages >= 512 THEN r.pages * r.base_page_size ELSE 0 END) AS huge_bytes
  FROM regions r
  JOIN newest_snapshots n ON r.date = n.date AND r.host = n.host AND r.snapshot_id = n.snapshot_id
  WHERE r.state = 'ram'
  GROUP BY r.host, r.snapshot_id, r.unique_pid
)
SELECT p.name, count(*) AS processes, CAST(sum(p.contiguity.bytes) AS BIGINT) AS bytes,
  CAST(sum(p.contiguity.extents) AS BIGINT) AS extents,
  CAST(floor(1e0 * sum(p.contiguity.bytes) / nullif(sum(p.contiguity.extents), 0)) AS BIGINT) AS mean,
  max(r.largest) AS largest, CAST(sum(r.huge_bytes) AS BIGINT) AS huge_bytes
FROM processes p
JOIN of_regions r ON r.host = p.host AND r.snapshot_id = p.snapshot_id AND r.unique_pid = p.unique_pid
WHERE p.contiguity IS NOT NULL
GROUP BY p.name
ORDER BY bytes DESC, p.name NULLS LAST
