-- On which hosts do pages move most, between the first and the last snapshot of each? Pages move by
-- migration, compaction and merging, and when a file's page is read again.
--
-- host: machine · first_id, last_id: snapshots · compared: bytes that were in memory at the same
-- address of the same process both times, with known frames, anonymous both times or neither
-- moved: bytes of them that are in another frame · permille: moved in thousandths of compared
-- The boundaries of the regions of both snapshots cut the addresses of a process into pieces, of
-- which each has one region or none of each snapshot.
WITH compared_snapshots AS (
  SELECT host, min(snapshot_id) AS first_id, max(snapshot_id) AS last_id
  FROM snapshots
  GROUP BY host
  HAVING min(snapshot_id) < max(snapshot_id)
), runs AS (
  SELECT r.host, c.first_id, c.last_id, r.unique_pid, r.vpn, r.vpn + r.pages AS past, r.pfn - r.vpn AS distance,
    r.anonymous, r.base_page_size, r.snapshot_id = c.last_id AS is_last
  FROM regions r
  JOIN compared_snapshots c ON r.host = c.host AND (r.snapshot_id = c.first_id OR r.snapshot_id = c.last_id)
  WHERE r.pfn IS NOT NULL AND r.state IN ('ram', 'device')
), boundaries AS (
  SELECT host, first_id, last_id, unique_pid, vpn, base_page_size,
    CASE WHEN NOT is_last THEN 1 ELSE 0 END AS before,
    CASE WHEN is_last THEN 1 ELSE 0 END AS after,
    CASE WHEN NOT is_last THEN distance ELSE 0 END AS distance_before,
    CASE WHEN is_last THEN distance ELSE 0 END AS distance_after,
    CASE WHEN anonymous THEN CASE WHEN is_last THEN 1 ELSE -1 END ELSE 0 END AS kinds
  FROM runs
  UNION ALL
  SELECT host, first_id, last_id, unique_pid, past, base_page_size,
    CASE WHEN NOT is_last THEN -1 ELSE 0 END,
    CASE WHEN is_last THEN -1 ELSE 0 END,
    CASE WHEN NOT is_last THEN -distance ELSE 0 END,
    CASE WHEN is_last THEN -distance ELSE 0 END,
    CASE WHEN anonymous THEN CASE WHEN is_last THEN -1 ELSE 1 END ELSE 0 END
  FROM runs
), changes AS (
  SELECT host, first_id, last_id, unique_pid, vpn, max(base_page_size) AS base_page_size,
    sum(before) AS before, sum(after) AS after, sum(distance_before) AS distance_before,
    sum(distance_after) AS distance_after, sum(kinds) AS kinds
  FROM boundaries
  GROUP BY host, first_id, last_id, unique_pid, vpn
), pieces AS (
  SELECT host, first_id, last_id, vpn, base_page_size,
    lead(vpn) OVER process AS next_vpn,
    sum(before) OVER process AS before, sum(after) OVER process AS after,
    sum(distance_before) OVER process AS distance_before,
    sum(distance_after) OVER process AS distance_after, sum(kinds) OVER process AS kinds
  FROM changes
  WINDOW process AS (PARTITION BY host, first_id, last_id, unique_pid ORDER BY vpn)
), both_times AS (
  SELECT host, first_id, last_id, (next_vpn - vpn) * base_page_size AS bytes,
    CASE WHEN distance_before <> distance_after THEN (next_vpn - vpn) * base_page_size ELSE 0 END AS moved
  FROM pieces
  WHERE before = 1 AND after = 1 AND kinds = 0
)
SELECT host, first_id, last_id, CAST(sum(bytes) AS BIGINT) AS compared, CAST(sum(moved) AS BIGINT) AS moved,
  CAST(floor(1e3 * sum(moved) / nullif(sum(bytes), 0)) AS BIGINT) AS permille
FROM both_times
GROUP BY host, first_id, last_id
ORDER BY moved DESC, host
