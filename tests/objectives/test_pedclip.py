"""PedCLIP's objective and its contrastive half are the sums of their printed terms."""

import pytest
import torch

from pedclip.objectives.assignment import expert_assignment
from pedclip.objectives.clip import CLIPObjective
from pedclip.objectives.contrastive import info_nce
from pedclip.objectives.pedclip import PedCLIPObjective
from pedclip.training.schedule import expert_schedule
from tests.objectives.tiny_features import tiny_features, tiny_model


@pytest.mark.parametrize("mask_equal_texts", [False, True])
def test_loss_is_the_printed_sum(mask_equal_texts: bool) -> None:
    model = tiny_model()
    features = tiny_features(model, epoch=30)
    same = features.text_ids[:, None] == features.text_ids
    contrastive = info_nce(
        features.image.embedding,
        features.text.embedding,
        temperature=model.temperature,
        same_text=same if mask_equal_texts else None,
    )
    gate = expert_assignment(features.image.gate_logits, features.regions)
    values = PedCLIPObjective(model, mask_equal_texts=mask_equal_texts, schedule=expert_schedule)(features)
    assert values.keys() == {"loss", "contrastive", "gate", "gate_accuracy", "lambda"}
    torch.testing.assert_close(values["loss"], contrastive + 0.5 * gate)  # λ is 1/2 in epoch 30 of 50
    assert (values["contrastive"], values["gate"], float(values["lambda"])) == (contrastive, gate, 0.5)
    alone = CLIPObjective(model, mask_equal_texts=mask_equal_texts)(features)
    assert alone == {"contrastive": contrastive, "loss": contrastive}


def test_gate_accuracy_is_that_of_the_last_block() -> None:
    model = tiny_model()
    features = tiny_features(model)
    first, last = features.image.gate_logits
    first.detach().zero_()
    last.detach().copy_(torch.eye(23)[torch.tensor([0, 1, 5, 2])])  # three of the four regions
    assert float(PedCLIPObjective(model)(features)["gate_accuracy"]) == 0.75


def test_labels_choose_the_experts_while_teacher_forcing_lasts() -> None:
    model, regions = tiny_model(), torch.tensor([2, 0])
    objective = PedCLIPObjective(model, schedule=expert_schedule)
    assert objective.assignment(regions, 9.9) is regions
    assert objective.assignment(regions, 10.0) is None
    assert PedCLIPObjective(model).assignment(regions, 0.0) is None
    assert CLIPObjective(model).assignment(regions, 0.0) is None


def test_a_learned_temperature_gets_its_gradient_and_a_plain_vit_has_no_gate_loss() -> None:
    model = tiny_model(mobe_layers=(), learn_temperature=True)
    values = PedCLIPObjective(model)(tiny_features(model))
    assert values.keys() == {"loss", "contrastive"}
    values["loss"].backward()
    assert model.log_temperature.grad.abs() > 0
