"""Cheapest one-to-one assignment of rows to columns, for objectives whose targets have no order."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def cheapest_assignment(costs: Tensor) -> Tensor:
    """Column of each row, every column taken once, with the smallest sum of costs.

    Args:
        costs: (B, N, N), finite.

    Returns:
        (B, N) columns on the device of the costs; no gradient passes.

    Raises:
        ValueError: The costs are not B square matrices of finite numbers.

    Source: Hungarian method with shortest augmenting paths (Jonker and Volgenant 1987).

    Example:
        >>> cheapest_assignment(torch.tensor([[[4.0, 1.0], [2.0, 3.0]]])).tolist()
        [[1, 0]]
    """
    if costs.dim() != 3 or costs.shape[1] != costs.shape[2]:
        raise ValueError(f"costs has shape {tuple(costs.shape)}; expected (B, N, N)")
    matrices = costs.detach().double().cpu().numpy()
    if not np.isfinite(matrices).all():
        raise ValueError("costs holds a value that is not finite: look for NaN in what they are distances of")
    return torch.tensor(np.array([_assign(matrix) for matrix in matrices]), dtype=torch.long, device=costs.device)


def _assign(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) column of each row of (N, N) costs."""
    count = len(costs)
    # Column `count` stands for "not yet": it owns the row that looks for a place.
    owner = np.full(count + 1, -1)
    row_price, column_price = np.zeros(count), np.zeros(count + 1)
    for row in range(count):
        owner[count] = row
        column = count
        distance, came_from = np.full(count, np.inf), np.full(count, count)
        is_seen = np.zeros(count + 1, dtype=bool)
        # Columns are visited by their distance from the new row until one is free.
        while owner[column] >= 0:
            is_seen[column] = True
            reduced = costs[owner[column]] - row_price[owner[column]] - column_price[:count]
            is_nearer = ~is_seen[:count] & (reduced < distance)
            distance[is_nearer], came_from[is_nearer] = reduced[is_nearer], column
            nearest = int(np.where(is_seen[:count], np.inf, distance).argmin())
            step = distance[nearest]
            # Prices move so that no reduced cost falls below 0, which keeps every partial assignment the cheapest.
            row_price[owner[is_seen]] += step
            column_price[is_seen] -= step
            distance[~is_seen[:count]] -= step
            column = nearest
        # Back along the path, each column gets the row of the one before.
        while column != count:
            owner[column] = owner[came_from[column]]
            column = came_from[column]
        owner[count] = -1
    found = np.empty(count, dtype=np.int64)
    found[owner[:count]] = np.arange(count)
    return found
