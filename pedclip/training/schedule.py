"""Schedule by which the gate takes over from the labels and its loss fades."""


def expert_schedule(
    epoch: float, epochs: int = 50, teacher_epochs: float = 10, *, lambda_end: float = 0.0
) -> tuple[float, bool]:
    """Weight of the gate loss and whether labels choose the experts.

    While labels choose (teacher forcing), λ = 1. Then the gate chooses and λ falls linearly to ``lambda_end`` at the
    end of training.

    Args:
        epoch: Passes done so far, in [0, epochs]; fractions give the value inside an epoch (decision P5).
        epochs: Length of the training, at least 1.
        teacher_epochs: Length of teacher forcing, in [0, epochs] (decision P4).
        lambda_end: Last value of λ, at least 0.

    Returns:
        λ of PedCLIP's total loss and the teacher-forcing switch.

    Raises:
        ValueError: An argument is out of range.

    Source: PedCLIP, section 3.1. Differs: nothing; the end value is not printed and is ours.

    Example:
        >>> expert_schedule(9.99), expert_schedule(10), expert_schedule(30), expert_schedule(50)
        ((1.0, True), (1.0, False), (0.5, False), (0.0, False))
    """
    if epochs < 1 or not 0 <= teacher_epochs <= epochs or not 0 <= epoch <= epochs or lambda_end < 0:
        raise ValueError(
            f"epoch={epoch}, epochs={epochs}, teacher_epochs={teacher_epochs}, lambda_end={lambda_end} is not allowed: "
            "0 <= epoch <= epochs, 0 <= teacher_epochs <= epochs, 1 <= epochs, 0 <= lambda_end"
        )
    # Forced to the last epoch, there is no phase left for λ to fall in.
    if epoch < teacher_epochs or teacher_epochs == epochs:
        return 1.0, True
    # 0 when the gate takes over, 1 at the end of training: a straight line from 1 to λ_end.
    progress = (epoch - teacher_epochs) / (epochs - teacher_epochs)
    return 1.0 + (lambda_end - 1.0) * progress, False
