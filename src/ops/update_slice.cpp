// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/elementwise/elementwise.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_update_slice(const NodeView& node) {
  check_same_dtype(node, 0, 1);
  const Type &x = node.input(0), &update = node.input(1);
  check_rank(node, 1, x.rank());
  const auto& starts = per_axis(node, "starts");
  for (int64_t axis = 0; axis < x.rank(); ++axis) {
    const int64_t start = starts[static_cast<size_t>(axis)];
    const Dim &n = x.shape[axis], &m = update.shape[axis];
    if (n == m && start == 0) continue;
    GREGALE_CHECK(n.is_constant() && m.is_constant(), unsupported,
                  "[update_slice] axis {} is symbolic: it can only be updated as a whole", axis);
    GREGALE_CHECK(start >= 0 && start <= n.value() && m.value() <= n.value() - start, shape,
                  "[update_slice] {} elements from {} do not fit axis {} of extent {}", m.value(), start, axis,
                  n.value());
  }
  return {x};
}

int64_t first_offset(const std::vector<int64_t>& starts, const Extents& strides) {
  int64_t first = 0;
  for (size_t a = 0; a < starts.size(); ++a) first += starts[a] * strides[a];
  return first;
}

void reference_update_slice(ReferenceContext& c) {
  const Extents strides = row_major_strides(c.outputs[0].extents);
  const int64_t first = first_offset(c.node.integers("starts"), strides);
  visit_same(c.inputs[0], c.outputs[0], [](const auto& in, auto& out) { out = in; });
  visit_same(c.inputs[1], c.outputs[0], [&](const auto& update, auto& out) {
    for_each_element<1>(c.inputs[1].extents, {strides}, [&](int64_t i, const std::array<int64_t, 1>& to) {
      out[static_cast<size_t>(first + to[0])] = update[static_cast<size_t>(i)];
    });
  });
}

void gradient_update_slice(GradientContext& c) {
  Graph& g = c.graph();
  const auto& starts = c.view().integers("starts");
  const Type x = c.type(c.input(0)), update = c.type(c.input(1));
  std::vector<int64_t> stops;
  for (int64_t axis = 0; axis < x.rank(); ++axis) {
    const bool whole = x.shape[axis] == update.shape[axis];
    stops.push_back(whole ? INT64_MAX : starts[static_cast<size_t>(axis)] + update.shape[axis].value());
  }
  c.set_d_input(0, update_slice(g, c.d_output(), zeros_like(g, c.input(1)), starts));
  c.set_d_input(1, slice(g, c.d_output(), starts, std::move(stops)));
}

Result<Kernel> make_update_slice(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const Extents strides = row_major_strides(node.input(0).shape.extents());
  const int64_t size = size_of(node.input(0).dtype);
  Kernel k;
  k.in_place = {{0, 0}};
  k.run = [size, strides, bytes = node.input(0).bytes(), update = node.input(1).shape.extents(),
           first = first_offset(node.integers("starts"), strides) * size](const Launch& l) {
    if (l.outputs[0] != l.inputs[0]) kernels::copy_bytes(l.team, bytes, l.inputs[0], l.outputs[0]);
    if (bytes == 0) return;
    kernels::strided_store(l.team, size, static_cast<int>(update.size()), update.data(), l.inputs[1],
                           static_cast<std::byte*>(l.outputs[0]) + first, strides.data());
  };
  return k;
}

}  // namespace

const OpDef& update_slice_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "update_slice";
    d.doc =
        "x with `update` written over the block that begins at `starts`. Where nothing else reads x the planner lets "
        "the "
        "result share its buffer, and only the block is written: how caches and ring buffers grow.";
    d.inputs = {{"x", "any shape, any dtype"}, {"update", "x's dtype and rank, nowhere larger"}};
    d.outputs = {{"y", "shape of x"}};
    d.attributes = {{"starts", AttributeKind::integers, "first element written, one entry an axis", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      // The update between zeros, taken where a mask says so.
      const NodeView& node = w.view();
      const Extents x = w.extents(0), update = w.extents(1);
      std::vector<int64_t> pads = node.integers("starts");
      pads.resize(x.size(), 0);  // parts of complex numbers
      Tensor mask(DType::boolean, x);
      for_each_element<1>(x, {row_major_strides(x)}, [&](int64_t i, const std::array<int64_t, 1>&) {
        bool inside = true;
        int64_t rest = i;
        for (size_t a = x.size(); a-- > 0; rest /= x[a])
          inside = inside && rest % x[a] >= pads[a] && rest % x[a] < pads[a] + update[a];
        mask.as<bool>()[static_cast<size_t>(i)] = inside;
      });
      for (size_t a = 0, rank = x.size(); a < rank; ++a) pads.push_back(x[a] - pads[a] - update[a]);
      const std::string moved = w.add1("Pad", {w.input(1), w.integers(pads)});
      w.set_output(0, w.add1("Where", {w.constant(mask), moved, w.input(0)}));
    };
    d.infer = infer_update_slice;
    d.reference = reference_update_slice;
    d.gradient = gradient_update_slice;
    d.lowerings = {{"strided", make_update_slice}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, Tensor update, std::vector<int64_t> starts) {
        return Sample{{std::move(x), std::move(update)}, {{"starts", std::move(starts)}}};
      };
      return std::vector<Sample>{sample(sample_uniform({5}, 1), sample_uniform({2}, 2), {3}),
                                 sample(sample_complex({3, 4}, 3), sample_complex({2, 2}, 4), {1, 0}),
                                 sample(sample_uniform({2, 3, 2}, 5), sample_uniform({2, 1, 2}, 6), {0, 2, 0}),
                                 sample(sample_integers({3, 2}, 7), sample_integers({0, 2}, 8), {3, 0}),
                                 sample(sample_uniform({}, 9), sample_uniform({}, 10), {})};
    };
    return d;
  }();
  return op;
}

Value update_slice(Graph& g, Value x, Value update, std::vector<int64_t> starts) {
  return g.add1(update_slice_op(), {x, update}, {{"starts", std::move(starts)}});
}

}  // namespace gregale::ops
