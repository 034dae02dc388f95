import glasscurv as gc
from glasscurv.core import steps
from paper_checks import training

ALICE = gc.Alice


def one_alice(break_it):
    """Break Alice, and train with one Alice alone: its rivals are not what is broken."""

    def broken(monkeypatch):
        monkeypatch.setattr(training, "OPTIMIZERS", {"Alice, both": training.OPTIMIZERS["Alice, both"]})
        break_it(monkeypatch)

    return broken


def ascending_alice(monkeypatch):
    """Alice walks up instead of down."""
    exact = steps.alice_update

    def broken(*arguments):
        *front, step_fraction, lookahead, move = arguments
        exact(*front, -step_fraction, -lookahead, move)

    monkeypatch.setattr(steps, "alice_update", broken)


def lazy_alice(monkeypatch):
    """Steps a hundred times too short."""
    monkeypatch.setattr(gc, "Alice", lambda theta, lr, **options: ALICE(theta, lr=lr / 100, **options))


BREAKS = {
    "Alice walks up instead of down": one_alice(ascending_alice),
    "steps of Alice a hundred times too short": one_alice(lazy_alice),
}
