// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_resample(const NodeView& node) {
  check_real_float(node, 0);
  check_dtype(node, 1, DType::i64);
  check_same_dtype(node, 0, 2);
  check_rank(node, 1, 2);
  GREGALE_CHECK(node.input(1).shape == node.input(2).shape, shape, "[resample] indices are {}, weights {}",
                to_string(node.input(1)), to_string(node.input(2)));
  Shape shape = node.input(0).shape;
  shape[axis_of(node)] = node.input(1).shape[0];
  return {Type(node.input(0).dtype, std::move(shape))};
}

void check_index(int64_t index, int64_t extent) {
  GREGALE_CHECK(index >= 0 && index < extent, invalid_argument, "[resample] index {} is out of range for extent {}",
                index, extent);
}

void reference_resample(ReferenceContext& c) {
  const AxisSplit s = split_at(c.inputs[0].extents, axis_of(c.node));
  const int64_t count = c.inputs[1].extents[0], taps = c.inputs[1].extents[1];
  const auto &x = c.inputs[0].real(), &weights = c.inputs[2].real();
  const auto& indices = c.inputs[1].integer();
  for (int64_t j : indices) check_index(j, s.extent);
  size_t to = 0;
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t j = 0; j < count; ++j)
      for (int64_t i = 0; i < s.inner; ++i, ++to)
        for (int64_t t = j * taps; t < (j + 1) * taps; ++t)
          c.outputs[0].real()[to] +=
              weights[static_cast<size_t>(t)] *
              x[static_cast<size_t>((o * s.extent + indices[static_cast<size_t>(t)]) * s.inner + i)];
}

/// Tap by tap: both adjoints are those of weights[:, t] gather(x, indices[:, t]).
void gradient_resample(GradientContext& c) {
  Graph& g = c.graph();
  const Shape x = c.type(c.input(0)).shape, table = c.type(c.input(1)).shape;
  const int64_t axis = axis_of(c.view()), count = table[0].value(), taps = table[1].value();
  const auto column = [&](Value list, int64_t t) { return reshape(g, slice_axis(g, list, 1, t, t + 1), Shape{count}); };
  Extents along(static_cast<size_t>(x.rank() - axis), 1);
  along[0] = count;
  std::vector<int64_t> others;
  for (int64_t i = 0; i < x.rank(); ++i)
    if (i != axis) others.push_back(i);
  Value d_x = zeros_like(g, c.input(0));
  std::vector<Value> d_weights;
  for (int64_t t = 0; t < taps; ++t) {
    const Value indices = column(c.input(1), t);
    d_x = scatter_add(g, d_x, indices, mul(g, c.d_output(), reshape(g, column(c.input(2), t), along)), axis);
    Value share = mul(g, c.d_output(), gather(g, c.input(0), indices, axis));
    if (!others.empty()) share = sum(g, share, others);
    d_weights.push_back(reshape(g, share, Shape{count, 1}));
  }
  c.set_d_input(0, d_x);
  if (taps > 0) c.set_d_input(2, concat(g, d_weights, 1));
}

/// Rows of `inner` elements, each the weighted sum of rows of x.
void rows(const AxisSplit& s, int64_t taps, const float* x, const int64_t* indices, const float* weights, float* y,
          int64_t begin, int64_t end, int64_t count) {
  for (int64_t row = begin; row < end; ++row) {
    const float* image = x + row / count * s.extent * s.inner;
    const int64_t* from = indices + row % count * taps;
    const float* w = weights + row % count * taps;
    float* to = y + row * s.inner;
    int64_t t = 0;
    if (taps >= 2) {
      const float *a = image + from[0] * s.inner, *b = image + from[1] * s.inner;
      for (int64_t i = 0; i < s.inner; ++i) to[i] = w[0] * a[i] + w[1] * b[i];
      t = 2;
    } else if (taps == 1) {
      const float* a = image + from[0] * s.inner;
      for (int64_t i = 0; i < s.inner; ++i) to[i] = w[0] * a[i];
      t = 1;
    } else {
      std::fill_n(to, s.inner, 0.0F);
    }
    for (; t < taps; ++t) {
      const float* a = image + from[t] * s.inner;
      for (int64_t i = 0; i < s.inner; ++i) to[i] += w[t] * a[i];
    }
  }
}

/// The axis is the last: a row of results from a row of x.
template <class Taps>
void lanes(int64_t extent, int64_t count, Taps taps, const float* x, const int64_t* indices, const float* weights,
           float* y, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row)
    for (int64_t j = 0; j < count; ++j) {
      float sum = taps > 0 ? weights[j * taps] * x[row * extent + indices[j * taps]] : 0;
      for (int64_t t = 1; t < taps; ++t) sum += weights[j * taps + t] * x[row * extent + indices[j * taps + t]];
      y[row * count + j] = sum;
    }
}

