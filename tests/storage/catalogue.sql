-- What a database holds, as lines below the object that they belong to, the same on PostgreSQL 15 to 18.
-- Left out: pogo's own tables; NOT NULL constraints, which only PostgreSQL 18 names, and which the columns show; what owners may do.
WITH ours AS (
    SELECT
        oid, relname AS name, relkind, relowner, relacl, reloptions, relrowsecurity, relforcerowsecurity, relpersistence, relreplident,
        CASE relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE relkind::text || ' ' END || relname AS object
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'c', 't') AND relname NOT LIKE '\_pogo%'
),

routines AS (
    SELECT *, 'function ' || proname || '(' || pg_get_function_identity_arguments(oid) || ')' AS object
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
),

types AS (
    SELECT *, 'type ' || typname AS object
    FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype <> 'c' AND typcategory <> 'A'
),

lines AS (
    SELECT object, 10 AS kind, ''::text AS name, concat_ws(
        ', ', 'persistence ' || relpersistence::text, 'replica identity ' || relreplident::text,
        'row security ' || nullif(relrowsecurity::text, 'false'), 'forced row security ' || nullif(relforcerowsecurity::text, 'false'),
        'options ' || nullif(array_to_string(ARRAY(SELECT unnest(reloptions) ORDER BY 1), ' '), '')
    ) AS line
    FROM ours

    UNION ALL
    SELECT object, 20, lpad(attnum::text, 3, '0'), concat_ws(
        ' ', 'column', attname, format_type(atttypid, atttypmod), 'collate ' || nullif(collname, 'default'), CASE WHEN attnotnull THEN 'not null' END,
        'identity ' || nullif(attidentity::text, ''), 'generated ' || nullif(attgenerated::text, ''),
        'default ' || pg_get_expr(adbin, adrelid), 'storage ' || nullif(attstorage, typstorage)::text, 'compression ' || nullif(attcompression::text, ''),
        'statistics ' || nullif(coalesce(attstattarget, -1), -1), 'options ' || array_to_string(attoptions, ' ')
    )
    FROM ours
    JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'S'
    JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation

    UNION ALL
    SELECT object, 30, conname, concat_ws(
        ' ', 'constraint', conname, pg_get_constraintdef(pg_constraint.oid), CASE WHEN NOT convalidated THEN 'not valid' END,
        CASE WHEN condeferrable THEN 'deferrable' END, CASE WHEN condeferred THEN 'deferred' END
    )
    FROM ours
    JOIN pg_constraint ON conrelid = ours.oid
    WHERE contype NOT IN ('n', 't')

    UNION ALL
    SELECT object, 35, '', 'foreign keys fire in the order ' || string_agg(conname, ' ' ORDER BY first_trigger)
    FROM (
        SELECT object, conname, min(pg_trigger.oid) AS first_trigger
        FROM ours
        JOIN pg_trigger ON tgrelid = ours.oid AND tgisinternal
        JOIN pg_constraint ON pg_constraint.oid = tgconstraint
        GROUP BY object, conname
    ) AS firing
    GROUP BY object

    UNION ALL
    SELECT object, 40, indexrelid::regclass::text, pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' invalid' END
    FROM ours
    JOIN pg_index ON indrelid = ours.oid

    UNION ALL
    SELECT object, 50, tgname, pg_get_triggerdef(pg_trigger.oid) || CASE tgenabled WHEN 'O' THEN '' ELSE ' enabled ' || tgenabled::text END
    FROM ours
    JOIN pg_trigger ON tgrelid = ours.oid AND NOT tgisinternal

    UNION ALL
    SELECT object, 60, rulename, pg_get_ruledef(pg_rewrite.oid)
    FROM ours
    JOIN pg_rewrite ON ev_class = ours.oid
    WHERE relkind = 'r'

    UNION ALL
    SELECT object, 60, polname, 'policy ' || polname
    FROM ours
    JOIN pg_policy ON polrelid = ours.oid

    UNION ALL
    SELECT object, 60, stxname, pg_get_statisticsobjdef(pg_statistic_ext.oid)
    FROM ours
    JOIN pg_statistic_ext ON stxrelid = ours.oid

    UNION ALL
    SELECT object, 70, '', pg_get_viewdef(oid, true)
    FROM ours
    WHERE relkind = 'v'

    UNION ALL
    SELECT object, 70, '', concat_ws(
        ' ', format_type(seqtypid, NULL), 'start', seqstart, 'increment', seqincrement, 'from', seqmin, 'to', seqmax, 'cache', seqcache,
        CASE WHEN seqcycle THEN 'cycle' END,
        'owned by ' || (
            SELECT attrelid::regclass || '.' || attname
            FROM pg_depend
            JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
            WHERE classid = 'pg_class'::regclass AND objid = ours.oid AND deptype IN ('a', 'i')
        )
    )
    FROM ours
    JOIN pg_sequence ON seqrelid = ours.oid

    UNION ALL
    SELECT object, 70, '', 'enum ' || array_to_string(ARRAY(
        SELECT enumlabel FROM pg_enum WHERE enumtypid = types.oid ORDER BY enumsortorder
    ), ' ')
    FROM types

    UNION ALL
    SELECT object, 70, '', pg_get_functiondef(oid)
    FROM routines

    UNION ALL
    SELECT object, 80, '', 'owner ' || CASE WHEN owner = (SELECT datdba FROM pg_database WHERE datname = current_database()) THEN 'of the database'
    ELSE pg_get_userbyid(owner) END
    FROM (
        SELECT object, relowner AS owner FROM ours
        UNION ALL SELECT object, proowner FROM routines
        UNION ALL SELECT object, typowner FROM types
    ) AS owned

    UNION ALL
    SELECT object, 90, privilege_type || grantee, 'grant ' || privilege_type || ' to '
        || CASE grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(grantee)::text END || CASE WHEN is_grantable THEN ' grantable' ELSE '' END
    FROM (
        SELECT object, relowner AS owner, relacl AS acl FROM ours
        UNION ALL SELECT object, proowner, coalesce(proacl, acldefault('f', proowner)) FROM routines
        UNION ALL SELECT object, typowner, coalesce(typacl, acldefault('T', typowner)) FROM types
    ) AS granted
    CROSS JOIN aclexplode(acl)
    WHERE grantee <> owner

    UNION ALL
    SELECT object, 95, '', 'comment ' || description
    FROM (
        SELECT object, obj_description(oid, 'pg_class') AS description FROM ours
        UNION ALL SELECT object, obj_description(oid, 'pg_proc') FROM routines
        UNION ALL SELECT object, obj_description(oid, 'pg_type') FROM types
        UNION ALL
        SELECT object, col_description(ours.oid, attnum) FROM ours JOIN pg_attribute ON attrelid = ours.oid
    ) AS described
    WHERE description IS NOT NULL

    UNION ALL
    SELECT 'rules for new objects', 10, defaclrole::text || defaclobjtype::text, pg_get_userbyid(defaclrole) || ' ' || defaclobjtype::text || ' ' || defaclacl::text
    FROM pg_default_acl

    UNION ALL
    SELECT 'extensions', 10, extname, extname
    FROM pg_extension

    UNION ALL
    SELECT 'event triggers', 10, evtname, evtname
    FROM pg_event_trigger

    UNION ALL
    SELECT 'schemas', 10, nspname, nspname
    FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
)

SELECT object, line
FROM lines
ORDER BY object COLLATE "C", kind, name COLLATE "C", line COLLATE "C"
