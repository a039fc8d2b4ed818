// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

/// 0, 1, ... along one axis of as many as `rank`.
Value counting(Graph& g, int64_t count, int64_t axis, int64_t rank) {
  Extents extents(static_cast<size_t>(rank), 1);
  extents[static_cast<size_t>(axis)] = count;
  Tensor t(DType::i64, extents);
  for (int64_t i = 0; i < count; ++i) t.as<int64_t>()[static_cast<size_t>(i)] = i;
  return g.constant(std::move(t));
}

std::vector<Value> import_one_hot(OnnxNode& n) {
  Graph& g = n.graph();
  const double given = n.constant_real(1);
  if (!(given >= 1 && given <= 0x1p31)) n.fail(fmt::format("depth {}", given));
  const auto depth = static_cast<int64_t>(given);
  if (n.type(2).shape.elements() != 2) n.fail(fmt::format("{} values, not two", n.type(2).shape.elements()));
  Extents extents = n.extents(0);
  const auto rank = static_cast<int64_t>(extents.size()) + 1;
  const int64_t axis = normalize_axis(n.integer("axis", -1), rank, "onnx");
  extents.insert(extents.begin() + axis, 1);
  Value indices = ops::reshape(g, ops::cast(g, n.input(0), DType::i64), extents);
  const Value size = g.constant(Tensor::scalar(depth)), zero = g.constant(Tensor::scalar<int64_t>(0));
  indices = ops::select(g, ops::less(g, indices, zero), ops::add(g, indices, size), indices);
  const Value values = ops::reshape(g, n.input(2), Extents{2});
  const auto value = [&](int64_t i) { return ops::reshape(g, ops::slice_axis(g, values, 0, i, i + 1), Extents{}); };
  return {ops::select(g, ops::equal(g, indices, counting(g, depth, axis, rank)), value(1), value(0))};
}

std::vector<Value> import_trilu(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents x = n.extents(0);
  if (x.size() < 2) n.fail(fmt::format("rank {}: no matrices", x.size()));
  const int64_t rows = x[x.size() - 2], columns = x.back();
  const int64_t k = std::clamp(n.has_input(1) ? n.constant_integer(1) : 0, -rows, columns);
  const bool upper = n.integer("upper", 1) != 0;
  Tensor mask(DType::boolean, {rows, columns});
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      mask.as<bool>()[static_cast<size_t>(i * columns + j)] = upper ? j - i >= k : j - i <= k;
  return {ops::select(g, g.constant(std::move(mask)), n.input(0), ops::scalar(g, n.dtype(0), 0))};
}

std::vector<Value> import_eye_like(OnnxNode& n) {
  const Extents x = n.extents(0);
  if (x.size() != 2) n.fail(fmt::format("rank {}, not a matrix", x.size()));
  const int64_t k = n.integer("k", 0);
  Tensor eye(DType::f32, x);
  for (int64_t i = std::max<int64_t>(0, k >= 0 ? 0 : k < -x[0] ? x[0] : -k); i < x[0]; ++i)
    if (k < x[1] && i + k < x[1]) eye.as<float>()[static_cast<size_t>(i * x[1] + i + k)] = 1;
  const DType dtype = n.has("dtype") ? dtype_of_onnx(n.integer("dtype", 0)) : n.dtype(0);
  return {n.graph().constant(eye.cast(dtype))};
}

/// start + i delta in the arithmetic of T, which narrower floats are read as.
template <class T>
Tensor range(OnnxNode& n) {
  const auto value = [&](int64_t i) {
    const Tensor t = n.constant(i).cast(dtype_v<T>);
    if (t.size() != 1) n.fail(fmt::format("input {} has {} elements, not one", i, t.size()));
    return t.as<T>()[0];
  };
  const T start = value(0), limit = value(1), delta = value(2);
  if (delta == 0) n.fail("a delta of 0");
  const double steps = (static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta);
  if (!(steps < 0x1p62)) n.fail(fmt::format("{} elements", steps));
  const int64_t count = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(std::max(steps, 0.0))));
  Tensor t(dtype_v<T>, {count});
  for (int64_t i = 0; i < count; ++i)
    t.as<T>()[static_cast<size_t>(i)] = static_cast<T>(start + static_cast<T>(i) * delta);
  return t;
}

