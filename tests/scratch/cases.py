"""Every proof there is."""

from __future__ import annotations

import cases_a
import cases_b
from case import Case

CASES: list[Case] = [*cases_a.CASES, *cases_b.CASES]
