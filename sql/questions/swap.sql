-- Which hosts wait for memory or have swapped most, in the newest snapshot of each?
--
-- host: machine · snapshot_id: snapshot · swappiness: setting · some_avg10, full_avg10: hundredths of
-- a percent of 10 seconds in which some tasks, or all, waited for memory · resident, swap: bytes of
-- all processes · permille: swap in thousandths of both · processes: number of processes with swap
SELECT n.host, n.snapshot_id, n.swappiness, n.memory_some_avg10 AS some_avg10, n.memory_full_avg10 AS full_avg10,
  CAST(sum(p.resident) AS BIGINT) AS resident, CAST(sum(p.swap) AS BIGINT) AS swap,
  CAST(floor(1e3 * sum(p.swap) / nullif(sum(p.resident) + sum(p.swap), 0)) AS BIGINT) AS permille,
  count(CASE WHEN p.swap > 0 THEN 1 END) AS processes
FROM newest_snapshots n
JOIN processes p ON p.date = n.date AND p.host = n.host AND p.snapshot_id = n.snapshot_id
WHERE p.unread IS NULL
GROUP BY n.host, n.snapshot_id, n.swappiness, n.memory_some_avg10, n.memory_full_avg10
ORDER BY swap DESC, some_avg10 DESC NULLS LAST, n.host
