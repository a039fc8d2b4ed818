// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/convolution.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/shapes.hpp"
#include "ops/window.hpp"

namespace gregale::ops {

std::vector<AttributeDef> convolution_attributes() {
  using Integers = std::vector<int64_t>;
  return {{"strides", AttributeKind::integers, "vertical, horizontal", Integers{1, 1}},
          {"pads", AttributeKind::integers, "zeros around the image: top, left, bottom, right", Integers{0, 0, 0, 0}},
          {"dilations", AttributeKind::integers, "distance between the kernel's rows, columns", Integers{1, 1}},
          {"groups", AttributeKind::integer, "channels are split into so many independent convolutions", int64_t{1}}};
}

Conv2dOptions convolution_options(const NodeView& node) {
  return {node.integers("strides"), node.integers("pads"), node.integers("dilations"), node.integer("groups")};
}

Attributes to_attributes(const Conv2dOptions& o) {
  return {{"strides", o.strides}, {"pads", o.pads}, {"dilations", o.dilations}, {"groups", o.groups}};
}

void check_convolution_operands(const NodeView& node) {
  check_real_float(node, 0);
  check_same_dtype(node, 0, 1);
  check_rank(node, 0, 4);
  check_rank(node, 1, 4);
}

tile::Conv2d convolution_problem(const NodeView& node, const Shape& x, const Shape& weights) {
  const std::string& who = node.op().name;
  check_entries(node, "strides", 2, 1);
  check_entries(node, "pads", 4, 0);
  check_entries(node, "dilations", 2, 1);
  tile::Conv2d p;
  p.n = x[0].is_constant() ? x[0].value() : 0;
  p.c = constant_extent(node, x, 1);
  p.h = constant_extent(node, x, 2);
  p.w = constant_extent(node, x, 3);
  p.k = constant_extent(node, weights, 0);
  const int64_t c_of_group = constant_extent(node, weights, 1);
  p.r = constant_extent(node, weights, 2);
  p.s = constant_extent(node, weights, 3);
  tile::set_geometry(p, node);
  GREGALE_CHECK(p.groups >= 1 && p.c % p.groups == 0 && p.k % p.groups == 0, shape,
                "[{}] {} groups do not divide {} input and {} output channels", who, p.groups, p.c, p.k);
  GREGALE_CHECK(c_of_group == p.c / p.groups, shape,
                "[{}] weights have {} channels a group, expected {} ({} / {} groups)", who, c_of_group, p.c / p.groups,
                p.c, p.groups);
  GREGALE_CHECK(p.r >= 1 && p.s >= 1, shape, "[{}] the kernel is empty", who);
  const int64_t reach_h = extent_sum(1, p.dilation_h, p.r - 1, who),
                reach_w = extent_sum(1, p.dilation_w, p.s - 1, who);
  const int64_t h = p.h + p.pad_top + p.pad_bottom, w = p.w + p.pad_left + p.pad_right;
  GREGALE_CHECK(reach_h <= h && reach_w <= w, shape, "[{}] the kernel's reach {}x{} exceeds the padded image {}x{}",
                who, reach_h, reach_w, h, w);
  return p;
}

Cost convolution_cost(const NodeView& node, const tile::Conv2d& p) {
  Cost cost = default_cost(node, 0);
  cost.flops = 2.0 * static_cast<double>(p.n * p.k) * static_cast<double>(p.out_h() * p.out_w()) *
               static_cast<double>(p.c / p.groups * p.r * p.s);
  return cost;
}

Shape permuted(const Shape& shape, const std::vector<int64_t>& permutation) {
  Shape result;
  for (const int64_t axis : permutation) result.dims().push_back(shape[axis]);
  return result;
}

AttributeDef f32_result_attribute() {
  return {"f32_result", AttributeKind::boolean,
          "of bf16 operands: the sums as they are, in f32, instead of rounded to bf16", false};
}

DType result_dtype(const NodeView& node) {
  const DType dtype = node.input(0).dtype;
  GREGALE_CHECK(!node.boolean("f32_result") || dtype == DType::bf16, dtype,
                "[{}] f32_result is for operands of bf16, not {}", node.op().name, name_of(dtype));
  return node.boolean("f32_result") ? DType::f32 : dtype;
}

std::optional<Error> refuse_convolution(const NodeView& node) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  const DType dtype = node.input(0).dtype;
  if (dtype != DType::f32) return refuse(node, fmt::format("f32 needed, not {}", name_of(dtype)));
  return std::nullopt;
}

}  // namespace gregale::ops
