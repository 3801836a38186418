-- name: all
SELECT b.principal, b.role, b.application_id, applications.name AS application
FROM role_bindings AS b
LEFT JOIN applications ON applications.id = b.application_id;

-- name: existing_applications
SELECT id FROM applications WHERE id = ANY ($1::text[]);

-- name: applications_of
-- The applications that the configurations with the ids $1 belong to, or belonged to last.
SELECT ids.id, last.application_id
FROM unnest($1::text[]) AS ids (id)
CROSS JOIN LATERAL (
    SELECT r.application_id
    FROM change_records AS r
    WHERE r.kind = 'CONFIGURATION' AND r.resource_id = ids.id
    ORDER BY r.version DESC
    LIMIT 1
) AS last;
