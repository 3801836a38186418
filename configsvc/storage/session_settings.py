"""Settings of sessions, by the kind of their work."""

# The limit of a write that changes everything in a large application.
LARGE_WRITE_SECONDS = 60.0

# Set in each session, because the role or the database may have other defaults (ALTER ROLE … SET).
COMMON_SETTINGS = {
    "application_name": "configsvc",
    "search_path": "public",
    "jit": "off",
    "plan_cache_mode": "auto",
    "enable_seqscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "synchronous_commit": "on",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
# Whatever the arguments of a lookup are, it has one good plan, and to plan it costs several times its execution. In a
# database without statistics, the planner would prefer to read whole tables, and keep that plan.
LOOKUP_PLANNER = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
# Most filters of a list are unset; only a custom plan knows which index serves the others.
LIST_PLANNER = {name: COMMON_SETTINGS[name] for name in LOOKUP_PLANNER} | {"plan_cache_mode": "force_custom_plan"}
READ_SETTINGS = (
    COMMON_SETTINGS
    | LOOKUP_PLANNER
    | {
        "statement_timeout": "5s",
        # Shorter, so that a locked table isn't taken for a slow filter.
        "lock_timeout": "2s",
        "default_transaction_read_only": "on",
    }
)
WRITE_SETTINGS = COMMON_SETTINGS | {
    "statement_timeout": f"{LARGE_WRITE_SECONDS:.0f}s",
    "lock_timeout": "2s",
    "configsvc.writer": "service",
}

# Group commits skip locked rows; they wait only for other commits, and for keys that others insert. Rows are
# found by keys.
MERGE_SETTINGS = WRITE_SETTINGS | LOOKUP_PLANNER | {"lock_timeout": "1s"}
