"""Real data sources load without special code; skipped where they are not at hand."""

from collections import Counter
from pathlib import Path

import pytest

from pedclip.anatomy import REGIONS
from pedclip.data.folder import read_folder
from pedclip.data.table import find_table

SOURCES = Path(__file__).resolve().parents[2] / "../shared/data"
# Images, regions, rows left out.
EXPECTED = {
    "covid-cxr-notes": (219, 1, 0),
    "hannover-covid-cxr": (191, 1, 0),
    "jordan-ddh-sample": (8, 1, 0),
    "roco-xray": (511, 22, 201),
    "scoliosis-spine": (165, 1, 0),
    "shoulder-implant": (440, 1, 0),
}

pytestmark = pytest.mark.skipif(not SOURCES.is_dir(), reason="real radiographs are not beside the checkout")


@pytest.mark.parametrize("name", EXPECTED)
def test_source_loads_with_a_patient_on_one_side_only(name: str) -> None:
    reading = read_folder(SOURCES / name)
    regions, patients = Counter(), []
    for data in reading.triplets.values():
        regions.update(REGIONS[number] for number in data["region"])
        patients.append(set(data["patient_id"]))
        assert all(len(text) > 2 for text in data["text"])
    assert (regions.total(), len(regions), len(reading.left_out)) == EXPECTED[name]
    assert sum(map(len, patients)) == len(set.union(*patients))


@pytest.mark.parametrize("name", ["iu-openi-reports", "cmc2007-paediatric-reports", "extraction-gold"])
def test_reports_without_films_are_no_pack(name: str) -> None:
    assert find_table(SOURCES / name) is None
