"""Sphinx configuration. The site builds and reads without a network: formulas are drawn by a local MathJax."""

import re
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx

import glasscurv

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
from figure_style import STYLE
from references import citations

project = "glasscurv"
author = "The glasscurv developers"
copyright = author
release = version = glasscurv.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "measured",
    "site_checks",
    "statements",
]
exclude_patterns = ["_build", "gallery"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"_\w+"),  # private methods, in a note to authors of subclasses
    ("py:obj", "step|lr"),  # inherited from Optimizer, where they are documented
]

# Docstrings state types and shapes themselves. A `name` in them links to what can be imported, else it is emphasised.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
# The integration with JAX is described without it: nothing on the pages runs it.
autodoc_mock_imports = [name for name in ("jax", "optax") if find_spec(name) is None]
autosummary_generate = False
default_role = "autolink"
numpydoc_show_class_members = False
# A summary may say it all (ES01). Examples and what to see also are asked of functions and classes (site_checks), but
# not of their methods.
numpydoc_validation_checks = {"all", "ES01", "EX01", "SA01"}
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

# One file of MathJax, with its glyphs inside it, so that pages opened from a disk show their formulas as well.
mathjax_path = "tex-svg.js"
mathjax3_config = {"tex": {"tags": "ams"}}
html_static_path = ["_static", str(files("sphinx-mathjax-offline") / "static" / "mathjax" / mathjax_path)]
html_css_files = ["site.css"]

# Figures of the pages, drawn while the site is built.
plot_formats = [("png", 200)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = STYLE

# The scripts of gallery/ run while the site is built and become the pages of examples/. Nothing in these depends on
# when and where that was: no run times, no archives, which hold times of files.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": (),
    "image_srcset": ["2x"],
    "reset_modules": ("matplotlib", "figure_style.apply"),
    "remove_config_comments": True,
    "download_all_examples": False,
    "min_reported_time": float("inf"),
    "write_computation_times": False,
    "show_signature": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "glasscurv"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}


def plain_bar(
    inliner: Inliner, match: re.Match[str], lineno: int
) -> tuple[str, list[nodes.Node], str, list[nodes.Node]]:
    """Read a bar as a bar: |δ| in a docstring is an absolute value, not the name of a substitution."""
    end = match.end("start")
    return match.string[:end], [], match.string[end:], []


def drop_archives(app: Sphinx, page: str, source: list[str]) -> None:
    """Leave out the link to an archive below each example, and with it the archive."""
    if page.startswith(f"{sphinx_gallery_conf['gallery_dirs']}/"):
        archive = r"\.\. container:: sphx-glr-download sphx-glr-download-zip\s+:download:`[^`]*`"
        source[0] = re.sub(archive, "", source[0])


def link_theory(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Make links of the sections and equations of the theory that a docstring cites."""
    for k, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = citations(line)
            lines[k] = "".join(f":{role}:`{words} <{target}>`" if role else words for words, role, target in parts)


def keep_punctuation(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what precedes and follows a formula on its line: browsers break lines on both sides of it."""
    for formula in list(doctree.findall(nodes.math)):
        parent, k = formula.parent, formula.parent.index(formula)
        before, after = parent[k - 1] if k else None, parent[k + 1] if k + 1 < len(parent) else None
        opening = re.search(r"[(\[“‘]+$", before) if isinstance(before, nodes.Text) else None
        closing = re.match(r"[.,;:!?)\]”’]+", after) if isinstance(after, nodes.Text) else None
        if opening or closing:
            joined = nodes.inline(classes=["joined"])
            parent[k] = joined
            joined += [nodes.Text(opening[0] if opening else ""), formula, nodes.Text(closing[0] if closing else "")]
            if closing:
                parent[k + 1] = nodes.Text(after[closing.end() :])
            if opening:
                parent[k - 1] = nodes.Text(before[: opening.start()])


def setup(app: Sphinx) -> None:
    """Add the bar, the omission, the links and the joined formulas to the build."""
    Inliner.dispatch["|"] = plain_bar
    app.connect("source-read", drop_archives)
    app.connect("autodoc-process-docstring", link_theory, priority=600)  # after numpydoc
    app.connect("doctree-read", keep_punctuation)
