import glasscurv as gc
from glasscurv.core import steps
from glasscurv.networks.activations import ACTIVATIONS
from glasscurv.optimizers import alice
from paper_checks import curvature_terms
from paper_checks.curvature_terms import AT_EXTREME, COMPARISONS, RELU, SILU
from tests.paper_checks.breaks.common import looking_at, smooth_relu

ALICE = gc.Alice


def only(break_it, names=(), extreme=()):
    rows = tuple(row for row in COMPARISONS if row.name in names and row.setup.choice == "glass + Hessian")
    at_extreme = {choice: AT_EXTREME[choice] for choice in extreme}
    return looking_at(curvature_terms, break_it, COMPARISONS=rows, AT_EXTREME=at_extreme, SEEDS=12)


def without_glass(monkeypatch):
    monkeypatch.setattr(alice, "GLASS_STEP_COEFFICIENT", 0.0)


def without_hessian(monkeypatch):
    monkeypatch.setitem(alice.HESSIANS, "abs", alice.HESSIANS["zero"])


def without_curvature(monkeypatch):
    without_glass(monkeypatch)
    without_hessian(monkeypatch)


def kinked_silu(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "silu", ACTIVATIONS["relu"])


def larger_glass(monkeypatch):
    monkeypatch.setattr(alice, "GLASS_STEP_COEFFICIENT", 1.1 * alice.GLASS_STEP_COEFFICIENT)


def coordinate_for_joint(monkeypatch):
    monkeypatch.setattr(gc, "Alice", lambda *arguments, **options: ALICE(*arguments, **options | {"joint": False}))


def first_differences(monkeypatch):
    """The density from one-sided differences, which the Hessian disturbs."""
    exact = steps.alice_curvature

    def broken(plus, minus, center, *others):
        exact(plus, minus, center, *others)
        return exact(plus, center, center, *others)

    monkeypatch.setattr(steps, "alice_curvature", broken)


BREAKS = {
    "glass left out of Alice's step": only(without_glass, ["spirals, two layers"]),
    "Hessian left out of Alice's step": only(without_hessian, extreme=["bounds alone"]),
    "no curvature in Alice's step": only(without_curvature, ["spirals, two layers"], ["bounds alone"]),
    "ReLU without a kink": only(smooth_relu, [RELU]),
    "SiLU with a kink": only(kinked_silu, [SILU]),
    "glass in Alice's step 10 % too strong": only(larger_glass),
    "coordinate step for the joint one": only(coordinate_for_joint),
    "glass from first differences": only(first_differences, [SILU]),
}
