"""How good the weights are, by numbers that anyone can repeat: ``python -m visioncraft_mini.evaluate --help``.

Needs the extra ``visioncraft-mini[train]`` and the pictures of ``make mini-data``.
"""
