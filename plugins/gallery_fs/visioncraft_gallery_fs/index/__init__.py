"""The index of the gallery in SQLite: its schema, its queries, and its keeping."""
