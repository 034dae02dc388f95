"""What a check returns, and when it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STANDARD_ERRORS = 5.0
"""Half-width of every statistical interval: a correct implementation misses one in 1.7 million times.

Few samples do not say well how much they scatter; Student's law makes their intervals wider at the same error rate.
"""

RESOLUTION = 0.1
"""A finding must be able to notice a prediction that is 10 % off, or as far off as it says itself."""


@dataclass(frozen=True)
class Settings:
    """How a check is to be run.

    Attributes
    ----------
    rng : Generator
        Source of all randomness of the check.
    scale : int
        Factor on the sample sizes: 1 for the quick form, more for the full one.
    """

    rng: np.random.Generator
    scale: int = 1


@dataclass(frozen=True)
class Finding:
    """One predicted and one measured number.

    Attributes
    ----------
    quantity : str
        What was measured.
    prediction, measurement : float
        The two numbers.
    interval : float
        Half-width of the measurement's interval, five standard errors; 0 for a deterministic quantity.
    tolerance : float
        Difference allowed on top of the interval: rounding, or a stated approximation of the theory.
    relation : {"=", "<=", ">="}
        What the claim says of the measurement against the prediction.
    scale : float, optional
        Size that the prediction is judged by; its own absolute value by default. A predicted 0 needs one.
    resolution : float
        The error of the prediction, as a share of `scale`, that the finding promises to notice.
    samples : int
        Number of independent samples behind the interval; 0 where it was put together from several.
    """

    quantity: str
    prediction: float
    measurement: float
    interval: float = 0.0
    tolerance: float = 0.0
    relation: Literal["=", "<=", ">="] = "="
    scale: float | None = None
    resolution: float = RESOLUTION
    samples: int = 0

    @property
    def holds(self) -> bool:
        """Whether measurement and prediction agree, and the measurement is sharp enough to tell."""
        return self.agrees and self.sharp

    @property
    def agrees(self) -> bool:
        """Whether measurement and prediction agree within interval and tolerance."""
        if not np.isfinite([self.measurement, self.interval]).all():
            return False
        difference = self.measurement - self.prediction
        # A statistical equality may miss by its interval; a claimed inequality must hold beyond it.
        if self.relation == "=":
            return bool(abs(difference) <= self.interval + self.tolerance)
        sign = 1 if self.relation == "<=" else -1
        return bool(sign * difference + self.interval <= self.tolerance)

    @property
    def used(self) -> float:
        """Share of the allowed deviation that is used: 0 for full agreement, 1 where the comparison begins to fail."""
        difference = self.measurement - self.prediction
        if self.relation == "=":
            deviation, allowed = abs(difference), self.interval + self.tolerance
        else:
            sign = 1 if self.relation == "<=" else -1
            deviation, allowed = self.interval, self.tolerance - sign * difference
        if deviation == 0 and allowed >= 0:
            return 0.0
        return deviation / allowed if allowed > 0 else np.inf

    @property
    def standard_score(self) -> float | None:
        """The deviation as a standard normal score; None unless chance alone may explain it."""
        if self.relation != "=" or self.interval == 0 or self.tolerance > 0:
            return None
        errors = standard_errors(self.samples) * (self.measurement - self.prediction) / self.interval
        if self.samples == 0:
            return errors
        return float(np.copysign(stats.norm.isf(stats.t.sf(abs(errors), self.samples - 1)), errors))

    @property
    def noticeable(self) -> float:
        """Smallest error of the prediction that is noticed as surely as a right prediction is accepted."""
        return 2 * self.interval + self.tolerance

    @property
    def sharp(self) -> bool:
        """Whether the finding keeps its promise to notice an error; an exact 0 needs no interval to be one."""
        if self.relation != "=" or self.interval == 0:
            return True
        size = abs(self.prediction) if self.scale is None else self.scale
        return bool(self.noticeable <= self.resolution * size)


def standard_errors(samples: int) -> float:
    """Return how many standard errors an interval has on either side; 0 stands for many samples."""
    return float(stats.t.isf(stats.norm.sf(STANDARD_ERRORS), samples - 1)) if samples else STANDARD_ERRORS


def half_width(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the width of the interval of the mean over the first axis."""
    count = len(samples)
    return np.asarray(standard_errors(count) * samples.std(axis=0, ddof=1) / np.sqrt(count))


def mean_and_half_width(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of independent samples and half the width of its interval."""
    return float(samples.mean()), float(half_width(samples))


def geometric_mean(logarithms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the geometric mean over the first axis, and how far its interval reaches below and above it."""
    mean, width = np.exp(logarithms.mean(axis=0)), half_width(logarithms)
    return mean, mean * np.array([-np.expm1(-width), np.expm1(width)])


def mean_finding(quantity: str, prediction: float, samples: ArrayLike, **options: Any) -> Finding:
    """Compare a prediction with the mean of independent samples."""
    values = np.asarray(samples, float)
    return Finding(quantity, prediction, *mean_and_half_width(values), samples=values.size, **options)


def ratio_finding(quantity: str, prediction: float, above: ArrayLike, below: ArrayLike, **options: Any) -> Finding:
    """Compare a prediction with the ratio of two means over the same samples, by the delta method."""
    upper, lower = np.asarray(above, float), np.asarray(below, float)
    ratio = upper.mean() / lower.mean()
    interval = float(half_width(upper - ratio * lower) / abs(lower.mean()))
    return Finding(quantity, prediction, float(ratio), interval, samples=upper.size, **options)


def equal_ratios_finding(
    quantity: str,
    predicted: tuple[ArrayLike, ArrayLike],
    measured: tuple[ArrayLike, ArrayLike],
    **options: Any,
) -> Finding:
    """Compare two ratios of means over the same samples; what both share of the samples' noise drops out."""
    (above, below), (high, low) = np.asarray(predicted, float), np.asarray(measured, float)
    prediction, measurement = above.mean() / below.mean(), high.mean() / low.mean()
    residual = (high - measurement * low) / low.mean() - (above - prediction * below) / below.mean()
    interval = float(half_width(residual))
    return Finding(quantity, float(prediction), float(measurement), interval, samples=residual.size, **options)


@dataclass(frozen=True)
class Outcome:
    """All findings of one check and a figure that shows them."""

    findings: list[Finding]
    figure: Figure | None = field(default=None, repr=False)

    @property
    def holds(self) -> bool:
        """Whether every finding holds; a check without findings does not."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)
