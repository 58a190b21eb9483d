from pedclip.curation.reading import read_report


def test_a_sentence_keeps_its_place_and_the_kind_that_its_section_gives_it() -> None:
    text = "TECHNIQUE: The left knee is flexed. FINDINGS: The left knee is flexed. IMPRESSION: The left knee is flexed."
    lines = read_report(text).lines
    assert [line.kind for line in lines] == ["technique", "finding", "finding"]
    assert [line.sentence.start for line in lines] == [11, 46, 83]
    assert {line.sentence.text for line in lines} == {"The left knee is flexed."}
    assert all(text[line.sentence.start : line.sentence.end] == line.sentence.text for line in lines)
    assert {mention.laterality for line in lines for mention in line.mentions} == {"left"}
