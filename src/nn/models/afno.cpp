// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/fourier.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

/// Part 0 (real) or 1 (imaginary) of a parameter [2, ...], without that axis.
Value part(Graph& g, Value parameter, int64_t which) {
  const auto& dims = g.type(parameter).shape.dims();
  return ops::reshape(g, ops::slice_axis(g, parameter, 0, which, which + 1),
                      Shape(std::vector<Dim>(dims.begin() + 1, dims.end())));
}

/// Complex weights [2, blocks, in, out] as real ones [blocks, 2 in, 2 out] for rows (re, im): one real product does the
/// four of the complex one.
Value real_form(Graph& g, Value weights) {
  const Value re = part(g, weights, 0), im = part(g, weights, 1);
  return ops::concat(g, {ops::concat(g, {re, im}, 2), ops::concat(g, {ops::neg(g, im), re}, 2)}, 1);
}

/// Biases [2, blocks, out] as [blocks, 1, 2 out].
Value real_form_of_bias(Graph& g, Value bias) {
  const Shape shape = g.type(bias).shape;
  const Value joined = ops::concat(g, {part(g, bias, 0), part(g, bias, 1)}, 1);
  return ops::reshape(g, joined, {shape[1], 1, shape[2].value() * 2});
}

struct Grid {
  Dim batch{1};
  int64_t h = 0, w = 0, c = 0;
};

Grid grid_of(Graph& g, Value x, const char* who, bool channels_first) {
  const Shape& s = g.type(x).shape;
  bool fits = s.rank() == 4;
  for (int64_t axis = 1; fits && axis < 4; ++axis) fits = s[axis].is_constant() && s[axis].value() > 0;
  GREGALE_CHECK(fits, shape, "[{}] needs {} with constant extents beyond the batch, got {}", who,
                channels_first ? "[b, c, h, w]" : "[b, h, w, c]", to_string(g.type(x)));
  if (channels_first) return {s[0], s[2].value(), s[3].value(), s[1].value()};
  return {s[0], s[1].value(), s[2].value(), s[3].value()};
}

void check_blocks(const char* who, int64_t width, int64_t blocks) {
  GREGALE_CHECK(blocks >= 1, invalid_argument, "[{}] blocks {} must be positive", who, blocks);
  GREGALE_CHECK(width >= 1 && width % blocks == 0, invalid_argument, "[{}] width {} is not a multiple of blocks {}",
                who, width, blocks);
}

/// afno_filter, and what is added to its result.
Value filter(Scope& scope, const std::string& name, Value x, const AfnoFilterOptions& options, Value residual) {
  Graph& g = scope.graph();
  const Grid grid = grid_of(g, x, "afno_filter", false);
  const int64_t blocks = options.blocks;
  check_blocks("afno_filter", grid.c, blocks);
  const int64_t in = grid.c / blocks;
  const double wanted = static_cast<double>(in) * options.hidden_factor;
  GREGALE_CHECK(wanted >= 1 && wanted <= 0x1p31 && wanted == std::floor(wanted), invalid_argument,
                "[afno_filter] hidden_factor {} of {} channels a block is no whole number", options.hidden_factor, in);
  GREGALE_CHECK(options.sparsity_threshold >= 0, invalid_argument, "[afno_filter] sparsity_threshold {} is negative",
                options.sparsity_threshold);
  const auto hidden = static_cast<int64_t>(wanted);
  const auto init = Initialiser::normal(options.scale);
  const Value w1 = scope.parameter(name + "/w1", {2, blocks, in, hidden}, init);
  const Value b1 = scope.parameter(name + "/b1", {2, blocks, hidden}, init, false);
  const Value w2 = scope.parameter(name + "/w2", {2, blocks, hidden, in}, init);
  const Value b2 = scope.parameter(name + "/b2", {2, blocks, in}, init, false);

  // Blocks in front of the points, so that the points of one circle of latitude are rows; modes have their real and
  // imaginary parts side by side, (re, im), so that one real product a block does the complex one of all modes.
  const int64_t columns = grid.w / 2 + 1;
  const Shape split{grid.batch, grid.h, grid.w, blocks, in};
  const auto rows_of = [&](Value v) { return ops::transpose(g, ops::reshape(g, v, split), {0, 1, 3, 2, 4}); };
  const Value rows = rows_of(x);                                    // [b, h, blocks, w, in]
  Value z = ops::rfft_parts(g, rows, 3);                            // [b, h, blocks, w/2+1, 2 in]
  z = ops::fft_parts(g, ops::transpose(g, z, {2, 0, 3, 1, 4}), 3);  // [blocks, b, w/2+1, h, 2 in]
  const Shape apart = g.type(z).shape;
  // A symbolic batch stays an axis of its own.
  const bool merge = grid.batch.is_constant();
  if (merge) z = ops::reshape(g, z, {blocks, grid.batch.value() * columns * grid.h, 2 * in});
  const auto along = [&](Value parameter) {
    if (merge) return parameter;
    const Shape& s = g.type(parameter).shape;
    return ops::reshape(g, parameter, {s[0], 1, 1, s[1], s[2]});
  };
  z = ops::matmul(g, z, along(real_form(g, w1)));
  z = ops::relu(g, ops::add(g, z, along(real_form_of_bias(g, b1))));
  z = ops::matmul(g, z, along(real_form(g, w2)));
  z = ops::softshrink(g, ops::add(g, z, along(real_form_of_bias(g, b2))), options.sparsity_threshold);
  z = ops::fft_parts(g, ops::reshape(g, z, apart), 3, true);
  z = ops::irfft_parts(g, ops::transpose(g, z, {1, 3, 0, 2, 4}), 3, grid.w);
  z = ops::add(g, z, rows);
  if (residual.valid()) z = ops::add(g, z, rows_of(residual));
  return ops::reshape(g, ops::transpose(g, z, {0, 1, 3, 2, 4}), {grid.batch, grid.h, grid.w, grid.c});
}

}  // namespace

