"""Optimal finite-difference kernels for the Hessian and the glass (theory, section 3).

=============  ==========================================================
code           theory
=============  ==========================================================
``nodes``      t_0 < … < t_m, positions on the line in units of σ
``length``     σ
``weights``    rows that act on the gradients at the nodes
``gradients``  g(t_k) = ∇L(μ + t_k σ z), one row a node
=============  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray
from glasscurv._validation import matrix, number, real_array, vector


@dataclass(frozen=True, eq=False)
class Kernel:
    """A finite-difference rule on gradients along one line.

    Parameters
    ----------
    nodes : float64 ndarray of shape (m,)
        Where the gradients are taken, in units of the perturbation length.
    weights : float64 ndarray of shape (r, m)
        One row of weights a contrast; every row sums to 0. The Hessian has r = 1 row, the glass m − 2.
    term : {"hessian", "glass"}
        What `apply` returns.

    See Also
    --------
    hessian_kernel : The rule for the Hessian-vector product.
    glass_kernel : The rule for the glass density.

    References
    ----------
    Theory, section 3.

    Examples
    --------
    >>> import glasscurv as gc
    >>> kernel = gc.glass_kernel((-2, -1, 0, 1, 2))
    >>> kernel.term, kernel.nodes, kernel.weights.shape
    ('glass', array([-2., -1.,  0.,  1.,  2.]), (3, 5))
    """

    nodes: FloatArray
    weights: FloatArray
    term: Literal["hessian", "glass"]

    def apply(self, gradients: ArrayLike, length: float) -> FloatArray:
        r"""Turn gradients on a line into a Hessian-vector product or a glass density.

        Parameters
        ----------
        gradients : array_like of shape (m, n)
            Gradients (loss/length) at ``center + nodes[k] * length * direction``, all on the same minibatch and with
            the same random state. Different minibatches would add 3η²/σ to the density, η² being the variance of
            the gradient noise.
        length : float
            Perturbation length σ > 0.

        Returns
        -------
        ndarray of shape (n,)
            The Hessian times the direction (gradient/length), or the glass density (gradient²/length). The
            density is that of the unit movement |z_i| = 1; divide by E|z| for other directions.

        Raises
        ------
        ValueError, TypeError
            `gradients` is not a finite (m, n) array or `length` is not positive.

        Notes
        -----
        The density is :math:`\hat\rho = \frac{1}{r\sigma} \sum_j (\sum_k w_{jk} g_k)^2`, equation (9). For
        one direction r ρ̂/ρ ~ χ²(r) when many boundaries are crossed.

        References
        ----------
        Theory, section 3, equations (9) and (10).

        Examples
        --------
        The glass kernel does not see a quadratic loss; the Hessian kernel sees nothing else.

        >>> import numpy as np, glasscurv as gc
        >>> hessian, direction = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, -1.0])
        >>> line = [hessian @ (t * 0.1 * direction) for t in (-1, 0, 1)]
        >>> gc.glass_kernel().apply(line, length=0.1).round(12)
        array([0., 0.])
        >>> gc.hessian_kernel().apply(line, length=0.1).round(12)
        array([ 1., -2.])
        """
        sigma = number(length, "length", 0, open_low=True)
        values = matrix(gradients, "gradients")
        if values.shape[0] != self.nodes.size:
            raise ValueError(
                f"gradients must have one row for each of the {self.nodes.size} nodes, got shape {values.shape}"
            )
        # The weights add up to 0 only but for rounding: a common offset is taken off first, in double precision.
        contrasts = self.weights[:, 1:] @ (values[1:].astype(np.float64) - values[:1])
        if self.term == "hessian":
            product: FloatArray = (contrasts[0] / sigma).astype(values.dtype)
            return product
        density: FloatArray = (np.square(contrasts).sum(axis=0) / (len(contrasts) * sigma)).astype(values.dtype)
        return density


def hessian_kernel(nodes: ArrayLike = (-1, 0, 1)) -> Kernel:
    r"""Return the best linear unbiased rule for the Hessian-vector product.

    Along the line the gradient is g₀ + b t + W(t), with W a two-sided Brownian motion (the glass). The increments
    between nodes are independent with mean bΔσ and variance ρΔσ, so generalised least squares puts all weight on
    the two end nodes: the variance ρ/((t_m − t_0)σ) is the least of all linear unbiased rules.

    Parameters
    ----------
    nodes : array_like of shape (m,)
        Strictly increasing positions, m ≥ 2, in units of the perturbation length.

    Returns
    -------
    Kernel
        Rule with ``weights`` of shape (1, m): −1/(t_m − t_0), 0, …, 0, 1/(t_m − t_0).

    Raises
    ------
    ValueError, TypeError
        `nodes` is not a strictly increasing finite vector of two or more entries.

    See Also
    --------
    glass_kernel : The rule for the glass density.
    Kernel.apply : Turn gradients into the Hessian-vector product.
    estimate_curvature : Estimate the Hessian and the glass by these rules.

    References
    ----------
    Theory, section 3; [D24] for nodes −1, 0, 1.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.hessian_kernel((-1, 0, 1)).weights
    array([[-0.5,  0. ,  0.5]])
    """
    positions = _increasing(nodes, at_least=2)
    weights = np.zeros((1, positions.size))
    weights[0, -1] = 1 / (positions[-1] - positions[0])
    weights[0, 0] = -weights[0, -1]
    return Kernel(positions, weights, "hessian")


def glass_kernel(nodes: ArrayLike = (-1, 0, 1)) -> Kernel:
    r"""Return the minimum-variance unbiased rule for the glass density.

    With Δ_k = t_k − t_{k−1}, the normalised increments D_k = (g(t_k) − g(t_{k−1}))/sqrt(Δ_k σ) are independent
    with variance ρ and mean proportional to sqrt(Δ_k). The rows of ``weights`` are an orthonormal basis of the
    complement of (sqrt Δ_k), applied to D: they annihilate constants and every linear gradient, so the Hessian does
    not enter, and the mean of their squares is the estimator of equation (9) with variance 2ρ²/r, r = m − 2. For
    Gaussian increments no unbiased estimator has a smaller one.

    Parameters
    ----------
    nodes : array_like of shape (m,)
        Strictly increasing positions, m ≥ 3, in units of the perturbation length.

    Returns
    -------
    Kernel
        Rule with ``weights`` of shape (m − 2, m). Nodes −1, 0, 1 give ρ̂ = 2d²/σ with d = ½(g₊ + g₋) − g₀, equation
        (10).

    Raises
    ------
    ValueError, TypeError
        `nodes` is not a strictly increasing finite vector of three or more entries.

    See Also
    --------
    hessian_kernel : The rule for the Hessian-vector product.
    Kernel.apply : Turn gradients into the glass density.
    estimate_curvature : Estimate the Hessian and the glass by these rules.

    References
    ----------
    Theory, section 3, equations (9) and (10); [D24] for nodes −1, 0, 1.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> kernel = gc.glass_kernel((-1, 0, 1))
    >>> abs(kernel.weights / np.sqrt(2)).round(12)
    array([[0.5, 1. , 0.5]])
    >>> bool(np.allclose(kernel.weights @ np.stack([np.ones(3), kernel.nodes]).T, 0, atol=1e-15))
    True
    """
    positions = _increasing(nodes, at_least=3)
    root_spacing = np.sqrt(np.diff(positions))
    increments = (np.eye(positions.size)[1:] - np.eye(positions.size)[:-1]) / root_spacing[:, None]
    return Kernel(positions, scipy.linalg.null_space(root_spacing[None, :]).T @ increments, "glass")


def _increasing(nodes: ArrayLike, at_least: int) -> FloatArray:
    positions = vector(nodes, "nodes").astype(np.float64)
    if positions.size < at_least:
        raise ValueError(f"nodes must hold at least {at_least} positions, got {positions.size}")
    if (np.diff(positions) <= 0).any():
        raise ValueError(f"nodes must increase strictly, got {real_array(nodes, 'nodes').tolist()}")
    return positions
