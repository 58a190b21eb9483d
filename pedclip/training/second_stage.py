"""Checks on the checkpoint that a second training begins with, such as one on real films after one on drawn films."""

from pathlib import Path

from pedclip.models.checkpoint_files import HEADS_FILE, WEIGHTS_FILE, check_layout
from pedclip.training.config import RunConfig, load_config
from pedclip.triplets.arrays import TripletArrays
from pedclip.triplets.seen_patients import PATIENTS_FILE, num_unnamed
from pedclip.weights.installed import sha256_of


def check_start(checkpoint: Path, config: RunConfig, train: TripletArrays, validation: TripletArrays) -> str:
    """Make sure that a run may begin with a checkpoint.

    Args:
        checkpoint: In the folder of its run.
        config: Of the run that is to begin.
        train: Its training split.
        validation: Its validation split.

    Returns:
        Digest of the weights, for the description of the run.

    Raises:
        FileNotFoundError: There is no checkpoint, or not the description of its run beside it.
        ValueError: It is of another model or objective, or of patients that are not among these.
    """
    check_layout(checkpoint)
    run = checkpoint.parent
    if not (run / "training.json").is_file() or not (run / PATIENTS_FILE).is_file():
        raise FileNotFoundError(
            f"{run} lacks training.json or {PATIENTS_FILE}: they say what {checkpoint.name} was trained on. Keep the "
            "checkpoint in the folder of its run"
        )
    earlier = load_config(run / "training.json")
    # A head of another objective would be passed over, and an expert of another region would be taken for one of this.
    for name, one, other in (
        ("model", earlier.model, config.model),
        ("objective", earlier.training.objective, config.training.objective),
        ("objective_options", earlier.training.objective_options, config.training.objective_options),
    ):
        if one != other:
            raise ValueError(f"{checkpoint} was trained with another {name}; a run can begin with its own kind only")
    # Its list of patients is the new run's alone: whoever evaluates must find the earlier ones there, too.
    if number := num_unnamed(run / PATIENTS_FILE, train, validation):
        raise ValueError(
            f"{checkpoint} has seen {number} patients that are not among these films, so that nobody could leave them "
            "out of an evaluation; train both stages on the same patients"
        )
    names = [name for name in (WEIGHTS_FILE, HEADS_FILE) if (checkpoint / name).is_file()]
    return " ".join(sha256_of(checkpoint / name)[:16] for name in names)
