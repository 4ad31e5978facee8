-- Which hosts have most memory that neither a flag of a frame nor a counter of the kernel explains, in
-- the newest snapshot with frames of each? Drivers that take whole pages are there.
--
-- host: machine · snapshot_id: snapshot · kernel: release · unflagged: bytes of frames that the kernel
-- takes or that have no flag · unexplained: bytes of them for which no counter stands, as
-- `introspect machine` prints them; less than 0 if counters changed meanwhile
WITH newest AS (
  SELECT host, max(snapshot_id) AS snapshot_id FROM snapshots WHERE frames_rows IS NOT NULL GROUP BY host
), frame_sums AS (
  SELECT f.date, f.host, f.snapshot_id, f.kernel,
    sum(CASE WHEN f.page_use IN ('kernel', 'unflagged') THEN f.bytes ELSE 0 END) AS unflagged,
    sum(CASE WHEN f.page_use IN ('reserved', 'zero', 'offline') THEN f.bytes ELSE 0 END) AS unmanaged,
    sum(CASE WHEN f.page_use = 'slab' THEN f.bytes ELSE 0 END) AS slab
  FROM frames f
  JOIN newest n ON f.host = n.host AND f.snapshot_id = n.snapshot_id
  GROUP BY f.date, f.host, f.snapshot_id, f.kernel
), zone_sums AS (
  SELECT date, host, snapshot_id,
    sum(CASE name WHEN 'zone_present_pages' THEN before WHEN 'zone_managed_pages' THEN -before ELSE 0 END * base_page_size) AS rest_before,
    sum(CASE name WHEN 'zone_present_pages' THEN after WHEN 'zone_managed_pages' THEN -after ELSE 0 END * base_page_size) AS rest_after,
    max(CASE WHEN name = 'stacks_in_vmalloc_count' THEN after END) AS stacks_in_vmalloc
  FROM counters
  GROUP BY date, host, snapshot_id
), parts AS (
  SELECT f.date, f.host, f.snapshot_id,
    CASE
      WHEN c.name = 'zone_per_cpu_pages' THEN floor((c.before + c.after) * c.base_page_size / 2e0)
      WHEN c.name = 'Slab_bytes' THEN floor((greatest(c.before - f.slab, 0) + greatest(c.after - f.slab, 0)) / 2e0)
      WHEN c.name = 'KernelStack_bytes' AND z.stacks_in_vmalloc <> 0 THEN 0
      WHEN c.name IN ('Unaccepted_bytes', 'VmallocUsed_bytes', 'KernelStack_bytes', 'Percpu_bytes', 'SecPageTables_bytes',
        'nr_zspages_bytes', 'cma_allocated_bytes', 'nr_kernel_misc_reclaimable_bytes', 'nr_memmap_pages_bytes',
        'nr_gpu_active_bytes', 'nr_gpu_reclaim_bytes') THEN floor((c.before + c.after) / 2e0)
      ELSE 0
    END AS bytes
  FROM frame_sums f
  JOIN zone_sums z ON z.date = f.date AND z.host = f.host AND z.snapshot_id = f.snapshot_id
  JOIN counters c ON c.date = f.date AND c.host = f.host AND c.snapshot_id = f.snapshot_id
  UNION ALL
  SELECT f.date, f.host, f.snapshot_id,
    floor((greatest(z.rest_before - f.unmanaged, 0) + greatest(z.rest_after - f.unmanaged, 0)) / 2e0)
  FROM frame_sums f
  JOIN zone_sums z ON z.date = f.date AND z.host = f.host AND z.snapshot_id = f.snapshot_id
)
SELECT f.host, f.snapshot_id, f.kernel, CAST(f.unflagged AS BIGINT) AS unflagged,
  CAST(f.unflagged - sum(p.bytes) AS BIGINT) AS unexplained
FROM frame_sums f
JOIN parts p ON p.date = f.date AND p.host = f.host AND p.snapshot_id = f.snapshot_id
GROUP BY f.host, f.snapshot_id, f.kernel, f.unflagged
ORDER BY unexplained DESC, f.host
