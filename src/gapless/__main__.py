"""``python -m gapless``."""

import sys

from .cli import main

sys.exit(main())
