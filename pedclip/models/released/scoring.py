"""Zero-shot scores of one finding as each method computes them, from features of films and prompts.

Higher means that the finding is there. Scores of different methods have different units; an AUC does not mind.
"""

import torch
from torch import Tensor

from pedclip.models.released.outputs import ReleasedImage, ReleasedText, unit

_WORDS_TEMPERATURE = 4.0  # of GLoRIA's attention over regions
_WORD_FACTOR = 5.0  # of the best word in GLoRIA's local score
_ROUNDING = 8  # units in the last place by which equal films may differ in one batch


def cosine_score(image: ReleasedImage, positive: ReleasedText, negative: ReleasedText | None) -> Tensor:
    """Cosine (B,) with the ensemble of the positive prompts, minus that of the negative ones if they are given.

    Source: Radford et al. 2021, section 3.1.4: prompts are averaged at unit length, and the mean is normalized again.
    """
    score = image.embedding @ ensemble(positive.embedding)
    return score if negative is None else score - image.embedding @ ensemble(negative.embedding)


def pair_probability(image: ReleasedImage, positive: ReleasedText, negative: ReleasedText) -> Tensor:
    """Softmax over the pair of cosines (B,), in (0, 1), of which the positive side is returned.

    Source: CheXzero, zero-shot classification. Without the logit scale, so all values are near 0.5.
    """
    pair = [image.embedding @ ensemble(side.embedding) for side in (positive, negative)]
    return torch.stack(pair).softmax(dim=0)[0]  # (2, B) → (B,)


def mean_logit(
    image: ReleasedImage, positive: ReleasedText, negative: ReleasedText | None, *, logit_scale: Tensor
) -> Tensor:
    """Mean (B,) over the prompts of the scaled cosines, minus that of the negative ones if they are given.

    Source: MedCLIP, zero-shot classification by ensemble. The mean is over logits: prompts are not put together first.
    """
    # Its training holds the logarithm within [0, log 100].
    scale = logit_scale.clamp(0, 4.6052).exp()
    score = scale * (image.embedding @ positive.embedding.T).mean(dim=1)  # (B, P) → (B,)
    return score if negative is None else score - scale * (image.embedding @ negative.embedding.T).mean(dim=1)


def local_and_global(
    image: ReleasedImage, positive: ReleasedText, negative: ReleasedText | None, *, over_batch: bool = False
) -> Tensor:
    """GLoRIA's score (B,): the largest, over prompts, of half the sum of local and global similarity.

    Args:
        image: With (B, S, D) regions.
        positive: With (P, W, D) words.
        negative: Its score is subtracted, before the standardization.
        over_batch: Standardize the scores over the films of the batch, as published. The score of a film then depends
            on which others are scored with it; the ranking, and so an AUC, does not. One film, or films whose scores
            are equal up to rounding, get 0.

    Source: GLoRIA, zero-shot classification. The local part is 5·max cos, so it outweighs the global one 5 to 1.
    """
    score = _best_prompt(image, positive)
    if negative is not None:
        score = score - _best_prompt(image, negative)
    return _standardized(score) if over_batch else score


def _standardized(score: Tensor) -> Tensor:
    deviation = score.std(correction=0)
    # Nothing over nothing is NaN, and rounding over rounding would be a score of one film against its copy.
    if deviation <= _ROUNDING * torch.finfo(score.dtype).eps * score.abs().mean():
        return torch.zeros_like(score)
    return (score - score.mean()) / deviation


def _best_prompt(image: ReleasedImage, text: ReleasedText) -> Tensor:
    local = local_similarity(image, text)  # (B, P)
    return ((local + image.embedding @ text.embedding.T) / 2).amax(dim=1)


def local_similarity(image: ReleasedImage, text: ReleasedText) -> Tensor:
    """Five times the cosine of the best matched word with what it attends to: (B, P).

    A word k attends to region r by a softmax over words of v_r·w_k, and then by one over regions of 4 times that.

    Source: GLoRIA, Eqs. 1 to 3, and its log max exp(5 cos) at test time. Differs: [CLS] and all words of a prompt take
        part, and neither [SEP] nor padding, whose number in the published code comes from the letters of the prompt.
    """
    assert image.regions is not None
    assert text.words is not None
    assert text.word_mask is not None
    scores = []
    for words, mask in zip(text.words, text.word_mask, strict=True):
        own = words[mask]  # (W, D)
        attention = (image.regions @ own.T).softmax(dim=2)  # (B, S, W) over words
        attention = (_WORDS_TEMPERATURE * attention).softmax(dim=1)  # and then over regions
        context = attention.transpose(1, 2) @ image.regions  # (B, W, D)
        scores.append(_WORD_FACTOR * (unit(context) * unit(own)).sum(2).amax(dim=1))
    return torch.stack(scores, dim=1)


def sigmoid_score(image: ReleasedImage, positive: ReleasedText, *, logit_scale: Tensor, logit_bias: Tensor) -> Tensor:
    """Probability (B,) that a film and the ensemble of prompts belong together, by SigLIP's own scale and bias.

    Source: Zhai et al. 2023, Eq. 1. It is calibrated for captions, and tiny for findings; the cosine ranks the same.
    """
    return torch.sigmoid(logit_scale.exp() * cosine_score(image, positive, None) + logit_bias)


def ensemble(embedding: Tensor) -> Tensor:
    """Unit vector (D,) of the mean of prompts (P, D)."""
    return unit(embedding.mean(dim=0, keepdim=True))[0]
