// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The definition: plain loops over a row in f64. Computing in f32 means here that operands, constants and parameters
// are rounded to f32, everything between is f64, and results are rounded to f32 before they are stored.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/common.hpp"
#include "kernels/element.hpp"
#include "kernels/expression/expression_analysis.hpp"

namespace gregale::kernels::expression {
namespace {

double round_to(DType dtype, double x) {
  double rounded = 0;
  store_element(dtype, &rounded, 0, x);
  return load_element(dtype, &rounded, 0);
}

/// NaN wherever one operand is.
double greater_of(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double smaller_of(double a, double b) { return std::isnan(a) || a < b ? a : b; }

double value_of(const Expression::Node& node, double a, double b, double c) {
  switch (node.op) {
    case ExprOp::negate:
      return -a;
    case ExprOp::abs:
      return std::fabs(a);
    case ExprOp::square:
      return a * a;
    case ExprOp::sqrt:
      return std::sqrt(a);
    case ExprOp::reciprocal:
      return 1 / a;
    case ExprOp::reciprocal_sqrt:
      return 1 / std::sqrt(a);
    case ExprOp::exp:
      return std::exp(a);
    case ExprOp::log:
      return std::log(a);
    case ExprOp::tanh:
      return std::tanh(a);
    case ExprOp::erf:
      return std::erf(a);
    case ExprOp::sigmoid:
      return a < 0 ? std::exp(a) / (1 + std::exp(a)) : 1 / (1 + std::exp(-a));
    case ExprOp::sin:
      return std::sin(a);
    case ExprOp::cos:
      return std::cos(a);
    case ExprOp::relu:
      return greater_of(a, 0);
    case ExprOp::sign:
      return a > 0 ? 1 : a < 0 ? -1 : a;
    case ExprOp::round:
      return std::nearbyint(a);
    case ExprOp::floor:
      return std::floor(a);
    case ExprOp::ceil:
      return std::ceil(a);
    case ExprOp::round_to:
      return round_to(static_cast<DType>(node.index), a);
    case ExprOp::add:
      return a + b;
    case ExprOp::sub:
      return a - b;
    case ExprOp::mul:
      return a * b;
    case ExprOp::div:
      return a / b;
    case ExprOp::max:
      return greater_of(a, b);
    case ExprOp::min:
      return smaller_of(a, b);
    case ExprOp::greater:
      return a > b;
    case ExprOp::greater_equal:
      return a >= b;
    case ExprOp::less:
      return a < b;
    case ExprOp::less_equal:
      return a <= b;
    case ExprOp::equal:
      return a == b;
    case ExprOp::not_equal:
      return a != b;
    case ExprOp::mask_and:
      return a != 0 && b != 0;
    case ExprOp::mask_or:
      return a != 0 || b != 0;
    case ExprOp::mask_not:
      return a == 0;
    case ExprOp::multiply_add:
      return std::fma(a, b, c);
    case ExprOp::select:
      return a != 0 ? b : c;
    default:
      return a;
  }
}

double start_of(Fold fold) {
  if (fold == Fold::max) return -std::numeric_limits<double>::infinity();
  if (fold == Fold::min) return std::numeric_limits<double>::infinity();
  return 0;
}
double folded(Fold fold, double sum, double x) {
  switch (fold) {
    case Fold::sum:
      return sum + x;
    case Fold::max:
      return greater_of(sum, x);
    case Fold::min:
      return smaller_of(sum, x);
    case Fold::absmax:
      return greater_of(sum, std::fabs(x));
    case Fold::sum_squares:
      return sum + x * x;
  }
  return sum;
}

class ReferenceExpression final : public ExpressionKernel {
 public:
  ReferenceExpression(const ExpressionDesc& desc, Analysis analysis) : desc_(desc), analysis_(std::move(analysis)) {
    function_ = [](const ExpressionCall* call, const void* context) {
      static_cast<const ReferenceExpression*>(context)->run(*call);
    };
    context_ = this;
    info_.implementation = "reference";
    info_.isa = Isa::reference;
    info_.blocking = "row by row";
  }

  /// One row of doubles for each node.
  int64_t scratch_bytes(int64_t n) const override {
    if (desc_.n != kAtCall) n = desc_.n;
    return align_bytes(static_cast<int64_t>(analysis_.nodes.size()) * std::max<int64_t>(n, 1) * 8);
  }

 private:
  double rounded(double x) const { return desc_.compute == DType::f32 ? round_to(DType::f32, x) : x; }

  void run(const ExpressionCall& call) const {
    const int64_t m = desc_.m == kAtCall ? call.m : desc_.m;
    const int64_t n = desc_.n == kAtCall ? call.n : desc_.n;
    const int64_t width = std::max<int64_t>(n, 1);
    auto* rows = static_cast<double*>(call.scratch);
    const auto& nodes = desc_.expression.nodes();
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!is_column_reduction(nodes[i].op) && !is_all_reduction(nodes[i].op)) continue;
      std::fill_n(rows + static_cast<int64_t>(i) * width, width, start_of(fold_of(nodes[i].op)));
    }
    for (int64_t row = 0; row < m; ++row) {
      evaluate(call, row, n, rows, width);
      write(call, row, n, rows, width);
    }
    if (m == 0) evaluate(call, -1, n, rows, width);  // what needs no row still has a value
    write(call, -1, n, rows, width);
  }

