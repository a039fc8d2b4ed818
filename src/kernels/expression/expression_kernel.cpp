// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/expression_kernel.hpp"

#include <fmt/format.h>

#include "base/log.hpp"
#include "kernels/expression/expression_analysis.hpp"

namespace gregale::kernels {
namespace {

constexpr ExpressionImplementation kExpressionKernels[] = {
    {"avx512", expression::make_avx512},
    {"avx2", expression::make_avx2},
    {"reference", expression::make_reference},
};

std::string to_string(const ExpressionOperand& operand) {
  constexpr const char* kShapes[] = {"", " row", " column", " scalar"};
  std::string text = fmt::format("{}{}", operand.dtype == DType::boolean ? "bits" : name_of(operand.dtype),
                                 kShapes[static_cast<int>(operand.broadcast)]);
  if (operand.broadcast == Broadcast::none) text += " ld " + value_text(operand.leading);
  return text;
}

double bytes_of(const ExpressionDesc& desc, const ExpressionOperand& operand) {
  double count = 1;
  if (operand.broadcast == Broadcast::none) count = static_cast<double>(desc.m) * static_cast<double>(desc.n);
  if (operand.broadcast == Broadcast::row) count = static_cast<double>(desc.n);
  if (operand.broadcast == Broadcast::column) count = static_cast<double>(desc.m);
  return operand.dtype == DType::boolean ? count / 8 : count * static_cast<double>(size_of(operand.dtype));
}

}  // namespace

namespace expression {

double flops_of(ExprOp op) {
  switch (op) {
    case ExprOp::input:
    case ExprOp::constant:
    case ExprOp::parameter:
      return 0;
    case ExprOp::exp:
      return 17;
    case ExprOp::log:
      return 22;
    case ExprOp::tanh:
      return 31;
    case ExprOp::erf:
      return 16;
    case ExprOp::sigmoid:
      return 26;
    case ExprOp::sin:
    case ExprOp::cos:
      return 28;
    case ExprOp::multiply_add:
    case ExprOp::reciprocal_sqrt:
    case ExprOp::row_sum_squares:
    case ExprOp::column_sum_squares:
    case ExprOp::all_sum_squares:
      return 2;
    default:
      return 1;
  }
}

Traffic traffic_of(const ExpressionDesc& desc, const Analysis& analysis) {
  Traffic traffic;
  if (desc.m == kAtCall || desc.n == kAtCall) return traffic;
  const auto m = static_cast<double>(desc.m), n = static_cast<double>(desc.n);
  const auto& nodes = desc.expression.nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!analysis.nodes[i].used) continue;
    double count = 1;
    switch (analysis.nodes[i].shape) {
      case Broadcast::none:
        count = m * n;
        break;
      case Broadcast::row:
        count = n;
        break;
      case Broadcast::column:
        count = m;
        break;
      case Broadcast::scalar:
        break;
    }
    if (is_reduction(nodes[i].op)) count = m * n;
    traffic.flops += count * flops_of(nodes[i].op);
  }
  for (const auto* list : {&desc.inputs, &desc.outputs}) {
    for (const ExpressionOperand& operand : *list) {
      const double bytes = bytes_of(desc, operand);
      traffic.l2_bytes += bytes;
      traffic.l1_bytes += operand.broadcast == Broadcast::row ? bytes * m : bytes;
    }
  }
  return traffic;
}

}  // namespace expression

std::string to_string(const ExpressionDesc& desc) {
  std::string text = fmt::format("expression {} {}x{}", name_of(desc.compute), value_text(desc.m), value_text(desc.n));
  if (desc.stream) text += " stream";
  const auto list = [&](const char* name, const std::vector<ExpressionOperand>& operands) {
    for (size_t i = 0; i < operands.size(); ++i) text += fmt::format(", {}{} {}", name, i, to_string(operands[i]));
  };
  list("in", desc.inputs);
  list("out", desc.outputs);
  return text + ": " + desc.expression.to_string();
}

std::shared_ptr<const ExpressionKernel> ExpressionKernel::compile(const Target& target, const ExpressionDesc& desc) {
  const expression::Analysis analysis = expression::analyse(desc);
  std::vector<std::string> refusals;
  for (const ExpressionImplementation& implementation : kExpressionKernels) {
    auto made = implementation.make(target, desc);
    if (!made) {
      refusals.push_back(fmt::format("{}: {}", implementation.name, made.error().message()));
      continue;
    }
    const std::shared_ptr<ExpressionKernel> kernel = made.value();
    KernelInfo& info = kernel->info_;
    info.request = to_string(desc);
    const Traffic traffic = expression::traffic_of(desc, analysis);
    if (info.traffic.l1_bytes == 0) info.traffic = traffic;
    info.refusals = std::move(refusals);
    if (log_enabled("kernels")) log_line("kernels", to_string(info));
    return kernel;
  }
  throw_error(ErrorCode::internal, "[expression] no implementation took " + to_string(desc));
}

}  // namespace gregale::kernels
