"""Links that fail the build if their target is missing."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective


def link(domain: str, kind: str, target: str, *content: nodes.Node) -> addnodes.pending_xref:
    """Return a reference with the given content."""
    options = {"refdomain": domain, "reftype": kind, "reftarget": target, "refexplicit": True, "refwarn": True}
    return addnodes.pending_xref("", *content, **options)


CITATION = re.compile(
    r"\b[Ss]ections? \d+(?:(?:,| and| to) \d+)*|\b[Ee]quations? \(\d+[a-c]?\)(?:(?:,| and| to) \(\d+[a-c]?\))*"
)
"""How sections and equations of the theory are cited: section 3, sections 3 and 4, equations (8a) to (8c)."""


@cache
def theory_pages() -> dict[str, str]:
    """Return the page of every section of the theory, by the number in its heading."""
    found = {}
    for file in (Path(__file__).parents[1] / "theory").glob("*.md"):
        if heading := re.match(r"# (\d+)\. ", file.read_text("utf-8")):
            found[heading[1]] = f"/theory/{file.stem}"
    return found


def citations(text: str) -> Iterator[tuple[str, str, str]]:
    """Split a text into parts, each with the role and the target of its link; these are empty for plain text."""
    end = 0
    for found in CITATION.finditer(text):
        for number in re.finditer(r"\((\w+)\)|\d+", found[0]):
            if number[1] or number[0] in theory_pages():
                yield text[end : found.start() + number.start()], "", ""
                yield number[0], *(("ref", f"eq-{number[1]}") if number[1] else ("doc", theory_pages()[number[0]]))
                end = found.start() + number.end()
    yield text[end:], "", ""


def add_target(directive: SphinxDirective, label: str, title: str) -> None:
    """Make the node with this id on the directive's page a target."""
    standard, page = directive.env.get_domain("std"), directive.env.docname
    standard.anonlabels[label] = (page, label)
    standard.labels[label] = (page, label, title)


def table(heads: list[str], widths: list[int], rows: list[list[list[nodes.Node]]], name: str) -> nodes.table:
    """Return a table of cells, each a list of inline nodes."""
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row([[nodes.Text(head)] for head in heads]))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group, classes=[name])


def _row(cells: list[list[nodes.Node]]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))
