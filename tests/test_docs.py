"""Every Python example of the documentation pages runs."""

import re
from pathlib import Path

import numba
import pytest

DOCS = Path(__file__).parent.parent / "docs"


def examples(page):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_the_page_on_training_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for example in examples("training.md"):
        exec(compile(example, "training.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "\n8\n" in printed
    assert "(64, 64, 64, 10) finished" in printed
    (times,) = re.findall(r"\n(\d+)\n<CompressedNetwork: 64-64-64-10 network, .* zeros, weights of 4 bits>", printed)
    assert 130 <= int(times) <= 150
    exponents = [float(number) for number in re.findall(r"'layer1': ([\d.]+)", printed)]
    assert [abs(exponent - 1) < 0.3 for exponent in exponents] == [True, True]  # glass
    assert ", kept=1270 of 8970, " in printed
    assert {file.name for file in tmp_path.iterdir()} == {
        "digits.ckpt", "digits.ckpt.previous", "small.ckpt", "epochs.csv", "snapshots.csv", "history.json",
    }  # fmt: skip


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
    assert all(line.split() in shown for line in (*printed[:4], *printed[6:10]))  # all but the numbers
    assert [line.split(":")[0] for line in printed[10:]] == list(namespace["found"].groups)
    assert (tmp_path / "profile.png").is_file()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes long in plain Python")
def test_the_example_of_the_page_on_scikit_learn_learns_and_finds_glass(capsys):
    (example,) = examples("sklearn.md")
    exec(compile(example, "sklearn.md", "exec"), {})
    printed = capsys.readouterr().out
    assert float(re.findall(r"accuracy ([\d.]+)", printed)[0]) > 0.95
    assert re.search(r"'layer1': '(glass|mixed)', 'layer2': 'smooth'", printed)


def test_every_page_with_python_is_tested():
    pages = {"training.md", "study.md", "torch.md", "jax.md", "sklearn.md"}  # jax.md runs elsewhere
    assert {page.name for page in DOCS.glob("*.md") if examples(page.name)} == pages
