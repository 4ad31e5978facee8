-- What does the memory of one host on one day consist of, by kind of mapping?
-- Replace the host and the date. The engine reads the files of that host and date alone.
--
-- snapshot_id: snapshot · kind: kind of the mappings · mappings: number of them
-- size: bytes mapped · resident, pss, uss, swap, huge, hugetlb: bytes; resident counts memory
-- that several processes map in each
SELECT snapshot_id, kind, count(*) AS mappings, CAST(sum(size) AS BIGINT) AS size,
  CAST(sum(resident) AS BIGINT) AS resident, CAST(sum(pss) AS BIGINT) AS pss,
  CAST(sum(uss) AS BIGINT) AS uss, CAST(sum(swap) AS BIGINT) AS swap,
  CAST(sum(huge) AS BIGINT) AS huge, CAST(sum(hugetlb) AS BIGINT) AS hugetlb
FROM mappings
WHERE host = 'host-0003' AND date = '2026-11-25'
GROUP BY snapshot_id, kind
ORDER BY snapshot_id, resident DESC NULLS LAST, kind
