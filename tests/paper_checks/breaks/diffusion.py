from dataclasses import replace

from glasscurv.networks.activations import ACTIVATIONS
from tests.paper_checks.breaks.common import smooth_relu


def kinked_tanh(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "tanh", replace(ACTIVATIONS["relu"], name="tanh"))


BREAKS = {
    "ReLU made smooth": smooth_relu,
    "tanh given a kink": kinked_tanh,
}
