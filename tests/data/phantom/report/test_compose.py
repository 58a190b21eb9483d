"""Reports and the sentences of each part: exact substrings that assert what is there and nothing else."""

import json
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from pedclip.anatomy import REGIONS, find_region
from pedclip.data.phantom import FINDINGS, generate_reports
from pedclip.data.phantom.population import StudyPlan, plan_study
from pedclip.data.phantom.report.arrangement import with_typo
from pedclip.data.phantom.report.compose import StudyReport
from pedclip.data.phantom.report.wording import expand, grammar
from pedclip.data.phantom.study import report_of

NUM = 1500
SEED = 5
_DENIAL = re.compile(r"\b(no|without|negative for|neither|absence of|free of|clear of|w/o)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def studies() -> list[tuple[StudyPlan, StudyReport]]:
    return [(plan_study(number, SEED), report_of(number, seed=SEED)) for number in range(NUM)]


def test_excerpts_are_sentences_of_the_report_in_its_order(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    for plan, report in studies:
        regions = [part.region for part in plan.parts]
        assert list(report.filmed_regions) == list(dict.fromkeys(regions))
        assert set(report.excerpts) == set(regions)
        for sentences in report.excerpts.values():
            assert sentences
            at = 0
            for sentence in sentences:
                assert sentence.strip() == sentence
                assert not re.match(r"\d+[.)]|[A-Za-z/ ]+( -|:) ", sentence), "a heading or number is part of it"
                at = report.report_text.index(sentence, at) + 1
        for part, sentences in zip(plan.parts, report.part_excerpts, strict=True):
            assert 1 <= len(sentences) <= 6
            assert set(sentences) <= set(report.excerpts[part.region])


def test_what_is_left_out_is_in_no_excerpt(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    asides = 0
    for _, report in studies:
        kept = {sentence for sentences in report.excerpts.values() for sentence in sentences}
        assert not kept & set(report.left_out)
        assert all(text in report.report_text for text in report.left_out)
        body = " ".join(report.sections[name] for name in ("comparison", "technique", "findings", "impression"))
        rest = body.replace("\n", " ")
        for text in sorted([*kept, *report.left_out], key=len, reverse=True):
            rest = rest.replace(text, " ")
        assert not rest.strip(), rest
        asides += len(report.left_out)
    assert asides > NUM


def test_all_findings_are_asserted_and_no_others(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    known = grammar("findings")["findings"]
    for plan, report in studies:
        for part, sentences in zip(plan.parts, report.part_excerpts, strict=True):
            positive = [sentence.lower() for sentence in sentences if not _denies_first(sentence)]
            present = {finding.name for finding in part.findings}
            for name in present:
                assert any(term in text for term in _terms(name) for text in positive), (name, sentences)
            related = present | {other for name in present for other in known[name]["conflicts"]}
            heads = {name.split()[-1] for name in related}
            for name in set(FINDINGS) - related:
                # A compression fracture is a fracture, a pleural effusion an effusion.
                if name.split()[-1] not in heads:
                    said = [text for text in positive for term in _terms(name) if re.search(rf"\b{term}\b", text)]
                    assert not said, (name, said)


def test_no_finding_is_denied(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    num_denials = 0
    for plan, report in studies:
        for part, sentences in zip(plan.parts, report.part_excerpts, strict=True):
            for sentence in filter(_denies_first, sentences):
                num_denials += 1
                words = [word for f in part.findings for word in (*_terms(f.name), f.name)]
                assert not [word for word in words if re.search(rf"\b{re.escape(word)}\b", sentence.lower())], sentence
    assert num_denials > NUM // 4


def _terms(finding: str) -> list[str]:
    """How a finding is named in the texts."""
    return list(grammar("findings")["findings"][finding]["terms"])


def _denies_first(sentence: str) -> bool:
    """Whether a sentence begins with a denial; later ones ("without displacement") qualify what is asserted."""
    match = _DENIAL.search(sentence)
    if match is None:
        return False
    before = sentence[: match.start()].lower()
    return not any(term in before for name in FINDINGS for term in _terms(name))


def test_normal_structures_are_not_claimed_beside_a_finding() -> None:
    lungs = 0
    for number in range(600):
        plan = plan_study(number, 1)
        for part, sentences in zip(plan.parts, report_of(number, seed=1).part_excerpts, strict=True):
            if "consolidation" in {finding.name for finding in part.findings}:
                lungs += 1
                assert not re.search(r"lungs (are )?clear|normal chest", " ".join(sentences), re.IGNORECASE)
    assert lungs > 20


def test_the_side_in_the_report_is_the_side_of_the_part(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    for plan, report in studies:
        for region, side in report.laterality.items():
            sides = {part.laterality for part in plan.parts if part.region == region}
            assert sides == ({"left", "right"} if side == "both" else {side})
        sided = {part.laterality for part in plan.parts}
        if len(plan.parts) == 1 and sided != {""}:
            other = "left" if sided == {"right"} else "right"
            text = " ".join(report.part_excerpts[0]).lower()
            assert not re.search(rf"\b{other}\b", text), text


def test_exam_lines_name_the_parts(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    for region, entry in grammar("regions")["regions"].items():
        assert all(find_region(name) == region for name in [*entry["nouns"], *entry["exams"]]), region
    assert set(grammar("regions")["regions"]) == set(REGIONS)
    styles = Counter(report.style.split(",")[0] for _, report in studies)
    assert set(styles) == {"headed", "running", "numbered", "by structure", "joint", "similar"}


def test_every_template_can_be_filled() -> None:
    rng = np.random.default_rng(0)
    for name, entry in grammar("findings")["findings"].items():
        assert name in FINDINGS
        assert set(entry["conflicts"]) <= set(FINDINGS)
        for text in [*entry["definite"], *entry["impression"]]:
            filled = {"the_site": "the place", "term": entry.get("named", entry["terms"]), "severity": "mild"}
            kinds = [kind for group in grammar("findings")["fracture_kinds"].values() for kind in group]
            filled |= {
                "kind": kinds,
                "displacement": "",
                "side": "left ",
                "noun": "wrist",
                "finding_side": "left",
                "site": "place",
            }
            for _ in range(8):
                said = expand(text, filled, rng).lower()
                assert any(term in said for term in _terms(name)), (name, said)
    assert set(grammar("findings")["findings"]) == set(FINDINGS)


def test_reports_are_varied_and_of_the_length_of_real_ones(studies: list[tuple[StudyPlan, StudyReport]]) -> None:
    sentences = [s for _, report in studies for texts in report.excerpts.values() for s in texts]
    assert len(set(sentences)) > 2500
    lengths = [len(report.report_text.split()) for _, report in studies]
    assert 25 < np.median(lengths) < 80
    assert len({report.report_text for _, report in studies}) == NUM


def test_a_typing_error_spares_findings_and_sides() -> None:
    rng = np.random.default_rng(0)
    text = "Alignment is preserved, no dislocation of the clavicle."
    changed = {with_typo(text, rng) for _ in range(50)}
    assert len(changed) > 10
    assert all("dislocation" in other and "clavicle" in other for other in changed)


def test_the_same_reports_in_another_process_and_with_films() -> None:
    code = "import json;from pedclip.data.phantom import generate_reports;print(json.dumps(generate_reports(15, 2)))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = generate_reports(15, 2)
    assert json.loads(there.stdout) == here
    assert {"report_text", "sections", "filmed_regions", "laterality", "excerpts", "left_out"} <= set(here[0])
