// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/pooling.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/window.hpp"

namespace gregale::ops {

std::vector<AttributeDef> pooling_attributes() {
  using Integers = std::vector<int64_t>;
  return {
      {"kernel", AttributeKind::integers, "rows and columns of a window", {}},
      {"strides", AttributeKind::integers, "vertical, horizontal", Integers{1, 1}},
      {"pads", AttributeKind::integers, "top, left, bottom, right; below the kernel's extent", Integers{0, 0, 0, 0}},
      {"channels_last", AttributeKind::boolean, "x is [n, h, w, c], y [n, oh, ow, c]", false}};
}

MaxPool2dOptions pooling_options(const NodeView& node) {
  return {node.integers("kernel"), node.integers("strides"), node.integers("pads"), node.boolean("channels_last")};
}

Attributes to_attributes(const MaxPool2dOptions& o) {
  return {{"kernel", o.kernel}, {"strides", o.strides}, {"pads", o.pads}, {"channels_last", o.channels_last}};
}

Pooling pooling_of(const NodeView& node) {
  const Shape& x = node.input(0).shape;
  const int64_t rows = node.boolean("channels_last") ? 1 : 2;
  for (const int64_t axis : {rows, rows + 1}) {
    GREGALE_CHECK(x[axis].is_constant(), unsupported, "[{}] only batch and channels may be symbolic, not {}",
                  node.op().name, x[axis].to_string());
    GREGALE_CHECK(x[axis].value() >= 1 && x[axis].value() <= kLargest, shape,
                  "[{}] axis {} has extent {}, outside [1, {}]", node.op().name, axis, x[axis].value(), kLargest);
  }
  const auto &kernel = check_entries(node, "kernel", 2, 1), &strides = check_entries(node, "strides", 2, 1),
             &pads = check_entries(node, "pads", 4, 0);
  const Pooling p{
      x[rows].value(), x[rows + 1].value(), kernel[0], kernel[1], strides[0], strides[1], pads[0], pads[1], pads[2],
      pads[3]};
  GREGALE_CHECK(std::max(p.top, p.bottom) < p.r && std::max(p.left, p.right) < p.s, invalid_argument,
                "[{}] pads must be below the kernel's {}x{}: a window would hold no element", node.op().name, p.r, p.s);
  const int64_t h = p.h + p.top + p.bottom, w = p.w + p.left + p.right;
  GREGALE_CHECK(p.r <= h && p.s <= w, shape, "[{}] the kernel {}x{} exceeds the padded plane {}x{}", node.op().name,
                p.r, p.s, h, w);
  return p;
}

Type pooled_type(const NodeView& node) {
  const Pooling p = pooling_of(node);
  const Shape& x = node.input(0).shape;
  const DType dtype = node.input(0).dtype;
  if (node.boolean("channels_last")) return Type(dtype, Shape{x[0], p.out_h(), p.out_w(), x[3]});
  return Type(dtype, Shape{x[0], x[1], p.out_h(), p.out_w()});
}

}  // namespace gregale::ops