Value afno_filter(Scope& scope, const std::string& name, Value x, const AfnoFilterOptions& options) {
  return filter(scope, name, x, options, Value{});
}

Value afno_block(Scope& scope, const std::string& name, Value x, const AfnoFilterOptions& options, int64_t hidden,
                 double dropout) {
  Graph& g = scope.graph();
  const Grid grid = grid_of(g, x, "afno_block", false);
  x = filter(scope, name + "/filter", layer_norm(scope, name + "/norm1", x), options, x);
  return ops::add(g, x,
                  feed_forward(scope, name + "/mlp", layer_norm(scope, name + "/norm2", x), hidden, grid.c, dropout));
}

Value afno(Scope& scope, const std::string& name, Value x, const AfnoOptions& options) {
  Graph& g = scope.graph();
  const Grid grid = grid_of(g, x, "afno", true);
  const int64_t p = options.patch;
  GREGALE_CHECK(p >= 1, invalid_argument, "[afno] patch {} must be positive", p);
  GREGALE_CHECK(grid.h % p == 0 && grid.w % p == 0, invalid_argument,
                "[afno] {} x {} points are not a multiple of patch {}", grid.h, grid.w, p);
  GREGALE_CHECK(options.depth >= 0, invalid_argument, "[afno] depth {} is negative", options.depth);
  GREGALE_CHECK(options.out >= 1, invalid_argument, "[afno] out {} must be positive", options.out);
  check_blocks("afno", options.width, options.blocks);
  const double hidden = std::round(options.mlp_ratio * static_cast<double>(options.width));
  GREGALE_CHECK(hidden >= 1 && hidden <= 0x1p31, invalid_argument,
                "[afno] mlp_ratio {} of width {} is no size of a layer", options.mlp_ratio, options.width);
  const int64_t h = grid.h / p, w = grid.w / p;

  // A convolution of stride `patch` is a linear map of each patch.
  x = ops::reshape(g, x, {grid.batch, grid.c, h, p, w, p});
  x = ops::reshape(g, ops::transpose(g, x, {0, 2, 4, 1, 3, 5}), {grid.batch, h, w, grid.c * p * p});
  x = linear(scope, name + "/embed", x, options.width);
  x = ops::add(g, x,
               scope.parameter(name + "/position", {h, w, options.width}, Initialiser::truncated_normal(0.02), false));
  x = dropout(scope, x, options.dropout);

  AfnoFilterOptions spectral;
  spectral.blocks = options.blocks;
  spectral.sparsity_threshold = options.sparsity_threshold;
  for (int64_t i = 0; i < options.depth; ++i)
    x = afno_block(scope, fmt::format("{}/{}", name, i), x, spectral, static_cast<int64_t>(hidden), options.dropout);

  const auto init = options.zero_head ? Initialiser::zeros() : Initialiser::truncated_normal(0.02);
  x = linear(scope, name + "/head", x, p * p * options.out, false, init);
  x = ops::reshape(g, x, {grid.batch, h, w, p, p, options.out});
  return ops::reshape(g, ops::transpose(g, x, {0, 5, 1, 3, 2, 4}), {grid.batch, options.out, grid.h, grid.w});
}

}  // namespace gregale::nn
