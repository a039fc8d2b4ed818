// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/compose.hpp"

#include <numeric>

namespace gregale::onnx {

Value integer_scalar(Graph& g, DType dtype, int64_t value) { return g.constant(Tensor::scalar(value).cast(dtype)); }

Value as_scalar(OnnxNode& n, int64_t i) {
  if (element_count(n.extents(i)) != 1) n.fail(fmt::format("input {} is {}, not a scalar", i, to_string(n.type(i))));
  return n.rank(i) == 0 ? n.input(i) : ops::reshape(n.graph(), n.input(i), Shape{});
}

Value positions(Graph& g, DType dtype, int64_t count, int64_t axis, int64_t rank) {
  std::vector<int64_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  Extents extents(static_cast<size_t>(rank), 1);
  extents[static_cast<size_t>(axis)] = count;
  return g.constant(Tensor::from(all, std::move(extents)).cast(dtype));
}

int64_t axis_in(OnnxNode& n, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) n.fail(fmt::format("axis {} is out of range for rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

Value as_matrix(OnnxNode& n, Value x, int64_t axis) {
  const Extents extents = n.graph().type(x).shape.extents();
  const auto rank = static_cast<int64_t>(extents.size());
  if (axis < -rank || axis > rank) n.fail(fmt::format("axis {} is out of range for rank {}", axis, rank));
  if (axis < 0) axis += rank;
  const Extents rows(extents.begin(), extents.begin() + axis), columns(extents.begin() + axis, extents.end());
  return ops::reshape(n.graph(), x, Shape{element_count(rows), element_count(columns)});
}

Value log_softmax(Graph& g, Value x, int64_t axis) {
  const Value below = ops::sub(g, x, ops::max(g, x, {axis}, true));
  return ops::sub(g, below, ops::log(g, ops::sum(g, ops::exp(g, below), {axis}, true)));
}

}  // namespace gregale::onnx
