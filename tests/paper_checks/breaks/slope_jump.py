from functools import partial

import glasscurv as gc
from paper_checks import slope_jump
from tests.paper_checks.breaks.common import kinked_tanh, looking_at, wrong_glass_kernel, wrong_hessian_vector

without_depth = partial(looking_at, slope_jump, DEPTHS=())


def steeper_leaky_relu(monkeypatch):
    exact = gc.networks.leaky_relu
    monkeypatch.setattr(gc.networks, "leaky_relu", lambda slope: exact(1.01 * slope))


def jumps_without_slope(monkeypatch):
    """Signals alone, as if the slope always jumped by 1."""
    monkeypatch.setattr(slope_jump, "DEPTHS", slope_jump.DEPTHS[:1])
    exact = gc.Crossings.density

    def broken(found):
        return exact(found) / (found.net.activation.right_slope - found.net.activation.left_slope) ** 2

    monkeypatch.setattr(gc.Crossings, "density", broken)


BREAKS = {
    "slope of leaky ReLU 1 % off": without_depth(steeper_leaky_relu),
    "jumps without the jump of the slope": jumps_without_slope,
    "glass kernel 10 % too large": without_depth(wrong_glass_kernel),
    "glass kernel 10 % too small": without_depth(partial(wrong_glass_kernel, factor=0.9)),
    "Hessian-vector product 10 % too large": without_depth(partial(wrong_hessian_vector, factor=1.1)),
    "tanh with a kink": without_depth(kinked_tanh),
}
