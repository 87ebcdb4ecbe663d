"""How sure a share or a rate is, as an interval that holds it with a probability of 95 %."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z_95 = 1.959964  # of the standard normal distribution, two-sided
T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # of Student's distribution, from 1 degree of freedom on


def wilson(hits: int, looked_at: int) -> tuple[float, float]:
    """The interval of a share by Wilson's score, in [0, 1]; all of it if nothing was looked at.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    Args:
        hits: how many have the property.
        looked_at: of how many.
    """
    if looked_at == 0:
        return 0.0, 1.0
    share, z2 = hits / looked_at, Z_95**2
    middle = share + z2 / (2 * looked_at)
    half = Z_95 * math.sqrt(share * (1 - share) / looked_at + z2 / (4 * looked_at**2))
    scale = 1 + z2 / looked_at
    low = 0.0 if hits == 0 else (middle - half) / scale
    return low, 1.0 if hits == looked_at else (middle + half) / scale


def relative_error(rates: Sequence[float]) -> float:
    """Half the width of the interval of a mean rate, as a share of it; 1 if too little is known.

    Args:
        rates: of parts of equal length, at least two.
    """
    if len(rates) < 2 or statistics.fmean(rates) <= 0:
        return 1.0
    t = T_95[min(len(rates) - 1, len(T_95)) - 1]
    return t * statistics.stdev(rates) / math.sqrt(len(rates)) / statistics.fmean(rates)
