"""What the build of the documentation refuses, and what its directives make of the sources."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("numpydoc")

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _extensions(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/_extensions")


@pytest.fixture
def check_site(tmp_path):
    """Write pages and check them as a build that has just ended does."""
    from site_checks import check_links

    def check(**pages):
        for name, body in pages.items():
            (tmp_path / name.replace("_", ".")).write_text(body, encoding="utf-8")
        check_links(SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html")), None)

    return check


def test_a_site_whose_links_lead_somewhere_is_whole(check_site):
    check_site(
        a_html='<a href="b.html#x">b</a> <a href="#y">y</a> <p id="y"></p> <a href="https://example.org">far</a>',
        b_html='<p id="x"></p> <img src="a.css"> <link href="a.css">',
        a_css="body {background: url(b.html)}",
    )


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="c.html">c</a>', "links to c.html, which does not exist"),
        ('<a href="#z">z</a>', "links to #z, but the page has no such place"),
        ('<a href="a.html#z">z</a>', "links to a.html#z, but the page has no such place"),
        ('<img src="c.png">', "links to c.png, which does not exist"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example.org/x.css"),
        ('<img src="a.html" srcset="a.html, https://example.org/x.png 2x">', "loads https://example.org/x.png"),
        ('<p style="background: url(https://example.org/x.png)">', "a.html has a style that loads what is not"),
        ("<style>@import 'https://example.org/x.css'</style>", "a.html has a style that loads what is not"),
    ],
)
def test_a_broken_link_or_one_that_needs_the_network_fails_the_build(check_site, page, fault):
    from sphinx.errors import ExtensionError

    with pytest.raises(ExtensionError, match=fault):
        check_site(a_html=page)


def test_a_style_that_needs_the_network_fails_the_build(check_site):
    from sphinx.errors import ExtensionError

    with pytest.raises(ExtensionError, match=r"a\.css loads what is not in the site"):
        check_site(a_css="@import 'https://example.org/x.css'")


def test_a_public_name_without_an_entry_fails_the_build(monkeypatch):
    import site_checks
    from sphinx.errors import ExtensionError

    missing = [name for name in ("jax", "optax") if find_spec(name) is None]
    if missing:  # a module that could not be imported, or was without its library, stays for others as it is
        monkeypatch.setitem(sys.modules, "glasscurv.integrations.optax", None)
        del sys.modules["glasscurv.integrations.optax"]
    app = SimpleNamespace(config=SimpleNamespace(autodoc_mock_imports=missing))
    entries = site_checks.entries()
    monkeypatch.setattr(site_checks, "validate", lambda name: {"errors": []})
    site_checks.check_reference(app)
    monkeypatch.setattr(site_checks, "entries", lambda: [name for name in entries if name != "glasscurv.Alice"])
    with pytest.raises(ExtensionError, match=r"glasscurv\.Alice has no entry in docs/api"):
        site_checks.check_reference(app)


def test_a_function_without_an_example_fails_the_build(monkeypatch):
    import site_checks
    from sphinx.errors import ExtensionError

    app = SimpleNamespace(config=SimpleNamespace(autodoc_mock_imports=[]))
    monkeypatch.setattr(site_checks, "public_names", list)
    monkeypatch.setattr(site_checks, "entries", lambda: ["glasscurv.Alice", "textwrap.dedent"])
    with pytest.raises(ExtensionError, match=r"complete:\ntextwrap\.dedent: See Also .*\n.*No examples") as refusal:
        site_checks.check_reference(app)
    assert "Alice" not in str(refusal.value)


def test_a_name_in_a_docstring_that_stands_for_nothing_fails_the_build(monkeypatch):
    import site_checks
    from sphinx.errors import ExtensionError

    import glasscurv as gc

    app = SimpleNamespace(config=SimpleNamespace(autodoc_mock_imports=[]))
    monkeypatch.setattr(site_checks, "public_names", list)
    monkeypatch.setattr(site_checks, "validate", lambda name: {"errors": []})
    monkeypatch.setattr(site_checks, "entries", lambda: ["glasscurv.Kernel", "glasscurv.glass_kernel"])
    text = (
        "Do `apply`.\n\nParameters\n----------\nlength : float\n    Not ``lenth``.\n\n`length`, `nodes`, `glass_kernel`"
    )
    monkeypatch.setattr(gc.Kernel.apply, "__doc__", text)
    site_checks.check_reference(app)
    monkeypatch.setattr(gc.Kernel.apply, "__doc__", f"{text}, `glass_kernle`")
    monkeypatch.setattr(gc.glass_kernel, "__doc__", "See `Kernel.aply`.")
    with pytest.raises(ExtensionError) as refusal:
        site_checks.check_reference(app)
    assert str(refusal.value).splitlines()[1:] == [
        "glasscurv.Kernel.apply: `glass_kernle` is nothing known",
        "glasscurv.glass_kernel: `Kernel.aply` is nothing known",
    ]


def test_a_method_without_an_entry_fails_the_build(monkeypatch):
    import site_checks
    from sphinx.errors import ExtensionError

    def check(*described):
        objects = dict.fromkeys(["glasscurv.Kernel", *described])
        environment = SimpleNamespace(get_domain=lambda name: SimpleNamespace(objects=objects))
        site_checks.check_members(SimpleNamespace(config=SimpleNamespace(autodoc_mock_imports=[])), environment)

    monkeypatch.setattr(site_checks, "entries", lambda: ["glasscurv.Kernel", "glasscurv.glass_kernel"])
    check("glasscurv.Kernel.apply")
    with pytest.raises(ExtensionError, match=r"glasscurv\.Kernel\.apply has no entry"):
        check()


def test_statements_of_the_theory_are_read_with_their_options():
    from statements import KINDS, ORIGINS, read_statements

    found = {statement.options["label"]: statement for statement in read_statements()}
    assert len(found) == len(list(read_statements()))  # no label stands twice
    exactness = found["nesterov-exactness"]
    assert (exactness.page, exactness.kind) == ("nesterov", "theorem")
    assert exactness.options["code"] == "glasscurv.exact_step_fraction"
    for statement in found.values():
        assert statement.kind in KINDS
        assert statement.options["origin"] in ORIGINS
        assert statement.options["brief"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Write files of results; the checks, if they are asked to run, are only counted."""
    import measured

    file, runs = tmp_path / "results.json", []
    texts = {name: measured.paragraphs(check.__doc__) for name, check in measured.CHECKS.items()}
    whole = [
        {"name": name, "holds": True, "findings": [{"shown": []}], **{part.lower(): text for part, text in parts}}
        for name, parts in texts.items()
    ]

    def write(checks):
        file.write_text(json.dumps({"checks": checks}), encoding="utf-8")

    def run(command, **options):
        assert command[-2:] == ["-m", "paper_checks"]
        runs.append(command)
        write(whole)

    monkeypatch.setattr(measured, "RESULTS", file)
    monkeypatch.setattr(measured.subprocess, "run", run)
    return SimpleNamespace(write=write, whole=whole, runs=runs)


def test_numbers_are_measured_again_only_where_there_are_none_or_old_ones(results):
    from measured import provide_results

    for _ in range(2):  # the file is missing, then there
        provide_results(None)
        assert len(results.runs) == 1
    first, *others = results.whole
    for count, old in enumerate(
        (others, [{**first, "claim": "x"}, *others], [{**first, "findings": [{}]}, *others]), 2
    ):
        results.write(old)
        provide_results(None)
        assert len(results.runs) == count


def test_a_check_that_fails_or_breaks_down_is_a_warning_and_so_fails_the_build(results, monkeypatch):
    import measured

    warnings = []
    monkeypatch.setattr(measured.log, "warning", lambda text, *values: warnings.append(text % values))
    failed, broken, *others = results.whole
    results.write([{**failed, "holds": False}, {**broken, "holds": False, "findings": []}, *others])
    measured.provide_results(None)
    assert warnings == [f"the paper check {check['name']} fails, by report/results.json" for check in (failed, broken)]
    assert not results.runs
