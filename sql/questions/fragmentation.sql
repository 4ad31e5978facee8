-- How fragmented is free memory, by host and day? On the newest snapshot with frames of each day.
--
-- date, host: day and machine · free: bytes of free blocks · free_huge: bytes in blocks of 2 MiB
-- and more · permille: free_huge in thousandths of free · largest: bytes of the largest free block
WITH newest AS (
  SELECT date, host, max(snapshot_id) AS snapshot_id FROM free_blocks GROUP BY date, host
)
SELECT f.date, f.host, CAST(sum(f.bytes) AS BIGINT) AS free,
  CAST(sum(CASE WHEN f.size >= 2097152 THEN f.bytes ELSE 0 END) AS BIGINT) AS free_huge,
  CAST(floor(1e3 * sum(CASE WHEN f.size >= 2097152 THEN f.bytes ELSE 0 END) / nullif(sum(f.bytes), 0)) AS BIGINT) AS permille,
  max(CASE WHEN f.blocks > 0 THEN f.size END) AS largest
FROM free_blocks f
JOIN newest n ON f.date = n.date AND f.host = n.host AND f.snapshot_id = n.snapshot_id
GROUP BY f.date, f.host
ORDER BY f.date, f.host
