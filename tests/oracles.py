"""Slow, obvious rewrites of the theory, independent of the code under test."""

import math

import mpmath
import numpy as np

C = mpmath.sqrt(2 / (3 * mpmath.pi))


def two_sided_brownian_covariance(nodes, density, length):
    """Cov[W(s), W(t)] = ρ σ min(|s|, |t|) on the same side of 0, else 0 (theory, section 3)."""
    m = len(nodes)
    covariance = np.zeros((m, m))
    for i in range(m):
        for j in range(m):
            if nodes[i] * nodes[j] > 0:
                covariance[i, j] = density * length * min(abs(nodes[i]), abs(nodes[j]))
    return covariance


def step_model(d, slope, hessian, density):
    """m(d) = −|g| d + ½ h d² + c sqrt(ρ) d^{3/2} (section 5)."""
    return -slope * d + hessian * d**2 / 2 + float(C) * math.sqrt(density) * d**1.5


def best_step_length(slope, hessian, density):
    """Minimiser of m(d) to 50 digits, by bisection on the sign of m'."""
    with mpmath.workdps(50):
        g, h, rho = mpmath.mpf(slope), mpmath.mpf(hessian), mpmath.mpf(density)
        # The minimiser is below both one-term minimisers and above a quarter of the smaller: m' < 0 there.
        single = [g / h] if h else []
        single += [(2 * g / (3 * mpmath.sqrt(2 / (3 * mpmath.pi)) * mpmath.sqrt(rho))) ** 2] if rho else []
        high = min(single)
        low = high / 4
        for _ in range(170):
            middle = (low + high) / 2
            glass = mpmath.mpf(3) / 2 * mpmath.sqrt(2 / (3 * mpmath.pi)) * mpmath.sqrt(rho * middle)
            if -g + h * middle + glass < 0:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def joint_model(d, slope, hessian, density):
    """Σ (−|g| d + ½ h d²) + c sqrt(Σ ρ d³) (section 5, joint step)."""
    return float(np.sum(-slope * d + hessian * d**2 / 2) + float(C) * np.sqrt(np.sum(density * d**3)))


def joint_model_gradient(d, slope, hessian, density):
    """Gradient of `joint_model` for d > 0."""
    root = np.sqrt(np.sum(density * d**3))
    return -slope + hessian * d + 1.5 * float(C) * density * d**2 / root


def joint_model_hessian(d, hessian, density):
    """Hessian of `joint_model` for d > 0."""
    root = np.sqrt(np.sum(density * d**3))
    slope = 1.5 * density * d**2 / root
    return np.diag(hessian) + float(C) * (np.diag(3 * density * d / root) - np.outer(slope, slope) / root)
