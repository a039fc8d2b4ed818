// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "gregale/autodiff.hpp"
#include "gregale/fourier.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"

/// The groups that fusion was designed for, one graph each, with weights as constants (docs/compiler.md has their
/// table). What the compiler makes of them is committed as text in tests/golden/programs.
namespace gregale::passes {

struct GoldenCase {
  std::string name;
  Graph graph;
  std::vector<Tensor> inputs;

  explicit GoldenCase(std::string case_name) : name(std::move(case_name)), graph(name) {}
  Tensor values(const Extents& extents, double scale) {
    Tensor t(DType::f32, extents);
    ++stream_;
    for (uint64_t i = 0; float& x : t.as<float>())
      x = static_cast<float>(scale * (2 * random_uniform(RandomKey{7, 0, stream_}, i++) - 1));
    return t;
  }
  Value input(const Extents& extents) {
    inputs.push_back(values(extents, 1));
    return graph.add_input("x" + std::to_string(inputs.size()), Type(DType::f32, Shape(extents)));
  }
  Value weights(const Extents& extents, double scale) { return graph.constant(values(extents, scale)); }
  Value linear(Value x, int64_t in, int64_t out) {
    return ops::add(graph, ops::matmul(graph, x, weights({in, out}, 1 / std::sqrt(static_cast<double>(in)))),
                    weights({out}, 0.1));
  }

