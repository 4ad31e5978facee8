-- Which units have most memory, over all hosts, in the newest snapshot of each?
--
-- unit: unit of systemd, null for processes in none · hosts, processes: numbers of them
-- pss, uss, swap: bytes; pss shares memory that several processes map among them, so that it
-- adds up · most_pss: bytes on the host with most · most_pss_host: the first such host
WITH by_host AS (
  SELECT p.unit, p.host, count(*) AS processes, CAST(sum(p.pss) AS BIGINT) AS pss,
    CAST(sum(p.uss) AS BIGINT) AS uss, CAST(sum(p.swap) AS BIGINT) AS swap
  FROM processes p
  JOIN newest_snapshots n ON p.date = n.date AND p.host = n.host AND p.snapshot_id = n.snapshot_id
  WHERE p.unread IS NULL
  GROUP BY p.unit, p.host
), ranked AS (
  SELECT *, row_number() OVER (PARTITION BY unit ORDER BY pss DESC NULLS LAST, host) AS place
  FROM by_host
)
SELECT unit, count(*) AS hosts, CAST(sum(processes) AS BIGINT) AS processes,
  CAST(sum(pss) AS BIGINT) AS pss, CAST(sum(uss) AS BIGINT) AS uss, CAST(sum(swap) AS BIGINT) AS swap,
  max(pss) AS most_pss, max(CASE WHEN place = 1 THEN host END) AS most_pss_host
FROM ranked
GROUP BY unit
ORDER BY pss DESC NULLS LAST, unit NULLS LAST
