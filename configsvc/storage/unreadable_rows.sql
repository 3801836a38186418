-- name: count
SELECT count(*) AS count
FROM (
:page
) AS page;

-- name: rows
SELECT *
FROM (
:page
) AS page
LIMIT :count OFFSET :first;

-- name: named
-- One row, with only the columns that tell which one it is.
SELECT true AS is_unreadable, :names
FROM (
:page
) AS page
LIMIT 1 OFFSET :first;
