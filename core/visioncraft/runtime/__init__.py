"""What runs: the parts of a server put together, its status, and drawing without a server."""
