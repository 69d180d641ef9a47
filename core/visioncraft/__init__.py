"""VisionCraft Pro: one image-generation service in front of every engine.

The names that `__init__.pyi` lists are the public API for plugin authors; everything else may change without notice.
They load when first used, so importing this package costs nothing (SPEC 1 of Scientific Python, `lazy_loader`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
