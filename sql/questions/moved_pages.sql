-- On which hosts do pages move most, between the first and the last snapshot of each? Pages move by
-- migration, compaction and merging, and when a file's page is read again.
--
-- host: machine · first_id, last_id: snapshots · compared: bytes that were in memory at the same
-- address of the same process both times, with known frames, anonymous both times or neither
-- moved: bytes of them that are in another frame · permille: moved in thousandths of compared
-- The boundaries of the regions of both snapshots cut the addresses of a process into pieces. The sum
-- of `there` of all boundaries up to a piece is 1 if a region of the first snapshot has it, plus 10 if
-- one of the last has it, plus 100 for each of them that is anonymous; the sum of `apart` is then the
-- distance between its frames at the two times.
WITH pairs AS (
  SELECT row_number() OVER (ORDER BY host) AS pair, host, min(snapshot_id) AS first_id,
    max(snapshot_id) AS last_id, max(page_size) AS base_page_size
  FROM snapshots
  GROUP BY host
  HAVING min(snapshot_id) < max(snapshot_id)
), runs AS (
  SELECT p.pair, r.unique_pid, r.vpn, r.vpn + r.pages AS past,
    CASE WHEN r.snapshot_id = p.last_id THEN 10 ELSE 1 END + CASE WHEN r.anonymous THEN 100 ELSE 0 END AS there,
    CASE WHEN r.snapshot_id = p.last_id THEN r.pfn - r.vpn ELSE r.vpn - r.pfn END AS apart
  FROM regions r
  JOIN pairs p ON r.host = p.host AND (r.snapshot_id = p.first_id OR r.snapshot_id = p.last_id)
  WHERE r.pfn IS NOT NULL AND r.state IN ('ram', 'device')
), boundaries AS (
  SELECT pair, unique_pid, vpn, there, apart FROM runs
  UNION ALL
  SELECT pair, unique_pid, past, -there, -apart FROM runs
), pieces AS (
  SELECT pair, lead(vpn) OVER (PARTITION BY pair, unique_pid ORDER BY vpn) - vpn AS pages,
    sum(there) OVER (PARTITION BY pair, unique_pid ORDER BY vpn) AS there,
    sum(apart) OVER (PARTITION BY pair, unique_pid ORDER BY vpn) AS apart
  FROM boundaries
), sums AS (
  SELECT pair, sum(pages) AS compared, sum(CASE WHEN apart <> 0 THEN pages ELSE 0 END) AS moved
  FROM pieces
  WHERE there IN (11, 211)
  GROUP BY pair
  HAVING sum(pages) > 0
)
SELECT p.host, p.first_id, p.last_id, CAST(s.compared * p.base_page_size AS BIGINT) AS compared,
  CAST(s.moved * p.base_page_size AS BIGINT) AS moved,
  CAST(floor(1e3 * s.moved / s.compared) AS BIGINT) AS permille
FROM sums s
JOIN pairs p ON p.pair = s.pair
ORDER BY moved DESC, p.host
