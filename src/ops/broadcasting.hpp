// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/common.hpp"

/// broadcast_to and sum_to, adjoint to each other, each with two definitions: the target shape is an attribute, or the
/// shape of a second operand (`like`) where it is symbolic.
namespace gregale::ops {

/// The attribute `shape`, or the shape of operand 1 where there is one.
Shape target_shape(const NodeView& node);
/// Throws where small does not broadcast to large.
void check_broadcasts(const Shape& small, const Shape& large, std::string_view who);

OpDef broadcast_definition(bool like);
OpDef sum_to_definition(bool like);

}  // namespace gregale::ops
