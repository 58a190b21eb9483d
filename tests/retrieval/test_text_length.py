"""Texts that are cut: counted at the limit, and only those of which something is lost."""

from pedclip.models.pedclip import PedCLIP
from pedclip.retrieval.text_length import count_cut
from pedclip.weights import shipped_folder


def test_a_text_counts_from_the_first_token_that_is_lost():
    model = PedCLIP.from_pretrained(shipped_folder("pedclip-phantom-small"))
    limit = model.config.max_text_tokens
    one = model.tokenizer("normal", add_special_tokens=False)["input_ids"]
    # [CLS] and [SEP] take two places.
    fitting = " ".join(["normal"] * ((limit - 2) // len(one)))
    assert count_cut(model, [fitting, "Normal wrist."]) == 0
    assert count_cut(model, [f"{fitting} normal", fitting, f"{fitting} hand normal"]) == 2
    assert int(model.tokenize([f"{fitting} normal"])["attention_mask"].sum()) == limit
    assert count_cut(model, []) == 0
