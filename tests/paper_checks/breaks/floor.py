from functools import partial

import glasscurv as gc
from paper_checks import floor, lines
from tests.paper_checks.breaks.common import looking_at, scaled, wrong_hessian_vector, wrong_loss_constant

on_hinges = partial(looking_at, floor, KINDS={}, _network_findings=lambda samples, ax: [], LANDSCAPES=6000)


def wrong_directional_density(monkeypatch):
    monkeypatch.setattr(gc.RandomHinges, "directional_density", scaled(gc.RandomHinges.directional_density, 1.25))


def signals_of_one_size(monkeypatch):
    """Signs instead of normal signals: the same density, but E j²/E|j| is smaller."""
    draw = lines.draw_landscapes

    def broken(toy, count, rng):
        offsets, signals = draw(toy, count, rng)
        return offsets, toy.signal_scale * (2.0 * (signals > 0) - 1)

    monkeypatch.setattr(lines, "draw_landscapes", broken)


def on_trained_networks(monkeypatch):
    monkeypatch.setattr(floor, "KINDS", {"trained, gradient": floor.KINDS["trained, gradient"]})
    monkeypatch.setattr(floor, "_on_hinges", lambda settings, ax: [])
    wrong_hessian_vector(monkeypatch)


BREAKS = {
    "loss constant c 10 % too large": on_hinges(wrong_loss_constant),
    "loss constant c 10 % too small": on_hinges(partial(wrong_loss_constant, factor=0.9)),
    "directional density 25 % too large": on_hinges(wrong_directional_density),
    "signals of one size instead of normal ones": on_hinges(signals_of_one_size),
    "Hessian-vector product 50 % too large": on_trained_networks,
}
