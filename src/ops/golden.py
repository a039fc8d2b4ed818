#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Prints the golden values of normalization_test.cpp, computed from the definitions with Python's own math module."""
import math


def softmax(x):
    e = [math.exp(v - max(x)) for v in x]
    return [v / math.fsum(e) for v in e]


def gelu(x):
    return x / 2 * math.erfc(-x / math.sqrt(2))


def layer_norm(x, gamma, beta, epsilon):
    mean = math.fsum(x) / len(x)
    variance = math.fsum((v - mean) ** 2 for v in x) / len(x)
    return [(v - mean) / math.sqrt(variance + epsilon) * g + b for v, g, b in zip(x, gamma, beta)]


def adamw(p, gradients, rate, beta1, beta2, epsilon, decay, scale):
    m = v = 0.0
    for t, gradient in enumerate(gradients, 1):
        g = gradient * scale
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - rate * decay * p - rate * m_hat / (math.sqrt(v_hat) + epsilon)
    return [p, m, v]


def show(name, values):
    print(f"{name}: " + ", ".join(repr(v) for v in values))


show("softmax", softmax([1.0, -2.0, 0.5, 3.25]))
show("softmax, large", softmax([1000.0, 1001.0, 998.5]))
show("gelu", [gelu(v) for v in (-8.0, -3.0, -0.5, 0.0, 0.5, 1.0, 3.0)])
show("layer_norm", layer_norm([1.0, 2.0, 4.0, 8.0], [1.0, 0.5, 2.0, -1.0], [0.0, 1.0, -1.0, 0.25], 1e-5))
show("layer_norm, offset", layer_norm([1e6 + v for v in (1.0, 2.0, 4.0, 8.0)], [1.0] * 4, [0.0] * 4, 1e-5))
show("adamw", adamw(0.75, [0.5, -0.25, 2.0], 0.01, 0.9, 0.999, 1e-8, 0.1, 0.5))
