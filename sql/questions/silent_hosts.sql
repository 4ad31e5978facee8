-- Which hosts have no snapshot of the lake's last day? Their timer or their copies stopped.
--
-- host: machine · last_date, last_id: day and id of its newest snapshot · snapshots: number of them
SELECT host, max(date) AS last_date, max(snapshot_id) AS last_id, count(*) AS snapshots
FROM snapshots
GROUP BY host
HAVING max(date) < (SELECT max(date) FROM snapshots)
ORDER BY last_date, host
