"""The path of a report, which a notebook shows as the page itself."""

from __future__ import annotations

import html
import sys

if sys.platform == "win32":
    from pathlib import WindowsPath as SystemPath
else:
    from pathlib import PosixPath as SystemPath

FRAME_HEIGHT = 640
MAX_BYTES = 20 << 20
"""Larger pages would make the notebook's file unwieldy; their path is shown."""


class ReportPath(SystemPath):
    """A path; as the value of a notebook's cell it shows the page, apart from the notebook's own styles."""

    def _repr_html_(self) -> str | None:
        if self.suffix != ".html" or not self.is_file() or self.stat().st_size > MAX_BYTES:
            return None
        page = html.escape(self.read_text(encoding="utf-8"))
        style = "width:100%;border:1px solid rgba(128,128,128,.35);border-radius:4px"
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-popups" title="report" height="{FRAME_HEIGHT}" '
            f'style="{style}"></iframe>'
        )
