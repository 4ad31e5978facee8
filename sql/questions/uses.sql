-- What is RAM used for, by kernel, in the newest snapshot with frames of each host?
--
-- kernel: release · page_use: use of the frames · hosts: number of hosts that have some
-- bytes: size of the frames · runs: number of runs of consecutive frames with equal facts
WITH newest AS (
  SELECT host, max(snapshot_id) AS snapshot_id FROM snapshots WHERE frames_rows IS NOT NULL GROUP BY host
)
SELECT f.kernel, f.page_use, count(DISTINCT f.host) AS hosts, CAST(sum(f.bytes) AS BIGINT) AS bytes,
  count(*) AS runs
FROM frames f
JOIN newest n ON f.host = n.host AND f.snapshot_id = n.snapshot_id
GROUP BY f.kernel, f.page_use
ORDER BY f.kernel, bytes DESC, f.page_use
