"""The plugin API and what finds, loads and guards plugins.

Authors of plugins read `contracts` and `hookspecs`; the names they may import are those of `visioncraft` itself.
"""
