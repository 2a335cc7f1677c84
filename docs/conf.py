"""Settings of the documentation: ``python3 -m sphinx -W --keep-going docs docs/_build``."""

import sys
from pathlib import Path

import fastbp

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "fastbp"
author = "The fastbp developers"
copyright = "the fastbp developers, BSD-3-Clause"
release = version = fastbp.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = True

# Markdown: $x$ is a formula, and headings are anchors, as in the web view of the repository
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

html_theme = "pydata_sphinx_theme"
html_title = "fastbp"
html_static_path = ["_static"]
html_theme_options = {"github_url": "https://github.com/fastbp/fastbp"}

suppress_warnings = ["toc.empty_glob"]
