"""Sphinx's configuration of the site; scripts/build_docs.py builds it once for each language."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version as read_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Yisheng"
author = "The Yisheng authors"
copyright = "The Yisheng authors"  # Sphinx's name
release = read_version("yisheng")
version = release
language = os.environ.get("YISHENG_DOCS_LANGUAGE", "en")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
if language.startswith("zh"):
    extensions.append("chinese")
exclude_patterns = ["site", "zh"] if language == "en" else []
root_doc = "index"
html_theme = "furo"
html_title = f"Yisheng {release}"
html_last_updated_fmt = None
html_copy_source = False
templates_path = ["templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_context = {"other_language": {"en": ("zh", "中文")}.get(language, ("en", "English"))}

myst_heading_anchors = 4
nb_execution_mode = os.environ.get("YISHENG_DOCS_EXECUTION", "force")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_in_temp = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Variants", "params_style")]
nitpicky = False

MATH = re.compile(r"(?<!`)(\w*\|[^|`\n]+\||\w+_(?=\W))(?!`)")
"""Norms and trailing underscores in equations, which reStructuredText would take for references."""


def escape_equations(app, what, name, obj, options, lines) -> None:  # noqa: ARG001  # Sphinx gives them
    """Escape what docstrings mean as plain text: |w|, and the underscores of indices."""
    in_example = False
    for i, line in enumerate(lines):
        in_example = line.lstrip().startswith((">>>", "...")) or (in_example and bool(line.strip()))
        if not in_example:
            lines[i] = MATH.sub(lambda match: match[0].replace("|", r"\|").replace("_", r"\_"), line)


def shorten_signature(app, what, name, obj, options, signature, returns):  # noqa: ARG001  # Sphinx gives them
    """Write the settings of a config, which have no default of their own in a function, as ``**settings``."""
    if signature is None or "=Ellipsis" not in signature:
        return None
    shortened = re.sub(r"(, )?\b\w+=Ellipsis", "", signature)
    return f"{shortened.removesuffix(')')}, **settings)", returns


def setup(app) -> None:
    """Register the hooks that Sphinx calls for each docstring and signature."""
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", escape_equations, priority=900)
