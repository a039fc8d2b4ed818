// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/node_kinds.hpp"

#include <algorithm>

namespace gregale::tile {

using kernels::Expression;

bool is_contraction(const NodeView& node) {
  const OpDef& op = node.op();
  if (op.name == "conv2d_nhwc" && node.integer("groups") > 1) return node.input(1).shape[2] != gregale::Dim(1);
  return op.name == "matmul" || op.name == "conv2d_nhwc" || op.name == "conv2d_nhwc_d_input" ||
         op.name == "conv2d_nhwc_d_weights" || op.name == "conv3d_ndhwc" || op.name == "conv3d_ndhwc_d_input" ||
         op.name == "conv3d_ndhwc_d_weights";
}

std::optional<Expression> expression_of(const NodeView& node) {
  if (!node.op().express) return {};
  Expression e;
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < node.input_count(); ++i) ids.push_back(e.input(static_cast<int>(i)));
  if (node.op().express(e, node, ids) < 0) return {};
  return e;
}

bool acts_on_elements(const Expression& expression) {
  return std::all_of(expression.nodes().begin(), expression.nodes().end(),
                     [](const Expression::Node& x) { return x.op < kernels::ExprOp::row_sum; });
}

bool acts_on_elements(const NodeView& node) {
  const std::optional<Expression> e = expression_of(node);
  return e && acts_on_elements(*e);
}

}  // namespace gregale::tile
