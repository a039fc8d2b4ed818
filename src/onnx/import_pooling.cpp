// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "onnx/operators.hpp"
#include "onnx/window.hpp"

namespace gregale::onnx {
namespace {

ops::PoolOptions options_of(const OnnxNode& n, const Window& w) {
  return {w.kernel, w.strides, w.pads, w.dilations, n.integer("ceil_mode", 0) != 0};
}

Window pool_window(OnnxNode& n) { return window_of(n, spatial_extents(n, 0), n.required_integers("kernel_shape")); }

/// max_pool2d where it does the same (it is the one with kernels for every layout): the padding at the end made what
/// the number of windows needs.
Value max_pool(OnnxNode& n, const Window& w) {
  Graph& g = n.graph();
  const ops::PoolOptions options = options_of(n, w);
  const Extents spatial = spatial_extents(n, 0);
  const size_t rank = w.rank();
  bool plain = rank <= 2 && is_real_float(n.dtype(0));
  ops::MaxPool2dOptions flat{.kernel = w.kernel, .strides = w.strides, .pads = w.pads};
  for (size_t i = 0; i < rank && plain; ++i) {
    const int64_t room = spatial[i] + w.pads[i] + w.pads[rank + i] - w.reach(i);
    if (room < 0) break;  // pool says so
    int64_t windows = room / w.strides[i] + 1;
    if (options.ceil_mode && room % w.strides[i] != 0 && windows * w.strides[i] < spatial[i] + w.pads[i]) ++windows;
    int64_t& after = flat.pads[rank + i];
    after = std::max<int64_t>(0, (windows - 1) * w.strides[i] + w.kernel[i] - spatial[i] - w.pads[i]);
    plain = (w.dilations[i] == 1 || w.kernel[i] == 1) && w.pads[i] < w.kernel[i] && after < w.kernel[i] && room >= 0 &&
            (spatial[i] + w.pads[i] + after - w.kernel[i]) / w.strides[i] + 1 == windows;
  }
  if (!plain) return ops::pool(g, n.input(0), "max", options);
  if (rank == 2) return ops::max_pool2d(g, n.input(0), flat);
  const Extents x = n.extents(0);
  flat = {.kernel = {1, flat.kernel[0]}, .strides = {1, flat.strides[0]}, .pads = {0, flat.pads[0], 0, flat.pads[1]}};
  const Value y = ops::max_pool2d(g, with_extents(g, n.input(0), {x[0], x[1], 1, x[2]}), flat);
  Extents e = g.type(y).shape.extents();
  e.erase(e.begin() + 2);
  return with_extents(g, y, e);
}

std::vector<Value> max_pool_mapping(OnnxNode& n) {
  const Window w = pool_window(n);
  std::vector<Value> results{max_pool(n, w)};
  const int64_t order = n.integer("storage_order", 0);
  if (order != 0 && order != 1) n.fail(fmt::format("storage_order is {}", order));
  if (n.has_output(1)) results.push_back(ops::pool_argmax(n.graph(), n.input(0), options_of(n, w), order == 1));
  return results;
}

/// The axes behind batch and channels.
std::vector<int64_t> all_spatial(OnnxNode& n) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < spatial_extents(n, 0).size(); ++i) axes.push_back(static_cast<int64_t>(i) + 2);
  return axes;
}

std::vector<Value> average_pool(OnnxNode& n) {
  const Window w = pool_window(n);
  const bool whole = w.kernel == spatial_extents(n, 0) &&
                     std::all_of(w.pads.begin(), w.pads.end(), [](int64_t p) { return p == 0; }) &&
                     std::all_of(w.dilations.begin(), w.dilations.end(), [](int64_t d) { return d == 1; });
  if (whole) return {ops::mean(n.graph(), n.input(0), all_spatial(n), true)};
  return {ops::pool(n.graph(), n.input(0), "average", options_of(n, w), n.integer("count_include_pad", 0) != 0)};
}

/// The exponent, which was a float in the first operator set.
double norm_of(const OnnxNode& n) {
  const OnnxAttribute* p = n.attribute("p");
  const double norm =
      p != nullptr && std::holds_alternative<double>(*p) ? n.real("p", 2) : static_cast<double>(n.integer("p", 2));
  if (!(norm > 0)) n.fail(fmt::format("p is {}", norm));
  return norm;
}

