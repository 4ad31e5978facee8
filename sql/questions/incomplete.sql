-- Of which snapshots is a part missing in this copy of the lake, though their row is there? A copy
-- that sends table snapshots first can be interrupted before the rest.
--
-- date, host, snapshot_id: snapshot · missing: rows that its row promises and that are not there
WITH present AS (
  SELECT date, host, snapshot_id, count(*) AS present FROM lake_processes GROUP BY date, host, snapshot_id
  UNION ALL
  SELECT date, host, snapshot_id, count(*) FROM lake_mappings GROUP BY date, host, snapshot_id
  UNION ALL
  SELECT date, host, snapshot_id, count(*) FROM lake_regions GROUP BY date, host, snapshot_id
  UNION ALL
  SELECT date, host, snapshot_id, count(*) FROM lake_frames GROUP BY date, host, snapshot_id
  UNION ALL
  SELECT date, host, snapshot_id, count(*) FROM lake_metrics GROUP BY date, host, snapshot_id
), sums AS (
  SELECT date, host, snapshot_id, sum(present) AS present FROM present GROUP BY date, host, snapshot_id
), promised AS (
  SELECT date, host, snapshot_id,
    processes_rows + mappings_rows + regions_rows + coalesce(frames_rows, 0) + coalesce(metrics_rows, 0) AS promised
  FROM snapshots
)
SELECT p.date, p.host, p.snapshot_id, CAST(p.promised - coalesce(s.present, 0) AS BIGINT) AS missing
FROM promised p
LEFT JOIN sums s ON s.date = p.date AND s.host = p.host AND s.snapshot_id = p.snapshot_id
WHERE p.promised <> coalesce(s.present, 0)
ORDER BY p.date, p.host, p.snapshot_id
