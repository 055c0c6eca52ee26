"""Builds GGUF files byte by byte, right ones and wrong ones: what a well-behaved writer library would refuse to write.

Metadata is a list of (key, type, value); an array's type is ("array", element type). Tensors are (name, dims, type,
bytes); offsets are laid out in order unless given as a fifth item. The data section is filled with a cheap pattern.
"""
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
FORMAT = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d"}
# ggml types used here: id -> (elements a block, bytes a block)
TYPES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 8: (32, 34), 12: (256, 144), 26: (1, 4)}
TYPE_F32, TYPE_F16, TYPE_Q4_0, TYPE_Q8_0, TYPE_Q4_K = 0, 1, 2, 8, 12


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, content):
    if isinstance(kind, tuple):
        element = kind[1]
        body = b"".join(value(element, item) for item in content)
        return struct.pack("<IQ", element, len(content)) + body
    return string(content) if kind == STR else struct.pack("<" + FORMAT[kind], content)


def pair(key, kind, content):
    return string(key) + struct.pack("<I", ARR if isinstance(kind, tuple) else kind) + value(kind, content)


def size_of(dims, kind):
    block, size = TYPES[kind]
    count = 1
    for n in dims:
        count *= n
    return count // block * size


def pad(n, alignment):
    return -n % alignment


def build(meta, tensors, alignment=32, version=3, magic=b"GGUF", n_meta=None, n_tensors=None, data=True, tail=b""):
    """The bytes of a file. n_meta and n_tensors overrule the counts in the header; data=False leaves the weights out."""
    out = magic + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors,
                              len(meta) if n_meta is None else n_meta)
    for item in meta:
        out += item if isinstance(item, bytes) else pair(*item)
    offset = 0
    for item in tensors:
        if isinstance(item, bytes):
            out += item
            continue
        name, dims, kind = item[:3]
        at = item[3] if len(item) > 3 else offset
        out += string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<q", n) for n in dims)
        out += struct.pack("<iQ", kind, at)
        if kind in TYPES and all(n > 0 for n in dims):
            size = size_of(dims, kind)
            offset += size + pad(size, alignment) if size < 1 << 24 else 0
    if data and tensors:
        out += b"\0" * pad(len(out), alignment)
        out += bytes(i * 7 % 251 for i in range(256)) * (offset // 256) + b"\1" * (offset % 256)
    return out + tail


def llama_meta(layers=2, arch="llama", vocab=16, extra=()):
    """The metadata libllama wants of a small dense model."""
    meta = [("general.architecture", STR, arch), ("general.name", STR, "tiny"), (arch + ".block_count", U32, layers),
            (arch + ".context_length", U32, 128), (arch + ".embedding_length", U32, 32),
            (arch + ".feed_forward_length", U32, 64), (arch + ".attention.head_count", U32, 2),
            (arch + ".attention.head_count_kv", U32, 2), (arch + ".attention.layer_norm_rms_epsilon", F32, 1e-5),
            ("tokenizer.ggml.model", STR, "gpt2"), ("tokenizer.ggml.pre", STR, "default"),
            ("tokenizer.ggml.tokens", (ARR, STR), ["t%d" % i for i in range(vocab)]),
            ("tokenizer.ggml.token_type", (ARR, I32), [1] * vocab), ("tokenizer.ggml.merges", (ARR, STR), ["t 1"])]
    names = [item[0] for item in extra]
    return [item for item in meta if item[0] not in names] + [item for item in extra if item[2] is not None]


def dense_tensors(layers=2, vocab=16, kind=TYPE_Q8_0):
    out = [("token_embd.weight", [32, vocab], kind), ("output_norm.weight", [32], TYPE_F32)]
    for i in range(layers):
        p = "blk.%d." % i
        out += [(p + "attn_norm.weight", [32], TYPE_F32)]
        out += [(p + "attn_%s.weight" % x, [32, 32], kind) for x in ("q", "k", "v", "output")]
        out += [(p + "ffn_norm.weight", [32], TYPE_F32), (p + "ffn_gate.weight", [32, 64], kind),
                (p + "ffn_up.weight", [32, 64], kind), (p + "ffn_down.weight", [64, 32], kind)]
    return out


def moe_tensors(layers=2, vocab=16, experts=4, kind=TYPE_Q8_0):
    out = [item for item in dense_tensors(layers, vocab, kind) if ".ffn_gate." not in item[0] and ".ffn_up." not in item[0]
           and ".ffn_down." not in item[0]]
    for i in range(layers):
        p = "blk.%d." % i
        out += [(p + "ffn_gate_inp.weight", [32, experts], TYPE_F32), (p + "ffn_gate_exps.weight", [32, 64, experts], kind),
                (p + "ffn_up_exps.weight", [32, 64, experts], kind), (p + "ffn_down_exps.weight", [64, 32, experts], kind)]
    return out
