"""The REST API. Only this package and `app.py` know FastAPI."""
