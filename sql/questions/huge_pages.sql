-- How much memory do huge pages map, by unit, kernel and setting, in the newest snapshot of each
-- host? And why is the rest not huge?
--
-- unit: unit of systemd, null for processes in none · kernel: release
-- thp_enabled: setting of transparent huge pages · processes: number of those of which it is known
-- resident: bytes in memory, without hugetlb · huge: bytes that huge entries map
-- permille: huge in thousandths of resident · policy, too_small, alignment, holes, fragmented,
-- page_cache, small_entries: bytes that are not huge for this reason (docs/DATASETS.md)
SELECT p.unit, p.kernel, n.thp_enabled, count(*) AS processes,
  CAST(sum(p.resident) AS BIGINT) AS resident, CAST(sum(p.huge_pages.mapped) AS BIGINT) AS huge,
  CAST(floor(1e3 * sum(p.huge_pages.mapped) / nullif(sum(p.resident), 0)) AS BIGINT) AS permille,
  CAST(sum(p.huge_pages.policy) AS BIGINT) AS policy,
  CAST(sum(p.huge_pages.too_small) AS BIGINT) AS too_small,
  CAST(sum(p.huge_pages.alignment) AS BIGINT) AS alignment,
  CAST(sum(p.huge_pages.holes) AS BIGINT) AS holes,
  CAST(sum(p.huge_pages.fragmented) AS BIGINT) AS fragmented,
  CAST(sum(p.huge_pages.page_cache) AS BIGINT) AS page_cache,
  CAST(sum(p.huge_pages.small_entries) AS BIGINT) AS small_entries
FROM processes p
JOIN newest_snapshots n ON p.date = n.date AND p.host = n.host AND p.snapshot_id = n.snapshot_id
WHERE p.huge_pages IS NOT NULL
GROUP BY p.unit, p.kernel, n.thp_enabled
ORDER BY resident DESC, p.unit NULLS LAST, p.kernel, n.thp_enabled NULLS LAST
