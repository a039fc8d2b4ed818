// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/expression/expression_kernel.hpp"

/// What follows from a descriptor before any code is made. Internal to the family.
namespace gregale::kernels::expression {

const char* name_of(ExprOp op);
/// Operands of an operation; 0 for input, constant and parameter.
int operand_count(ExprOp op);

inline bool is_row_reduction(ExprOp op) { return op >= ExprOp::row_sum && op <= ExprOp::row_sum_squares; }
inline bool is_column_reduction(ExprOp op) { return op >= ExprOp::column_sum && op <= ExprOp::column_sum_squares; }
inline bool is_all_reduction(ExprOp op) { return op >= ExprOp::all_sum && op <= ExprOp::all_sum_squares; }
inline bool is_reduction(ExprOp op) { return op >= ExprOp::row_sum; }
/// Whether any node of it is a reduction.
bool reduces(const Expression& expression);
inline bool is_transcendental(ExprOp op) {
  return op == ExprOp::exp || op == ExprOp::log || op == ExprOp::tanh || op == ExprOp::erf || op == ExprOp::sigmoid ||
         op == ExprOp::sin || op == ExprOp::cos;
}
/// Floating-point operations of one evaluation, with a transcendental function's polynomial and reduction.
double flops_of(ExprOp op);
/// What a reduction does, whatever it runs over.
enum class Fold : uint8_t { sum, max, min, absmax, sum_squares };
Fold fold_of(ExprOp reduction);

/// One node with what is known of it.
struct NodeFacts {
  Broadcast shape = Broadcast::none;
  bool mask = false;
  bool used = false;  ///< an output depends on it
};

struct Analysis {
  std::vector<NodeFacts> nodes;
  int parameters = 0;  ///< 1 + the highest index
};

/// Throws ErrorCode::invalid_argument with what is wrong.
Analysis analyse(const ExpressionDesc& desc);

/// The ledger's figures of a descriptor whose extents are fixed. `lanes`: of the code's vectors.
Traffic traffic_of(const ExpressionDesc& desc, const Analysis& analysis);

/// Implementations, best first; each refuses with a reason, the last never does.
Result<std::shared_ptr<ExpressionKernel>> make_avx512(const Target& target, const ExpressionDesc& desc);
Result<std::shared_ptr<ExpressionKernel>> make_avx2(const Target& target, const ExpressionDesc& desc);
Result<std::shared_ptr<ExpressionKernel>> make_reference(const Target& target, const ExpressionDesc& desc);

}  // namespace gregale::kernels::expression
