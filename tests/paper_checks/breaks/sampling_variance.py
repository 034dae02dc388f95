from functools import partial

import glasscurv as gc
from paper_checks import sampling_variance
from tests.paper_checks.breaks.common import gaussian_for_rademacher, wrong_glass_kernel


def one_law(name, break_it):
    """Break what one law shows, and measure no other."""

    def broken(monkeypatch):
        break_it(monkeypatch)
        law = sampling_variance.laws()[name]
        monkeypatch.setattr(sampling_variance, "laws", lambda: {name: law})

    return broken


def gaussian_for_sphere(monkeypatch):
    """Directions that are not brought to the sphere: the moments are nearly right, the coordinates independent."""
    monkeypatch.setattr(gc.Sphere, "sample", lambda self, n, rng=None: gc.Gaussian().sample(n, rng))


def uniform_for_gaussian(monkeypatch):
    """Uniform directions of the right mean square."""
    monkeypatch.setattr(gc.Gaussian, "sample", lambda self, n, rng=None: 3**0.5 * gc.Uniform(-1, 1).sample(n, rng))


def wrong_first_moment(monkeypatch):
    """E|z| of the Gaussian law 10 % too large: densities are normalised by it."""
    exact = gc.Gaussian.absolute_moment
    monkeypatch.setattr(gc.Gaussian, "absolute_moment", lambda self, p: (1.1 if p == 1 else 1.0) * exact(self, p))


BREAKS = {
    "Gaussian for Rademacher": one_law("Rademacher", gaussian_for_rademacher),
    "Gaussian for the sphere": one_law("sphere", gaussian_for_sphere),
    "uniform for Gaussian": one_law("Gaussian", uniform_for_gaussian),
    "E|z| of the Gaussian law 10 % too large": one_law("Gaussian", wrong_first_moment),
    "glass kernel 10 % too large": one_law("Rademacher", wrong_glass_kernel),
    "glass kernel 10 % too small": one_law("Rademacher", partial(wrong_glass_kernel, factor=0.9)),
}
