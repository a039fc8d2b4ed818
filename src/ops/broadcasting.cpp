// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/broadcasting.hpp"

#include <fmt/format.h>

#include "kernels/layout/layout.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/reduction.hpp"

namespace gregale::ops {
namespace {

std::string describe(const Shape& shape) {
  std::string text;
  for (const Dim& d : shape.dims()) text += (text.empty() ? "" : ", ") + d.to_string();
  return "[" + text + "]";
}

void set_operands(OpDef& d, const char* x_doc, bool like) {
  d.inputs = {{"x", x_doc}};
  if (like)
    d.inputs.push_back({"like", "of any dtype; only its shape is used"});
  else
    d.attributes = {{"shape", AttributeKind::integers, "extents of the result", {}}};
}

/// Axes of x that summing to `target` sums away: those in front of it, and those it has as 1.
std::vector<bool> summed_axes(const Shape& x, const Shape& target) {
  std::vector<bool> summed(static_cast<size_t>(x.rank()), false);
  const int64_t lead = x.rank() - target.rank();
  for (int64_t i = 0; i < x.rank(); ++i)
    summed[static_cast<size_t>(i)] = i < lead || (target[i - lead] == Dim(1) && x[i] != Dim(1));
  return summed;
}

Result<Kernel> broadcast_kernel(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const Extents extents = node.outputs()[0].shape.extents();
  if (extents.size() > static_cast<size_t>(kernels::kMaxRank)) return refuse(node, "the rank is above 8");
  Kernel kernel;
  kernel.run = [extents, strides = broadcast_strides(node.input(0).shape.extents(), extents),
                size = size_of(node.input(0).dtype)](const Launch& l) {
    kernels::strided_copy(l.team, size, static_cast<int>(extents.size()), extents.data(), l.inputs[0], strides.data(),
                          l.outputs[0]);
  };
  return kernel;
}

}  // namespace

Shape target_shape(const NodeView& node) {
  if (node.input_count() > 1) return node.input(1).shape;
  const Extents& extents = node.integers("shape");
  element_count(extents);  // refuses negative extents and overflow
  return Shape(extents);
}

void check_broadcasts(const Shape& small, const Shape& large, std::string_view who) {
  bool fits = small.rank() <= large.rank();
  for (int64_t i = 0; fits && i < small.rank(); ++i)
    fits = small[i] == Dim(1) || small[i] == large[large.rank() - small.rank() + i];
  GREGALE_CHECK(fits, shape, "[{}] {} does not broadcast to {}", who, describe(small), describe(large));
}

OpDef broadcast_definition(bool like) {
  OpDef d;
  d.name = like ? "broadcast_like" : "broadcast_to";
  d.doc = fmt::format("x repeated along new leading axes and along its extents of 1, as NumPy broadcasts, to {}.",
                      like ? "the shape of `like`, symbolic or not" : "`shape`");
  set_operands(d, "any dtype", like);
  d.outputs = {{"y", "of x's dtype and the target shape"}};
  d.to_onnx = [](OnnxWriter& w) { w.set_output(0, w.add1("Expand", {w.input(0), w.integers(w.output_extents())})); };
  d.infer = [](const NodeView& node) {
    Shape target = target_shape(node);
    check_broadcasts(node.input(0).shape, target, node.op().name);
    return std::vector<Type>{Type(node.input(0).dtype, std::move(target))};
  };
  d.reference = [](ReferenceContext& c) {
    const Extents& extents = c.outputs[0].extents;
    visit_same(c.inputs[0], c.outputs[0], [&](const auto& x, auto& y) {
      for_each_element<1>(extents, {broadcast_strides(c.inputs[0].extents, extents)},
                          [&](int64_t i, const std::array<int64_t, 1>& at) {
                            y[static_cast<size_t>(i)] = x[static_cast<size_t>(at[0])];
                          });
    });
  };
  d.gradient = [](GradientContext& c) { c.set_d_input(0, sum_to_like(c.graph(), c.d_output(), c.input(0))); };
  d.result_as_view = [](const NodeView& node, const StridedView& x) -> std::optional<StridedView> {
    StridedView y;
    y.offset = x.offset;
    y.extents = node.outputs()[0].shape.extents();
    y.strides.assign(y.extents.size(), 0);
    for (size_t i = 0; i < x.extents.size(); ++i) {
      const size_t at = y.extents.size() - x.extents.size() + i;
      if (x.extents[i] == y.extents[at]) y.strides[at] = x.strides[i];
    }
    return y;
  };
  d.lowerings = {{"copy", broadcast_kernel}};
  d.cost = [](const NodeView& node) {
    Cost cost;
    cost.bytes = static_cast<double>(node.input(0).bytes() + node.outputs()[0].bytes());
    return cost;
  };
  d.samples = [like] {
    std::vector<Sample> samples;
    const auto sample = [&](Tensor x, Extents shape) {
      if (like)
        samples.push_back({.inputs = {std::move(x), sample_uniform(std::move(shape), 9)}});
      else
        samples.push_back({.inputs = {std::move(x)}, .attributes = {{"shape", std::move(shape)}}});
      samples.back().check_gradient = is_differentiable(samples.back().inputs[0].dtype());
    };
    sample(sample_uniform({}, 1), {});
    sample(sample_uniform({}, 2), {2, 3});
    sample(sample_uniform({3}, 3), {4, 3});
    sample(sample_uniform({2, 1, 3}, 4), {2, 5, 3});
    sample(sample_uniform({4, 1}, 5), {2, 4, 21});
    sample(sample_uniform({2, 3}, 6), {2, 3});
    sample(sample_complex({3, 1}, 7), {3, 4});
    sample(sample_integers({3}, 8), {2, 3});
    return samples;
  };
  d.bits_exact_integers = true;
  return d;
}

OpDef sum_to_definition(bool like) {
  OpDef d;
  d.name = like ? "sum_to_like" : "sum_to";
  d.doc = fmt::format(
      "Sums x over what broadcasting to x's shape would have repeated, so that the result has {}: the adjoint of {}. "
      "Real, "
      "complex or integer.",
      like ? "the shape of `like`, symbolic or not" : "`shape`", like ? "broadcast_like" : "broadcast_to");
  set_operands(d, "a number", like);
  d.outputs = {{"y", "of x's dtype and the target shape"}};
  d.to_onnx = [](OnnxWriter& w) {
    const std::vector<bool> summed = summed_axes(w.view().input(0).shape, w.view().outputs()[0].shape);
    std::vector<int64_t> axes;
    for (size_t a = 0; a < summed.size(); ++a)
      if (summed[a]) axes.push_back(static_cast<int64_t>(a));
    const std::string total = axes.empty() ? w.input(0) : w.add1("ReduceSum", {w.input(0), w.integers(axes)});
    w.set_output(0, w.add1("Reshape", {total, w.integers(w.output_extents())}, {{"allowzero", int64_t{1}}}));
  };
  d.infer = [](const NodeView& node) {
    GREGALE_CHECK(node.input(0).dtype != DType::boolean, dtype, "[{}] x has dtype bool; expected a number",
                  node.op().name);
    Shape target = target_shape(node);
    check_broadcasts(target, node.input(0).shape, node.op().name);
    return std::vector<Type>{Type(node.input(0).dtype, std::move(target))};
  };
  d.reference = [](ReferenceContext& c) {
    const Extents& extents = c.inputs[0].extents;
    visit_same(c.inputs[0], c.outputs[0], [&](const auto& x, auto& y) {
      using T = typename std::decay_t<decltype(y)>::value_type;
      for_each_element<1>(
          extents, {broadcast_strides(c.outputs[0].extents, extents)},
          [&](int64_t i, const std::array<int64_t, 1>& at) {
            T& to = y[static_cast<size_t>(at[0])];
            if constexpr (std::is_same_v<T, int64_t>)
              to = static_cast<int64_t>(static_cast<uint64_t>(to) + static_cast<uint64_t>(x[static_cast<size_t>(i)]));
            else
              to += x[static_cast<size_t>(i)];
          });
    });
  };
  d.gradient = [](GradientContext& c) { c.set_d_input(0, broadcast_like(c.graph(), c.d_output(), c.input(0))); };
  d.lowerings = {{"reduce", [](const NodeView& node, const Target& target) {
                    return reduce_kernel(node, target, kernels::ReduceOp::sum,
                                         summed_axes(node.input(0).shape, node.outputs()[0].shape));
                  }}};
  d.cost = [](const NodeView& node) {
    Cost cost;
    cost.bytes = static_cast<double>(node.input(0).bytes() + node.outputs()[0].bytes());
    cost.flops = static_cast<double>(node.input(0).shape.elements());
    return cost;
  };
  d.samples = [like] {
    std::vector<Sample> samples;
    const auto sample = [&](Tensor x, Extents shape) {
      if (like)
        samples.push_back({.inputs = {std::move(x), sample_uniform(std::move(shape), 9)}});
      else
        samples.push_back({.inputs = {std::move(x)}, .attributes = {{"shape", std::move(shape)}}});
      samples.back().check_gradient = is_differentiable(samples.back().inputs[0].dtype());
    };
    sample(sample_uniform({}, 1), {});
    sample(sample_uniform({2, 3}, 2), {});
    sample(sample_uniform({4, 3}, 3), {3});
    sample(sample_uniform({2, 5, 3}, 4), {2, 1, 3});
    sample(sample_uniform({2, 4, 21}, 5), {4, 1});
    sample(sample_uniform({2, 3}, 6), {2, 3});
    sample(sample_uniform({2, 1, 3}, 10), {1, 1});
    sample(sample_complex({3, 4}, 7), {3, 1});
    sample(sample_integers({2, 3}, 8), {3});
    return samples;
  };
  d.bits_exact_integers = true;
  return d;
}

}  // namespace gregale::ops
