import glasscurv as gc
from paper_checks import density_training
from tests.paper_checks.breaks.common import wrong_glass_kernel


def one_epoch(monkeypatch):
    """The first epoch is enough to notice, and faster."""
    monkeypatch.setattr(density_training, "EPOCHS", (0, 1))
    monkeypatch.setattr(density_training, "LIMITS", {1: density_training.LIMITS[1]})


def large_kernel(monkeypatch):
    one_epoch(monkeypatch)
    wrong_glass_kernel(monkeypatch)


def small_kernel(monkeypatch):
    one_epoch(monkeypatch)
    wrong_glass_kernel(monkeypatch, factor=0.9)


def idle_adam(monkeypatch):
    one_epoch(monkeypatch)
    exact = gc.Adam
    monkeypatch.setattr(gc, "Adam", lambda theta, lr: exact(theta, lr=lr / 100))


BREAKS = {
    "glass kernel 10 % too large": large_kernel,
    "glass kernel 10 % too small": small_kernel,
    "steps a hundred times too short": idle_adam,
}
