"""An index of what PECM makes of real prototypes, with masked reports, ranks as `PECM.scores` does."""

from functools import cache

import numpy as np
import pytest
import torch

from pedclip.retrieval.archive.exact_search import ConfidenceBound, search_exact
from pedclip.retrieval.archive.index import ArchiveIndex
from pedclip.retrieval.archive.search import search_all, search_two_stage
from pedclip.retrieval.archive.stages import first_stage
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import film_prototypes, report_prototypes
from tests.objectives.tiny_features import tiny_model
from tests.training.tiny import tiny_arrays

HALVES = 5e-4  # of a score: the index holds vectors in half precision
SENTENCES = ["No fracture.", "Film of the chest.", "Effusion of the knee.", "Film 3.", "The hand is normal."]


@cache
def prototypes():
    """Films, reports of one to five sentences, and which prototypes these have."""
    model = tiny_model()
    films = film_prototypes(model, tiny_arrays(6).images, grid="ceil5")
    reports = [" ".join(SENTENCES[first : first + count]) for count in (1, 2, 4) for first in range(0, 5 - count + 1)]
    # More groups than most reports have sentences; films have too few regions, so theirs recur.
    text = report_prototypes(model, reports, num_groups=3)
    films = torch.cat([films[:, :-1].expand(-1, 3, -1), films[:, -1:]], dim=1)
    return films, text


def scored(**switches):
    films, text = prototypes()
    config = PECMConfig(image_width=films.shape[2], text_width=films.shape[2], proj_dim=24, proj_init="own", **switches)
    pecm = PECM(4, config=config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pecm.theta.copy_(torch.tensor([0.5, -0.5, 0.0, 1.0]))
        return pecm, pecm.project(films, text.values), text.mask, pecm(films, text.values, text.mask)


@pytest.mark.parametrize("rerank", ["as_intended", "as_printed", "sum"])
@pytest.mark.parametrize("w_norm", ["K_softmax", "softmax"])
def test_search_of_an_index_is_the_ranking_of_the_scores(tmp_path, rerank, w_norm):
    pecm, (image, text), mask, scores = scored(rerank=rerank, w_norm=w_norm)
    reports = pecm.text_vectors(text, text_mask=mask)
    assert 0 < reports.weight.min() < 0.9 < reports.weight.max()  # some are short, some are not
    index = ArchiveIndex.create(tmp_path / "index", [reports], model="m")
    queries, number = pecm.image_vectors(image), len(index)
    found = search_all(index, queries, k=number, rerank=pecm.config.rerank)
    expected = scores.final.gather(1, scores.ranking()).numpy()
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=HALVES)
    for name, column in (("similarity", scores.initial), ("confidence", scores.confidence)):
        of_found = np.take_along_axis(column.numpy(), found.rows, axis=1)
        np.testing.assert_allclose(getattr(found, name), of_found, rtol=0, atol=HALVES)
    # In the same order, but for neighbours that half precision cannot tell apart.
    certain = expected[:, :-1] - expected[:, 1:] > 2 * HALVES
    certain = np.pad(certain, ((0, 0), (1, 0)), constant_values=True) & np.pad(
        certain, ((0, 0), (0, 1)), constant_values=True
    )
    assert certain.sum() >= 12
    assert np.array_equal(found.rows[certain], scores.ranking().numpy()[certain])
    # The faster searches take the same vectors.
    exact = search_exact(index, ConfidenceBound.fit(index), queries, k=number, rerank=pecm.config.rerank)
    assert np.array_equal(exact.rows, found.rows)


def test_top_m_is_the_number_of_candidates_of_a_two_stage_search(tmp_path):
    pecm, (image, text), mask, scores = scored(top_m=3)
    index = ArchiveIndex.create(tmp_path / "index", [pecm.text_vectors(text, text_mask=mask)], model="m")
    found = search_two_stage(index, first_stage(index, "numpy"), pecm.image_vectors(image), k=3, num_candidates=3)
    for row in range(len(image)):
        assert found.scores[row] == pytest.approx(scores.final[row, scores.ranking()[row, :3]].numpy(), abs=HALVES)
