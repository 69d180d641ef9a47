"""Files and batches: many requests in one file, drawn while nobody waits."""
