// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/convolution3d.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/shapes.hpp"
#include "ops/window.hpp"

namespace gregale::ops {

std::vector<AttributeDef> convolution3d_attributes() {
  using Integers = std::vector<int64_t>;
  return {
      {"strides", AttributeKind::integers, "of slices, rows, columns", Integers{1, 1, 1}},
      {"pads", AttributeKind::integers, "zeros around the volume: front, top, left, back, bottom, right",
       Integers{0, 0, 0, 0, 0, 0}},
      {"dilations", AttributeKind::integers, "distance between the kernel's slices, rows, columns", Integers{1, 1, 1}},
      {"groups", AttributeKind::integer, "channels are split into so many independent convolutions", int64_t{1}}};
}

Conv3dOptions convolution3d_options(const NodeView& node) {
  return {node.integers("strides"), node.integers("pads"), node.integers("dilations"), node.integer("groups")};
}

Attributes to_attributes(const Conv3dOptions& o) {
  return {{"strides", o.strides}, {"pads", o.pads}, {"dilations", o.dilations}, {"groups", o.groups}};
}

void check_convolution3d_operands(const NodeView& node) {
  check_real_float(node, 0);
  check_same_dtype(node, 0, 1);
  check_rank(node, 0, 5);
  check_rank(node, 1, 5);
}

tile::Conv3d convolution3d_problem(const NodeView& node, const Shape& x, const Shape& weights) {
  const std::string& who = node.op().name;
  check_entries(node, "strides", 3, 1);
  check_entries(node, "pads", 6, 0);
  check_entries(node, "dilations", 3, 1);
  tile::Conv3d v;
  tile::Conv2d& p = v.plane;
  p.n = x[0].is_constant() ? x[0].value() : 0;
  v.d = constant_extent(node, x, 1);
  p.h = constant_extent(node, x, 2);
  p.w = constant_extent(node, x, 3);
  p.c = constant_extent(node, x, 4);
  v.t = constant_extent(node, weights, 0);
  p.r = constant_extent(node, weights, 1);
  p.s = constant_extent(node, weights, 2);
  p.k = constant_extent(node, weights, 4);
  tile::set_geometry(v, node);
  GREGALE_CHECK(p.groups >= 1 && p.c % p.groups == 0 && p.k % p.groups == 0, shape,
                "[{}] {} groups do not divide {} input and {} output channels", who, p.groups, p.c, p.k);
  const int64_t c_of_group = constant_extent(node, weights, 3);
  GREGALE_CHECK(c_of_group == p.c / p.groups, shape,
                "[{}] weights have {} channels a group, expected {} ({} / {} groups)", who, c_of_group, p.c / p.groups,
                p.c, p.groups);
  GREGALE_CHECK(v.t >= 1 && p.r >= 1 && p.s >= 1, shape, "[{}] the kernel is empty", who);
  const int64_t reach_d = extent_sum(1, v.dilation_d, v.t - 1, who),
                reach_h = extent_sum(1, p.dilation_h, p.r - 1, who),
                reach_w = extent_sum(1, p.dilation_w, p.s - 1, who);
  const int64_t d = v.d + v.pad_front + v.pad_back, h = p.h + p.pad_top + p.pad_bottom,
                w = p.w + p.pad_left + p.pad_right;
  GREGALE_CHECK(reach_d <= d && reach_h <= h && reach_w <= w, shape,
                "[{}] the kernel's reach {}x{}x{} exceeds the padded volume {}x{}x{}", who, reach_d, reach_h, reach_w,
                d, h, w);
  return v;
}

Shape convolved(const Shape& x, const tile::Conv3d& v) {
  return Shape{x[0], v.out_d(), v.plane.out_h(), v.plane.out_w(), v.plane.k};
}

Cost convolution3d_cost(const NodeView& node, const tile::Conv3d& v) {
  const tile::Conv2d& p = v.plane;
  Cost cost = default_cost(node, 0);
  cost.flops = 2.0 * static_cast<double>(p.n * p.k) * static_cast<double>(v.out_d() * p.out_h() * p.out_w()) *
               static_cast<double>(p.c / p.groups * v.t * p.r * p.s);
  return cost;
}

}  // namespace gregale::ops
