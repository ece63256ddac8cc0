"""Sphinx: pages in Markdown, the API reference from docstrings, one page for each package."""

import importlib.metadata

project = "jmmrec"
author = "The jmmrec authors"
release = importlib.metadata.version("jmmrec")

extensions = [
    "myst_nb",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = f"jmmrec {release}"
exclude_patterns = ["_build", "api/modules.rst"]

nb_execution_mode = "cache"  # the tutorial runs where there is no output yet, or another tutorial's
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

default_role = "code"  # what stands in single backticks in a docstring
apidoc_modules = [{"path": "../jmmrec", "destination": "api", "max_depth": 2, "module_first": True}]
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "ignore-module-all": True,
    "exclude-members": "set",  # matplotlib writes one into every class of its own, in roles that are not ours
}
autodoc_typehints_format = "short"
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # a word such as "rows" under Returns is taken for a type of several homes
