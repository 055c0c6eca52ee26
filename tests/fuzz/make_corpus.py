#!/usr/bin/env python3
"""Write the corpus of GGUF files: tests/fuzz/corpus/gguf/good-*.gguf and bad-*.gguf, each below 4 KB.

usage: tests/fuzz/make_corpus.py [FOLDER]

The files are in the repository; this script says what each one is and makes them again. Every bad file was chosen because
some reader crashed, aborted or over-allocated on its like: ggml's parser of some version, libllama's loader, or ours.
"""
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from gguf_bytes import *  # noqa: E402,F403

META = llama_meta(layers=1)
TENSORS = [("token_embd.weight", [32, 16], TYPE_Q8_0), ("blk.0.attn_norm.weight", [32], TYPE_F32),
           ("blk.0.ffn_up.weight", [32, 4], TYPE_F16)]
EXPERTS = [("llama.expert_count", U32, 4), ("llama.expert_used_count", U32, 2)]
MOE = TENSORS[:2] + [("blk.0.ffn_up_exps.weight", [32, 2, 4], TYPE_Q8_0), ("blk.0.ffn_up_exps.bias", [2, 4], TYPE_F32)]


def with_meta(*extra, tensors=None, **how):
    return build(llama_meta(layers=1, extra=extra), TENSORS if tensors is None else tensors, **how)


def with_tensor(*tensor, **how):
    return build(META, TENSORS + [tensor], **how)


def raw(key, kind, body):
    return string(key) + struct.pack("<I", kind) + body


def good():
    yield "dense", build(META, TENSORS)
    yield "version-2", build(META, TENSORS, version=2)
    yield "experts", with_meta(*EXPERTS, tensors=MOE)
    yield "alignment-64", with_meta(("general.alignment", U32, 64), alignment=64)
    yield "nextn", with_meta(("llama.nextn_predict_layers", U32, 1))
    yield "used-by-layer", with_meta(("llama.expert_count", U32, 4), ("llama.expert_used_count", (ARR, U32), [2]), tensors=MOE)
    yield "no-vocabulary", with_meta(("tokenizer.ggml.model", STR, "none"), ("tokenizer.ggml.tokens", (ARR, STR), None))
    yield "every-type", with_meta(*[("x.%d" % k, k, 1) for k in FORMAT], ("x.s", STR, ""), ("x.a", (ARR, BOOL), [1, 0]),
                                  ("x.e", (ARR, F64), []))


def bad_header():
    whole = build(META, TENSORS)
    yield "empty", b""
    yield "three-bytes", b"GGU"
    yield "text", b"# A model card\n\nThis is not a model.\n"
    yield "git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    yield "web-page", b"<!doctype html><html><body>404</body></html>"
    yield "safetensors", struct.pack("<Q", 14) + b'{"a":{"b":[]}}'
    yield "zip", b"PK\3\4" + bytes(60)
    yield "ggjt", b"tjgg" + struct.pack("<I", 3) + bytes(60)
    yield "version-0", build(META, TENSORS, version=0)
    yield "version-1", build(META, TENSORS, version=1)
    yield "version-4", build(META, TENSORS, version=4)
    yield "big-endian", build(META, TENSORS, version=3 << 24)
    yield "only-magic", whole[:4]
    yield "cut-in-header", whole[:20]
    yield "cut-in-key", whole[:60]
    yield "cut-in-tensors", whole[:whole.index(b"blk.0.attn")]
    yield "cut-in-data", whole[:-700]
    yield "no-data", build(META, TENSORS, data=False)
    yield "keys-2-60", build(META, TENSORS, n_meta=1 << 60)
    yield "keys-negative", build(META, TENSORS, n_meta=(1 << 64) - 1)
    yield "keys-one-more", build(META, TENSORS, n_meta=len(META) + 1)
    yield "tensors-2-60", build(META, TENSORS, n_tensors=1 << 60)
    yield "tensors-negative", build(META, TENSORS, n_tensors=(1 << 64) - 1)
    yield "tensors-one-more", build(META, TENSORS, n_tensors=len(TENSORS) + 1)
    yield "no-tensors", build(META, [])
    yield "no-keys", build([], TENSORS)


