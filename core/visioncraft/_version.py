"""The version, stated here alone; core/pyproject.toml reads it from this file."""

__version__ = "1.0.0"

PLUGIN_API = "1.0"
"""The plugin API's version: the core's own without its last number. A plugin depends on `visioncraft>=1.0,<2`."""
