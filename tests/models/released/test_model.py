"""Methods of a released model: shapes, scores of its method, and options of another one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pedclip.models.released import ReleasedModel, load_released
from pedclip.models.released.outputs import ReleasedImage, ReleasedText
from pedclip.models.released.scoring import local_and_global, mean_logit, pair_probability
from tests.models.released.tiny_networks import TEXTS, film
from tests.models.released.tiny_releases import MAKERS


def embedded(name: str, folder: Path) -> tuple[ReleasedModel, ReleasedImage, ReleasedText, ReleasedText]:
    """A model, two films, two positive prompts and a negative one."""
    model = load_released(name, MAKERS[name](folder).path)
    with torch.no_grad():
        image = model.encode_image(torch.stack([model.transform(film()), model.transform(film()[:, ::-1].copy())]))
        positive, negative = (model.encode_text(**model.tokenize(texts)) for texts in (TEXTS[1:], TEXTS[:1]))
    return model, image, positive, negative


def test_chexzero_needs_both_answers(tmp_path: Path) -> None:
    model, image, positive, negative = embedded("chexzero", tmp_path)
    score = model.score(image, positive, negative)
    torch.testing.assert_close(score, pair_probability(image, positive, negative))
    assert ((score > 0.1) & (score < 0.9)).all()
    with pytest.raises(ValueError, match="CheXzero compares two answers: pass negative"):
        model.score(image, positive)


def test_medclip_uses_its_scale(tmp_path: Path) -> None:
    model, image, positive, negative = embedded("medclip", tmp_path)
    expected = mean_logit(image, positive, negative, logit_scale=torch.tensor(2.6))
    torch.testing.assert_close(model.score(image, positive, negative), expected)


def test_gloria_compares_words_and_standardizes_only_if_asked(tmp_path: Path) -> None:
    model, image, positive, negative = embedded("gloria", tmp_path)
    torch.testing.assert_close(model.score(image, positive), local_and_global(image, positive, None))
    assert model.score(image, positive, over_batch=True).mean().item() == pytest.approx(0, abs=1e-3)
    assert not torch.allclose(model.score(image, positive, negative), model.score(image, positive))
    assert image.regions is not None
    assert image.regions.shape == (2, 19 * 19, 64)
    # [CLS] and "fracture", "." of the first prompt.
    assert positive.word_mask is not None
    assert positive.word_mask.sum(1)[0] == 3


def test_words_do_not_depend_on_padding(tmp_path: Path) -> None:
    model, _, positive, _ = embedded("gloria", tmp_path)
    with torch.no_grad():
        tokens = model.tokenize(TEXTS[1:2])
        # Cut to the text: four tokens with [SEP].
        short = model.encode_text(tokens["input_ids"][:, :4], tokens["attention_mask"][:, :4])
    assert short.words is not None
    assert positive.words is not None
    torch.testing.assert_close(short.words[0], positive.words[0, :3], atol=1e-4, rtol=1e-4)


def test_options_of_other_methods_are_refused(tmp_path: Path) -> None:
    model, image, positive, negative = embedded("biomedclip", tmp_path)
    cosine: Tensor = model.score(image, positive, negative)
    assert (cosine.abs() <= 2).all()
    with pytest.raises(ValueError, match="over_batch=True belongs to GLoRIA; BiomedCLIP"):
        model.score(image, positive, over_batch=True)
    with pytest.raises(ValueError, match="as_probability=True belongs to SigLIP"):
        model.score(image, positive, as_probability=True)


def test_pixels_of_another_recipe_are_refused(tmp_path: Path) -> None:
    model = load_released("chexzero", MAKERS["chexzero"](tmp_path).path)
    with pytest.raises(ValueError, match=r"pixels has shape \(1, 3, 320, 320\); expected \(B, 3, 224, 224\)"):
        model.encode_image(torch.zeros(1, 3, 320, 320))
    assert model.prompts("Fracture") == (["fracture"], ["no fracture"])
