"""Sphinx settings. Nothing is fetched, neither while building nor while reading."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "symtheory"
author = "The symtheory authors"
copyright = "2026, The symtheory authors"
release = version = installed_version("symtheory")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "plain_docstrings"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "symtheory"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
