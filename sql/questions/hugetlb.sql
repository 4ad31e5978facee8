-- Which hosts have hugetlb pages that nobody uses, in the newest snapshot with frames of each? They
-- are set aside: nothing else can use this memory.
--
-- host: machine · snapshot_id: snapshot · mem_total: bytes that the kernel manages
-- hugetlb: bytes set aside · unused: bytes that no process maps
WITH newest AS (
  SELECT host, max(snapshot_id) AS snapshot_id FROM snapshots WHERE frames_rows IS NOT NULL GROUP BY host
)
SELECT s.host, s.snapshot_id, s.mem_total, CAST(sum(f.bytes) AS BIGINT) AS hugetlb,
  CAST(sum(CASE WHEN f.page_use = 'hugetlb-unmapped' THEN f.bytes ELSE 0 END) AS BIGINT) AS unused
FROM frames f
JOIN newest n ON f.host = n.host AND f.snapshot_id = n.snapshot_id
JOIN snapshots s ON f.host = s.host AND f.snapshot_id = s.snapshot_id
WHERE f.page_use IN ('hugetlb-mapped', 'hugetlb-unmapped')
GROUP BY s.host, s.snapshot_id, s.mem_total
ORDER BY unused DESC, s.host
