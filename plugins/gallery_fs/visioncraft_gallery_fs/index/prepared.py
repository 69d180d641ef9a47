"""Statements that are written down once: putting one together takes longer than SQLite takes to answer it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult, Select
from sqlalchemy.dialects import sqlite

_DIALECT = sqlite.dialect(paramstyle="named")


class Prepared:
    """A statement as SQL. Its rows hold what SQLite has in its cells, not what the columns' types make of them.

    Args:
        statement: What is asked for in it are `bindparam`s; its constants stay what they are.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self.sql, self._constants = str(compiled), dict(compiled.params)

    def run(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]]:
        """Ask for these values, by the parameters' names. Further ones among them do not matter."""
        return connection.exec_driver_sql(self.sql, {**self._constants, **values})
