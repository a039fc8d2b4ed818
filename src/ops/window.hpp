// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "gregale/op.hpp"

/// What operators with windows over images share: convolutions, their gradients, pooling.
namespace gregale::ops {

/// No attribute or extent is sensibly above this; below it no sum of the geometry overflows.
inline constexpr int64_t kLargest = int64_t{1} << 30;
/// An attribute; throws where it does not hold `count` numbers in [least, kLargest].
const std::vector<int64_t>& check_entries(const NodeView& node, std::string_view name, size_t count, int64_t least);
/// A constant extent of at most kLargest; throws for others.
int64_t constant_extent(const NodeView& node, const Shape& shape, int64_t axis);

}  // namespace gregale::ops
