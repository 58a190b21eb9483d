"""Report prototypes by paragraph vectors (doc2vec), as the PECM paper describes them; gensim is optional."""

import hashlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.config import PECMConfig, ShortReports
from pedclip.retrieval.prototypes import Prototypes, collect, report_prototypes
from pedclip.retrieval.report_groups import NUM_GROUPS, split_groups

_FIRST_RATE, _LAST_RATE = 0.025, 0.0001  # gensim's own steps, for training and inference


class DocumentVectors:
    """Paragraph vectors (PV-DM) learned on reports and on their groups of sentences.

    Args:
        model: A trained gensim Doc2Vec; see `fit`.
        epochs: Passes over a text to infer its vector, at least 1.
        seed: Of every inference.

    Source: PECM, section 2.1, which names the method of Le and Mikolov (2014) and no setting. Differs: sizes are ours.
    """

    def __init__(self, model: Any, *, epochs: int = 40, seed: int = 0) -> None:
        if epochs < 1:
            raise ValueError(f"epochs={epochs} is not allowed: at least 1")
        self.model, self.epochs, self.seed = model, epochs, seed

    @classmethod
    def fit(
        cls,
        reports: Sequence[str],
        *,
        width: int = 256,
        epochs: int = 40,
        min_count: int = 2,
        num_groups: int = NUM_GROUPS,
        seed: int = 0,
    ) -> "DocumentVectors":
        """Vectors learned on training reports, in one thread, so that a seed gives the same ones again.

        Args:
            reports: Of the training split only.
            width: C of the vectors, at least 1.
            epochs: Passes over the texts, at least 1; as many infer a vector.
            min_count: Rarer words are left out, at least 1.
            num_groups: K − 1.
            seed: Of training and inference.

        Raises:
            ModuleNotFoundError: gensim is missing.
            ValueError: Reports without a sentence, or no word is frequent enough.
        """
        doc2vec = _doc2vec()
        groups = split_groups(reports, num_groups)
        # Groups too: what is inferred later is as short as they are.
        texts = [*reports, *(" ".join(group) for row in groups for group in row if group)]
        # Words as they are: the paper names no tokenizer, and case says nothing in a report.
        words = [text.lower().split() for text in texts]
        corpus = [doc2vec.TaggedDocument(found, [number]) for number, found in enumerate(words)]
        try:
            model = doc2vec.Doc2Vec(corpus, vector_size=width, epochs=epochs, min_count=min_count, seed=seed, workers=1)
        except RuntimeError as error:
            raise ValueError(f"{len(reports)} reports hold no word {min_count} times: lower min_count") from error
        return cls(model, epochs=epochs, seed=seed)

    @property
    def width(self) -> int:
        """C, the length of a vector."""
        return int(self.model.vector_size)

    def vector(self, text: str) -> NDArray[np.float32]:
        """(C,) vector of a text, the same in every process.

        gensim's own inference starts from Python's hash of the text, which differs between processes.
        """
        # A hash of the text that every process agrees on, and a start of gensim's own spread.
        digest = hashlib.sha256(f"{self.seed} {text}".encode()).digest()
        start = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        vectors = ((start.random((1, self.width)) - 0.5) / self.width).astype(np.float32)  # (1, C)
        # The noise words that inference draws come from the model's own generator.
        self.model.random.seed(self.seed)
        words = text.lower().split()
        free = np.ones(1, dtype=np.float32)  # the one vector is learned at full speed
        for rate in np.linspace(_FIRST_RATE, _LAST_RATE, self.epochs):
            _doc2vec().train_document_dm(
                self.model, words, [0], rate, learn_words=False, learn_hidden=False, doctag_vectors=vectors,
                doctags_lockf=free,
            )  # fmt: skip
        vector: NDArray[np.float32] = vectors[0]
        return vector

    def prototypes(
        self, reports: Sequence[str], *, num_groups: int = NUM_GROUPS, short: ShortReports = "mask"
    ) -> Prototypes:
        """Prototypes of N reports: one vector per group, and that of the whole report last.

        Args:
            reports: N texts.
            num_groups: K − 1.
            short: See `sentence_groups`.

        Returns:
            (N, K, C) prototypes.

        Raises:
            ValueError: No report, or reports without a sentence.
        """
        if not reports:
            raise ValueError("reports is empty: at least one is needed")
        groups = split_groups(reports, num_groups, short=short)
        # Each different group once: inference takes as many passes as training.
        different = {group for row in groups for group in row if group}
        vectors = {group: torch.from_numpy(self.vector(" ".join(group))) for group in different}
        whole = torch.from_numpy(np.stack([self.vector(report) for report in reports]))  # (N, C)
        return collect(groups, vectors, whole)


def text_prototypes(
    config: PECMConfig,
    encoder: PedCLIP | DocumentVectors,
    reports: Sequence[str],
    *,
    num_groups: int = NUM_GROUPS,
    batch_size: int = 64,
    device: str = "cpu",
) -> Prototypes:
    """Report prototypes of the kind that a configuration names, `text_proto` and `short`.

    Args:
        config: Of the PECM that takes them.
        encoder: A PedCLIP for "bert", paragraph vectors for "doc2vec".
        reports: N texts.
        num_groups: K − 1.
        batch_size: Texts at a time; paragraph vectors are inferred one by one.
        device: To compute on; paragraph vectors are inferred on the CPU.

    Returns:
        (N, K, C) prototypes.

    Raises:
        ValueError: The encoder is of the other kind, its width is not the configuration's, no report, or reports
            without a sentence.
    """
    # A silent exchange of the two would be another experiment under the name of this one (decision E11).
    kind = "doc2vec" if isinstance(encoder, DocumentVectors) else "bert"
    if kind != config.text_proto:
        raise ValueError(f"text_proto={config.text_proto!r} does not go with a {type(encoder).__name__}")
    if isinstance(encoder, DocumentVectors):
        found = encoder.prototypes(reports, num_groups=num_groups, short=config.short)
    else:
        found = report_prototypes(
            encoder, reports, num_groups=num_groups, short=config.short, batch_size=batch_size, device=device
        )
    if found.values.shape[2] != config.text_width:
        raise ValueError(f"prototypes of width {found.values.shape[2]} do not fit text_width={config.text_width}")
    return found


def _doc2vec() -> ModuleType:
    try:
        from gensim.models import doc2vec
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("doc2vec prototypes need gensim: pip install 'pedclip[retrieval]'") from error
    return doc2vec  # type: ignore[no-any-return]
