"""Checks of a plugin that is installed: `visioncraft plugins check`."""
