// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/window.hpp"

#include <algorithm>

namespace gregale::onnx {

Extents spatial_extents(OnnxNode& n, int64_t input) {
  const Extents all = n.extents(input);
  if (all.size() < 3) n.fail(fmt::format("input {} is {}, without spatial axes", input, to_string(n.type(input))));
  return {all.begin() + 2, all.end()};
}

void check_numbers(const OnnxNode& n, const char* name, const std::vector<int64_t>& values, size_t count,
                   int64_t least) {
  if (values.size() != count) n.fail(fmt::format("{} has {} numbers, expected {}", name, values.size(), count));
  for (int64_t v : values)
    if (v < least || v > kLargestWindow)
      n.fail(fmt::format("{} holds {}, outside [{}, {}]", name, v, least, kLargestWindow));
}

Window window_without_auto_pad(const OnnxNode& n, size_t rank, std::vector<int64_t> kernel) {
  Window w;
  w.kernel = std::move(kernel);
  check_numbers(n, "kernel_shape", w.kernel, rank, 1);
  w.strides = n.integers("strides", std::vector<int64_t>(rank, 1));
  check_numbers(n, "strides", w.strides, rank, 1);
  w.dilations = n.integers("dilations", std::vector<int64_t>(rank, 1));
  check_numbers(n, "dilations", w.dilations, rank, 1);
  w.pads = n.integers("pads", std::vector<int64_t>(2 * rank, 0));
  check_numbers(n, "pads", w.pads, 2 * rank, 0);
  return w;
}

Window window_of(const OnnxNode& n, const Extents& spatial, std::vector<int64_t> kernel) {
  const size_t rank = spatial.size();
  Window w = window_without_auto_pad(n, rank, std::move(kernel));
  const std::string mode = n.string("auto_pad", "NOTSET");
  if (mode == "NOTSET" || mode.empty()) return w;
  std::fill(w.pads.begin(), w.pads.end(), 0);
  if (mode == "VALID") return w;
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER") n.fail(fmt::format("auto_pad is '{}'", mode));
  for (size_t i = 0; i < rank; ++i) {
    const int64_t outputs = spatial[i] == 0 ? 0 : (spatial[i] - 1) / w.strides[i] + 1;
    const int64_t total = std::max<int64_t>(0, (outputs - 1) * w.strides[i] + w.reach(i) - spatial[i]);
    const int64_t less = total / 2;
    w.pads[i] = mode == "SAME_UPPER" ? less : total - less;
    w.pads[rank + i] = total - w.pads[i];
  }
  return w;
}

Value add_to_channels(Graph& g, Value x, Value bias) {
  Extents extents(static_cast<size_t>(g.type(x).rank() - 1), 1);
  extents[0] = g.type(bias).shape.elements();
  return ops::add(g, x, ops::reshape(g, bias, extents));
}

Value with_extents(Graph& g, Value x, const Extents& extents) {
  const Shape shape(extents);
  return g.type(x).shape == shape ? x : ops::reshape(g, x, shape);
}

}  // namespace gregale::onnx
