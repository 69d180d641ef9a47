"""Files on disk: durable writes, paths, sidecars with marks, thumbnails, and what the disk takes."""
