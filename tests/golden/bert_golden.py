# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Golden values of one encoder layer of BERT, computed by NumPy in f64 from its definition (Devlin et al., NAACL 2019;
Vaswani et al., NIPS 2017) with explicit loops over sequences and heads, so that nothing is shared with the library.

    python3 bert_golden.py        writes bert_golden.safetensors beside this file
"""
import math
import os

import numpy as np

from afno_golden import write_safetensors


def gelu(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def layer_norm(x, gamma, beta):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * gamma + beta


def attention(x, w, heads):
    """One sequence [l, width]."""
    query, key, value = (x @ w[f"attention/{p}/weight"] + w[f"attention/{p}/bias"] for p in ("query", "key", "value"))
    size = x.shape[1] // heads
    context = np.zeros_like(x)
    for h in range(heads):
        columns = slice(h * size, (h + 1) * size)
        for i in range(x.shape[0]):
            scores = np.array([query[i, columns] @ key[j, columns] for j in range(x.shape[0])]) / math.sqrt(size)
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            context[i, columns] = sum(shares[j] * value[j, columns] for j in range(x.shape[0]))
    return context @ w["attention/output/weight"] + w["attention/output/bias"]


def bert_layer(x, w, heads):
    y = np.zeros_like(x)
    for b in range(x.shape[0]):
        z = layer_norm(x[b] + attention(x[b], w, heads), w["norm1/gamma"], w["norm1/beta"])
        hidden = gelu(z @ w["mlp/fc1/weight"] + w["mlp/fc1/bias"])
        y[b] = layer_norm(z + hidden @ w["mlp/fc2/weight"] + w["mlp/fc2/bias"], w["norm2/gamma"], w["norm2/beta"])
    return y


def main():
    random = np.random.RandomState(0)  # its stream is frozen
    width, hidden, heads = 12, 20, 3
    shapes = {f"attention/{p}": (width, width) for p in ("query", "key", "value", "output")}
    shapes.update({"mlp/fc1": (width, hidden), "mlp/fc2": (hidden, width)})
    w = {}
    for name, (rows, columns) in shapes.items():
        # Large enough that no softmax is nearly even.
        w[name + "/weight"] = random.standard_normal((rows, columns)) / math.sqrt(rows / 2)
        w[name + "/bias"] = random.standard_normal(columns) / 2
    for name in ("norm1", "norm2"):
        w[name + "/gamma"] = 1 + random.standard_normal(width) / 2
        w[name + "/beta"] = random.standard_normal(width) / 2
    x = random.standard_normal((2, 7, width))
    tensors = {"x": x, "y": bert_layer(x, w, heads)}
    tensors.update({"layer/" + name: value for name, value in w.items()})
    folder = os.path.dirname(os.path.abspath(__file__))
    write_safetensors(os.path.join(folder, "bert_golden.safetensors"), tensors,
                      {"source": "tests/golden/bert_golden.py, NumPy, f64"})


if __name__ == "__main__":
    main()
