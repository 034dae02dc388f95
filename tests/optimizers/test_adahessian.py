import numpy as np
import pytest

import glasscurv as gc
from tests.contracts import THETA0, OptimizerContract, smooth


class TestAdaHessian(OptimizerContract):
    def make(self, theta0, lr):
        return gc.AdaHessian(theta0, lr, rng=5)


class TestAdaHessianWithEveryOption(OptimizerContract):
    couples = True

    def make(self, theta0, lr):
        return gc.AdaHessian(
            theta0, lr, betas=(0.8, 0.99), eps=1e-3, hessian_power=0.75, block_size=4, length=0.25, rng=6
        )
