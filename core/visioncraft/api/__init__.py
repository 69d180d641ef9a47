"""The REST API. Only this package knows FastAPI."""
