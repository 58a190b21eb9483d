"""Texts of which the text encoder reads only the beginning."""

from collections.abc import Sequence

from pedclip.models.pedclip import PedCLIP


def count_cut(model: PedCLIP, texts: Sequence[str]) -> int:
    """Number of texts, such as sentences or reports, whose end the text encoder never sees.

    Args:
        model: Its tokenizer and its longest text decide.
        texts: Any number of them; equal ones count each.

    Example:
        In a notebook, beside what was left out: ``count_cut(model, reports.texts)``.
    """
    if not texts:
        return 0
    # Not `model.tokenize`, which has cut them already; its own words about long texts are about another limit.
    tokens = model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    return sum(len(one) > model.config.max_text_tokens for one in tokens)