  int64_t leading(const ExpressionOperand& operand, const int64_t* at_call, size_t index) const {
    return operand.leading == kAtCall ? at_call[index] : operand.leading;
  }

  /// Row -1 stands for no row: nodes that depend on rows are left out.
  void evaluate(const ExpressionCall& call, int64_t row, int64_t n, double* rows, int64_t width) const {
    const auto& nodes = desc_.expression.nodes();
    for (size_t i = 0; i < nodes.size(); ++i) {
      const NodeFacts& facts = analysis_.nodes[i];
      if (!facts.used) continue;
      const Expression::Node& node = nodes[i];
      const bool of_rows = facts.shape == Broadcast::none || facts.shape == Broadcast::column || is_reduction(node.op);
      if (row < 0 && of_rows) continue;
      double* to = rows + static_cast<int64_t>(i) * width;
      const bool one = facts.shape == Broadcast::column || facts.shape == Broadcast::scalar;
      const auto operand = [&](Expression::Id id, int64_t j) {
        if (id < 0) return 0.0;
        const Broadcast shape = analysis_.nodes[static_cast<size_t>(id)].shape;
        return rows[id * width + (shape == Broadcast::column || shape == Broadcast::scalar ? 0 : j)];
      };
      if (node.op == ExprOp::input) {
        const auto index = static_cast<size_t>(node.index);
        const ExpressionOperand& in = desc_.inputs[index];
        const void* data = call.inputs[index];
        int64_t first = facts.shape == Broadcast::column ? row : 0;
        if (facts.shape == Broadcast::none) first = row * leading(in, call.input_leading, index);
        for (int64_t j = 0; j < (one ? 1 : n); ++j) to[j] = rounded(load_element(in.dtype, data, first + j));
      } else if (node.op == ExprOp::constant) {
        to[0] = rounded(node.value);
      } else if (node.op == ExprOp::parameter) {
        to[0] = rounded(call.parameters[node.index]);
      } else if (is_reduction(node.op)) {
        const Fold fold = fold_of(node.op);
        if (is_row_reduction(node.op)) to[0] = start_of(fold);
        const bool column = is_column_reduction(node.op);
        for (int64_t j = 0; j < n; ++j) {
          double& sum = to[column ? j : 0];
          sum = folded(fold, sum, operand(node.a, j));
        }
      } else {
        for (int64_t j = 0; j < (one ? 1 : n); ++j) {
          to[j] = value_of(node, operand(node.a, j), operand(node.b, j), operand(node.c, j));
        }
      }
    }
  }

  /// The outputs that belong to a row, or for row -1 those that belong to none.
  void write(const ExpressionCall& call, int64_t row, int64_t n, const double* rows, int64_t width) const {
    for (size_t i = 0; i < desc_.outputs.size(); ++i) {
      const ExpressionOperand& out = desc_.outputs[i];
      const bool of_rows = out.broadcast == Broadcast::none || out.broadcast == Broadcast::column;
      if (of_rows != (row >= 0)) continue;
      const auto id = static_cast<size_t>(desc_.expression.outputs()[i]);
      const Broadcast shape = analysis_.nodes[id].shape;
      const bool one = shape == Broadcast::column || shape == Broadcast::scalar;
      const double* from = rows + static_cast<int64_t>(id) * width;
      int64_t first = out.broadcast == Broadcast::column ? row : 0;
      if (out.broadcast == Broadcast::none) first = row * leading(out, call.output_leading, i);
      const bool many = out.broadcast == Broadcast::none || out.broadcast == Broadcast::row;
      for (int64_t j = 0; j < (many ? n : 1); ++j) {
        store_element(out.dtype, call.outputs[i], first + j, rounded(from[one ? 0 : j]));
      }
      if (out.dtype != DType::boolean || !many) continue;
      for (int64_t j = n; j % 8 != 0; ++j)
        store_element(out.dtype, call.outputs[i], first + j, 0);  // the byte's other bits
    }
  }

  ExpressionDesc desc_;
  Analysis analysis_;
};

}  // namespace

Result<std::shared_ptr<ExpressionKernel>> make_reference(const Target&, const ExpressionDesc& desc) {
  return std::shared_ptr<ExpressionKernel>(std::make_shared<ReferenceExpression>(desc, analyse(desc)));
}

}  // namespace gregale::kernels::expression
