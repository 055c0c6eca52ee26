"""A real embedding model, all-MiniLM-L6-v2, whose weights a Python package carries: written as GGUF, then its vectors from the server
compared with llama-server's of the same file, and with the original's, which are computed here from the original weights.

usage: embeddings.py convert MODEL.gguf | embeddings.py check MODEL.gguf DEPS"""
import json
import math
import os
import re
import subprocess
import sys
import threading
import urllib.request
import zipfile

import gguf
import numpy
import safetensors.numpy
import tokenizers

TEXTS = ["Hello", "The quick brown fox jumps over the lazy dog.", "A man is eating a piece of bread.", "Someone has a meal.", "The stock market fell 3.5 % on Monday!",
         "Caf\u00e9 na\u00efve \u00c9cole stra\u00dfe \u0130stanbul", "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059", "def f(x): return x**2  # squared", "\U0001f600 emoji & <html>",
         "antidisestablishmentarianism supercalifragilisticexpialidocious", " ".join("word%d of many." % i for i in range(90))]


def original():
    """The package's weights, tokenizer and configuration."""
    import all_minilm_l6_v2

    archive = zipfile.ZipFile(all_minilm_l6_v2.get_model_zip_path())
    read = lambda name: archive.read(name)
    tokenizer = tokenizers.Tokenizer.from_str(read("tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return safetensors.numpy.load(read("model.safetensors")), tokenizer, json.loads(read("config.json"))


NAMES = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
         "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def convert(path):
    weights, tokenizer, config = original()
    w = gguf.GGUFWriter(path, "bert")
    w.add_name("all-MiniLM-L6-v2")
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_head_count(config["num_attention_heads"])
    w.add_layer_norm_eps(config["layer_norm_eps"])
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    assert [i for _, i in vocabulary] == list(range(config["vocab_size"]))
    # llama.cpp keeps word beginnings marked, where WordPiece marks what goes on.
    w.add_token_list([t if t in special else t[2:] if t.startswith("##") else "\u2581" + t for t, _ in vocabulary])
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t, _ in vocabulary])
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("default")
    w.add_token_type_count(config["type_vocab_size"])
    ids = dict(vocabulary)
    w.add_bos_token_id(ids["[CLS]"])
    w.add_eos_token_id(ids["[SEP]"])
    w.add_unk_token_id(ids["[UNK]"])
    w.add_sep_token_id(ids["[SEP]"])
    w.add_pad_token_id(ids["[PAD]"])
    w.add_mask_token_id(ids["[MASK]"])
    for ours, theirs in (("token_embd.weight", "word_embeddings.weight"), ("position_embd.weight", "position_embeddings.weight"),
                         ("token_types.weight", "token_type_embeddings.weight"), ("token_embd_norm.weight", "LayerNorm.weight"), ("token_embd_norm.bias", "LayerNorm.bias")):
        w.add_tensor(ours, weights["embeddings." + theirs].astype(numpy.float32))
    for i in range(config["num_hidden_layers"]):
        for theirs, ours in NAMES.items():
            for kind in ("weight", "bias"):
                w.add_tensor("blk.%d.%s.%s" % (i, ours, kind), weights["encoder.layer.%d.%s.%s" % (i, theirs, kind)].astype(numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def forward(text, weights, tokenizer, config):
    """BERT (Devlin et al. 2018) in float64, its last layer's mean over the tokens, normalised: what sentence-transformers computes."""
    erf = numpy.vectorize(math.erf)

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / numpy.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
        return x * weights[name + ".weight"] + weights[name + ".bias"]

    def dense(x, name):
        return x @ weights[name + ".weight"].T.astype(float) + weights[name + ".bias"]

    ids = tokenizer.encode(text).ids
    e, heads = "embeddings.", config["num_attention_heads"]
    x = weights[e + "word_embeddings.weight"][ids] + weights[e + "position_embeddings.weight"][: len(ids)] + weights[e + "token_type_embeddings.weight"][0]
    x = norm(x.astype(float), e + "LayerNorm")
    split = lambda y: y.reshape(len(ids), heads, -1).transpose(1, 0, 2)
    for i in range(config["num_hidden_layers"]):
        layer = "encoder.layer.%d." % i
        q, k, v = (split(dense(x, layer + "attention.self." + n)) for n in ("query", "key", "value"))
        scores = numpy.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        mixed = ((scores / scores.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + dense(mixed, layer + "attention.output.dense"), layer + "attention.output.LayerNorm")
        inner = dense(x, layer + "intermediate.dense")
        x = norm(x + dense(inner * 0.5 * (1 + erf(inner / math.sqrt(2))), layer + "output.dense"), layer + "output.LayerNorm")
    mean = x.mean(0)
    return mean / numpy.linalg.norm(mean), len(ids)


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)


def of_llama_server(path, deps):
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    process = subprocess.Popen([root + "/tools/reference.sh", deps, "llama-server", "-m", os.path.abspath(path), "--port", "18578", "--embeddings", "--pooling", "mean",
                                "-c", "512", "-np", "1", "-ngl", "0", "-t", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            if re.search(r"listening on http", line):
                break
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return numpy.array([post("http://127.0.0.1:18578/v1/embeddings", {"input": t})["data"][0]["embedding"] for t in TEXTS])
    finally:
        process.terminate()
        process.wait(60)


def check(path, deps):
    url, model = os.environ["HYPURA_URL"], os.environ["HYPURA_MODEL"]
    together = post(url + "/api/embed", {"model": model, "input": TEXTS})
    ours = numpy.array(together["embeddings"])
    alone = numpy.array([post(url + "/api/embed", {"model": model, "input": t})["embeddings"][0] for t in TEXTS])
    plain = numpy.array(post(url + "/api/embeddings", {"model": model, "prompt": TEXTS[1]})["embedding"])
    openai = numpy.array([d["embedding"] for d in post(url + "/v1/embeddings", {"model": model, "input": TEXTS})["data"]])
    parts = original()
    truth = [forward(t, *parts) for t in TEXTS]
    true = numpy.array([v for v, _ in truth])
    llama = of_llama_server(path, deps)
    assert ours.shape == (len(TEXTS), 384) and numpy.allclose(numpy.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert together["prompt_eval_count"] == sum(n for _, n in truth), "the tokenizers disagree"
    cosine = lambda a, b: (a * b).sum(1) / numpy.linalg.norm(a, axis=1) / numpy.linalg.norm(b, axis=1)
    figures = {"alone, to llama-server": abs(alone - llama).max(), "together, to alone": abs(ours - alone).max(), "/v1, to together": abs(openai - ours).max(),
               "to the original": abs(alone - true).max(), "llama-server to the original": abs(llama - true).max(), "1 - least cosine to the original": 1 - cosine(ours, true).min()}
    print("embeddings: largest differences: " + ", ".join("%s %.1e" % item for item in figures.items()))
    assert figures["alone, to llama-server"] < 1e-6 and figures["together, to alone"] < 1e-3 and figures["/v1, to together"] < 1e-3
    assert figures["to the original"] < 2e-3 and figures["1 - least cosine to the original"] < 1e-4
    assert numpy.allclose(plain / numpy.linalg.norm(plain), alone[1], atol=1e-5)
    near, far = ours[2] @ ours[3], ours[2] @ ours[4]
    assert near > far + 0.3, "eating bread is having a meal (%.2f), not the stock market (%.2f)" % (near, far)


if __name__ == "__main__":
    convert(sys.argv[2]) if sys.argv[1] == "convert" else check(*sys.argv[2:])
