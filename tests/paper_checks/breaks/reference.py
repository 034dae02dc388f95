import glasscurv as gc
from glasscurv.core import vectors
from glasscurv.optimizers import alice

ALICE = gc.Alice


def wrong_constant(monkeypatch):
    monkeypatch.setattr(alice, "GLASS_STEP_COEFFICIENT", 1.1 * gc.GLASS_STEP_COEFFICIENT)


def rounded_constant(monkeypatch):
    monkeypatch.setattr(alice, "GLASS_STEP_COEFFICIENT", 0.238732)


def hessian_dropped(monkeypatch):
    monkeypatch.setitem(alice.HESSIANS, "abs", alice.HESSIANS["zero"])


def wrong_step_fraction(monkeypatch):
    def broken(theta, step_fraction, **options):
        return ALICE(theta, step_fraction=1.1 * step_fraction, **options)

    monkeypatch.setattr(gc, "Alice", broken)


def opposite_order(monkeypatch):
    perturb = vectors.perturb

    def broken(center, direction, length, sign, out):
        perturb(center, direction, length, -sign, out)

    monkeypatch.setattr(vectors, "perturb", broken)


def gaussian_directions(monkeypatch):
    def broken(distribution, out, rng):
        out[:] = rng.standard_normal(out.size)

    monkeypatch.setattr(alice, "draw_direction", broken)


BREAKS = {
    "step constant 10 % too large": wrong_constant,
    "step constant rounded as in the reference": rounded_constant,
    "Hessian term dropped": hessian_dropped,
    "step fraction 10 % too large": wrong_step_fraction,
    "gradient at −z taken before that at +z": opposite_order,
    "Gaussian directions": gaussian_directions,
}
