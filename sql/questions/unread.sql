-- Which processes could not be read, and why? Their memory is missing in every other answer.
--
-- date, host: day and machine · reason: gone (it ended), refused, silent (no answer in time), failed
-- name: its name, null if that is unknown · processes: number of them, over the day's snapshots
SELECT date, host, unread AS reason, name, count(*) AS processes
FROM processes
WHERE unread IS NOT NULL
GROUP BY date, host, unread, name
ORDER BY processes DESC, date, host, reason, name NULLS LAST
