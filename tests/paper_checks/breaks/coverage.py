from functools import partial

import glasscurv as gc
from paper_checks import coverage
from tests.paper_checks.breaks.common import looking_at, scaled, wrong_loss_constant

on_hinges = partial(looking_at, coverage, NETWORKS={})


def wrong_exact_density(monkeypatch):
    monkeypatch.setattr(gc.RandomHinges, "directional_density", scaled(gc.RandomHinges.directional_density, 1.25))


def wrong_estimated_density(monkeypatch):
    """Twice the density, as if the increments were divided by half of their spacing."""
    exact = gc.directional_density
    monkeypatch.setattr(gc, "directional_density", lambda *arguments, **options: 2 * exact(*arguments, **options))


def independent_for_coordinate(monkeypatch):
    """(8b) in the place of (8a)."""
    exact = gc.expected_glass_change
    monkeypatch.setattr(
        gc, "expected_glass_change", lambda delta, density, model="": exact(delta, density, "independent")
    )


BREAKS = {
    "loss constant c 10 % too large": on_hinges(wrong_loss_constant),
    "loss constant c 10 % too small": on_hinges(partial(wrong_loss_constant, factor=0.9)),
    "directional density of the toy 25 % too large": on_hinges(wrong_exact_density),
    "estimated directional density twice as large": on_hinges(wrong_estimated_density),
    "(8b) in the place of (8a)": on_hinges(independent_for_coordinate),
}
