"""What the paper checks measured, from the file of their last run.

The numbers are those of ``report/results.json``, which ``python -m paper_checks`` writes. Where it is missing, as in a
fresh checkout, or older than what the checks say, their quick form runs first. No number is typed by hand.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from references import add_target, citations, link, table
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from paper_checks.registry import CHECKS, SECTIONS  # noqa: E402
from paper_checks.report import markup, paragraphs  # noqa: E402

RESULTS = ROOT / "report/results.json"
FIGURES = "/../report/figures"  # as Sphinx wants it: from the folder of the sources
STANDINGS = {
    "confirmed": "confirms the theory",
    "limited": "confirms the theory, with limits",
    "corrected": "corrects the theory",
    "new": "a claim of this library",
}
PARTS = ("claim", "source", "prediction", "measurement", "tolerance", "limits")

log = logging.getLogger(__name__)


@cache
def results() -> dict[str, Any]:
    """Return the content of the file of results."""
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


@cache
def records() -> dict[str, dict[str, Any]]:
    """Return what is known of every check, by its name."""
    return {record["name"]: record for record in results()["checks"]}


def is_current() -> bool:
    """Whether the file has the results of all checks as they are described now, in the form of today."""
    if not RESULTS.is_file():
        return False
    found = json.loads(RESULTS.read_text("utf-8"))["checks"]
    texts = {record["name"]: {part: record[part] for part in PARTS if part in record} for record in found}
    now = {name: {part.lower(): text for part, text in paragraphs(check.__doc__)} for name, check in CHECKS.items()}
    return texts == now and all("shown" in finding for record in found for finding in record["findings"])


def provide_results(app: Sphinx) -> None:
    """Run the checks unless the file has the results of all of them, and warn of every check that fails."""
    if not is_current():
        log.info("report/results.json is missing or old: the paper checks run now")
        subprocess.run([sys.executable, "-m", "paper_checks"], cwd=ROOT, check=False)  # verdicts are in the file
    for record in json.loads(RESULTS.read_text("utf-8"))["checks"]:
        if not record["holds"]:
            log.warning("the paper check %s fails, by report/results.json", record["name"])


def html(text: str) -> nodes.raw:
    """Return a line of a check with its indices and exponents set as such."""
    return nodes.raw("", str(markup(text)), format="html")


def linked(text: str) -> Iterator[nodes.Node]:
    """Give a text of a check with links to the checks and to the parts of the theory that it names."""
    for k, part in enumerate(re.split(rf"`({'|'.join(CHECKS)})`", text)):
        if k % 2:
            yield link("std", "ref", f"check-{part}", nodes.literal(text=part))
        else:
            for words, role, target in citations(part):
                yield link("std", role, target, nodes.inline(text=words)) if role else html(words)


def comparisons(findings: list[dict[str, Any]]) -> nodes.table:
    """Return the table of comparisons."""
    rows = [
        [[html(text)] for text in (finding["quantity"], *finding["shown"][:2], "yes" if finding["holds"] else "NO")]
        for finding in findings
    ]
    return table(["comparison", "predicted", "measured", "holds"], [52, 20, 20, 8], rows, "comparisons")


class Check(SphinxDirective):
    """The claim of a check and its first comparisons, with a link to the rest."""

    required_arguments = 1
    option_spec: ClassVar = {"rows": directives.positive_int, "figure": directives.flag}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in records():
            raise self.error(f"no check is named {name}")
        self.env.note_dependency(str(RESULTS))
        record, rows = records()[name], self.options.get("rows", 4)
        target, shown = f"check-{name}", record["findings"][:rows]
        name_of_it = link("std", "ref", target, nodes.literal(text=name))
        title = nodes.paragraph("", "", name_of_it, html(f": {CHECKS[name].CLAIM}"), classes=["measured-title"])
        if not record["holds"]:
            title += nodes.strong(text=" FAILS")
        box = nodes.container("", title, classes=["measured"])
        if "figure" in self.options:
            box += figure(name)
        box += comparisons(shown)
        if rows < len(record["findings"]):
            text = f"{rows} of {len(record['findings'])} comparisons. "
            more = link("std", "ref", target, nodes.inline(text="All of them, and how they were made"))
            box += nodes.paragraph("", text, more, nodes.Text("."), classes=["measured-more"])
        return [box]


class Checks(SphinxDirective):
    """All checks of one part of the report: text, figure and every comparison."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RESULTS))
        return [self.section(records()[name]) for name in SECTIONS[self.arguments[0]]]

    def section(self, record: dict[str, Any]) -> nodes.section:
        label, claim = f"check-{record['name']}", CHECKS[record["name"]].CLAIM
        add_target(self, label, claim)
        section = nodes.section("", nodes.title("", "", html(claim)), ids=[label])
        verdict = "holds" if record["holds"] else "FAILS"
        about = f"Check {record['name']}, {STANDINGS[record['standing']]}: {verdict}."
        section += nodes.paragraph("", about, classes=["measured-title"])
        for part in PARTS:
            if part in record:
                section += nodes.paragraph("", "", nodes.strong(text=f"{part.capitalize()}. "), *linked(record[part]))
        section += [figure(record["name"]), comparisons(record["findings"])]
        return section


class Conditions(SphinxDirective):
    """How the numbers on the site were obtained."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RESULTS))
        found = results()
        text = f"{found['summary']} Version {found['version']}, {found['form']} form, seed {found['seed']}."
        return [nodes.paragraph("", text)]


def figure(name: str) -> nodes.container:
    """Return the figure of a check."""
    image = nodes.image(uri=f"{FIGURES}/{name}.svg", alt=f"Figure of the check {name}: {CHECKS[name].CLAIM}")
    return nodes.container("", image, classes=["panels"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives, and provide the numbers before the pages are read."""
    app.add_directive("check", Check)
    app.add_directive("checks", Checks)
    app.add_directive("checks-conditions", Conditions)
    app.connect("builder-inited", provide_results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
