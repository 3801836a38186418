"""Equality of the schema with the one that the fourteen migrations before the baseline made.

schema_before.txt holds the catalogue of a database that those migrations made. Later migrations change the file with
them, so that its diff shows their effect on the schema.
"""

from pathlib import Path

from tests.storage.catalogue import catalogue, parsed, rendered
from tests.storage.reading import Session

BEFORE = Path(__file__).with_name("schema_before.txt")

# What the baseline added on purpose: the digest of the functions that the database has.
ADDED = """
table function_digest
    persistence p, replica identity d
    column only_row boolean not null default true
    column digest text not null
    constraint function_digest_only_row_check CHECK (only_row)
    constraint function_digest_pkey PRIMARY KEY (only_row)
    CREATE UNIQUE INDEX function_digest_pkey ON public.function_digest USING btree (only_row)
    owner of the database
"""


async def test_the_schema_is_that_of_the_migrations_before_the_baseline(psql: Session, tmp_path: Path) -> None:
    found = await catalogue(psql)
    copy = tmp_path / BEFORE.name
    copy.write_text(rendered(found), encoding="utf-8")
    wanted = parsed(BEFORE.read_text(encoding="utf-8")) | parsed(ADDED)
    assert found == wanted, f"if this is wanted, copy {copy} to {BEFORE}"


async def test_the_catalogue_sees_tables_columns_indexes_triggers_functions_and_grants(psql: Session) -> None:
    before = await catalogue(psql)
    for change, changed in {
        "ALTER TABLE requests ALTER COLUMN answers SET DEFAULT '{}'": "table requests",
        "ALTER TABLE requests ALTER COLUMN version DROP NOT NULL": "table requests",
        "DROP INDEX requests_create_time": "table requests",
        "ALTER TABLE requests SET (fillfactor = 50)": "table requests",
        "ALTER TABLE schemas DISABLE TRIGGER stamp": "table schemas",
        "ALTER TABLE schemas DROP CONSTRAINT schema_comments_fit": "table schemas",
        "GRANT SELECT ON changes TO PUBLIC": "view changes",
        "ALTER SEQUENCE commit_ids CACHE 2": "sequence commit_ids",
        "ALTER FUNCTION begin_commit SECURITY INVOKER": "function begin_commit()",
        "ALTER FUNCTION refuse_truncate SET search_path = public": "function refuse_truncate()",
        "GRANT EXECUTE ON FUNCTION refuse_change TO PUBLIC": "function refuse_change()",
        "COMMENT ON TABLE commits IS 'all'": "table commits",
        "ALTER TYPE pgqueuer_status RENAME VALUE 'failed' TO 'broken'": "type pgqueuer_status",
    }.items():
        transaction = psql.transaction()
        await transaction.start()
        await psql.execute(change)
        after = await catalogue(psql)
        await transaction.rollback()
        assert changed in {name for name, lines in after.items() if lines != before[name]}, change


async def test_a_new_database_begins_at_revision_0_with_nothing_compacted(psql: Session) -> None:
    assert await psql.fetchval("SELECT revision FROM revision_counter") == 0
    assert await psql.fetchval("SELECT ARRAY[revision, ordinal] FROM compaction") == [0, 0]
