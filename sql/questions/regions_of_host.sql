-- How large are the physically contiguous pieces of memory on one host on one day?
-- Replace the host and the date. The engine reads the files of that host and date alone.
--
-- snapshot_id: snapshot · state: state of the memory · regions: number of physical regions
-- bytes: their size · huge_bytes: bytes in regions of 512 base pages or more
-- largest: bytes of the largest region
SELECT snapshot_id, state, count(*) AS regions, CAST(sum(pages * base_page_size) AS BIGINT) AS bytes,
  CAST(sum(CASE WHEN pages >= 512 THEN pages * base_page_size ELSE 0 END) AS BIGINT) AS huge_bytes,
  max(pages * base_page_size) AS largest
FROM regions
WHERE host = 'host-0003' AND date = '2026-11-25'
GROUP BY snapshot_id, state
ORDER BY snapshot_id, bytes DESC, state
