"""A worker process: one generator of one plugin, and nothing of the server's. Started by `pools`, never by hand."""
