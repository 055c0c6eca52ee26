"""A small BERT of random weights as a GGUF file: what embeddings can be compared with without a real model."""
import random
import struct


def _string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _pair(key, value):
    if isinstance(value, bool):
        return _string(key) + struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return _string(key) + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return _string(key) + struct.pack("<If", 6, value)
    if isinstance(value, str):
        return _string(key) + struct.pack("<I", 8) + _string(value)
    if isinstance(value[0], str):
        return _string(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
    return _string(key) + struct.pack("<IIQ", 9, 5, len(value)) + struct.pack("<%di" % len(value), *value)


def words(n):
    """The vocabulary's words: letters, and pairs of syllables."""
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    return [chr(97 + i) for i in range(26)] + [a + b for a in syllables for b in syllables][:n]


def write(path, pooling, layers=2, width=64, heads=4, ffn=128, context=128, seed=1):
    """`pooling`: 1 mean, 2 the first token's, 3 the last's."""
    rng = random.Random(seed)
    plain = words(200)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + ["\u2581" + w for w in plain] + plain
    meta = {"general.architecture": "bert", "general.name": "tiny bert", "bert.block_count": layers, "bert.context_length": context,
            "bert.embedding_length": width, "bert.feed_forward_length": ffn, "bert.attention.head_count": heads,
            "bert.attention.layer_norm_epsilon": 1e-12, "bert.attention.causal": False, "bert.pooling_type": pooling, "general.file_type": 0,
            "tokenizer.ggml.model": "bert", "tokenizer.ggml.pre": "jina-v2-en", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.token_type": [3] * 5 + [1] * (len(tokens) - 5), "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.unknown_token_id": 1,
            "tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.cls_token_id": 2, "tokenizer.ggml.eos_token_id": 3,
            "tokenizer.ggml.seperator_token_id": 3, "tokenizer.ggml.mask_token_id": 4}
    shapes = [("token_embd.weight", width, len(tokens)), ("token_types.weight", width, 2), ("position_embd.weight", width, context),
              ("token_embd_norm.weight", width), ("token_embd_norm.bias", width)]
    for i in range(layers):
        for name, *shape in (("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width), ("attn_output", width, width),
                             ("ffn_up", width, ffn), ("ffn_down", ffn, width)):
            shapes += [("blk.%d.%s.weight" % (i, name), *shape), ("blk.%d.%s.bias" % (i, name), shape[-1])]
        for name in ("attn_output_norm", "layer_output_norm"):
            shapes += [("blk.%d.%s.weight" % (i, name), width), ("blk.%d.%s.bias" % (i, name), width)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(meta)) + b"".join(_pair(k, v) for k, v in meta.items())
    data = b""
    for name, *shape in shapes:
        head += _string(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, 0, len(data))
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        centre, spread = (1.0, 0.1) if "norm.weight" in name else (0.0, 0.1 if len(shape) == 1 else 1 / shape[0] ** 0.5 if "blk" in name else 0.5)
        data += struct.pack("<%df" % n, *(rng.gauss(centre, spread) for _ in range(n)))
        data += b"\0" * (-len(data) % 32)
    with open(path, "wb") as out:
        out.write(head + b"\0" * (-len(head) % 32) + data)
    return path
