"""``python -m yisheng`` is ``yisheng``."""

import sys

from yisheng.cli import main

sys.exit(main())
