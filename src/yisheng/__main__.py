"""``python -m yisheng``, the same as the command ``yisheng``."""

import sys

from yisheng.cli import main

sys.exit(main())
