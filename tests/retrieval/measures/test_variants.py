"""Variants of the tables: named and ordered as printed, each different in what its name says and in nothing else."""

from dataclasses import asdict, replace

import pytest

from pedclip.evaluation.published import printed
from pedclip.retrieval.config import PECMConfig
from pedclip.retrieval.measures.variants import component_variants, loss_variants, printed_variants

# Narrow, and unlike the defaults in fields that no variant may touch.
CONFIG = PECMConfig(proj_dim=8, match_temperature=0.2, sim_weight=2.0, conf_weight=0.5, div_weight=3.0)


def rows(table):
    """Rows of a printed table in its order, each once."""
    found = printed("pecm")
    return list(dict.fromkeys(found[found["table"] == table]["row"]))


def changed(config, base=CONFIG):
    """Fields that differ, with their values."""
    return {name: value for name, value in asdict(config).items() if value != asdict(base)[name]}


def test_components_are_the_rows_of_the_printed_table():
    found = component_variants(CONFIG)
    names = [one.name for one in found]
    # Its second row of ARR alone is the one combination that is missing (decision E17).
    expected = ["PER+ARR" if "by elimination" in row else row for row in rows("Table 4")]
    assert sorted(names) == sorted(expected)
    assert names == ["none", "PER", "DSCE", "ARR", "PER+DSCE", "PER+ARR", "DSCE+ARR", "PER+DSCE+ARR"]
    assert names == expected


def test_components_switch_what_they_are_named_after():
    for one in component_variants(CONFIG):
        on = set(one.name.split("+")) - {"none"}
        assert {name for name in ("PER", "DSCE", "ARR") if getattr(one.config, name.lower())} == on
        assert set(changed(one.config)) <= {"per", "dsce", "arr"}
    # What the configuration had off is on where the row says so.
    of_none = component_variants(replace(CONFIG, per=False, dsce=False, arr=False))
    assert of_none == component_variants(CONFIG)


def test_losses_are_the_rows_of_the_printed_table():
    found = loss_variants(CONFIG)
    names = [one.name for one in found]
    assert names == ["sim", "conf", "div", "sim+conf", "sim+div", "conf+div", "sim+conf+div"]
    assert names == rows("Table 5")
    for one in found:
        on = one.name.split("+")
        off = {f"{name}_weight": 0.0 for name in ("sim", "conf", "div") if name not in on}
        assert changed(one.config) == off


@pytest.mark.parametrize("name", ["sim", "conf", "div"])
def test_a_loss_that_is_off_has_no_row(name):
    with pytest.raises(ValueError, match=f"{name}_weight=0 leaves rows without their loss"):
        loss_variants(replace(CONFIG, **{f"{name}_weight": 0.0}))


def test_each_contradiction_is_printed_alone_and_then_all():
    *single, last = printed_variants(CONFIG)
    as_printed = asdict(PECMConfig.as_printed())
    expected = {
        "E15: proj_init=own",
        "E14: norm_z=False",
        "E5: w_norm=free",
        "E9: rerank=as_printed",
        "E8: sim_loss=as_printed",
        "E8: equal_texts=negative",
        "E19: conf_loss=as_printed",
        "E3: div_loss=as_printed",
        "E4: div_reduce=sum",
    }
    assert {one.name for one in single} == expected
    together = {}
    for one in single:
        ((name, value),) = changed(one.config).items()
        assert one.name.endswith(f": {name}={value}")
        assert value == as_printed[name]
        together[name] = value
    assert last.name == "as printed"
    assert changed(last.config) == together


def test_what_is_printed_already_is_no_variant():
    printed_config = PECMConfig.as_printed()
    (only,) = printed_variants(printed_config)
    assert (only.name, only.config) == ("as printed", printed_config)
    names = [one.name for one in printed_variants(replace(CONFIG, rerank="as_printed"))]
    assert "E9: rerank=as_printed" not in names
    assert len(names) == 9


def test_weights_per_pair_cannot_be_printed():
    with pytest.raises(ValueError, match="w_mode='per_pair' is not allowed with w_norm='free'"):
        printed_variants(replace(CONFIG, w_mode="per_pair"))
