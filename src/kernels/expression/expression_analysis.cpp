// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/expression_analysis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "gregale/error.hpp"

namespace gregale::kernels::expression {
namespace {

struct OpFacts {
  const char* name;
  int operands;
};
constexpr OpFacts kOps[] = {
    {"input", 0},
    {"constant", 0},
    {"parameter", 0},
    {"negate", 1},
    {"abs", 1},
    {"square", 1},
    {"sqrt", 1},
    {"reciprocal", 1},
    {"reciprocal_sqrt", 1},
    {"exp", 1},
    {"log", 1},
    {"tanh", 1},
    {"erf", 1},
    {"sigmoid", 1},
    {"sin", 1},
    {"cos", 1},
    {"relu", 1},
    {"sign", 1},
    {"round", 1},
    {"floor", 1},
    {"ceil", 1},
    {"round_to", 1},
    {"add", 2},
    {"sub", 2},
    {"mul", 2},
    {"div", 2},
    {"max", 2},
    {"min", 2},
    {"greater", 2},
    {"greater_equal", 2},
    {"less", 2},
    {"less_equal", 2},
    {"equal", 2},
    {"not_equal", 2},
    {"mask_and", 2},
    {"mask_or", 2},
    {"multiply_add", 3},
    {"select", 3},
    {"mask_not", 1},
    {"row_sum", 1},
    {"row_max", 1},
    {"row_min", 1},
    {"row_absmax", 1},
    {"row_sum_squares", 1},
    {"column_sum", 1},
    {"column_max", 1},
    {"column_min", 1},
    {"column_absmax", 1},
    {"column_sum_squares", 1},
    {"all_sum", 1},
    {"all_max", 1},
    {"all_min", 1},
    {"all_absmax", 1},
    {"all_sum_squares", 1},
};
static_assert(std::size(kOps) == static_cast<size_t>(ExprOp::all_sum_squares) + 1);

const char* name_of(Broadcast shape) {
  constexpr const char* kNames[] = {"a full tile", "a row", "a column", "a scalar"};
  return kNames[static_cast<int>(shape)];
}

Broadcast join(Broadcast a, Broadcast b) {
  if (a == b || b == Broadcast::scalar) return a;
  if (a == Broadcast::scalar) return b;
  return Broadcast::none;
}
/// A value of shape `from` can be written to an operand of shape `to`.
bool fits(Broadcast from, Broadcast to) { return join(from, to) == to; }

bool makes_mask(ExprOp op) { return (op >= ExprOp::greater && op <= ExprOp::mask_or) || op == ExprOp::mask_not; }
bool takes_mask(ExprOp op, int operand) {
  return op == ExprOp::mask_and || op == ExprOp::mask_or || op == ExprOp::mask_not ||
         (op == ExprOp::select && operand == 0);
}

void check_operand(const ExpressionOperand& operand, const char* kind, size_t index, int64_t n) {
  GREGALE_CHECK(is_real_float(operand.dtype) || operand.dtype == DType::boolean, invalid_argument,
                "[expression] {} {} has dtype {}; f64, f32, bf16, f16 and bool (masks in bits) are possible", kind,
                index, gregale::name_of(operand.dtype));
  GREGALE_CHECK(operand.broadcast <= Broadcast::scalar, invalid_argument, "[expression] {} {} has no such broadcast",
                kind, index);
  if (operand.broadcast != Broadcast::none || operand.leading == kAtCall) return;
  GREGALE_CHECK(operand.leading >= 0 && (n == kAtCall || operand.leading >= n), invalid_argument,
                "[expression] {} {} has leading dimension {}, less than its {} columns", kind, index, operand.leading,
                std::max<int64_t>(n, 0));
  GREGALE_CHECK(operand.dtype != DType::boolean || operand.leading % 8 == 0, invalid_argument,
                "[expression] {} {} is a mask with {} bits between rows, not a multiple of 8", kind, index,
                operand.leading);
}

}  // namespace

const char* name_of(ExprOp op) { return kOps[static_cast<size_t>(op)].name; }
int operand_count(ExprOp op) { return kOps[static_cast<size_t>(op)].operands; }

bool reduces(const Expression& expression) {
  return std::any_of(expression.nodes().begin(), expression.nodes().end(),
                     [](const Expression::Node& node) { return is_reduction(node.op); });
}

Fold fold_of(ExprOp reduction) {
  return static_cast<Fold>((static_cast<int>(reduction) - static_cast<int>(ExprOp::row_sum)) % 5);
}

Analysis analyse(const ExpressionDesc& desc) {
  const auto& nodes = desc.expression.nodes();
  const auto& outputs = desc.expression.outputs();
  GREGALE_CHECK(desc.m >= kAtCall && desc.n >= kAtCall, invalid_argument, "[expression] extents {} x {} are negative",
                desc.m, desc.n);
  GREGALE_CHECK(desc.compute == DType::f32 || desc.compute == DType::f64, invalid_argument,
                "[expression] computes in f32 or f64, not {}", gregale::name_of(desc.compute));
  GREGALE_CHECK(!outputs.empty(), invalid_argument, "[expression] has no output");
  GREGALE_CHECK(outputs.size() == desc.outputs.size(), invalid_argument,
                "[expression] has {} outputs, but {} operands are described for them", outputs.size(),
                desc.outputs.size());
  for (size_t i = 0; i < desc.inputs.size(); ++i) check_operand(desc.inputs[i], "input", i, desc.n);
  for (size_t i = 0; i < desc.outputs.size(); ++i) check_operand(desc.outputs[i], "output", i, desc.n);

  Analysis analysis;
  analysis.nodes.resize(nodes.size());
  std::vector<bool> input_used(desc.inputs.size(), false);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Expression::Node& node = nodes[i];
    NodeFacts& facts = analysis.nodes[i];
    facts.shape = Broadcast::scalar;
    if (node.op == ExprOp::input) {
      GREGALE_CHECK(node.index >= 0 && node.index < static_cast<int>(desc.inputs.size()), invalid_argument,
                    "[expression] uses input {}, but {} inputs are described", node.index, desc.inputs.size());
      const ExpressionOperand& operand = desc.inputs[static_cast<size_t>(node.index)];
      facts.shape = operand.broadcast;
      facts.mask = operand.dtype == DType::boolean;
      input_used[static_cast<size_t>(node.index)] = true;
      continue;
    }
    if (node.op == ExprOp::parameter) {
      GREGALE_CHECK(node.index >= 0 && node.index < 4096, invalid_argument, "[expression] uses parameter {}",
                    node.index);
      analysis.parameters = std::max(analysis.parameters, node.index + 1);
    }
    const Expression::Id operands[3] = {node.a, node.b, node.c};
    for (int j = 0; j < operand_count(node.op); ++j) {
      const auto from = static_cast<size_t>(operands[j]);
      const ExprOp op = nodes[from].op;
      GREGALE_CHECK(!is_column_reduction(op) && !is_all_reduction(op), invalid_argument,
                    "[expression] uses the result of {} in {}; it can only be an output", name_of(op),
                    name_of(node.op));
      const bool wanted = takes_mask(node.op, j);
      GREGALE_CHECK(analysis.nodes[from].mask == wanted, invalid_argument,
                    "[expression] operand {} of {} is {}, but {} is needed", j, name_of(node.op),
                    analysis.nodes[from].mask ? "a mask" : "a number", wanted ? "a mask" : "a number");
      facts.shape = join(facts.shape, analysis.nodes[from].shape);
    }
    facts.mask = makes_mask(node.op);
    if (is_row_reduction(node.op)) facts.shape = Broadcast::column;
    if (is_column_reduction(node.op)) facts.shape = Broadcast::row;
    if (is_all_reduction(node.op)) facts.shape = Broadcast::scalar;
  }
  for (size_t i = 0; i < input_used.size(); ++i) {
    GREGALE_CHECK(input_used[i], invalid_argument, "[expression] input {} is described, but not used", i);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    NodeFacts& facts = analysis.nodes[static_cast<size_t>(outputs[i])];
    const ExpressionOperand& operand = desc.outputs[i];
    GREGALE_CHECK(facts.mask == (operand.dtype == DType::boolean), invalid_argument,
                  "[expression] output {} is {}, but its operand has dtype {}", i, facts.mask ? "a mask" : "a number",
                  gregale::name_of(operand.dtype));
    GREGALE_CHECK(fits(facts.shape, operand.broadcast), invalid_argument,
                  "[expression] output {} is {}, but its operand is {}", i, name_of(facts.shape),
                  name_of(operand.broadcast));
    facts.used = true;
  }
  for (size_t i = nodes.size(); i-- > 0;) {
    if (!analysis.nodes[i].used) continue;
    for (Expression::Id id : {nodes[i].a, nodes[i].b, nodes[i].c}) {
      if (id >= 0) analysis.nodes[static_cast<size_t>(id)].used = true;
    }
  }
  return analysis;
}

}  // namespace gregale::kernels::expression
