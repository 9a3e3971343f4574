"""Power laws of an error against size, y = floor + scale * x ** -exponent, with 95 % intervals.

The form is that of Hestness et al. (arXiv 1712.00409) and Hoffmann et al. (arXiv 2203.15556). The floor is the error at
infinite size; with fewer than five sizes it is not fitted, and is 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import curve_fit

Floats = NDArray[np.float64]

SIZES_FOR_A_FLOOR = 5


@dataclass(frozen=True)
class PowerLaw:
    """y = ``floor`` + ``scale`` * x ** -``exponent``, fitted to ``n`` points of ``n_sizes`` different x.

    ``exponent95`` is the t-interval of the exponent, None unless there are more points than fitted numbers.
    """

    scale: float
    exponent: float
    floor: float
    exponent95: tuple[float, float] | None
    n: int
    n_sizes: int

    def __call__(self, x: Floats) -> Floats:
        """The y of each x."""
        y: Floats = self.floor + self.scale * x**-self.exponent
        return y


def fit_power_law(x: Floats, y: Floats) -> PowerLaw | None:
    """The law of N points, ``x`` and ``y`` (N,), both above 0; None with fewer than two different x.

    Without a floor it is least squares of log y against log x; with one, least squares of y that starts from that fit.
    """
    sizes = np.unique(x)
    if len(sizes) < 2:
        return None
    center = float(np.exp(np.log(x).mean()))  # makes scale and exponent nearly uncorrelated
    line = stats.linregress(np.log(x / center), np.log(y))
    scale, exponent, floor = float(np.exp(line.intercept)), -float(line.slope), 0.0
    error, free = float(line.stderr), len(x) - 2
    if len(sizes) >= SIZES_FOR_A_FLOOR:
        (scale, exponent, floor), error = _with_floor(x / center, y, scale, exponent)
        free = len(x) - 3
    ends = None
    if free > 0 and np.isfinite(error):
        half = float(stats.t.ppf(0.975, free)) * error
        ends = (exponent - half, exponent + half)
    return PowerLaw(scale * center**exponent, exponent, floor, ends, len(x), len(sizes))


def _with_floor(x: Floats, y: Floats, scale: float, exponent: float) -> tuple[tuple[float, float, float], float]:
    """Scale, exponent and floor, and the standard error of the exponent."""
    least = float(y.min())
    found, covariance = curve_fit(
        lambda x, log_scale, exponent, floor: floor + np.exp(log_scale) * x**-exponent,
        x, y, p0=(np.log(scale), exponent, least / 2),
        bounds=((-np.inf, -5.0, 0.0), (np.inf, 5.0, least)), max_nfev=10_000,
    )  # fmt: skip
    return (float(np.exp(found[0])), float(found[1]), float(found[2])), float(np.sqrt(covariance[1, 1]))
