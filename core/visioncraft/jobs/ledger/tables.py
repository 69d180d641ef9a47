"""The ledger's tables."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("client", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("key", String, unique=True),
    Column("fingerprint", String, nullable=False),
    Column("request", LargeBinary, nullable=False),  # JSON
    Column("lost", Integer, nullable=False),
    Column("image_id", String),
    Column("created_at", Float, nullable=False),  # seconds since 1970, UTC
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("record", LargeBinary),  # JSON
    Column("error", LargeBinary),  # JSON, `errors.to_plain`
    Column("warnings", LargeBinary),  # JSON; absent from ledgers of 1.0, which get it when they are opened
    Index("jobs_by_state", "state", "ended_at"),
)

switches = Table(
    "switches",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Integer, nullable=False),
)

set_aside = Table(
    "set_aside",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("reason", String, nullable=False),
    Column("noted_at", Float, nullable=False),  # seconds since 1970, UTC
    *(Column(column.name, column.type) for column in jobs.columns),
)
"""Rows that are no whole jobs, as they were, and ids of jobs that were accepted and are nowhere: for people to see."""

VERSION = 1
"""Of this layout, in `PRAGMA user_version`."""
