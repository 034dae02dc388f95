from functools import partial

import glasscurv as gc
from paper_checks import pruning
from tests.paper_checks.breaks.common import looking_at, wrong_density_matrix

on_hinges = partial(looking_at, pruning, NETWORKS=0)


def wrong_constant(monkeypatch, factor):
    monkeypatch.setattr("glasscurv.compression.saliency.GLASS_LOSS_COEFFICIENT", factor * gc.GLASS_LOSS_COEFFICIENT)


def wrong_saliency(monkeypatch, gradient=1.0, hessian=1.0):
    """The gradient or the Hessian that enters is wrong by a factor."""
    exact = gc.compression.pruning_saliency

    def broken(theta, g=None, h=None, *arguments, **options):
        g, h = (None if given is None else factor * given for factor, given in ((gradient, g), (hessian, h)))
        return exact(theta, g, h, *arguments, **options)

    monkeypatch.setattr(gc.compression, "pruning_saliency", broken)


BREAKS = {
    "loss constant c 10 % too large": on_hinges(partial(wrong_constant, factor=1.1)),
    "loss constant c 10 % too small": on_hinges(partial(wrong_constant, factor=0.9)),
    "density matrix 25 % too large": on_hinges(partial(wrong_density_matrix, factor=1.25)),
    "Hessian's term twice as large": on_hinges(partial(wrong_saliency, hessian=2.0)),
    "Hessian's term dropped": on_hinges(partial(wrong_saliency, hessian=0.0)),
    "gradient of the wrong sign": on_hinges(partial(wrong_saliency, gradient=-1.0), LANDSCAPES=400),
}
