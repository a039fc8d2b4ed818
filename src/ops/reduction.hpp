// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/reduction/reduction.hpp"
#include "ops/common.hpp"

/// What sum, mean, max, min and sum_to share.
namespace gregale::ops {

/// Operands, attributes `axes` and `keep_dims`, shape inference, lowering and samples of a reduction; the caller adds
/// the dtype check in front of `infer`, the reference and the gradient.
OpDef reduction_op(std::string name, std::string doc, kernels::ReduceOp kernel);

/// Calls body(i, o) for every element i of the operand in row-major order, o the element of the result it goes to.
template <class Body>
void for_each_reduced(const ReferenceContext& c, Body&& body);

/// Which axes a reduction node sums away.
std::vector<bool> reduced_axes(const NodeView& node);
/// A reduction's result, or its cotangent, with the reduced axes back as extents 1, so that it broadcasts to the
/// operand.
Value restore_axes(Graph& g, const NodeView& node, Value reduced);
/// How many elements make one result element, of the operand's dtype: a constant where the extents are.
Value reduced_count(Graph& g, const NodeView& node, Value operand);
/// Gradient of max and min: equal shares to the elements that tie.
void share_among_ties(GradientContext& c);

/// Runs reduce_f32 over `reduced` axes of dense extents; c64 as a trailing axis of two that is kept.
Result<Kernel> reduce_kernel(const NodeView& node, const Target& target, kernels::ReduceOp op,
                             std::vector<bool> reduced);

/// Strides of the result along the operand's axes, 0 along the reduced ones.
Extents result_strides(const Extents& extents, const std::vector<bool>& reduced);

template <class Body>
void for_each_reduced(const ReferenceContext& c, Body&& body) {
  const Extents& extents = c.inputs[0].extents;
  for_each_element<1>(
      extents, {result_strides(extents, reduced_axes(c.node))},
      [&](int64_t i, const std::array<int64_t, 1>& o) { body(static_cast<size_t>(i), static_cast<size_t>(o[0])); });
}

}  // namespace gregale::ops
