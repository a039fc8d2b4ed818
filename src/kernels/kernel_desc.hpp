// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gregale/dtype.hpp"

namespace gregale::kernels {

/// A request for code over one 2-D tile: what the JIT families will be asked for, and the key of their cache. Nothing
/// here names an instruction set: the dispatcher walks the candidates for the Target and ends in the plain reference.
/// Extents and leading dimensions are fixed, or kAtCall to be given with each call.
struct KernelDesc {
  static constexpr int64_t kAtCall = -1;

  enum class Family : uint8_t { contraction, expression, layout };
  /// What multiplies and adds: the place where complex, dual and min-plus arithmetic join.
  enum class Arithmetic : uint8_t { real, complex, dual, min_plus };
  enum class Broadcast : uint8_t { none, row, column, scalar };

  /// One operand or result of a tile: type, encoding of its storage, leading dimension in elements.
  struct Operand {
    DType dtype = DType::f32;
    Broadcast broadcast = Broadcast::none;
    enum class Packing : uint8_t { plain, vnni2, vnni4, tiles } packing = Packing::plain;
    int64_t leading = kAtCall;
    bool transposed = false;
  };

  /// A node of an expression DAG over tiles; operands are indices of earlier nodes or, below zero, of ~operand inputs.
  struct Term {
    std::string op;  ///< "add", "exp", "row_sum", ...
    std::vector<int32_t> operands;
    std::vector<double> constants;
  };

  Family family = Family::expression;
  Arithmetic arithmetic = Arithmetic::real;
  int64_t m = kAtCall, n = kAtCall, k = kAtCall;  ///< rows, columns, reduction
  DType compute = DType::f32;                     ///< dtype of accumulation
  std::vector<Operand> inputs, outputs;
  /// Contraction: how the batch that is reduced over is addressed.
  enum class Batch : uint8_t { none, stride, offset, address } batch = Batch::none;
  bool accumulate = false;  ///< beta = 1
  std::vector<Term> prologue_a, prologue_b;
  std::vector<Term> terms;  ///< the expression itself, or the epilogue on the contraction's result
};

}  // namespace gregale::kernels
