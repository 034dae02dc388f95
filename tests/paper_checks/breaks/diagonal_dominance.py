from functools import partial

import glasscurv as gc
from paper_checks import diagonal_dominance
from tests.paper_checks.breaks.common import looking_at, wrong_covariance, wrong_density_matrix

centred_pixels = partial(
    looking_at, diagonal_dominance, NETWORKS={"centred pixels": diagonal_dominance.NETWORKS["centred pixels"]}
)


def inputs_without_sign(monkeypatch):
    """The gradient of every weight loses the sign of its input, as if ∇y_k were |x|."""
    exact = gc.MLP.value_and_grad
    monkeypatch.setattr(gc.MLP, "value_and_grad", lambda net, theta, X, y: exact(net, theta, abs(X), y))


BREAKS = {
    "density matrix 10 % too large": centred_pixels(wrong_density_matrix),
    "density matrix 10 % too small": centred_pixels(partial(wrong_density_matrix, factor=0.9)),
    "covariance of (2) 10 % too large": centred_pixels(wrong_covariance),
    "inputs lose their sign": centred_pixels(inputs_without_sign),
}
