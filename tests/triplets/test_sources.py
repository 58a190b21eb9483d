"""Names of data sets: that of drawn films tells whose reports they were drawn for."""

import pytest

from pedclip.triplets.arrays import qualified_patients
from pedclip.triplets.sources import is_synthetic, real_source, synthetic_source
from pedclip.triplets.storage import make_split
from tests.triplets.triplet_rows import triplet


def test_the_source_of_the_reports_stays_in_the_name() -> None:
    assert synthetic_source("sd-2.1", "MIMIC: PA") == "synthetic:sd-2.1:MIMIC: PA"
    assert real_source("synthetic:sd-2.1:MIMIC: PA") == "MIMIC: PA"
    # A copy of a copy is one of the same reports.
    assert synthetic_source("flow", "synthetic:sd-2.1:MIMIC") == "synthetic:flow:MIMIC"
    assert [is_synthetic(name) for name in ("synthetic:flow:x", "synthetic", "x")] == [True, False, False]


@pytest.mark.parametrize("name", ["", "a:b", "a/b", " a", "-a"])
def test_a_name_that_could_not_be_read_back_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected letters, digits"):
        synthetic_source(name, "phantom")


def test_the_patient_of_a_drawn_film_is_that_of_its_report() -> None:
    rows = [triplet(1), triplet(1, source="synthetic:flow:made"), triplet(1, source="other")]
    rows += [triplet(1, source="synthetic:flow:made", patient_id="made/p1")]  # as a union writes it
    assert qualified_patients(make_split(rows)) == ["made/p1", "made/p1", "other/p1", "made/p1"]