 private:
  uint32_t stream_ = 0;
};

/// Two products of a narrow perceptron, 512 samples.
inline GoldenCase golden_mlp() {
  GoldenCase c("mlp");
  const Value x = c.input({512, 64});
  c.graph.set_outputs({c.linear(ops::gelu(c.graph, c.linear(x, 64, 128)), 128, 64)});
  return c;
}

/// The same, as wide as a transformer's: the form in two programs moves less.
inline GoldenCase golden_wide_mlp() {
  GoldenCase c("wide_mlp");
  const Value x = c.input({1024, 768});
  c.graph.set_outputs({c.linear(ops::gelu(c.graph, c.linear(x, 768, 3072)), 3072, 768)});
  return c;
}

/// Attention forward as in BERT-base, 8 sequences of 128 positions: scores never leave the cache.
inline GoldenCase golden_attention() {
  GoldenCase c("attention");
  Graph& g = c.graph;
  const int64_t b = 8, l = 128, heads = 12, d = 64;
  const auto heads_of = [&](Value v) {
    return ops::transpose(g, ops::reshape(g, v, Shape{b, l, heads, d}), {0, 2, 1, 3});
  };
  const Value q = heads_of(c.input({b, l, heads * d})), k = heads_of(c.input({b, l, heads * d})),
              v = heads_of(c.input({b, l, heads * d}));
  const Value scores = ops::mul(g, ops::matmul(g, q, k, false, true), 0.125);
  const Value context = ops::matmul(g, ops::softmax(g, scores), v);
  g.set_outputs({ops::reshape(g, ops::transpose(g, context, {0, 2, 1, 3}), Shape{b, l, heads * d})});
  return c;
}

/// A spectral layer of an adaptive Fourier neural operator, 30 x 60 points, 4 blocks of 32 channels: longitude
/// transform; for each mode the latitude transform, the block's perceptron, soft-shrink and back; longitude back.
inline GoldenCase golden_fourier() {
  GoldenCase c("fourier");
  Graph& g = c.graph;
  const int64_t h = 30, w = 60, blocks = 4, in = 32, two = 2 * in, modes = w / 2 + 1;
  const Value x = c.input({1, h, w, blocks * in});
  const Value rows = ops::transpose(g, ops::reshape(g, x, Shape{1, h, w, blocks, in}), {0, 1, 3, 2, 4});
  const auto product = [&](Value z) {
    return ops::add(g, ops::matmul(g, z, c.weights({blocks, two, two}, 0.1)), c.weights({blocks, 1, two}, 0.1));
  };
  Value z = ops::fft_parts(g, ops::transpose(g, ops::rfft_parts(g, rows, 3), {2, 0, 3, 1, 4}), 3);
  const Shape apart = g.type(z).shape;
  z = ops::reshape(g, z, Shape{blocks, modes * h, two});
  z = ops::softshrink(g, product(ops::relu(g, product(z))), 0.01);
  z = ops::fft_parts(g, ops::reshape(g, z, apart), 3, true);
  z = ops::irfft_parts(g, ops::transpose(g, z, {1, 3, 0, 2, 4}), 3, w);
  z = ops::add(g, z, rows);
  g.set_outputs({ops::reshape(g, ops::transpose(g, z, {0, 1, 3, 2, 4}), Shape{1, h, w, blocks * in})});
  return c;
}

/// Two convolutions of a residual network with what stands between and behind them (normalisations folded into biases).
inline GoldenCase golden_convolutions() {
  GoldenCase c("convolutions");
  Graph& g = c.graph;
  const int64_t channels = 64, size = 56;
  const Value x = c.input({1, channels, size, size});
  const auto convolve = [&](Value v) {
    return ops::add(g, ops::conv2d(g, v, c.weights({channels, channels, 3, 3}, 0.06), {.pads = {1, 1, 1, 1}}),
                    c.weights({channels, 1, 1}, 0.1));
  };
  g.set_outputs({ops::relu(g, ops::add(g, convolve(ops::relu(g, convolve(x))), x))});
  return c;
}

/// What stands between the products of a transformer's block: residuals, norm, activation.
inline GoldenCase golden_chain() {
  GoldenCase c("chain");
  Graph& g = c.graph;
  const Value x = c.input({1024, 768}), r = c.input({1024, 768});
  const Value y = ops::layer_norm(g, ops::add(g, ops::add(g, x, c.weights({768}, 0.1)), r), c.weights({768}, 1),
                                  c.weights({768}, 0.1));
  g.set_outputs({ops::add(g, ops::gelu(g, y), r)});
  return c;
}

/// Replaces a case's result by gradients, a cotangent of the result being one more input.
inline void differentiate(GoldenCase& c, const std::vector<Value>& wrt) {
  const Value y = c.graph.outputs()[0];
  const Value d = c.input(c.graph.type(y).shape.extents());
  c.graph.set_outputs(gradients(c.graph, y, wrt, d));
}

/// Attention backward: scores are computed again, and neither they nor their gradient leave the cache.
inline GoldenCase golden_attention_backward() {
  GoldenCase c = golden_attention();
  c.name = "attention_backward";
  differentiate(c, c.graph.inputs());
  return c;
}

/// A layer norm behind a bias and a residual: gradients of rows, scale, shift and bias in one pass.
inline GoldenCase golden_norm_backward() {
  GoldenCase c("norm_backward");
  Graph& g = c.graph;
  const Value x = c.input({1024, 768}), r = c.input({1024, 768}), bias = c.input({768}), gamma = c.input({768}),
              beta = c.input({768});
  const Value h = ops::add(g, ops::add(g, x, bias), r);
  g.set_outputs({ops::add(g, ops::layer_norm(g, h, gamma, beta), h)});
  differentiate(c, {x, bias, gamma, beta});
  return c;
}

/// The wide perceptron from its second product back to the first one's sums: the derivative of the GELU is where the
/// product is finished; the gradient of the weights.
inline GoldenCase golden_perceptron_backward() {
  GoldenCase c("perceptron_backward");
  Graph& g = c.graph;
  const Value h = c.input({1024, 3072}), w = c.input({3072, 768});
  g.set_outputs({ops::matmul(g, ops::gelu(g, h), w)});
  differentiate(c, {h, w});
  return c;
}

/// The spectral layer with respect to its operand.
inline GoldenCase golden_fourier_backward() {
  GoldenCase c = golden_fourier();
  c.name = "fourier_backward";
  differentiate(c, c.graph.inputs());
  return c;
}

inline std::vector<std::function<GoldenCase()>> golden_cases() {
  return {golden_mlp,
          golden_wide_mlp,
          golden_attention,
          golden_fourier,
          golden_convolutions,
          golden_chain,
          golden_attention_backward,
          golden_norm_backward,
          golden_perceptron_backward,
          golden_fourier_backward};
}

}  // namespace gregale::passes
