-- Which processes have memory in a range of physical addresses, on which hosts, in the newest
-- snapshot of each? Replace the addresses: of a module, of a region of CXL, of a known weak row.
--
-- host: machine · unit, name, pid: process · regions: number of regions that have some of the range
-- bytes: their memory in the range
WITH wanted AS (
  SELECT 4294967296 AS first_address, 4563402752 AS past_address
), parts AS (
  SELECT r.host, r.snapshot_id, r.unique_pid,
    least((r.pfn + r.pages) * r.base_page_size, w.past_address) - greatest(r.pfn * r.base_page_size, w.first_address) AS bytes
  FROM regions r
  JOIN newest_snapshots n ON r.date = n.date AND r.host = n.host AND r.snapshot_id = n.snapshot_id
  CROSS JOIN wanted w
  WHERE r.state = 'ram' AND r.pfn * r.base_page_size < w.past_address
    AND (r.pfn + r.pages) * r.base_page_size > w.first_address
)
SELECT p.host, p.unit, p.name, p.pid, count(*) AS regions, CAST(sum(r.bytes) AS BIGINT) AS bytes
FROM parts r
JOIN processes p ON p.host = r.host AND p.snapshot_id = r.snapshot_id AND p.unique_pid = r.unique_pid
GROUP BY p.host, p.unit, p.name, p.pid
ORDER BY bytes DESC, p.host, p.pid
