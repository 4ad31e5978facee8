-- Which units grew most between the first day and the last day of the lake?
-- Only hosts with snapshots of both days count, so that new hosts are no growth.
--
-- unit: unit of systemd, null for processes in none · hosts: number of hosts that are compared
-- pss_before, pss_after, growth: bytes in the newest snapshots of the two days
WITH days AS (
  SELECT min(date) AS first_day, max(date) AS last_day FROM snapshots
), compared AS (
  SELECT f.host, f.date AS first_day, l.date AS last_day,
    f.snapshot_id AS first_id, l.snapshot_id AS last_id
  FROM days d
  JOIN daily_snapshots f ON f.date = d.first_day
  JOIN daily_snapshots l ON l.date = d.last_day AND l.host = f.host
), sums AS (
  SELECT p.unit, p.host,
    CASE WHEN p.snapshot_id = c.first_id THEN p.pss ELSE 0 END AS before,
    CASE WHEN p.snapshot_id = c.last_id THEN p.pss ELSE 0 END AS after
  FROM processes p
  JOIN compared c ON p.host = c.host AND (p.snapshot_id = c.first_id OR p.snapshot_id = c.last_id)
  WHERE p.unread IS NULL
)
SELECT unit, count(DISTINCT host) AS hosts, CAST(sum(before) AS BIGINT) AS pss_before,
  CAST(sum(after) AS BIGINT) AS pss_after, CAST(sum(after) - sum(before) AS BIGINT) AS growth
FROM sums
GROUP BY unit
ORDER BY growth DESC, unit NULLS LAST
