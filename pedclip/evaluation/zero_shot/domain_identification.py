"""Domain identification with a growing number of domains: the first quantitative analysis of the survey."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_FEWEST: Final = 3  # domains, where the printed curve begins


def growing_accuracy(
    scores: NDArray[Any], truth: NDArray[Any], names: Sequence[str], *, num_orders: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Accuracy among the first 3, 4, … domains, in the order given and in random ones.

    At every number the films and the candidates are those of the first domains alone. The curve depends on the order
    in which domains come, so that one order says little; all of them are read from one matrix of scores.

    Args:
        scores: (N, L) of each film with each domain, such as cosines with its prompts.
        truth: (N,) index of the true domain.
        names: L domains in the order given.
        num_orders: Random orders beside it, at least 0.
        seed: Of these.

    Returns:
        `order` (0 is the one given), `number` (of domains), `added` (the last of them), `accuracy` (balanced: the mean
        over domains of the accuracy of its films) and `chance` (1 / number).

    Raises:
        ValueError: Shapes do not fit, fewer than three domains, or a domain without a film.

    Source: "CLIP in medical imaging", Fig. 16, domains added one by one. Differs: the order is drawn anew as well,
        and domains count alike; the paper names neither its order nor its numbers of films.

    Example:
        >>> growing_accuracy(np.eye(3), np.arange(3), ["hip", "knee", "foot"], num_orders=0).accuracy.tolist()
        [1.0]
    """
    if scores.ndim != 2 or scores.shape != (len(truth), len(names)):
        raise ValueError(f"scores {scores.shape} do not fit {len(truth)} films and {len(names)} domains")
    if len(names) < _FEWEST:
        raise ValueError(f"{len(names)} domains are given, and the curve begins with {_FEWEST}")
    if missing := [name for number, name in enumerate(names) if not (truth == number).any()]:
        raise ValueError(f"no film shows {missing[0]}; leave it out of the domains")
    rng = np.random.default_rng(seed)
    orders = [np.arange(len(names)), *(rng.permutation(len(names)) for _ in range(num_orders))]
    rows = []
    for which, order in enumerate(orders):
        for number in range(_FEWEST, len(names) + 1):
            known = order[:number]
            films = np.isin(truth, known)
            answers = known[scores[films][:, known].argmax(1)]  # (n,)
            right = answers == truth[films]
            by_domain = [right[truth[films] == domain].mean() for domain in known]
            rows.append((which, number, names[known[-1]], float(np.mean(by_domain)), 1 / number))
    return pd.DataFrame(rows, columns=["order", "number", "added", "accuracy", "chance"])
