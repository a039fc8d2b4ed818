# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Golden values of the AFNO filter, computed by NumPy in f64 from its definition (Guibas et al., ICLR 2022; Pathak et al.,
arXiv 2202.11214), with complex arithmetic and explicit loops over blocks, so that nothing is shared with the library.
All longitude modes are kept.

    python3 afno_golden.py        writes afno_golden.safetensors beside this file
"""
import json
import os
import struct

import numpy as np


def relu(z):
    return np.maximum(z.real, 0) + 1j * np.maximum(z.imag, 0)


def soft_shrink(z, threshold):
    shrink = lambda v: np.sign(v) * np.maximum(np.abs(v) - threshold, 0)
    return shrink(z.real) + 1j * shrink(z.imag)


def afno_filter(x, w1, b1, w2, b2, threshold):
    blocks, size = w1.shape[1], w1.shape[2]
    modes = np.fft.rfft2(x, axes=(1, 2), norm="ortho")
    result = np.zeros_like(modes)
    for k in range(blocks):
        channels = slice(k * size, (k + 1) * size)
        hidden = relu(modes[..., channels] @ (w1[0, k] + 1j * w1[1, k]) + (b1[0, k] + 1j * b1[1, k]))
        out = hidden @ (w2[0, k] + 1j * w2[1, k]) + (b2[0, k] + 1j * b2[1, k])
        result[..., channels] = soft_shrink(out, threshold)
    return np.fft.irfft2(result, s=x.shape[1:3], axes=(1, 2), norm="ortho") + x


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name], dtype="<f8")
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def case(tensors, name, seed, shape, blocks, factor, threshold):
    random = np.random.RandomState(seed)  # its stream is frozen
    size = shape[-1] // blocks
    x = random.standard_normal(shape)
    # Larger than the initial weights, so that ReLU and soft-shrink both cut in some places and not in others.
    w1, b1, w2, b2 = (0.4 * random.standard_normal(s) for s in (
        (2, blocks, size, size * factor), (2, blocks, size * factor), (2, blocks, size * factor, size), (2, blocks, size)))
    y = afno_filter(x, w1, b1, w2, b2, threshold)
    tensors.update({f"{name}/{k}": v for k, v in dict(x=x, w1=w1, b1=b1, w2=w2, b2=b2, y=y).items()})


def main():
    tensors = {}
    case(tensors, "odd", 0, (2, 6, 9, 16), 4, 1, 0.01)
    case(tensors, "even", 1, (1, 5, 8, 12), 3, 2, 0.2)
    folder = os.path.dirname(os.path.abspath(__file__))
    write_safetensors(os.path.join(folder, "afno_golden.safetensors"), tensors,
                      {"source": "tests/golden/afno_golden.py, NumPy, f64"})


if __name__ == "__main__":
    main()
