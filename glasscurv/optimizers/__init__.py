"""Optimizers behind one interface: ``loss = optimizer.step(value_and_grad)``."""

from glasscurv.optimizers.adahessian import AdaHessian
from glasscurv.optimizers.adam import Adam, AdamW
from glasscurv.optimizers.alice import Alice
from glasscurv.optimizers.base import Optimizer
from glasscurv.optimizers.sgd import SGD

__all__ = ["SGD", "AdaHessian", "Adam", "AdamW", "Alice", "Optimizer"]
