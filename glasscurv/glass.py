"""How the loss changes under a displacement (theory, section 2).

===============  ==========================  =========================================
code             theory                      meaning
===============  ==========================  =========================================
``coordinate``   c Σ sqrt(ρ_i) |δ_i|^{3/2}   (8a), separable, the authors' model
``independent``  c sqrt(Σ ρ_i |δ_i|³)        (8b), coordinates with independent glass
directional      c sqrt(ρ_u) ‖δ‖^{3/2}       (8c), measured along the direction itself
===============  ==========================  =========================================

Only the directional model holds along an arbitrary direction: it is the absolute mean of the random part of the change,
or above it. The coordinate model is pessimistic for random displacements (30 times too large on a digits network). The
independent one is too small by sqrt(2) for random displacements of many coordinates, because a movement crosses most
often the boundaries along whose normals it runs; it is a bound only where few coordinates move. Along aligned
directions (the gradient's) it is too small by ten times and more, and the coordinate model can be too small as well.

No model contains the mean of the change, which is not zero where the signals at the kinks do not average to zero, as
after training. It is a curvature: differences of gradients see it, the exact Hessian does not. Take h in (8) from such
differences over the length of the movement.
"""

from __future__ import annotations

import math
from typing import Literal

from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray
from glasscurv._validation import broadcast_vector, choice, nonnegative_vector, number, vector
from glasscurv.constants import GLASS_LOSS_COEFFICIENT
from glasscurv.core import glass as core

Model = Literal["coordinate", "independent"]


def expected_glass_change(displacement: ArrayLike, density: ArrayLike, model: Model = "coordinate") -> float:
    """Return the expected loss increase G(δ) that the glass causes.

    Parameters
    ----------
    displacement : array_like of shape (n,)
        Parameter movement δ (length).
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 of every coordinate (gradient²/length).
    model : {"coordinate", "independent"}
        Equation (8a) or (8b).

    Returns
    -------
    float
        Expected increase G(δ) ≥ 0 (loss).

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, a negative density or an unknown model.

    See Also
    --------
    directional_glass_change : Expected absolute change along one direction, whose density is known.
    predict_loss_change : Add the gradient and the Hessian.
    estimate_curvature : Estimate the density of every coordinate.

    Notes
    -----
    Neither model is a bound for every direction. The coordinate model is pessimistic for random movements of many
    coordinates, the independent one is a bound only where few coordinates move, and along aligned directions, such as
    the gradient's, both can be too small.

    References
    ----------
    Theory, section 2, equations (8a) [D24] and (8b).

    Examples
    --------
    >>> import glasscurv as gc
    >>> round(gc.expected_glass_change([0.01, -0.04], [1.0, 4.0]), 6)
    0.007831
    >>> round(gc.expected_glass_change([0.01, -0.04], [1.0, 4.0], model="independent"), 6)
    0.007385
    """
    delta = vector(displacement, "displacement")
    rho = nonnegative_vector(density, "density", delta.size)
    return _glass_change(delta, rho, model)


def directional_glass_change(distance: float, directional_density: float) -> float:
    r"""Return c sqrt(ρ_u) t^{3/2}, the expected absolute glass change of the loss along one direction.

    With X the glass part of the loss change after a distance t: E X = 0, Var X = ρ_u t³/3, and E|X| is at most this
    value when X is a variance mixture of Gaussians (Gaussian jumps, any number of crossings) or the boundaries are
    independent (symmetric jumps of any law), with equality in the dense limit.

    Parameters
    ----------
    distance : float
        Distance t ≥ 0 moved along a unit direction u (length).
    directional_density : float
        Variance ρ_u ≥ 0 of u·v per unit length (gradient²/length).

    Returns
    -------
    float
        Expected absolute change ≥ 0 (loss).

    Raises
    ------
    ValueError, TypeError
        An argument is negative, not finite or not a number.

    See Also
    --------
    directional_density : Estimate the density along a direction.
    expected_glass_change : Models that need the densities of the coordinates only.

    Notes
    -----
    Where the signals at the kinks do not average to zero, as after training, X has a mean as well, which this leaves
    out. It is a curvature: differences of gradients over the length of the movement see it, the exact Hessian does not.

    References
    ----------
    Theory, section 2, equations (5) to (7) and (8c).

    Examples
    --------
    >>> import glasscurv as gc
    >>> round(gc.directional_glass_change(distance=0.25, directional_density=4.0), 6)
    0.115165
    """
    t = number(distance, "distance", 0)
    rho = number(directional_density, "directional_density", 0)
    return GLASS_LOSS_COEFFICIENT * math.sqrt(rho) * t * math.sqrt(t)


def predict_loss_change(
    displacement: ArrayLike,
    gradient: ArrayLike,
    hessian: ArrayLike,
    density: ArrayLike,
    model: Model = "coordinate",
) -> float:
    """Return the loss change g·δ + ½ Σ h_i δ_i² + G(δ) of equation (8), with a diagonal Hessian.

    Parameters
    ----------
    displacement : array_like of shape (n,)
        Parameter movement δ (length).
    gradient : array_like of shape (n,)
        Gradient g where the movement starts (loss/length).
    hessian : array_like of shape (n,) or float
        Diagonal of the Hessian (gradient/length); it may be negative.
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 of every coordinate (gradient²/length).
    model : {"coordinate", "independent"}
        The glass term, as in `expected_glass_change`.

    Returns
    -------
    float
        Predicted change (loss).

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, a negative density or an unknown model.

    See Also
    --------
    expected_glass_change : The glass term by itself.
    estimate_curvature : Estimate density and Hessian.
    predicted_decrease : The decrease that a step promises.

    References
    ----------
    Theory, section 2, equation (8).

    Examples
    --------
    >>> import glasscurv as gc
    >>> round(gc.predict_loss_change([-0.1, 0.0], gradient=[1.0, 2.0], hessian=4.0, density=0.0), 12)
    -0.08
    """
    delta = vector(displacement, "displacement")
    g = vector(gradient, "gradient", delta.size)
    h = broadcast_vector(hessian, "hessian", delta.size)
    rho = nonnegative_vector(density, "density", delta.size)
    return float(core.quadratic_sum(delta, g, h)) + _glass_change(delta, rho, model)


def _glass_change(delta: FloatArray, rho: FloatArray, model: Model) -> float:
    if choice(model, "model", ("coordinate", "independent")) == "coordinate":
        return GLASS_LOSS_COEFFICIENT * float(core.coordinate_sum(delta, rho))
    return GLASS_LOSS_COEFFICIENT * float(core.independent_norm(delta, rho))
