"""Every Python example of the documentation pages runs."""

import doctest
import re
from pathlib import Path

import numba
import pytest

DOCS = Path(__file__).parent.parent / "docs"


SESSIONS = sorted(
    str(page.relative_to(DOCS))
    for page in DOCS.rglob("*.md")
    if "_build" not in page.parts and "\n```python\n>>> " in page.read_text("utf-8")
)
"""The pages whose examples are sessions: what is typed, and what comes back."""


def examples(page):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_the_example_of_the_study_says_what_the_page_says(capsys):
    (example,) = examples("study.md")
    exec(compile(example, "study.md", "exec"), {})
    hessian, glass, both = (int(share) for share in re.findall(r"(\d+)%", capsys.readouterr().out))
    assert 40 <= hessian <= 70
    assert both <= glass <= 30


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_the_page_on_pytorch_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for example in examples("torch.md"):
        exec(compile(example, "torch.md", "exec"), namespace)
    loss, *printed = capsys.readouterr().out.splitlines()
    assert float(loss) < 1
    assert namespace["found"].verdict == ("glass", "smooth")
    shown = [line.split() for line in (DOCS / "torch.md").read_text("utf-8").splitlines()]
    assert all(line.split() in shown for line in (*printed[:4], *printed[6:11]))  # all but the numbers
    assert [line.split(":")[0] for line in printed[11:]] == list(namespace["found"].groups)
    assert (tmp_path / "profile.png").is_file()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_the_example_of_the_page_on_scikit_learn_learns_and_finds_glass(capsys):
    (example,) = examples("sklearn.md")
    exec(compile(example, "sklearn.md", "exec"), {})
    printed = capsys.readouterr().out
    assert float(re.findall(r"accuracy ([\d.]+)", printed)[0]) > 0.95
    assert re.search(r"'layer1': '(glass|mixed)', 'layer2': 'smooth'", printed)


DASK = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=DASK) if page == "guides/workers.md" else page for page in SESSIONS]
)
def test_the_examples_of_a_page_print_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(DOCS / "guides")  # the check that one of them writes
    session = "\n".join(examples(page))
    for library in ("torch", "jax", "sklearn", "distributed"):
        if re.search(rf"^>>> (import|from) {library}\b", session, re.MULTILINE):
            pytest.importorskip(library)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    failures, _ = runner.run(doctest.DocTestParser().get_doctest(session, {}, page, page, 0))
    assert failures == 0


def test_every_page_with_python_is_tested():
    """What is no session is run by a test of its own: jax.md by that of the integration."""
    pages = {
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if "_build" not in page.parts and any(not example.startswith(">>> ") for example in examples(page))
    }
    assert pages == {"study.md", "torch.md", "jax.md", "sklearn.md"}
