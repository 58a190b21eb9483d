"""The tiny Llama of a test as one GGUF file, written as llama.cpp's converter writes it."""

from pathlib import Path
from typing import Any


def save_tiny_gguf(folder: Path, path: Path, *, architecture: str = "llama", without: str = "") -> Path:
    """Writes what `save_tiny_llama` put into a folder as a GGUF file and returns its path.

    Args:
        folder: Holds model and tokenizer.
        path: File to write.
        architecture: As the header names it.
        without: Name of a tensor to leave out, or "chat_template".
    """
    from gguf import GGUFWriter, TokenType
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer, LlamaConfig

    config: Any = LlamaConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))  # no merges: one token per byte
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if without != "chat_template":
        writer.add_chat_template(tokenizer.chat_template)
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    for name, weights in load_file(folder / "model.safetensors").items():
        ours = _gguf_name(name)
        if (kind := ours.partition("attn_")[2][:2]) in ("q.", "k."):
            weights = _interleaved(weights, heads[kind[0]])
        if ours != without:
            writer.add_tensor(ours, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.": "blk.",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.o_proj": "attn_output",
    "self_attn.": "attn_",
    "mlp.": "ffn_",
    "_proj": "",
}


def _gguf_name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _interleaved(weights: Any, heads: int) -> Any:
    # llama.cpp turns neighbouring pairs of a head, transformers its two halves.
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
