// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/ops.hpp"
#include "ops/onnx_node.hpp"

/// What mappings that compose operators share.
namespace gregale::onnx {

/// x in that dtype; x itself where it is.
inline Value cast_to(Graph& g, Value x, DType dtype) { return g.type(x).dtype == dtype ? x : ops::cast(g, x, dtype); }
/// A scalar constant of v's dtype.
inline Value scalar_like(Graph& g, Value v, double value) { return ops::scalar(g, g.type(v).dtype, value); }
/// The same of integers, by their low bits.
Value integer_scalar(Graph& g, DType dtype, int64_t value);
/// Operand i, which has one element, without its axes: so that it broadcasts to anything.
Value as_scalar(OnnxNode& n, int64_t i);
/// 0, 1, ... count - 1 along one axis of `rank`, extents 1 along the others.
Value positions(Graph& g, DType dtype, int64_t count, int64_t axis, int64_t rank);
/// An axis from the end made one from the beginning; throws where there is none such.
int64_t axis_in(OnnxNode& n, int64_t axis, int64_t rank);
/// `x` of any rank as [rows, columns], the axes from `axis` on being columns; for early operator sets.
Value as_matrix(OnnxNode& n, Value x, int64_t axis);
/// log(softmax(x)) along an axis.
Value log_softmax(Graph& g, Value x, int64_t axis);

}  // namespace gregale::onnx