/// (sum of |x|^p)^(1/p), the sum being what `sum` makes of the powers.
template <class SumOf>
Value norm(OnnxNode& n, SumOf&& sum) {
  Graph& g = n.graph();
  const double p = norm_of(n);
  const Value x = n.input(0);
  if (p == 1) return sum(ops::abs(g, x));
  if (p == 2) return ops::sqrt(g, sum(ops::square(g, x)));
  const DType dtype = n.dtype(0);
  return ops::pow(g, sum(ops::pow(g, ops::abs(g, x), ops::scalar(g, dtype, p))), ops::scalar(g, dtype, 1 / p));
}

std::vector<Value> max_unpool(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents x = n.extents(0), spatial = spatial_extents(n, 0);
  if (n.dtype(1) != DType::i64 || n.extents(1) != x)
    n.fail(fmt::format("indices are {} for {}", to_string(n.type(1)), to_string(n.type(0))));
  const size_t rank = spatial.size();
  const Window w = window_without_auto_pad(n, rank, n.required_integers("kernel_shape"));
  Extents inferred{x[0], x[1]};
  for (size_t i = 0; i < rank; ++i) {
    const int64_t extent = (spatial[i] - 1) * w.strides[i] + w.kernel[i] - w.pads[i] - w.pads[rank + i];
    if (spatial[i] > kLargestWindow || extent < 1) n.fail(fmt::format("extent {} of {}", extent, to_string(n.type(0))));
    inferred.push_back(extent);
  }
  // What windows that overlap chose twice is added twice, and so divided by how often.
  const int64_t count = element_count(inferred);
  const DType dtype = n.dtype(0);
  const auto scattered = [&](Value updates) {
    const Value zeros = ops::broadcast_to(g, ops::scalar(g, g.type(updates).dtype, 0), Shape{count});
    return ops::scatter_add(g, zeros, with_extents(g, n.input(1), {element_count(x)}), updates, 0);
  };
  const Value sums = scattered(with_extents(g, n.input(0), {element_count(x)}));
  const Value times = scattered(ops::broadcast_to(g, ops::scalar(g, dtype, 1), Shape{element_count(x)}));
  Value y = ops::div(g, sums, ops::maximum(g, times, ops::scalar(g, dtype, 1)));
  y = with_extents(g, y, inferred);
  if (n.has_input(2)) {
    const Extents size = n.constant_integers(2);
    if (size.size() != inferred.size()) n.fail(fmt::format("output_shape has {} numbers", size.size()));
    Extents low(size.size(), 0), high, stops;
    for (size_t i = 0; i < size.size(); ++i) {
      if (size[i] < 0 || size[i] > kLargestWindow) n.fail(fmt::format("output_shape holds {}", size[i]));
      high.push_back(std::max<int64_t>(0, size[i] - inferred[i]));
      stops.push_back(size[i]);
    }
    y = ops::slice(g, ops::pad(g, y, low, high), low, stops);
  }
  return {y};
}

}  // namespace

std::vector<OnnxMapping> pooling_mappings() {
  return {
      {"MaxPool", 1, max_pool_mapping},
      {"AveragePool", 1, average_pool},
      {"LpPool", 1,
       [](OnnxNode& n) {
         const ops::PoolOptions options = options_of(n, pool_window(n));
         return std::vector{norm(n, [&](Value v) { return ops::pool(n.graph(), v, "sum", options); })};
       }},
      {"GlobalAveragePool", 1,
       [](OnnxNode& n) { return std::vector{ops::mean(n.graph(), n.input(0), all_spatial(n), true)}; }},
      {"GlobalMaxPool", 1,
       [](OnnxNode& n) { return std::vector{ops::max(n.graph(), n.input(0), all_spatial(n), true)}; }},
      {"GlobalLpPool", 1,
       [](OnnxNode& n) {
         return std::vector{norm(n, [&](Value v) { return ops::sum(n.graph(), v, all_spatial(n), true); })};
       }},
      {"MaxUnpool", 9, max_unpool},
  };
}

}  // namespace gregale::onnx
