"""Who is examined: shares of regions, studies of several parts, findings that come together, bone age."""

from collections import Counter

import numpy as np
import pytest

from pedclip.anatomy import REGIONS, is_paired
from pedclip.data.phantom.body.layouts import views_of
from pedclip.data.phantom.findings.registry import FINDINGS
from pedclip.data.phantom.population import StudyPlan, deck, plan_study
from pedclip.data.phantom.resources import table


@pytest.fixture(scope="module")
def plans() -> list[StudyPlan]:
    return [plan_study(number, seed=0) for number in range(4000)]


def test_regions_come_in_the_shares_of_the_paper(plans: list[StudyPlan]) -> None:
    images = Counter({region: 0 for region in REGIONS})
    for plan in plans:
        for part in plan.parts:
            images[part.region] += len(part.views)
    shares = {region: count / images.total() for region, count in images.items()}
    assert shares["chest"] + shares["wrist"] + shares["forearm"] == pytest.approx(0.46, abs=0.02)
    assert min(shares.values()) > 0.005
    assert max(shares, key=lambda region: shares[region]) == "chest"


def test_any_200_studies_show_all_regions(plans: list[StudyPlan]) -> None:
    assert len(deck()) == 100
    assert set(deck()) == set(REGIONS)
    for start in range(0, 400, 37):
        assert {plan.region for plan in plans[start : start + 200]} == set(REGIONS)


def test_studies_of_several_parts(plans: list[StudyPlan]) -> None:
    # Binomial standard error 0.0065: five of them.
    assert np.mean([len(plan.parts) > 1 for plan in plans]) == pytest.approx(0.22, abs=0.033)
    assert {len(plan.parts) for plan in plans} == {1, 2, 3}
    assert {sum(len(part.views) for part in plan.parts) for plan in plans} == {1, 2, 3, 4}
    bilateral = 0
    for plan in plans:
        sided = [(part.region, part.laterality) for part in plan.parts]
        assert len(set(sided)) == len(sided)
        for part in plan.parts:
            assert bool(part.laterality) == is_paired(part.region)
            assert set(part.views) <= {*views_of(part.region), "AP"}
            assert all(part.region in FINDINGS[finding.name] for finding in part.findings)
        bilateral += len({region for region, _ in sided}) < len(sided)
    assert bilateral > 40
    pairs = {(plan.parts[0].region, plan.parts[1].region) for plan in plans if len(plan.parts) > 1}
    assert {("wrist", "forearm"), ("chest", "abdomen"), ("ankle", "foot"), ("knee", "knee")} <= pairs


def test_neighbours_are_on_one_side(plans: list[StudyPlan]) -> None:
    for plan in plans:
        sides = {part.laterality for part in plan.parts if part.laterality}
        if len({part.region for part in plan.parts}) == len(plan.parts):
            assert len(sides) <= 1


def test_about_half_of_the_films_are_abnormal_and_every_finding_occurs(plans: list[StudyPlan]) -> None:
    assert 0.45 < np.mean([bool(plan.parts[0].findings) for plan in plans]) < 0.62
    found = [finding for plan in plans for part in plan.parts for finding in part.findings]
    assert {finding.name for finding in found} == set(FINDINGS)
    assert all(0 < finding.severity <= 1 for finding in found)
    assert 0.15 < np.mean([finding.severity < 1 / 3 for finding in found]) < 0.4


def test_findings_of_a_condition_come_together(plans: list[StudyPlan]) -> None:
    conditions = table("population")["conditions"]
    by_condition = {name: [plan for plan in plans if plan.condition == name] for name in conditions}
    assert all(len(group) > 25 for group in by_condition.values())
    for name, group in by_condition.items():
        known = set(conditions[name])
        sets = [{finding.name for finding in part.findings} for plan in group for part in plan.parts]
        assert np.mean([len(names & known) > 0 for names in sets]) > 0.7
    joints = [
        {finding.name for finding in part.findings}
        for plan in by_condition["juvenile arthritis"]
        for part in plan.parts
        if part.region == "knee"
    ]
    assert np.mean([len(names) >= 2 for names in joints]) > 0.6


def test_bone_age_scatters_around_age(plans: list[StudyPlan]) -> None:
    ages = np.array([plan.age for plan in plans])
    bone_ages = np.array([plan.bone_age for plan in plans])
    assert bone_ages.min() >= 0
    assert bone_ages.max() <= 18
    ahead = bone_ages - ages
    infants, schoolchildren = ahead[ages < 1.5], ahead[(ages > 11) & (ages < 13)]
    assert abs(schoolchildren.mean()) < 0.25
    assert 0.9 < schoolchildren.std() < 1.6
    assert infants.std() < 0.5
    assert np.abs(ahead).max() > 2.2


def test_a_patient_keeps_sex_and_grows(plans: list[StudyPlan]) -> None:
    studies_of: dict[str, list[StudyPlan]] = {}
    for plan in plans:
        studies_of.setdefault(plan.patient_id, []).append(plan)
    assert {len(studies) for studies in studies_of.values()} == {1, 2, 3}
    for studies in studies_of.values():
        assert len({plan.sex for plan in studies}) == 1
        assert [plan.age for plan in studies] == sorted(plan.age for plan in studies)


def test_plans_depend_on_number_and_seed_alone() -> None:
    assert plan_study(7, 3) == plan_study(7, 3)
    assert plan_study(7, 3).age != plan_study(7, 4).age