std::vector<Value> import_range(OnnxNode& n) {
  const DType dtype = n.dtype(0);
  if (n.dtype(1) != dtype || n.dtype(2) != dtype) n.fail("its inputs are of several types");
  switch (dtype) {
    case DType::f64:
      return {n.graph().constant(range<double>(n))};
    case DType::f32:
      return {n.graph().constant(range<float>(n))};
    case DType::f16:
    case DType::bf16:
      return {n.graph().constant(range<float>(n).cast(dtype))};
    case DType::i64:
      return {n.graph().constant(range<int64_t>(n))};
    case DType::i32:
      return {n.graph().constant(range<int32_t>(n))};
    case DType::i16:
      return {n.graph().constant(range<int16_t>(n))};
    default:
      n.fail(fmt::format("a range of {}", name_of(dtype)));
  }
}

std::vector<Value> import_reverse_sequence(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t rank = n.rank(0);
  if (rank < 2) n.fail(fmt::format("rank {}, below 2", rank));
  const int64_t time = n.integer("time_axis", 0), batch = n.integer("batch_axis", 1);
  if (std::min(time, batch) != 0 || std::max(time, batch) != 1) n.fail("its axes are not 0 and 1");
  std::vector<int64_t> swapped{1, 0};
  for (int64_t a = 2; a < rank; ++a) swapped.push_back(a);
  const Value x = batch == 0 ? n.input(0) : ops::transpose(g, n.input(0), swapped);
  const Extents extents = g.type(x).shape.extents();
  if (n.extents(1) != Extents{extents[0]}) n.fail(fmt::format("{} lengths", n.type(1).shape.elements()));
  const Value lengths = ops::reshape(g, ops::cast(g, n.input(1), DType::i64), Extents{extents[0], 1});
  const Value at = counting(g, extents[1], 1, 2);
  const Value last = ops::sub(g, lengths, g.constant(Tensor::scalar<int64_t>(1)));
  const Value from = ops::select(g, ops::less(g, at, lengths), ops::sub(g, last, at), at);
  const Value y = ops::gather_nd(g, x, ops::reshape(g, from, Extents{extents[0], extents[1], 1}), 1);
  return {batch == 0 ? y : ops::transpose(g, y, swapped)};
}

/// Writes the update into each batch's cache from its own place on, round the end where the cache is circular.
std::vector<Value> import_tensor_scatter(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t rank = n.rank(0);
  if (rank < 2) n.fail(fmt::format("rank {}, below 2", rank));
  const int64_t axis = normalize_axis(n.integer("axis", -2), rank, "onnx");
  if (axis == 0) n.fail("axis 0 is the batch");
  const std::string mode = n.string("mode", "linear");
  if (mode != "linear" && mode != "circular") n.fail("mode '" + mode + "'");
  const Extents update = n.extents(1);
  if (update.size() != static_cast<size_t>(rank)) n.fail("the update is of another rank");
  const int64_t capacity = n.extents(0)[static_cast<size_t>(axis)];
  Value at = counting(g, update[static_cast<size_t>(axis)], axis, rank);
  if (n.has_input(2)) {
    Extents first(static_cast<size_t>(rank), 1);
    first[0] = update[0];
    at = ops::add(g, at, ops::reshape(g, ops::cast(g, n.input(2), DType::i64), first));
  }
  if (mode == "circular") {  // neither a place nor an update is above the capacity
    const Value size = g.constant(Tensor::scalar(capacity));
    at = ops::select(g, ops::less(g, at, size), at, ops::sub(g, at, size));
  }
  return {ops::scatter_elements(g, n.input(0), ops::broadcast_to(g, at, update), n.input(1), axis)};
}

}  // namespace

std::vector<OnnxMapping> indexing_mappings() {
  return {
      {"OneHot", 9, import_one_hot},
      {"Trilu", 14, import_trilu},
      {"EyeLike", 9, import_eye_like},
      {"Range", 11, import_range},
      {"ReverseSequence", 10, import_reverse_sequence},
      {"TensorScatter", 24, import_tensor_scatter},
  };
}

}  // namespace gregale::onnx
