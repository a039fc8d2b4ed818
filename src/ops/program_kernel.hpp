// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/op.hpp"
#include "tile/lower_region.hpp"

namespace gregale::ops {

/// The kernel of a node that computes what `body` does, as a tile program: the node's operands are the body's inputs,
/// its results the body's outputs. Constant operands are packed beforehand, and where `in_parts`, products with them
/// may be computed as fp32x3. Refuses with the lowering's reason.
Result<Kernel> program_kernel(const Graph& body, const NodeView& node, const Target& target,
                              const tile::ScheduleChoice& choice = {}, bool in_parts = false);

}  // namespace gregale::ops
