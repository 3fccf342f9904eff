"""gapless: neural networks trained by convex duality, each with a proof of how good it is.

The public names are listed in ``__init__.pyi``; each is imported when it is first used.
"""

import lazy_loader

from . import _interrupt as _interrupt

__version__ = "0.2.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
