"""Comparison of rankings: means over seeds, differences paired by query, and the scores that go in."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pedclip.evaluation.metrics.retrieval import query_interval
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.explain import explain_match
from pedclip.retrieval.measures import comparison
from pedclip.retrieval.measures.comparison import (
    compare_recall,
    comparison_table,
    cosine_scores,
    fit_variant,
    score_pairs,
    shortcut_scores,
)
from pedclip.retrieval.measures.confidence import first_answers
from pedclip.retrieval.measures.evaluate import report_recall
from pedclip.retrieval.measures.variants import Variant
from pedclip.retrieval.pecm import PECM
from pedclip.retrieval.prototypes import Prototypes
from pedclip.retrieval.scores import Scores
from pedclip.retrieval.train import PECMTraining, RetrievalPairs
from tests.retrieval.drawn_pairs import pairs, seeded
from tests.retrieval.drawn_reports import reports_of

REPORT = [0, 1, 1, 2, 3, 1, 0, 4, 4, 5, 2, 3]
PATIENTS = ["a", "a", "b", "c", "d", "e", "f", "f", "g", "h", "i", "j"]
REPORTS = reports_of(REPORT, PATIENTS)
KEYS = [("image to text", "recall"), ("text to image", "recall"), ("text to image", "hit")]
VARIANT = Variant("narrow", PECMConfig(image_width=10, text_width=8, proj_dim=6))
QUICK = PECMTraining(epochs=2, batch_size=8, learning_rate=0.02)


def drawn(seed, films=12, texts=6, top_m=None):
    rng = np.random.default_rng(seed)
    initial, final = (torch.from_numpy(rng.normal(size=(films, texts))) for _ in range(2))
    return Scores(initial, initial, final, top_m)


def per_query(scores, k):
    """Values of every query in the three ways, by Python's sort of the final scores."""
    final = scores.final.tolist()
    to_text, recalls, hits = [], [], []
    for film, own in enumerate(REPORT):
        order = sorted(range(6), key=lambda text: -final[film][text])
        to_text.append(float(own in order[:k]))
    for text in range(6):
        order = sorted(range(12), key=lambda film: -final[film][text])
        right = [film for film, own in enumerate(REPORT) if own == text]
        found = len(set(right) & set(order[:k]))
        recalls.append(found / min(k, len(right)))
        hits.append(float(found > 0))
    return dict(zip(KEYS, (to_text, recalls, hits), strict=True))


def of(found, method, direction, metric, k):
    (one,) = (one for one in found if (one.method, one.direction, one.metric, one.k) == (method, direction, metric, k))
    return one


METHODS = {"plain": [drawn(0), drawn(1)], "ours": [drawn(2), drawn(3), drawn(4)]}


def test_values_are_means_over_seeds_and_queries():
    found = compare_recall(METHODS, REPORTS, reference="plain", ks=(1, 2), num_resamples=20)
    assert [one.method for one in found] == ["plain", "ours"] * 6
    for direction, metric in KEYS:
        for k in (1, 2):
            for name, seeds in METHODS.items():
                one = of(found, name, direction, metric, k)
                of_seeds = [np.mean(per_query(scores, k)[direction, metric]) for scores in seeds]
                assert one.seeds == pytest.approx(tuple(of_seeds))
                assert one.score.value == pytest.approx(np.mean(of_seeds))


def test_the_difference_is_of_each_query_and_its_interval_of_patients():
    found = compare_recall(METHODS, REPORTS, reference="plain", ks=(2,), num_resamples=200, seed=3)
    # A text belongs to the patient of its first film.
    owners = [PATIENTS[REPORT.index(text)] for text in range(6)]
    for direction, metric in KEYS:
        means = {
            name: np.mean([per_query(scores, 2)[direction, metric] for scores in seeds], axis=0)
            for name, seeds in METHODS.items()
        }
        patients = PATIENTS if direction == "image to text" else owners
        apart = means["ours"] - means["plain"]
        assert 0 < np.abs(apart).max()
        expected = query_interval(apart, patients, num_resamples=200, seed=3, scale="difference of shares")
        difference = of(found, "ours", direction, metric, 2).difference
        assert difference is not None
        for name in ("value", "low", "high", "num_items", "num_groups"):
            assert getattr(difference, name) == pytest.approx(getattr(expected, name), nan_ok=True), name
        assert of(found, "plain", direction, metric, 2).difference is None
    assert of(found, "ours", *KEYS[0], 2).difference.num_groups == 10


