"""Mean of one value per film with its interval over patients."""

import numpy as np

from pedclip.evaluation.metrics.bootstrap import Floats, Groups, Interval, bootstrap_interval
from pedclip.evaluation.metrics.small_samples import Scale


def mean_interval(
    values: Floats, groups: Groups, *, scale: Scale = "share", num_resamples: int = 1000, seed: int = 0
) -> Interval:
    """The mean of a value per film with its 95 % interval.

    Args:
        values: (N,) finite.
        groups: (N,) patient of each film, or what else may not be taken apart; None resamples films.
        scale: Range of the values.
        num_resamples: Of the bootstrap, at least 1.
        seed: Of the bootstrap.

    Raises:
        ValueError: No values, values that are not finite, or as `bootstrap_interval`.
    """
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"a mean needs finite values (N,) of at least one film, got {values.shape}")
    # A patient with many films makes a resample of more films, hence the division by their number.
    # The same interval as of every other number of the package.
    return bootstrap_interval(
        float(values.mean()),
        lambda counts: (counts @ values) / counts.sum(axis=1),
        num_items=len(values),
        groups=groups,
        num_resamples=num_resamples,
        seed=seed,
        scale=scale,
    )
