"""Items of an index as they lie in the file: numbers that cannot be, and numbers that were changed, are refused."""

import pytest

from pedclip.retrieval.archive.encoding import Omission
from pedclip.retrieval.archive.items import GivenItems
from pedclip.triplets.left_out import Reason


def test_what_is_written_is_read() -> None:
    given = GivenItems(5, (Omission(1, Reason.EMPTY_REPORT), Omission(4, Reason.CORRUPT, "a text that is no Unicode")))
    assert GivenItems.from_dict(given.to_dict()) == given
    with pytest.raises(KeyError, match="checksum"):
        GivenItems.from_dict({"given": 5, "left_out": []})


def left_out(number: object, detail: object = "") -> dict[str, object]:
    return {"number": number, "reason": "corrupt", "detail": detail}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"given": True, "left_out": []}, "whole numbers"),
        ({"given": 3.0, "left_out": []}, "whole numbers"),
        ({"given": 3, "left_out": [left_out(1.0)]}, "whole numbers"),
        ({"given": 3, "left_out": [left_out(True)]}, "whole numbers"),
        ({"given": 3, "left_out": [left_out("1")]}, "whole numbers"),
        ({"given": 3, "left_out": [left_out(None)]}, "whole numbers"),
        ({"given": 3, "left_out": [left_out(1, 7)]}, "details are texts"),
        ({"given": 3, "left_out": [left_out(1, None)]}, "details are texts"),
        ({"given": 4, "left_out": [left_out(2), left_out(1)]}, "in rising order"),
        ({"given": 4, "left_out": [left_out(1), left_out(1)]}, "different ones of 4"),
        ({"given": 3, "left_out": [left_out(-1)]}, "different ones of 3"),
        # The right number of items, but another one of them.
        ({"given": 3, "left_out": [left_out(2)], "checksum": "0"}, "checksum of a part differs"),
    ],
)
def test_numbers_that_cannot_be_or_were_changed_are_refused(part: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GivenItems.from_dict(part)
