"""The versions, stated here alone; core/pyproject.toml reads the software's from this file."""

__version__ = "1.1.0"
"""The software's version."""

PLUGIN_API = "1.1"
"""The plugin API's version: the core's own without its last number. A plugin depends on `visioncraft>=1.0,<2`."""

API_VERSION = "1.0.0"
"""The version of the REST API's contract, which `GET /` and `/openapi.json` state."""
