"""Galleries: the one in memory, the search that all share, and the export as a ZIP archive."""
