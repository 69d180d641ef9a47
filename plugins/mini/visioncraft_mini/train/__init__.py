"""How the weights of visioncraft-mini were made: ``python -m visioncraft_mini.train --help``.

Needs the extra ``visioncraft-mini[train]``. Nothing here is imported when the model only draws.
"""