def bad_keys():
    yield "key-twice", build(META + [("llama.block_count", U32, 1)], TENSORS)
    yield "key-empty", build(META + [("", U32, 1)], TENSORS)
    yield "key-with-zero", build(META + [(b"a\0b", U32, 1)], TENSORS)
    yield "key-length-2-63", build(META + [struct.pack("<Q", 1 << 63) + b"a"], TENSORS)
    yield "value-type-13", build(META + [raw("a", 13, bytes(8))], TENSORS)
    yield "value-type-negative", build(META + [raw("a", 0xFFFFFFFF, bytes(8))], TENSORS)
    yield "string-length-2-63", build(META + [raw("a", STR, struct.pack("<Q", 1 << 63))], TENSORS)
    yield "string-length-wraps", build(META + [raw("a", STR, struct.pack("<Q", (1 << 64) - 8))], TENSORS)
    yield "array-of-arrays", build(META + [raw("a", ARR, struct.pack("<IQ", ARR, 1))], TENSORS)
    yield "array-type-99", build(META + [raw("a", ARR, struct.pack("<IQ", 99, 1))], TENSORS)
    yield "array-2-61-strings", build(META + [raw("a", ARR, struct.pack("<IQ", STR, 1 << 61))], TENSORS)
    yield "array-2-30-strings", build(META + [raw("a", ARR, struct.pack("<IQ", STR, 1 << 30))], TENSORS)
    yield "array-2-62-doubles", build(META + [raw("a", ARR, struct.pack("<IQ", F64, 1 << 62))], TENSORS)
    yield "array-2-61-doubles", build(META + [raw("a", ARR, struct.pack("<IQ", F64, 1 << 61))], TENSORS)
    yield "alignment-0", with_meta(("general.alignment", U32, 0))
    yield "alignment-48", with_meta(("general.alignment", U32, 48))
    yield "alignment-string", with_meta(("general.alignment", STR, "32"))
    yield "alignment-u64", with_meta(("general.alignment", U64, 32))
    yield "alignment-8", with_meta(("general.alignment", U32, 8), alignment=8)
    yield "alignment-2-31", with_meta(("general.alignment", U32, 1 << 31))


def bad_tensors():
    yield "name-empty", with_tensor("", [32], TYPE_F32)
    yield "name-64", with_tensor("x" * 64, [32], TYPE_F32)
    yield "name-with-zero", with_tensor(b"a\0b", [32], TYPE_F32)
    yield "name-with-newline", with_tensor("a\nb", [32], TYPE_F32)
    yield "name-twice", with_tensor("token_embd.weight", [32], TYPE_F32)
    yield "five-dimensions", with_tensor("a", [1, 1, 1, 1, 1], TYPE_F32)
    yield "dimensions-2-31", build(META, [string("a") + struct.pack("<I", 1 << 31)], n_tensors=1)
    yield "dimension-0", with_tensor("a", [32, 0], TYPE_F32)
    yield "dimension-negative", with_tensor("a", [-32], TYPE_F32)
    yield "elements-2-64", with_tensor("a", [1 << 32, 1 << 32], TYPE_F32)
    yield "elements-2-62", with_tensor("a", [1 << 31, 1 << 31], TYPE_F32)
    yield "bytes-2-64", with_tensor("a", [1 << 40, 1 << 22], TYPE_F32)
    yield "type-removed", with_tensor("a", [32], 4)
    yield "type-99", with_tensor("a", [32], 99)
    yield "type-negative", with_tensor("a", [32], -1)
    yield "row-not-whole-blocks", with_tensor("a", [33], TYPE_F32).replace(struct.pack("<qi", 33, TYPE_F32),
                                                                           struct.pack("<qi", 33, TYPE_Q8_0))
    yield "offset-odd", with_tensor("a", [32], TYPE_F32, 7)
    yield "offset-2-63", with_tensor("a", [32], TYPE_F32, 1 << 63)
    yield "offset-overlaps", with_tensor("a", [32], TYPE_F32, 0)
    yield "offset-gap", with_tensor("a", [32], TYPE_F32, 4096)
    yield "layer-beyond", with_tensor("blk.1.ffn_up.weight", [32], TYPE_F32)
    yield "layer-999999", with_tensor("blk.999999.ffn_up.weight", [32], TYPE_F32)
    yield "experts-uncounted", build(META, MOE)
    yield "experts-other-number", with_meta(("llama.expert_count", U32, 5), ("llama.expert_used_count", U32, 2), tensors=MOE)
    yield "experts-flat", with_meta(*EXPERTS, tensors=TENSORS + [("blk.0.ffn_up_exps.weight", [32, 8], TYPE_Q8_0)])
    yield "experts-4d", with_meta(*EXPERTS, tensors=TENSORS + [("blk.0.ffn_up_exps.weight", [32, 1, 4, 2], TYPE_Q8_0)])


