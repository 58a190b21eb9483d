"""The README.md of a checkpoint."""

import json
from collections import Counter

from pedclip.anatomy import REGIONS, display_name
from pedclip.training.config import RunConfig, TrainingConfig
from pedclip.training.profiles import starting_points
from pedclip.triplets.arrays import TripletArrays


def checkpoint_card(config: RunConfig, train: TripletArrays, validation: TripletArrays, *, revision: str) -> str:
    """Model card in Markdown: what it was trained on and how, and what it is not for.

    Args:
        config: Of the run.
        train: Training split.
        validation: Validation split.
        revision: Of the code, "" if unknown.

    Returns:
        The card; it names no patient and quotes no report.
    """
    training, model = config.training, config.model
    # Counts alone: a card is published with the weights, its patients are not.
    counts = Counter(REGIONS[region] for region in train.regions.tolist())
    regions = ", ".join(f"{display_name(region)} {count}" for region, count in counts.most_common())
    # Only drawn films are ours to license; of anything else its owner decides.
    image, text = starting_points(config)
    data = "the phantom of this project (drawn films)" if config.data == "phantom" else "radiographs of its user"
    objective = _objective(training)
    optimizer = {"adamw": "AdamW", "adam": "Adam"}[training.optimizer]
    # "23 experts in blocks []" would be a riddle.
    blocks = list(model.mobe_layers)
    experts = f"{len(model.regions)} experts in blocks\n  {blocks}" if blocks else "without experts"
    return f"""---
license: {"apache-2.0" if config.data == "phantom" else "other"}
library_name: pedclip
tags: [radiography, pediatrics, vision-language, mixture-of-experts]
---

# A PedCLIP checkpoint

Research and teaching only, never for diagnosis.

- **Data**: {data}; {len(train)} films of {len(set(train.patients))} patients for training, {len(validation)} of
  {len(set(validation.patients))} for validation. Films per region: {regions}.
- **Model**: {model.image_architecture} at {model.image_size}², {experts}; temperature {model.temperature}.
- **Training**: {objective}{training.epochs} epochs, batch {training.batch_size}, {optimizer} {training.learning_rate},
  seed {training.seed}.
- **Started from**: image encoder {image}; text encoder {text}.
- **Metrics**: made by notebook 04, beside this folder's run.
- **Code**: pedclip, revision {revision or "unknown"}. **Licence of the weights**: that of their data.
"""


def _objective(training: TrainingConfig) -> str:
    """Words on what was minimized, where it is not PedCLIP's own objective alone; they end with a comma."""
    options = ", ".join(f"{name}={json.dumps(value)}" for name, value in training.objective_options.items())
    named = f"objective {training.objective}" + (f" ({options})" if options else "")
    parts = [] if training.objective == "pedclip" else [named]
    # The classifier itself is not exported, but the encoder has learned from the labels.
    parts += ["with a classifier of the region"] if training.region_head else []
    return "".join(f"{part}, " for part in parts)
