"""VisionCraft's gallery on disk: PNGs in dated folders, an index in SQLite."""
