import glasscurv as gc
from glasscurv.optimizers import alice
from paper_checks import step_bounds
from tests.paper_checks.breaks.common import looking_at, scaled

ALICE = gc.Alice


def with_shares(break_it, names=()):
    shares = tuple(row for row in step_bounds.SHARES if row[0] in names)
    return looking_at(step_bounds, break_it, SHARES=shares)


def no_bounds(monkeypatch):
    monkeypatch.setattr(gc, "Alice", lambda *arguments, **options: ALICE(*arguments, **options | {"lr_max": 1e300}))


def wider_bounds(monkeypatch):
    def wider(*arguments, lr_max=None, **options):
        return ALICE(*arguments, lr_max=lr_max and 1.1 * lr_max, **options)

    monkeypatch.setattr(gc, "Alice", wider)


def sgdm_for_adam(monkeypatch):
    monkeypatch.setitem(alice.LIMITERS, "adam", alice.LIMITERS["sgdm"])


def abs_for_rms(monkeypatch):
    monkeypatch.setitem(alice.HESSIANS, "rms", alice.HESSIANS["abs"])


def shorter_centre_step(monkeypatch):
    monkeypatch.setattr(alice, "exact_step_fraction", scaled(alice.exact_step_fraction, 0.9))


def always_bounded(monkeypatch):
    """The default bounds, whatever is asked for."""
    monkeypatch.setattr(gc, "Alice", lambda *arguments, **options: ALICE(*arguments, **options | {"lr_max": None}))


BREAKS = {
    "bounds of the step ignored": with_shares(no_bounds, ["ReLU, glass and Hessian, adam bounds"]),
    "default bounds where none are asked for": with_shares(always_bounded, ["ReLU, glass and Hessian, no bounds"]),
    "upper bound 10 % too wide": with_shares(wider_bounds),
    "bounds in the unit of SGD for those of Adam": with_shares(sgdm_for_adam),
    "rms curvature without its root": with_shares(abs_for_rms),
    "step fraction φ 10 % too small": with_shares(shorter_centre_step),
}
