"""Exactness of averaged look-ahead gradients (theory, section 7).

The recursion, with β, ω (``lookahead``) and φ (``step_fraction``):

    G_t = β G_{t−1} + (1−β) ∇L(ν_t),   ν_{t+1} = μ_t + ω δ_t,   μ_{t+1} = μ_t + φ δ_t.

If L is quadratic, G_0 = ∇L(μ_0) and φ = (1−β) ω, then G_t = ∇L(μ_t) for every t, whatever the steps δ_t.
"""

from __future__ import annotations

from glasscurv._validation import number

__all__ = ["averaged_noise_variance", "exact_step_fraction"]


def exact_step_fraction(beta: float, lookahead: float = 1.0) -> float:
    """Return φ = (1−β) ω, the step fraction that makes the averaged gradient exact on every quadratic.

    Parameters
    ----------
    beta : float
        Averaging weight β in [0, 1) of the gradient. For a weight that varies, the one with which the average will
        receive the gradient taken at this step's look-ahead point: φ_t = (1−β_{t+1}) ω.
    lookahead : float
        Multiple ω ≥ 0 of the step at which the next gradient is taken.

    Returns
    -------
    float
        Fraction φ of the step that the centre takes (dimensionless).

    Raises
    ------
    ValueError, TypeError
        An argument is not a number in its range.

    See Also
    --------
    nesterov.averaged_noise_variance : The variance that is left in the averaged gradient.
    Alice : The optimizer that takes this fraction by default.

    Notes
    -----
    ∇L is affine, so ∇L(ν_{t+1}) = ∇L(μ_t) + ωHδ_t and G_{t+1} = ∇L(μ_t) + (1−β)ωHδ_t = ∇L(μ_t + φδ_t). With another φ
    each step adds the error ((1−β)ω − φ)Hδ_t. The result holds with L2 regularisation, whose gradient is affine,
    and fails with L1.

    References
    ----------
    Theory, section 7.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.exact_step_fraction(0.75, lookahead=2.0)
    0.5
    """
    weight = number(beta, "beta", 0, 1, open_high=True)
    return (1 - weight) * number(lookahead, "lookahead", 0)


def averaged_noise_variance(beta: float, noise_variance: float) -> float:
    """Return η²(1−β)/(1+β), the steady-state variance of G_t under independent gradient noise of variance η².

    Parameters
    ----------
    beta : float
        Averaging weight β in [0, 1).
    noise_variance : float
        Variance η² ≥ 0 of one gradient (gradient²).

    Returns
    -------
    float
        Variance of the averaged gradient (gradient²).

    Raises
    ------
    ValueError, TypeError
        An argument is not a number in its range.

    See Also
    --------
    glasscurv.exact_step_fraction : The step fraction that makes the averaged gradient exact.

    References
    ----------
    Theory, section 7: Σ_k ((1−β)β^k)² = (1−β)/(1+β).

    Examples
    --------
    >>> from glasscurv.nesterov import averaged_noise_variance
    >>> averaged_noise_variance(0.5, 3.0)
    1.0
    """
    weight = number(beta, "beta", 0, 1, open_high=True)
    return number(noise_variance, "noise_variance", 0) * (1 - weight) / (1 + weight)
