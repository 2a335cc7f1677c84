"""Settings of the documentation: ``python3 -m sphinx -W --keep-going docs docs/_build``."""

import importlib
import sys
from pathlib import Path

import numpydoc.xref
from sklearn.experimental import enable_halving_search_cv  # noqa: F401, for sphinx-gallery, which looks names up

import fastbp

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
import example_gallery

project = "fastbp"
author = "The fastbp developers"
copyright = "the fastbp developers, BSD-3-Clause"
release = version = fastbp.__version__

extensions = [
    "example_gallery",
    "myst_parser",
    "name_links",
    "numpydoc",
    "repository_links",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas without a network
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# The gallery's index is the page examples.md; "generated" has the pages of autosummary.
exclude_patterns = ["_build", "gallery/index.rst", "gallery/recipes/index.rst"]
exclude_patterns += ["sg_execution_times.rst", "**/sg_execution_times.rst"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
templates_path = ["_templates"]
nitpicky = True
default_role = "literal"  # the extension name_links makes links of names

# Markdown: $x$ is a formula, and headings are anchors, as in the web view of the repository
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4

# Files of the repository outside of this folder that are pages of the site
repository_url = "https://github.com/fastbp/fastbp"
repository_pages = {
    "README.md": "index.md",
    "RELIABILITY.md": "reliability.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/README.md": "examples.rst",
}

# The reference: the public packages, each with a page in reference/
PACKAGES = [
    "fastbp",
    "fastbp.activations",
    "fastbp.autodiff",
    "fastbp.callbacks",
    "fastbp.dask",
    "fastbp.export",
    "fastbp.inspection",
    "fastbp.kernels",
    "fastbp.layers",
    "fastbp.losses",
    "fastbp.optimizers",
    "fastbp.quantization",
    "fastbp.schedules",
    "fastbp.sources",
]
autodoc_typehints = "none"  # numpydoc says the types
autodoc_class_signature = "mixed"
autosummary_imported_members = True
numpydoc_show_class_members = False  # the template lists them
# In types of parameters, names of fastbp become links, and those of Python and NumPy do not: the site is built offline,
# without the inventories of other sites.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {name: name for name in numpydoc.xref.DEFAULT_LINKS} | {
    name: f"{package}.{name}"
    for package in reversed(PACKAGES)
    for name in importlib.import_module(package).__all__
    if name[0].isupper()
}
# Sections, their names and order, and parameters that do not exist. What stays unchecked is a matter of style:
# summaries of two lines, parameters that explain themselves, classes without an example or a "See Also".
numpydoc_validation_checks = {"GL03", "GL05", "GL06", "GL07", "GL09", "GL10", "PR02", "PR05", "PR06", "PR10", "RT04"}
numpydoc_validation_checks |= {"SA02", "SA03", "SA04", "SS01", "SS04", "YD01"}
numpydoc_validation_exclude = {
    r"\.Variable\.(T|dtype|ndim|shape|size)$"
}  # properties without a def, whose line it wants

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": example_gallery.pattern_of_those_that_run(),
    "within_subsection_order": "example_gallery.order_of_readme",
    "minigallery_sort_order": "example_gallery.order_of_readme",
    "image_scrapers": ("example_gallery.take_files",),
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("fastbp",),
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "plot_gallery": "True",
}

html_theme = "pydata_sphinx_theme"
html_title = "fastbp"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["custom.css", "pictures.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "github_url": repository_url,
    "logo": {"text": "fastbp"},
    "navigation_with_keys": False,
    "show_prev_next": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"first_steps": [], "benchmarks": [], "reliability": []}
toc_object_entries_show_parents = "hide"
highlight_language = "none"  # of what is indented, such as formulas; code names its language


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out the members that come from scikit-learn, which documents them."""
    module = getattr(obj, "__module__", None) or getattr(getattr(obj, "fget", None), "__module__", None) or "fastbp"
    return True if not module.startswith("fastbp") else None


def setup(app):
    """Connect what has no extension of its own."""
    app.connect("autodoc-skip-member", skip_inherited)
