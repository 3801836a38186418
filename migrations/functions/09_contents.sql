-- JSON that is written in SQL: what the service and its clients cannot read exactly is refused. The service checks its own.

-- Return whether a double holds a fraction exactly, as its shortest text: the form that clients get.
CREATE OR REPLACE FUNCTION is_exact(fraction numeric) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET extra_float_digits = 1
RETURN CASE
    WHEN fraction = trunc(fraction) THEN true
    -- Outside of these, there are no doubles, and the cast would fail.
    WHEN abs(fraction) NOT BETWEEN 5e-324 AND 1e308 THEN false
    ELSE fraction::double precision::text::numeric = fraction
END;

-- Refuse JSON that is nested too deep, or has a number that is not exact. largest: the largest whole number.
CREATE OR REPLACE FUNCTION require_readable(content jsonb, what text, largest numeric) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    unfit numeric;
BEGIN
    IF content @? 'strict $.**{32} ? (@.type() == "object" || @.type() == "array")' THEN
        RAISE EXCEPTION '% is nested too deep: at most 32 levels of objects and arrays are allowed', what
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT number INTO unfit
    FROM (
        SELECT value::numeric AS number FROM jsonb_path_query(content, 'strict $.** ? (@.type() == "number")') AS value
    ) AS numbers
    WHERE abs(number) > largest OR NOT public.is_exact(number)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% has the number %, which clients cannot read exactly', what,
            left(unfit::text, 40) || CASE WHEN length(unfit::text) > 40 THEN '…' ELSE '' END
            USING ERRCODE = 'check_violation', HINT = 'Write it as a string, or with fewer digits.';
    END IF;
END
$$;

-- Refuse additions that are not as the service writes them: a list of objects with pointer and keyword.
CREATE OR REPLACE FUNCTION require_additions(additions jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF jsonb_typeof(additions) <> 'array'
        OR additions @? 'lax $[*] ? (!(@.pointer.type() == "string" && @.keyword.type() == "string"))'
        OR EXISTS (SELECT FROM jsonb_array_elements(additions) AS one WHERE jsonb_typeof(one) <> 'object')
    THEN
        RAISE EXCEPTION 'additions is not a list of objects with pointer and keyword'
            USING ERRCODE = 'check_violation', HINT = 'Leave the column out.';
    END IF;
END
$$;
