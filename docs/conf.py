"""Sphinx configuration. The site builds and reads without a network: formulas are drawn by a local MathJax."""

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

import glasscurv

HERE = Path(__file__).parent

project = "glasscurv"
author = "The glasscurv developers"
copyright = author
release = version = glasscurv.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
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
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

# One file of MathJax, with its glyphs inside it, so that pages opened from a disk show their formulas as well.
mathjax_path = "tex-svg.js"
mathjax3_config = {"tex": {"tags": "ams"}}
html_static_path = [str(files("sphinx-mathjax-offline") / "static" / "mathjax" / mathjax_path)]

# The scripts of gallery/ run while the site is built and become the pages of examples/. Nothing in these depends on
# when and where that was: no run times, no archives, which hold times of files.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": (),
    "image_srcset": ["2x"],
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
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"**": []}


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


class TestFile(SphinxRole):
    """A test's path, which must exist: a formula whose test was renamed or removed fails the build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        if not (HERE.parent / self.text).is_file():
            logging.getLogger(__name__).warning("no test file %s", self.text, location=self.get_location())
        return [nodes.literal(text=self.text)], []


def check_api_page(app: Sphinx) -> None:
    """Fail the build when a public name has no entry in api.md."""
    entries = re.findall(
        r"^\.\. (?:auto(?!summary)|py:)\w+:: (?:.*\.)?(\w+)$", (HERE / "api.md").read_text("utf-8"), re.MULTILINE
    )
    missing = sorted(set(glasscurv.__all__) - set(entries))
    if missing:
        raise ExtensionError(f"docs/api.md has no entry for {', '.join(missing)}")


def setup(app: Sphinx) -> None:
    """Add the bar, the role, the check and the omission to the build."""
    Inliner.dispatch["|"] = plain_bar
    app.add_role("test", TestFile())
    app.connect("builder-inited", check_api_page)
    app.connect("source-read", drop_archives)
