from dataclasses import replace

from glasscurv.networks.activations import ACTIVATIONS
from paper_checks import diffusion
from tests.paper_checks.breaks.common import smooth_relu


def only(monkeypatch, activation):
    """A few exponents of the second difference with the activation that is broken are enough."""
    monkeypatch.setattr(diffusion, "PREDICTIONS", {(activation, 2): diffusion.PREDICTIONS[activation, 2]})
    monkeypatch.setattr(diffusion, "INITIALISATIONS", {(activation, 2): 12})


def smooth(monkeypatch):
    only(monkeypatch, "relu")
    smooth_relu(monkeypatch)


def kinked_tanh(monkeypatch):
    only(monkeypatch, "tanh")
    monkeypatch.setitem(ACTIVATIONS, "tanh", replace(ACTIVATIONS["relu"], name="tanh"))


BREAKS = {
    "ReLU made smooth": smooth,
    "tanh given a kink": kinked_tanh,
}
