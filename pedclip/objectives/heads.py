"""The projection head that MGCA and the ConVIRT beside it share."""

from torch import nn


def normalized_head(width: int, hidden_width: int, joint_width: int) -> nn.Sequential:
    """Two layers with batch normalization between and behind them; the last one has neither scale nor shift.

    In evaluation mode the statistics are those of training, so that an embedding is of its film or text alone.

    Args:
        width: C of the features.
        hidden_width: Between the layers.
        joint_width: D of the joint space.

    Returns:
        A module from (N, C) to (N, D), N at least 2 in training.

    Source: MGCA, global and local heads as released (2048 hidden, 128 joint).

    Example:
        >>> [type(layer).__name__ for layer in normalized_head(4, 8, 2)]
        ['Linear', 'BatchNorm1d', 'ReLU', 'Linear', 'BatchNorm1d']
    """
    return nn.Sequential(
        nn.Linear(width, hidden_width),
        nn.BatchNorm1d(hidden_width),
        nn.ReLU(),
        nn.Linear(hidden_width, joint_width),
        nn.BatchNorm1d(joint_width, affine=False),
    )
