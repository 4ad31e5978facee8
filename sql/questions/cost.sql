-- What do snapshots cost, by host and day?
--
-- date, host: day and machine · snapshots: number of them · bytes: size of all tables but snapshots
-- regions_bytes, frames_bytes: size of the two largest · regions: number of rows
-- seconds: time that all of the day's snapshots took, rounded down
SELECT date, host, count(*) AS snapshots,
  CAST(sum(processes_bytes + mappings_bytes + regions_bytes + coalesce(frames_bytes, 0) + coalesce(metrics_bytes, 0)) AS BIGINT) AS bytes,
  CAST(sum(regions_bytes) AS BIGINT) AS regions_bytes, CAST(sum(frames_bytes) AS BIGINT) AS frames_bytes,
  CAST(sum(regions_rows) AS BIGINT) AS regions, CAST(floor(sum(duration) / 1e6) AS BIGINT) AS seconds
FROM snapshots
GROUP BY date, host
ORDER BY date, bytes DESC, host
