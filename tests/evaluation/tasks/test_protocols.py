"""What is stored of the papers' protocols fits the data cards."""

import pytest

from pedclip.data.cards import card_names, read_card
from pedclip.evaluation.published import printed
from pedclip.evaluation.tasks.protocols import EmptyMasks, Protocol, _protocols, protocol_of
from pedclip.findings import finding_name


def test_entries_are_of_data_sets_with_a_card_and_use_names_as_they_are_compared() -> None:
    columns = set(printed("pedclip")["column"])
    assert len(_protocols()) >= 9
    for source, protocol in _protocols().items():
        assert source in card_names() or f"| {source} |" in read_card("small-real-packs").text
        assert columns.issuperset(protocol.columns or ())
        for finding in protocol.uncertain:
            assert finding in [finding_name(label) for label in read_card(source).labels]
        if protocol.empty_masks:
            assert protocol.empty_masks.finding == finding_name(protocol.empty_masks.finding)


def test_an_unknown_source_may_carry_any_column() -> None:
    assert protocol_of("somebody's films") == Protocol()
    assert Protocol().column("CHD") == "CHD"
    assert Protocol(columns=("CHD",)).column("Pedi-CXR") == ""
    with pytest.raises(ValueError, match="all, equal, got 'half'"):
        EmptyMasks("effusion", "half")
    with pytest.raises(ValueError, match="present or absent, got maybe"):
        Protocol(uncertain={"edema": "maybe"})
