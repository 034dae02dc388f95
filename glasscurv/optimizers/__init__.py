"""Optimizers behind one interface: ``loss = optimizer.step(value_and_grad)``."""

from glasscurv.optimizers.adam import Adam
from glasscurv.optimizers.alice import Alice
from glasscurv.optimizers.base import Optimizer
from glasscurv.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "Alice", "Optimizer"]
