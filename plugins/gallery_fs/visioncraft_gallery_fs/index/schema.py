"""The index's layout: one row for each picture, words to search, and counts that triggers keep.

A row's key is its place in time (see `keys.py`), so that "newest first" is the order of the tables themselves, of every
index on them and of the full-text index, and no page of many sorts.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    column,
    inspect,
    select,
    table,
    update,
)
from visioncraft import name_key, tag_key

LAYOUT = 5
"""Kept in SQLite's `user_version` once the index is known to be complete."""

_STRICT_KEYS = 3  # the layout whose `model_key` told `dream_shaper` from `dream-shaper`
_NO_OWNERS = 4  # the layout whose pictures were everybody's

METADATA = MetaData()

pictures = Table(
    "pictures",
    METADATA,
    Column("key", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("path", String, nullable=False),
    Column("filename", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("negative_prompt", String, nullable=False),
    Column("model", String, nullable=False),
    Column("model_key", String, nullable=False),
    Column("generator", String, nullable=False),
    Column("owner", String, nullable=False, server_default=""),
    Column("seed", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("generation_time", Float, nullable=False),
    Column("vram_used", Float, nullable=False),
    Column("created_at", Integer, nullable=False),  # microseconds since 1970
    Column("parameters", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("favourite", Boolean(create_constraint=False), nullable=False),
    Column("rating", Integer, nullable=False),
    Column("notes", String, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String),  # of the file as it was saved; None until a check where the index was rebuilt
    Column("origin", String),  # SHA-256 of the file that it was imported from
)

Index("pictures_by_origin", pictures.c.origin, sqlite_where=pictures.c.origin.is_not(None))

# What filters ask for, once more: seventy rows to a page of the file, where whole pictures are five or fewer. Whatever
# passes over many pictures to show fifty reads this.
traits = Table(
    "traits",
    METADATA,
    *(
        Column(
            name,
            pictures.c[name].type,
            primary_key=name == "key",
            nullable=False,
            server_default="" if name == "owner" else None,
        )
        for name in ("key", "rating", "favourite", "width", "height", "seed", "model_key", "generator", "owner")
    ),
)
# SQLite ends every index with the key, so each of these is in the order of time too.
Index("traits_by_model", traits.c.model_key)
Index("traits_by_generator", traits.c.generator)
Index("traits_by_owner", traits.c.owner)
Index("traits_by_size", traits.c.width, traits.c.height)
Index("traits_by_seed", traits.c.seed)
Index("traits_by_rating", traits.c.rating)
Index("traits_by_favourite", traits.c.favourite)

picture_tags = table("picture_tags", column("tag", String), column("key", Integer))
counts = table("counts", column("facet", String), column("value"), column("n", Integer))
words = table("pictures_text", column("rowid", Integer), column("pictures_text", String))

_FACETS = "('all', '', {sign}1), ('bytes', '', {sign}{row}.bytes), ('model', {row}.model_key, {sign}1), " + (
    "('generator', {row}.generator, {sign}1), ('owner', {row}.owner, {sign}1), "
    "('size', {row}.width || 'x' || {row}.height, {sign}1), "
    "('favourite', {row}.favourite, {sign}1), ('rating', {row}.rating, {sign}1)"
)
_COUNT = "INSERT INTO counts VALUES {values} ON CONFLICT DO UPDATE SET n = n + excluded.n;"
_PLUS = _COUNT.format(values=_FACETS.format(sign="", row="new"))
_MINUS = _COUNT.format(values=_FACETS.format(sign="-", row="old"))
_COUNT_TAG = _COUNT.format(values="('tag', {row}.tag, {sign}1)")
_ADD_WORDS = "INSERT INTO pictures_text (rowid, prompt, notes) VALUES (new.key, new.prompt, new.notes);"
_DROP_WORDS = (
    "INSERT INTO pictures_text (pictures_text, rowid, prompt, notes) VALUES ('delete', old.key, old.prompt, old.notes);"
)
_ADD_TAGS = "INSERT INTO picture_tags SELECT value, new.key FROM json_each(new.tags);"
_DROP_TAGS = "DELETE FROM picture_tags WHERE key = old.key AND tag IN (SELECT value FROM json_each(old.tags));"

_NAMES = [column.name for column in traits.columns]
_OLD_TRAITS, _NEW_TRAITS = (", ".join(f"{row}.{name}" for name in _NAMES) for row in ("old", "new"))
_ADD_TRAITS = f"INSERT INTO traits ({', '.join(_NAMES)}) VALUES ({_NEW_TRAITS});"  # noqa: S608 - names of this module
_DROP_TRAITS = "DELETE FROM traits WHERE key = old.key;"

_STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS counts (facet TEXT, value, n INTEGER, PRIMARY KEY (facet, value)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS picture_tags (tag TEXT, key INTEGER, PRIMARY KEY (tag, key)) WITHOUT ROWID",
    # The text itself stays in the table: https://sqlite.org/fts5.html#external_content_tables
    "CREATE VIRTUAL TABLE IF NOT EXISTS pictures_text USING fts5(prompt, notes, content='pictures', "
    "content_rowid='key', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER IF NOT EXISTS picture_added AFTER INSERT ON pictures "
    f"BEGIN {_PLUS} {_ADD_TRAITS} {_ADD_WORDS} {_ADD_TAGS} END",
    "CREATE TRIGGER IF NOT EXISTS picture_gone AFTER DELETE ON pictures "
    f"BEGIN {_MINUS} {_DROP_TRAITS} {_DROP_WORDS} {_DROP_TAGS} END",
    f"CREATE TRIGGER IF NOT EXISTS picture_changed AFTER UPDATE ON pictures BEGIN {_MINUS} {_PLUS} END",
    "CREATE TRIGGER IF NOT EXISTS traits_changed AFTER UPDATE ON pictures "
    f"WHEN ({_OLD_TRAITS}) IS NOT ({_NEW_TRAITS}) BEGIN {_DROP_TRAITS} {_ADD_TRAITS} END",
    "CREATE TRIGGER IF NOT EXISTS words_changed AFTER UPDATE ON pictures "
    "WHEN (old.key, old.prompt, old.notes) IS NOT (new.key, new.prompt, new.notes) "
    f"BEGIN {_DROP_WORDS} {_ADD_WORDS} END",
    "CREATE TRIGGER IF NOT EXISTS tags_changed AFTER UPDATE ON pictures "
    f"WHEN (old.key, old.tags) IS NOT (new.key, new.tags) BEGIN {_DROP_TAGS} {_ADD_TAGS} END",
    "CREATE TRIGGER IF NOT EXISTS tag_added AFTER INSERT ON picture_tags "
    f"BEGIN {_COUNT_TAG.format(row='new', sign='')} END",
    "CREATE TRIGGER IF NOT EXISTS tag_gone AFTER DELETE ON picture_tags "
    f"BEGIN {_COUNT_TAG.format(row='old', sign='-')} END",
)


def create(connection: Connection) -> None:
    """Make what is not there yet."""
    METADATA.create_all(connection)
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement)


def migrate(connection: Connection, layout: int) -> None:
    """Bring an index of an earlier layout to this one; one that this does not know is emptied, and the files fill it.

    Args:
        layout: Its own; 0 for one that is not complete.
    """
    if layout in (_STRICT_KEYS, _NO_OWNERS):
        _add_owners(connection)
    if layout == _NO_OWNERS:
        create(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={LAYOUT}")
    elif layout == _STRICT_KEYS:
        create(connection)  # what damage took of it
        _loosen_keys(connection)
        _compose_tags(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={LAYOUT}")
    elif layout not in (0, LAYOUT):
        clear(connection)


def _add_owners(connection: Connection) -> None:
    """Pictures have an owner from now on: nobody's are all that there are."""
    for part in (pictures, traits):
        if "owner" not in {each["name"] for each in inspect(connection).get_columns(part.name)}:
            connection.exec_driver_sql(f"ALTER TABLE {part.name} ADD COLUMN owner VARCHAR NOT NULL DEFAULT ''")
    for trigger in ("picture_added", "picture_gone", "picture_changed", "traits_changed"):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {trigger}")
    connection.exec_driver_sql(
        "INSERT OR REPLACE INTO counts SELECT 'owner', '', n FROM counts WHERE facet = 'all' AND value = ''"
    )


def _loosen_keys(connection: Connection) -> None:
    found = select(traits.c.key).where(traits.c.model_key == bindparam("strict"))
    changed = update(pictures).where(pictures.c.key.in_(found)).values(model_key=bindparam("loose"))
    strict = connection.execute(select(counts.c.value).where(counts.c.facet == "model")).scalars().all()
    keys = [{"strict": key, "loose": name_key(key)} for key in strict if key != name_key(key)]
    if keys:
        connection.execute(changed, keys)


def _compose_tags(connection: Connection) -> None:
    """Tags as `tag_key` spells them now: an accent in one piece with its letter."""
    tags = connection.execute(select(counts.c.value).where(counts.c.facet == "tag")).scalars()
    apart = [tag for tag in tags if tag != tag_key(tag)]
    held = select(picture_tags.c.key).where(picture_tags.c.tag.in_(apart))
    found = connection.execute(select(pictures.c.key, pictures.c.tags).where(pictures.c.key.in_(held))).all()
    changed = update(pictures).where(pictures.c.key == bindparam("row")).values(tags=bindparam("composed"))
    rows = [{"row": row.key, "composed": sorted({tag_key(tag) for tag in row.tags})} for row in found]
    if rows:
        connection.execute(changed, rows)


def clear(connection: Connection) -> None:
    """Drop everything, of whatever layout: the files fill a fresh one."""
    found = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view', 'table')"
    )
    # Triggers and the full-text table first: dropping it takes its own shadow tables along.
    kinds = sorted(found.all(), key=lambda row: (row.type == "table", not row.name.endswith("_text"), row.name))
    for kind, name in kinds:
        if not name.startswith("sqlite_"):
            quoted = name.replace('"', '""')
            connection.exec_driver_sql(f'DROP {kind.upper()} IF EXISTS "{quoted}"')
    connection.exec_driver_sql("PRAGMA user_version=0")
