"""How clients are connected: how many at once, and how long one may be slow or silent. uvicorn bounds neither."""