def bad_numbers():
    def tokens(*texts):
        return "tokenizer.ggml.tokens", (ARR, STR), list(texts)
    yield "architecture-missing", with_meta(("general.architecture", STR, None))
    yield "architecture-number", with_meta(("general.architecture", U32, 1))
    yield "architecture-format", with_meta(("general.architecture", STR, "%s%n"))
    yield "architecture-long", with_meta(("general.architecture", STR, "a" * 300))
    yield "projector", with_meta(("general.architecture", STR, "clip"))
    yield "adapter", with_meta(("general.type", STR, "adapter"))
    yield "layers-missing", with_meta(("llama.block_count", U32, None))
    yield "layers-0", with_meta(("llama.block_count", U32, 0))
    yield "layers-513", with_meta(("llama.block_count", U32, 513))
    yield "layers-negative", with_meta(("llama.block_count", I32, -1))
    yield "layers-2-63", with_meta(("llama.block_count", U64, 1 << 63))
    yield "nextn-beyond", with_meta(("llama.nextn_predict_layers", U32, 2))
    yield "experts-1025", with_meta(("llama.expert_count", U32, 1025), ("llama.expert_used_count", U32, 2))
    yield "experts-none-used", with_meta(("llama.expert_count", U32, 4))
    yield "experts-too-many-used", with_meta(("llama.expert_count", U32, 4), ("llama.expert_used_count", U32, 5))
    yield "experts-used-of-none", with_meta(("llama.expert_used_count", U32, 5))
    yield "experts-used-by-layer", with_meta(("llama.expert_count", U32, 4), ("llama.expert_used_count", (ARR, U32), [9]))
    yield "groups-3-of-4", with_meta(*EXPERTS, ("llama.expert_group_count", U32, 3))
    yield "groups-4-of-4", with_meta(*EXPERTS, ("llama.expert_group_count", U32, 4))
    yield "groups-unused", with_meta(*EXPERTS, ("llama.expert_group_count", U32, 2))
    yield "groups-of-none", with_meta(("llama.expert_group_count", U32, 2))
    yield "rope-scaling", with_meta(("llama.rope.scaling.type", STR, "spiral"))
    yield "context-2-63", with_meta(("llama.context_length", U64, 1 << 63))
    yield "tokens-equal", with_meta(tokens("a", "b", "a"))
    yield "tokens-equal-by-name", with_meta(tokens("[EMPTY_1]", ""))
    yield "tokens-none", with_meta(tokens())
    yield "tokens-string", with_meta(("tokenizer.ggml.tokens", STR, "a"))
    yield "tokens-numbers", with_meta(("tokenizer.ggml.tokens", (ARR, I32), [1]))
    yield "scores-few", with_meta(("tokenizer.ggml.scores", (ARR, F32), [0.5]))
    yield "scores-strings", with_meta(("tokenizer.ggml.scores", (ARR, STR), ["0.5"] * 16))
    yield "token-types-bytes", with_meta(("tokenizer.ggml.token_type", (ARR, U8), [1] * 16))
    yield "token-types-number", with_meta(("tokenizer.ggml.token_type", I32, 1))
    yield "merges-numbers", with_meta(("tokenizer.ggml.merges", (ARR, I32), [1]))
    yield "charsmap-strings", with_meta(("tokenizer.ggml.precompiled_charsmap", (ARR, STR), ["a"]))
    yield "no-byte-tokens", with_meta(("tokenizer.ggml.model", STR, "llama"))
    yield "split-no-u32", with_meta(("split.no", U32, 0), ("split.count", U16, 2))
    yield "split-count-string", with_meta(("split.count", STR, "2"))
    yield "split-second-part", with_meta(("split.no", U16, 1), ("split.count", U16, 2))
    yield "split-of-many", with_meta(("split.no", U16, 0), ("split.count", U16, 65535))
    yield "split-tensors-u64", with_meta(("split.count", U16, 2), ("split.tensors.count", U64, 2))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "corpus", "gguf")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if name.startswith(("good-", "bad-")):
            os.remove(os.path.join(folder, name))
    n = 0
    for kind, makers in (("good", (good,)), ("bad", (bad_header, bad_keys, bad_tensors, bad_numbers))):
        for maker in makers:
            for name, data in maker():
                assert len(data) < 4096, (name, len(data))
                path = os.path.join(folder, "%s-%s.gguf" % (kind, name))
                assert not os.path.exists(path), path
                with open(path, "wb") as out:
                    out.write(data)
                n += 1
    print("%d files in %s" % (n, folder))


if __name__ == "__main__":
    main()
