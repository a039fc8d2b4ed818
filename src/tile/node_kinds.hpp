// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "gregale/op.hpp"
#include "kernels/expression/expression_kernel.hpp"

/// What fusion asks of operators.
namespace gregale::tile {

/// Matrix products and convolutions: groups grow around them, and the bf16 policy rounds their operands. Convolutions
/// of one channel a group contract nothing.
bool is_contraction(const NodeView& node);

/// What a node computes over a tile whose rows are lanes of the last axis, operand i as input i; nothing where it
/// cannot be said so (OpDef::express).
std::optional<kernels::Expression> expression_of(const NodeView& node);

/// No element of the result needs more of its operands than the element in its place.
bool acts_on_elements(const kernels::Expression& expression);
bool acts_on_elements(const NodeView& node);

}  // namespace gregale::tile
