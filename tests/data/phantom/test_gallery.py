"""The gallery: what was asked for is what is shown."""

import pytest

from pedclip.anatomy import REGIONS
from pedclip.data.phantom.findings.registry import FINDINGS, LESIONS
from pedclip.data.phantom.gallery import finding_gallery, region_gallery


def test_every_region_at_every_age_without_a_finding() -> None:
    films = region_gallery((1.0, 12.0), size=48)
    assert [(film.region, film.age) for film in films] == [(region, age) for region in REGIONS for age in (1.0, 12.0)]
    assert not any(film.finding or film.mask.any() for film in films)
    assert {film.film.shape for film in films} == {(48, 48)}


def test_every_finding_with_its_area() -> None:
    films = finding_gallery(size=96)
    assert [film.finding for film in films] == list(FINDINGS)
    assert all(film.region in FINDINGS[film.finding] for film in films)
    assert [film.finding for film in films if film.mask.any()] == [name for name in FINDINGS if name in LESIONS]


def test_unknown_findings_are_named() -> None:
    with pytest.raises(ValueError, match="unknown finding 'measles'"):
        finding_gallery(("fracture", "measles"))