def test_pairing_by_query_makes_differences_surer_than_scores():
    # One wrong answer more on two of 40 films: the same films are hard for both.
    report = [number % 20 for number in range(40)]
    good = drawn(5, 40, 20)
    worse = Scores(good.initial, good.confidence, good.final.clone())
    worse.final[:2] = -worse.final[:2]
    methods = {"good": [good], "worse": [worse]}
    one = compare_recall(methods, reports_of(report), reference="good", ks=(5,))[1]
    assert one.difference.high - one.difference.low < (one.score.high - one.score.low) / 2


def test_equal_scores_do_not_differ():
    scores = [drawn(0), drawn(1)]
    found = compare_recall({"one": scores, "other": scores}, REPORTS, reference="one", ks=(1, 5), num_resamples=50)
    for one in found:
        if one.method == "other":
            assert one.difference.value == 0
            if one.difference.is_known:
                assert one.difference.low <= 0 <= one.difference.high
    assert any(one.difference.is_known for one in found if one.method == "other")


def test_one_method_is_its_report_recall():
    scores = drawn(6, top_m=2)
    found = compare_recall({"PECM": [scores]}, REPORTS, reference="PECM", num_resamples=20)
    expected = report_recall(scores, REPORTS, num_resamples=20)
    assert [(one.direction, one.metric, one.k) for one in found] == [
        (one.task, one.metric, one.settings["k"]) for one in expected
    ]
    # Cast to text, because an end that is not known is NaN and equals nothing.
    assert [str(one.score) for one in found] == [str(one.score) for one in expected]
    assert [one.chance for one in found] == [one.baseline for one in expected]


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"reference='other' is not allowed: one of \('plain', 'ours'\)"):
        compare_recall(METHODS, REPORTS, reference="other")
    with pytest.raises(ValueError, match="'none' has no scores: at least one seed is needed"):
        compare_recall({**METHODS, "none": []}, REPORTS, reference="plain")
    with pytest.raises(
        ValueError, match=r"scores \(12, 5\) must be \(films, unique texts\) = \(12, 6\); score reports.texts"
    ):
        compare_recall({**METHODS, "narrow": [drawn(0, texts=5)]}, REPORTS, reference="plain")
    broken = drawn(0)
    broken.final[0, 0] = torch.nan
    with pytest.raises(ValueError, match="final scores must be finite"):
        compare_recall({"plain": [broken]}, REPORTS, reference="plain")


def test_the_table_has_one_row_per_entry():
    methods = {"plain": [drawn(0)], "ours": [drawn(2), drawn(3)]}
    found = compare_recall(methods, REPORTS, reference="plain", ks=(1,), num_resamples=20)
    table = comparison_table(found)
    assert list(table.columns) == [
        "method", "direction", "metric", "k", "value", "low", "high", "seeds_sd",
        "difference", "difference_low", "difference_high", "chance",
    ]  # fmt: skip
    assert len(table) == len(found) == 6
    plain, ours = table.iloc[0], table.iloc[1]
    apart = ["difference", "difference_low", "difference_high"]
    assert (plain["method"], ours["method"]) == ("plain", "ours")
    assert plain[["seeds_sd", *apart]].isna().all()
    assert not ours[["seeds_sd", *apart]].isna().any()
    first, second = found[1].seeds
    # Two values are √2 of their deviation apart.
    assert ours["seeds_sd"] == pytest.approx(abs(first - second) / np.sqrt(2))
    assert ours["difference"] == pytest.approx(ours["value"] - plain["value"])
    assert ours["chance"] == pytest.approx(1 / 6)


