from functools import partial

import glasscurv as gc
from tests.paper_checks.breaks.common import wrong_covariance, wrong_density_matrix


def inputs_without_sign(monkeypatch):
    """The gradient of every weight loses the sign of its input, as if ∇y_k were |x|."""
    exact = gc.MLP.value_and_grad
    monkeypatch.setattr(gc.MLP, "value_and_grad", lambda net, theta, X, y: exact(net, theta, abs(X), y))


BREAKS = {
    "density matrix 10 % too large": wrong_density_matrix,
    "density matrix 10 % too small": partial(wrong_density_matrix, factor=0.9),
    "covariance of (2) 10 % too large": wrong_covariance,
    "inputs lose their sign": inputs_without_sign,
}
