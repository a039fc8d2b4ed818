// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/expression/expression_analysis.hpp"

namespace gregale::kernels {
namespace {

/// Constants are equal where their bits are: 0 and -0 are two constants.
bool same_node(const Expression::Node& a, const Expression::Node& b) {
  return a.op == b.op && a.a == b.a && a.b == b.b && a.c == b.c && a.index == b.index &&
         std::memcmp(&a.value, &b.value, sizeof a.value) == 0;
}

/// Equal nodes are made once.
Expression::Id intern(std::vector<Expression::Node>* nodes, const Expression::Node& node) {
  for (size_t i = nodes->size(); i-- > 0;) {
    if (same_node((*nodes)[i], node)) return static_cast<Expression::Id>(i);
  }
  nodes->push_back(node);
  return static_cast<Expression::Id>(nodes->size() - 1);
}

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kGeluCubic = 0.044715;  // Hendrycks and Gimpel, "Gaussian error linear units", 2016

}  // namespace

Expression::Id Expression::input(int index) {
  Node node;
  node.op = ExprOp::input;
  node.index = index;
  return intern(&nodes_, node);
}

Expression::Id Expression::constant(double value) {
  Node node;
  node.op = ExprOp::constant;
  node.value = value;
  return intern(&nodes_, node);
}

Expression::Id Expression::parameter(int index) {
  Node node;
  node.op = ExprOp::parameter;
  node.index = index;
  return intern(&nodes_, node);
}

Expression::Id Expression::apply(ExprOp op, Id a, Id b, Id c) {
  GREGALE_CHECK(op != ExprOp::input && op != ExprOp::constant && op != ExprOp::parameter && op != ExprOp::round_to,
                invalid_argument, "[expression] {} is not made by apply", expression::name_of(op));
  const int count = expression::operand_count(op);
  const Id operands[3] = {a, b, c};
  for (int i = 0; i < 3; ++i) {
    const bool known = operands[i] >= 0 && operands[i] < static_cast<Id>(nodes_.size());
    GREGALE_CHECK(i < count ? known : operands[i] == -1, invalid_argument,
                  "[expression] {} takes {} operands that exist already; operand {} is node {} of {}",
                  expression::name_of(op), count, i, operands[i], nodes_.size());
  }
  Node node;
  node.op = op;
  node.a = a;
  node.b = b;
  node.c = c;
  return intern(&nodes_, node);
}

Expression::Id Expression::round_to(DType dtype, Id a) {
  GREGALE_CHECK(is_real_float(dtype), invalid_argument, "[expression] round_to {}: only f64, f32, bf16 and f16",
                gregale::name_of(dtype));
  GREGALE_CHECK(a >= 0 && a < static_cast<Id>(nodes_.size()), invalid_argument,
                "[expression] round_to takes an operand that exists already; it is node {} of {}", a, nodes_.size());
  Node node;
  node.op = ExprOp::round_to;
  node.a = a;
  node.index = static_cast<int32_t>(dtype);
  return intern(&nodes_, node);
}

void Expression::output(Id id) {
  GREGALE_CHECK(id >= 0 && id < static_cast<Id>(nodes_.size()), invalid_argument,
                "[expression] output {} is node {} of {}", outputs_.size(), id, nodes_.size());
  outputs_.push_back(id);
}

Expression::Id Expression::gelu(Id x) {
  const Id erf = apply(ExprOp::erf, apply(ExprOp::mul, x, constant(kSqrtHalf)));
  const Id half = apply(ExprOp::mul, x, constant(0.5));
  return apply(ExprOp::multiply_add, half, erf, half);
}

Expression::Id Expression::gelu_tanh(Id x) {
  const Id square = apply(ExprOp::square, x);
  const Id factor =
      apply(ExprOp::multiply_add, square, constant(kSqrtTwoOverPi * kGeluCubic), constant(kSqrtTwoOverPi));
  const Id tanh = apply(ExprOp::tanh, apply(ExprOp::mul, x, factor));
  const Id half = apply(ExprOp::mul, x, constant(0.5));
  return apply(ExprOp::multiply_add, half, tanh, half);
}

Expression::Id Expression::silu(Id x) { return apply(ExprOp::mul, x, apply(ExprOp::sigmoid, x)); }

Expression::Id Expression::d_gelu(Id x) {
  // Phi(x) + x phi(x)
  const Id erf = apply(ExprOp::erf, apply(ExprOp::mul, x, constant(kSqrtHalf)));
  const Id cumulative = apply(ExprOp::multiply_add, erf, constant(0.5), constant(0.5));
  const Id bell = apply(ExprOp::exp, apply(ExprOp::mul, apply(ExprOp::square, x), constant(-0.5)));
  return apply(ExprOp::multiply_add, apply(ExprOp::mul, x, constant(kInverseSqrtTwoPi)), bell, cumulative);
}

Expression::Id Expression::d_gelu_tanh(Id x) {
  const Id square = apply(ExprOp::square, x);
  const Id factor =
      apply(ExprOp::multiply_add, square, constant(kSqrtTwoOverPi * kGeluCubic), constant(kSqrtTwoOverPi));
  const Id slope =
      apply(ExprOp::multiply_add, square, constant(3 * kSqrtTwoOverPi * kGeluCubic), constant(kSqrtTwoOverPi));
  const Id tanh = apply(ExprOp::tanh, apply(ExprOp::mul, x, factor));
  const Id half = apply(ExprOp::mul, x, constant(0.5));
  const Id cumulative = apply(ExprOp::multiply_add, tanh, constant(0.5), constant(0.5));
  return apply(ExprOp::multiply_add, apply(ExprOp::mul, half, d_tanh(tanh)), slope, cumulative);
}

Expression::Id Expression::d_silu(Id x) {
  // s (1 + x (1 - s))
  const Id s = apply(ExprOp::sigmoid, x);
  const Id rest = apply(ExprOp::sub, constant(1), s);
  return apply(ExprOp::mul, s, apply(ExprOp::multiply_add, x, rest, constant(1)));
}

Expression::Id Expression::d_tanh(Id y) { return apply(ExprOp::sub, constant(1), apply(ExprOp::square, y)); }

Expression::Id Expression::d_sigmoid(Id y) { return apply(ExprOp::mul, y, apply(ExprOp::sub, constant(1), y)); }

Expression::Id Expression::leaky_relu(Id x, double slope) {
  const Id positive = apply(ExprOp::greater, x, constant(0));
  return apply(ExprOp::select, positive, x, apply(ExprOp::mul, x, constant(slope)));
}

Expression::Id Expression::elu(Id x, double alpha) {
  const Id positive = apply(ExprOp::greater, x, constant(0));
  const Id grown = apply(ExprOp::sub, apply(ExprOp::exp, x), constant(1));
  return apply(ExprOp::select, positive, x, apply(ExprOp::mul, grown, constant(alpha)));
}

std::string Expression::to_string() const {
  // Nodes used more than once get a name; the others are written where they are used.
  std::vector<int> uses(nodes_.size(), 0);
  for (const Node& node : nodes_) {
    for (Id id : {node.a, node.b, node.c}) {
      if (id >= 0) ++uses[static_cast<size_t>(id)];
    }
  }
  for (Id id : outputs_) ++uses[static_cast<size_t>(id)];
  std::vector<std::string> text(nodes_.size());
  std::string result;
  int names = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    std::string own;
    switch (node.op) {
      case ExprOp::input:
        own = fmt::format("in{}", node.index);
        break;
      case ExprOp::constant:
        own = fmt::format("{}", node.value);
        break;
      case ExprOp::parameter:
        own = fmt::format("p{}", node.index);
        break;
      default:
        own = fmt::format("{}({}", expression::name_of(node.op), text[static_cast<size_t>(node.a)]);
        if (node.op == ExprOp::round_to) own += fmt::format(", {}", gregale::name_of(static_cast<DType>(node.index)));
        if (node.b >= 0) own += ", " + text[static_cast<size_t>(node.b)];
        if (node.c >= 0) own += ", " + text[static_cast<size_t>(node.c)];
        own += ")";
        if (uses[i] > 1) {
          result += fmt::format("{}t{} = {}", result.empty() ? "" : "; ", names, own);
          own = fmt::format("t{}", names++);
        }
    }
    text[i] = std::move(own);
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    result += fmt::format("{}out{} = {}", result.empty() ? "" : "; ", i, text[static_cast<size_t>(outputs_[i])]);
  }
  return result;
}

}  // namespace gregale::kernels
