"""Exact constants of the glass model (theory, sections 2 and 5)."""

import math
from typing import Final

GLASS_LOSS_COEFFICIENT: Final = math.sqrt(2 / (3 * math.pi))
"""c = sqrt(2/(3π)) ≈ 0.460659: the dense limit of E|X| is c sqrt(ρ_u) t^{3/2} (equation 7)."""

GLASS_STEP_COEFFICIENT: Final = 3 / (4 * math.pi)
"""a = 9c²/8 = 3/(4π) ≈ 0.238732: the glass curvature of a step is α = aρ/|g| (equation 11)."""

MOST_BITS: Final = 16
"""Bits of a weight on a grid, at most."""
