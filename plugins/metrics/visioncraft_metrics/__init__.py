"""Metrics of the server for Prometheus, as a plugin of VisionCraft Pro."""
