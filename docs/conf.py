"""Sphinx configuration."""

import os

import skcell

project = "skcell"
author = copyright = "the skcell developers"
version = release = skcell.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
html_theme = "furo"
exclude_patterns = ["_build", "generated/*.md"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
html_title = f"skcell {version}"
# Methods inherited from scikit-learn refer to labels and terms of its own documentation.
suppress_warnings = ["ref.ref", "ref.term"]
numpydoc_show_class_members = False
autosummary_generate = True
# Links into other projects' pages need a network; without one they are plain text.
intersphinx_mapping = (
    {}
    if os.environ.get("SKCELL_DOCS_OFFLINE")
    else {
        "sklearn": ("https://scikit-learn.org/stable", None),
        "imblearn": ("https://imbalanced-learn.org/stable", None),
    }
)
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,  # its page loads scripts from elsewhere
    "filename_pattern": r"/\d+_",
    "ignore_pattern": r"predict_with_onnx|package_for_bioimageio",
}
