"""Rows of labels from triplets."""

import pytest
from datasets import Dataset

from pedclip.evaluation.tasks.labels import read_labels
from pedclip.triplets.arrays import qualified_patients


@pytest.mark.parametrize("patient", ["7", "a/7"])
def test_patients_are_named_as_those_of_arrays(patient: str) -> None:
    # A union puts the source before the identifier; labels and arrays of its films are joined by patient.
    data = Dataset.from_dict({"source": ["a"], "patient_id": [patient], "findings": [["x"]], "region": ["hip"]})
    (row,) = read_labels(data)
    assert [row.patient] == qualified_patients(data) == ["a/7"]
