// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/shapes.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "ops/common.hpp"

namespace gregale::ops {

std::vector<int64_t> distinct_axes(const std::vector<int64_t>& axes, int64_t rank, std::string_view who) {
  std::vector<int64_t> result;
  std::vector<bool> seen(static_cast<size_t>(rank), false);
  for (int64_t axis : axes) {
    const int64_t a = normalize_axis(axis, rank, who);
    GREGALE_CHECK(!seen[static_cast<size_t>(a)], invalid_argument, "[{}] axis {} is named twice", who, axis);
    seen[static_cast<size_t>(a)] = true;
    result.push_back(a);
  }
  return result;
}

const std::vector<int64_t>& per_axis(const NodeView& node, std::string_view attribute) {
  const auto& values = node.integers(attribute);
  const int64_t rank = node.input(0).rank();
  GREGALE_CHECK(static_cast<int64_t>(values.size()) == rank, invalid_argument, "[{}] {} has {} entries for rank {}",
                node.op().name, attribute, values.size(), rank);
  return values;
}

void check_rank(const NodeView& node, int64_t input, int64_t rank) {
  GREGALE_CHECK(node.input(input).rank() == rank, shape, "[{}] {} must have rank {}, not {}", node.op().name,
                node.op().inputs.at(static_cast<size_t>(input)).name, rank, node.input(input).rank());
}

int64_t extent_sum(int64_t a, int64_t b, int64_t c, std::string_view who) {
  int64_t product = 0, sum = 0;
  GREGALE_CHECK(!__builtin_mul_overflow(b, c, &product) && !__builtin_add_overflow(a, product, &sum), shape,
                "[{}] extent overflows", who);
  return sum;
}

Value zeros_like(Graph& g, Value like) {
  const Type type = g.type(like);
  const Value zero = scalar(g, type.dtype, 0);
  return type.shape.is_constant() ? broadcast_to(g, zero, type.shape) : broadcast_like(g, zero, like);
}

int64_t axis_of(const NodeView& node) {
  return normalize_axis(node.integer("axis"), node.input(0).rank(), node.op().name);
}

AxisSplit split_at(const Extents& extents, int64_t axis) {
  AxisSplit s;
  for (int64_t i = 0; i < static_cast<int64_t>(extents.size()); ++i)
    (i < axis ? s.outer : i == axis ? s.extent : s.inner) *= extents[static_cast<size_t>(i)];
  return s;
}

std::optional<Error> refuse_move(const NodeView& node) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  for (const auto* types : {&node.inputs(), &node.outputs()})
    for (const Type& t : *types)
      if (t.rank() > kernels::kMaxRank) return refuse(node, fmt::format("rank above {}", kernels::kMaxRank));
  return std::nullopt;
}

Cost cost_of_move(const NodeView& node) { return default_cost(node, 0); }

}  // namespace gregale::ops
