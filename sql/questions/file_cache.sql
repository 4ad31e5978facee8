-- Which files are in the memory of most hosts, in the newest snapshot of each? Base images and
-- libraries that a fleet shares, and what they cost it.
--
-- path: name of the file · hosts: number of hosts that have some of it in memory
-- processes: number of processes that do · resident: bytes, of each host what the process with most
-- of it maps
WITH of_process AS (
  SELECT m.host, m.path, m.unique_pid, sum(m.resident) AS resident
  FROM mappings m
  JOIN newest_snapshots n ON m.date = n.date AND m.host = n.host AND m.snapshot_id = n.snapshot_id
  WHERE m.kind IN ('elf', 'file') AND m.path IS NOT NULL AND m.resident > 0
  GROUP BY m.host, m.path, m.unique_pid
), of_host AS (
  SELECT host, path, count(*) AS processes, max(resident) AS resident FROM of_process GROUP BY host, path
)
SELECT path, count(*) AS hosts, CAST(sum(processes) AS BIGINT) AS processes, CAST(sum(resident) AS BIGINT) AS resident
FROM of_host
GROUP BY path
ORDER BY hosts DESC, resident DESC, path
LIMIT 50
