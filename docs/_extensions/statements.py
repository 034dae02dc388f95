"""Statements of the theory: a directive for each, the index of all, and the source of the tests that check them.

A statement is written on a page of the theory as::

    :::{theorem} Optimal Hessian kernel
    :label: hessian-kernel
    :brief: of all unbiased rules the one that uses the two ends has the least variance.
    :code: glasscurv.hessian_kernel
    :test: tests/test_kernels.py::test_no_feasible_weights_beat_the_hessian_kernel
    :check: kernels
    :origin: new

    The text.
    :::

`code`, `test` and `check` hold any number of names, with blanks between them. All are links, and a name that does not
exist fails the build. The index, the lists of what comes from where and the page of tests read the same options, so
nothing is typed twice.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from references import add_target, link, table
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
KINDS = ("statement", "theorem", "corollary")
ORIGINS = {
    "paper": "paper",
    "confirmed": "paper, confirmed by the reference implementation",
    "new": "new here",
}
"""Where a statement comes from."""

log = logging.getLogger(__name__)


class Statement(NamedTuple):
    """The options of one statement, as the sources have them."""

    page: str
    kind: str
    title: str
    options: dict[str, str]


def read_statements() -> Iterator[Statement]:
    """Give every statement of the theory, in the order of its pages."""
    pages = re.findall(r"^(\w[\w-]*)$", (ROOT / "docs/theory/index.md").read_text("utf-8"), re.MULTILINE)
    for page in pages:
        text = (ROOT / f"docs/theory/{page}.md").read_text("utf-8")
        for kind, title, options in re.findall(
            rf"^:::+\{{({'|'.join(KINDS)})\}} (.+)\n((?:^:\w+:.*\n)+)", text, re.MULTILINE
        ):
            yield Statement(page, kind, title, dict(re.findall(r"^:(\w+): *(.*)$", options, re.MULTILINE)))


def test_label(test: str) -> str:
    """Return the name of the target at the source of a test, written path::name."""
    return nodes.make_id(f"test-{test.replace('.py', '').replace('_', '-')}")


def evidence(options: dict[str, str]) -> dict[str, list[nodes.Node]]:
    """Return the links of a statement to its functions, tests and checks."""
    functions, tests, checks = (options.get(name, "").split() for name in ("code", "test", "check"))
    return {
        "Function": [link("py", "obj", name, breakable(name.removeprefix("glasscurv."))) for name in functions],
        "Test": [link("std", "ref", test_label(name), breakable(name.partition("::")[2])) for name in tests],
        "Check": [link("std", "ref", f"check-{name}", breakable(name)) for name in checks],
    }


def breakable(name: str) -> nodes.literal:
    """Return a name that a narrow column may break between its words."""
    space = "\N{ZERO WIDTH SPACE}"
    return nodes.literal(text=name.replace("_", f"_{space}").replace(".", f".{space}"))


def separated(items: list[nodes.Node]) -> list[nodes.Node]:
    """Put commas between nodes."""
    return [node for item in items for node in (nodes.Text(", "), item)][1:]


class StatementDirective(SphinxDirective):
    """A statement: its title, its text, and what implements, tests and measures it."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {
        "label": directives.unchanged_required,
        "brief": directives.unchanged_required,
        "code": directives.unchanged,
        "test": directives.unchanged,
        "check": directives.unchanged,
        "origin": lambda text: directives.choice(text, tuple(ORIGINS)),
    }

    def run(self) -> list[nodes.Node]:
        if missing := [name for name in ("label", "brief", "origin") if name not in self.options]:
            raise self.error(f"a {self.name} needs the options {', '.join(missing)}")
        label, title = self.options["label"], self.arguments[0]
        box = nodes.container(classes=["statement", self.name], ids=[label])
        add_target(self, label, title)
        heading = nodes.paragraph(classes=["statement-title"])
        if self.name != "statement":
            heading += nodes.strong(text=f"{self.name.capitalize()}. ")
        texts, messages = self.state.inline_text(title, self.lineno)
        heading += nodes.strong("", "", *texts)
        box += heading
        self.state.nested_parse(self.content, self.content_offset, box)
        line = nodes.paragraph(classes=["statement-evidence"])
        for name, links in evidence(self.options).items():
            if links:
                line += [nodes.inline("", f"{name}: "), *separated(links), nodes.Text(" · ")]
        line += nodes.inline(text=f"Origin: {ORIGINS[self.options['origin']]}")
        box += line
        return [box, *messages]


class Listing(SphinxDirective):
    """What is made of all statements, each named by its title and what it says in one line."""

    def statements(self) -> Iterator[Statement]:
        for statement in read_statements():
            self.env.note_dependency(str(ROOT / f"docs/theory/{statement.page}.md"))
            yield statement

    def entry(self, statement: Statement) -> list[nodes.Node]:
        title = nodes.inline("", "", *self.inline(statement.title))
        return [link("std", "ref", statement.options["label"], title), *self.inline(f": {statement.options['brief']} ")]

    def inline(self, text: str) -> list[nodes.Node]:
        return list(self.state.inline_text(text, self.lineno)[0])


class TheoremIndex(Listing):
    """A table of all statements with their functions, tests and checks."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for statement in self.statements():
            origin = nodes.emphasis(text=f"({ORIGINS[statement.options['origin']]})")
            columns = [separated(links) or [nodes.Text("–")] for links in evidence(statement.options).values()]
            rows.append([[*self.entry(statement), origin], *columns])
        return [table(["Statement", "Function", "Test", "Check"], [40, 20, 25, 15], rows, "theorem-index")]


class StatementsFrom(Listing):
    """All statements of one origin."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        origin = self.arguments[0]
        if origin not in ORIGINS:
            raise self.error(f"the origin must be one of {', '.join(ORIGINS)}, got {origin}")
        found = [statement for statement in self.statements() if statement.options["origin"] == origin]
        items = [nodes.list_item("", nodes.paragraph("", "", *self.entry(statement))) for statement in found]
        return [nodes.bullet_list("", *items)]


class TestSources(Listing):
    """The source of every test that a statement names, by file."""

    def run(self) -> list[nodes.Node]:
        named = sorted({test for statement in self.statements() for test in statement.options.get("test", "").split()})
        result: list[nodes.Node] = []
        for path in sorted({test.partition("::")[0] for test in named}):
            section = nodes.section(ids=[nodes.make_id(path)])
            section += nodes.title(text=path)
            sources = self.functions(path)
            for test in (test for test in named if test.startswith(f"{path}::")):
                section += self.source(test, sources)
            result.append(section)
        return result

    def functions(self, path: str) -> dict[str, str]:
        file = ROOT / path
        if not file.is_file():
            log.warning("no test file %s", path, location=self.get_location())
            return {}
        self.env.note_dependency(str(file))
        text = file.read_text("utf-8")
        lines = text.splitlines()
        found = {}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
        return found

    def source(self, test: str, sources: dict[str, str]) -> list[nodes.Node]:
        name, label = test.partition("::")[2], test_label(test)
        if name not in sources:
            log.warning("no test %s", test, location=self.get_location())
            return []
        add_target(self, label, name)
        return [nodes.literal_block(sources[name], sources[name], language="python", ids=[label])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    for kind in KINDS:
        app.add_directive(kind, StatementDirective)
    app.add_directive("theorem-index", TheoremIndex)
    app.add_directive("statements-from", StatementsFrom)
    app.add_directive("test-sources", TestSources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