Result<Kernel> make_resample(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
  const AxisSplit s = split_at(node.input(0).shape.extents(), axis_of(node));
  const Extents table = node.input(1).shape.extents();
  Kernel k;
  k.run = [s, count = table[0], taps = table[1]](const Launch& l) {
    const auto *x = static_cast<const float*>(l.inputs[0]), *weights = static_cast<const float*>(l.inputs[2]);
    const auto* indices = static_cast<const int64_t*>(l.inputs[1]);
    auto* y = static_cast<float*>(l.outputs[0]);
    for (int64_t i = 0; i < count * taps; ++i) check_index(indices[i], s.extent);
    if (count == 0 || s.inner == 0) return;
    const bool last = s.inner == 1;
    const int64_t all = last ? s.outer : s.outer * count, work = (last ? count : s.inner) * std::max<int64_t>(taps, 1);
    parallel_for(l.team, all, std::max<int64_t>(1, kernels::kElementGrain / work),
                 [&](int64_t begin, int64_t end, int) {
                   if (!last)
                     rows(s, taps, x, indices, weights, y, begin, end, count);
                   else if (taps == 1)
                     lanes(s.extent, count, std::integral_constant<int64_t, 1>{}, x, indices, weights, y, begin, end);
                   else if (taps == 2)
                     lanes(s.extent, count, std::integral_constant<int64_t, 2>{}, x, indices, weights, y, begin, end);
                   else if (taps == 4)
                     lanes(s.extent, count, std::integral_constant<int64_t, 4>{}, x, indices, weights, y, begin, end);
                   else
                     lanes(s.extent, count, taps, x, indices, weights, y, begin, end);
                 });
  };
  return k;
}

}  // namespace

const OpDef& resample_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "resample";
    d.doc =
        "Along one axis, every element of the result is a weighted sum of a few elements of x: y[j] = sum over t of "
        "weights[j, t] x[indices[j, t]]. Interpolation of every kind that is separable: one of these an axis. An index "
        "outside the axis is an error when the program runs.";
    d.inputs = {{"x", "real float, of rank at least 1"},
                {"indices", "i64 [n, taps], of elements along the axis"},
                {"weights", "[n, taps], of x's dtype"}};
    d.outputs = {{"y", "x's shape with extent n along the axis"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis resampled", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      // All taps beside each other along a new axis, weighed and summed.
      const int64_t axis = normalize_axis(w.view().integer("axis"), w.view().input(0).rank(), "resample");
      Extents weights(static_cast<size_t>(w.view().input(0).rank()) + 1, 1);
      weights[static_cast<size_t>(axis)] = w.extents(1)[0];
      weights[static_cast<size_t>(axis) + 1] = w.extents(1)[1];
      const std::string taps = w.add1("Gather", {w.input(0), w.input(1)}, {{"axis", axis}});
      const std::string weighed = w.add1("Mul", {taps, w.add1("Reshape", {w.input(2), w.integers(weights)})});
      w.set_output(0, w.add1("ReduceSum", {weighed, w.integers({axis + 1})}, {{"keepdims", int64_t{0}}}));
    };
    d.infer = infer_resample;
    d.reference = reference_resample;
    d.gradient = gradient_resample;
    d.lowerings = {{"f32", make_resample}};
    d.cost = [](const NodeView& node) {
      return default_cost(node, 2 * static_cast<double>(node.input(1).shape[1].value()));
    };
    d.samples = [] {
      const auto sample = [](Extents x, std::vector<int64_t> indices, Extents table, int64_t axis, uint32_t stream) {
        return Sample{
            {sample_uniform(std::move(x), stream), Tensor::from(indices, table), sample_uniform(table, stream + 1)},
            {{"axis", axis}}};
      };
      return std::vector<Sample>{sample({5}, {0, 1, 4, 4, 2, 1}, {3, 2}, 0, 1),
                                 sample({2, 3, 4}, {2, 0, 1, 1, 0, 2, 2, 1}, {4, 2}, 1, 3),
                                 sample({3, 4}, {3, 0, 1, 2, 2, 3}, {2, 3}, -1, 5),
                                 sample({2, 4, 2, 3}, {3, 0, 1, 2, 2, 3, 0, 0}, {2, 4}, 1, 7),
                                 sample({2, 5}, {3, 0, 1, 2, 4, 3, 0, 0}, {2, 4}, 1, 9),
                                 sample({2, 3}, {1, 0, 1, 1}, {4, 1}, 0, 11)};
    };
    return d;
  }();
  return op;
}

Value resample(Graph& g, Value x, Value indices, Value weights, int64_t axis) {
  return g.add1(resample_op(), {x, indices, weights}, {{"axis", axis}});
}

}  // namespace gregale::ops
