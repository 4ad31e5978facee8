-- Of which files has one host several copies in memory, in its newest snapshot? Each is a file of
-- its own (another device or inode) under one name, as the images of containers have them.
--
-- path: name of the file · hosts: number of hosts with several copies · copies: number of copies,
-- over these hosts · resident: bytes of all copies, of each what the process with most of it maps
-- more_than_one: bytes that would be saved if each host had the largest copy alone
WITH of_process AS (
  SELECT m.host, m.path, m.dev, m.ino, m.unique_pid, sum(m.resident) AS resident
  FROM mappings m
  JOIN newest_snapshots n ON m.date = n.date AND m.host = n.host AND m.snapshot_id = n.snapshot_id
  WHERE m.kind IN ('elf', 'file') AND m.ino <> 0 AND m.path IS NOT NULL AND NOT m.deleted AND m.resident > 0
  GROUP BY m.host, m.path, m.dev, m.ino, m.unique_pid
), copies AS (
  SELECT host, path, dev, ino, max(resident) AS resident
  FROM of_process
  GROUP BY host, path, dev, ino
), of_host AS (
  SELECT host, path, count(*) AS copies, sum(resident) AS resident, sum(resident) - max(resident) AS more_than_one
  FROM copies
  GROUP BY host, path
  HAVING count(*) > 1
)
SELECT path, count(*) AS hosts, CAST(sum(copies) AS BIGINT) AS copies,
  CAST(sum(resident) AS BIGINT) AS resident, CAST(sum(more_than_one) AS BIGINT) AS more_than_one
FROM of_host
GROUP BY path
ORDER BY more_than_one DESC, path
