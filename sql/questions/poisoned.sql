-- Which processes had the frames that a memory error has taken away, in the last snapshot of the same
-- boot before that in which the frame is first poisoned?
--
-- host: machine · pfn: page frame number · first_id: first snapshot in which it is poisoned
-- owner_id: snapshot with the owners · unit, name, pid: process · vpn: its virtual page number
WITH poisoned AS (
  SELECT f.host, f.pfn, f.pages, s.boot_id, min(f.snapshot_id) AS first_id
  FROM frames f
  JOIN snapshots s ON f.date = s.date AND f.host = s.host AND f.snapshot_id = s.snapshot_id
  WHERE f.page_use = 'poisoned'
  GROUP BY f.host, f.pfn, f.pages, s.boot_id
), earlier AS (
  SELECT p.host, p.pfn, p.pages, p.first_id, max(s.snapshot_id) AS owner_id
  FROM poisoned p
  JOIN snapshots s ON s.host = p.host AND s.boot_id = p.boot_id AND s.snapshot_id < p.first_id
  GROUP BY p.host, p.pfn, p.pages, p.first_id
)
SELECT e.host, greatest(e.pfn, r.pfn) AS pfn, e.first_id, e.owner_id, p.unit, p.name, p.pid,
  r.vpn + greatest(e.pfn - r.pfn, 0) AS vpn
FROM earlier e
JOIN regions r ON r.host = e.host AND r.snapshot_id = e.owner_id
  AND r.pfn < e.pfn + e.pages AND e.pfn < r.pfn + r.pages AND r.state = 'ram'
JOIN processes p ON p.host = r.host AND p.snapshot_id = r.snapshot_id AND p.unique_pid = r.unique_pid
ORDER BY e.host, pfn, p.pid, vpn
