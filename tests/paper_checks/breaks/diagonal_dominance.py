from functools import partial

import glasscurv as gc
from paper_checks import diagonal_dominance
from tests.paper_checks.breaks.common import wrong_covariance, wrong_density_matrix


def only(state, break_it):
    """Break the library, and look at networks of one kind beside the hinges: they are enough, and faster."""

    def broken(monkeypatch):
        monkeypatch.setattr(diagonal_dominance, "NETWORKS", {state: diagonal_dominance.NETWORKS[state]})
        break_it(monkeypatch)

    return broken


def inputs_without_sign(monkeypatch):
    """The gradient of every weight loses the sign of its input, as if ∇y_k were |x|."""
    exact = gc.MLP.value_and_grad
    monkeypatch.setattr(gc.MLP, "value_and_grad", lambda net, theta, X, y: exact(net, theta, abs(X), y))


BREAKS = {
    "density matrix 10 % too large": only("centred pixels", wrong_density_matrix),
    "density matrix 10 % too small": only("centred pixels", partial(wrong_density_matrix, factor=0.9)),
    "covariance of (2) 10 % too large": only("centred pixels", wrong_covariance),
    "inputs lose their sign": only("centred pixels", inputs_without_sign),
}