def test_pairs_are_scored_by_pecm_without_a_graph():
    split, pecm = pairs(), PECM(4, config=VARIANT.config, generator=seeded(0))
    found, expected = score_pairs(pecm, split), pecm(split.image, split.text.values, split.text.mask)
    for name in ("initial", "confidence", "final"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert found.final.shape == (24, 20)
    assert not found.final.requires_grad


def test_prototypes_in_half_precision_are_scored():
    split = pairs()
    text = replace(split.text, values=split.text.values.half())
    pecm = PECM(4, config=VARIANT.config, generator=seeded(0))
    found = score_pairs(pecm, replace(split, image=split.image.half(), text=text))
    assert found.final.dtype == torch.float32
    # Half precision has 11 bits.
    torch.testing.assert_close(found.final, score_pairs(pecm, split).final, rtol=0, atol=2e-3)


def test_scores_and_fitted_models_are_left_on_the_cpu(monkeypatch):
    # The device "meta" has no numbers, so that whoever asks it for them is refused: what is left there stays there.
    def moved(pecm, *_, **__):
        pecm.to("meta")
        return ()

    pecm = PECM(4, config=VARIANT.config)
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        score_pairs(pecm.to("meta"), pairs())
    monkeypatch.setattr(comparison, "train_pecm", moved)
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        fit_variant(VARIANT, pairs(), seed=0, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_fits_and_scores_what_numpy_can_read():
    fitted, _ = fit_variant(VARIANT, pairs(), seed=0, training=QUICK, device="cuda")
    assert fitted.theta.device.type == "cpu"
    expected, found = score_pairs(fitted, pairs()), score_pairs(fitted.to("cuda"), pairs())
    # Sums in another order.
    torch.testing.assert_close(found.final, expected.final, rtol=0, atol=1e-4)
    reports = reports_of(pairs().report.tolist())
    assert compare_recall({"PECM": [found]}, reports, reference="PECM", num_resamples=20)
    assert first_answers(found, temperature=0.1).rows.shape == (24,)
    image, text = pairs().image, pairs().text
    assert explain_match(fitted, image[0], text.values[0], text.mask[0])


def same_width(dtype=torch.float32):
    generator = seeded(4)
    image, text = torch.randn(5, 3, 7, generator=generator), torch.randn(4, 3, 7, generator=generator)
    mask = torch.ones(4, 3, dtype=torch.bool)
    report = torch.tensor([0, 1, 2, 3, 0])
    return RetrievalPairs(image.to(dtype), Prototypes(text.to(dtype), mask, mask), report, list("abcde"))


def test_cosines_without_pecm_are_of_the_global_prototypes():
    split = same_width()
    found = cosine_scores(split)
    for film in range(5):
        for text in range(4):
            first, second = split.image[film, -1], split.text.values[text, -1]
            expected = float(first @ second / (first.norm() * second.norm()))
            for name in ("initial", "confidence", "final"):
                assert float(getattr(found, name)[film, text]) == pytest.approx(expected, abs=1e-6)
    halves = cosine_scores(same_width(torch.bfloat16))
    # Products in single precision: what is lost is in the prototypes, of 8 bits.
    assert halves.initial.dtype == torch.float32
    torch.testing.assert_close(halves.initial, found.initial, rtol=0, atol=0.02)
    with pytest.raises(ValueError, match=r"prototypes of widths \(10, 8\) \(image, text\) have no cosine"):
        cosine_scores(pairs())


def test_a_seed_makes_a_variant_again():
    (first, told), (second, told_again), (other, _) = (
        fit_variant(VARIANT, pairs(), seed=seed, training=QUICK) for seed in (1, 1, 2)
    )
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert [epoch.total for epoch in told] == [epoch.total for epoch in told_again]
    assert not torch.equal(first.state_dict()["image_projection.weight"], other.state_dict()["image_projection.weight"])
    assert first.config == VARIANT.config
    assert first.num_prototypes == 4
    assert not first.training


def test_a_variant_is_fitted_from_its_seed_alone():
    torch.manual_seed(0)
    fitted, _ = fit_variant(VARIANT, pairs(), seed=1, training=QUICK)
    torch.manual_seed(5)
    again, history = fit_variant(VARIANT, pairs(), seed=1, training=QUICK, validation=pairs(1, prefix="q"))
    # Neither torch's own generator nor a validation moves anything.
    assert torch.equal(fitted.theta, again.theta)
    assert len(history) == 2
    assert history[-1].validation is not None
    with pytest.raises(ValueError, match="20 patients are in both training and validation"):
        fit_variant(VARIANT, pairs(), seed=1, training=QUICK, validation=pairs(1))


def test_the_shortcut_ranks_by_what_a_thumbnail_tells():
    train, asked = pairs(0, films=60, reports=60), pairs(1, films=12, reports=12, prefix="q")
    # Thumbnails that are the vector of the own text, but for a rotation and noise.
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]

    def thumbnails(one):
        texts = torch.nn.functional.normalize(one.text.values[:, -1], dim=-1)[one.report].numpy()
        return texts @ rotation + 0.01 * np.random.default_rng(1).normal(size=texts.shape)

    scores = shortcut_scores(thumbnails(train), train, thumbnails(asked), asked)
    right = torch.gather(scores.initial, 1, asked.report[:, None])[:, 0]
    assert (right >= scores.initial.amax(1) - 1e-6).double().mean() > 0.9
    assert torch.equal(scores.initial, scores.final)


def test_the_shortcut_needs_a_thumbnail_for_each_film():
    one = pairs(films=12, reports=10)
    with pytest.raises(ValueError, match="for 12 and 12 films"):
        shortcut_scores(np.zeros((11, 65)), one, np.zeros((12, 65)), one)


def siblings(patients=4, films=10, width=8):
    """Thumbnails that are alike within a patient, as the words are, and tell nothing about another patient."""
    generator, rng = seeded(7), np.random.default_rng(7)
    mask = torch.ones(patients, 3, dtype=torch.bool)
    text = Prototypes(torch.randn(patients, 3, 16, generator=generator), mask, mask)
    report = torch.arange(patients).repeat_interleave(films)
    image = torch.randn(len(report), 3, 16, generator=generator)
    looks = rng.normal(size=(patients, width))[report] + 0.05 * rng.normal(size=(len(report), width))
    return looks, RetrievalPairs(image, text, report, [f"p{row}" for row in report.tolist()])


def test_the_penalty_of_the_shortcut_is_chosen_on_other_patients():
    (looks, train), strange = siblings(), np.random.default_rng(8).normal(size=(40, 8))
    texts = torch.nn.functional.normalize(train.text.values[:, -1], dim=-1)

    # Ridge regression written out, on some of the films.
    def fitted(is_used, penalty):
        values, targets = looks[is_used], texts[train.report].numpy()[is_used]
        mean, deviation, center = values.mean(0), values.std(0), targets.mean(0)
        scaled = (values - mean) / deviation
        slope = np.linalg.solve(scaled.T @ scaled + penalty * np.eye(8), scaled.T @ (targets - center))
        return lambda asked: (asked - mean) / deviation @ slope + center

    # Of four patients, each is left out once.
    errors = {}
    for penalty in np.logspace(-2, 4, 13):
        out = [train.report.numpy() == patient for patient in range(4)]
        left = [fitted(~is_out, penalty)(looks[is_out]) - texts[train.report].numpy()[is_out] for is_out in out]
        errors[penalty] = np.mean([(one**2).mean() for one in left])
    best = min(errors, key=errors.get)
    guess = torch.nn.functional.normalize(torch.from_numpy(fitted(np.full(40, True), best)(strange)).float(), dim=-1)
    found = shortcut_scores(looks, train, strange, train)
    torch.testing.assert_close(found.initial, guess @ texts.t(), rtol=0, atol=1e-5)
    # One film at a time, siblings would call for the smallest penalty, and strange films get the words of somebody.
    assert best == 1e4
    assert found.initial.std(0).max() < 0.1
    again = shortcut_scores(looks, train, strange, train)
    assert torch.equal(again.initial, found.initial)
    alone = replace(train, patients=["p0"] * 40)
    with pytest.raises(ValueError, match="training films of 1 patient: the penalty is chosen on patients left out"):
        shortcut_scores(looks, alone, strange, train)


def test_the_shortcut_reads_prototypes_in_half_precision():
    looks, train = siblings()
    half = replace(train, text=replace(train.text, values=train.text.values.bfloat16()))
    found, expected = (shortcut_scores(looks, one, looks, one) for one in (half, train))
    # Eight bits.
    torch.testing.assert_close(found.initial, expected.initial, rtol=0, atol=0.02)
