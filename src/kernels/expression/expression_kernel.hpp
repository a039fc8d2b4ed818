// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/kernel.hpp"

/// Elementwise and reduction expressions over one 2-D tile: a DAG becomes one kernel. The same DAG serves as prologue
/// and epilogue of a contraction.
///
/// Shapes follow from use: a node is a full tile [m, n], a row vector [1, n], a column vector [m, 1] or a scalar, and
/// operands of different shapes broadcast. Reductions turn a full tile into a column (sum over the n columns of each
/// row: row_*), a row (sum over the m rows of each column: column_*) or a scalar (all_*). Results of row_* reductions
/// may be used further in the same expression, as in softmax and layer norm.
namespace gregale::kernels {

enum class ExprOp : uint8_t {
  input,      ///< operand number `index`
  constant,   ///< `value`
  parameter,  ///< number `index` of the scalars given with the call
  // one operand
  negate,
  abs,
  square,
  sqrt,
  reciprocal,
  reciprocal_sqrt,
  exp,
  log,
  tanh,
  erf,
  sigmoid,
  sin,
  cos,
  relu,
  sign,
  round,  ///< to the nearest integer, ties to even
  floor,
  ceil,
  /// Rounds to the dtype whose name is in `index` (as static_cast<int>(DType)): what storing and loading would do.
  round_to,
  // two operands
  add,
  sub,
  mul,
  div,
  max,
  min,
  greater,
  greater_equal,
  less,
  less_equal,
  equal,
  not_equal,  ///< give masks
  mask_and,
  mask_or,
  // three operands
  multiply_add,  ///< a * b + c with one rounding
  select,        ///< mask a ? b : c
  mask_not,      ///< one operand
  // reductions
  row_sum,
  row_max,
  row_min,
  row_absmax,
  row_sum_squares,
  column_sum,
  column_max,
  column_min,
  column_absmax,
  column_sum_squares,
  all_sum,
  all_max,
  all_min,
  all_absmax,
  all_sum_squares,
};

/// A DAG under construction, then a value: copies share nothing and compare by content.
class Expression {
 public:
  using Id = int32_t;
  struct Node {
    ExprOp op = ExprOp::input;
    Id a = -1, b = -1, c = -1;
    int32_t index = 0;
    double value = 0;
    bool operator==(const Node&) const = default;
  };

  Id input(int index);
  Id constant(double value);
  Id parameter(int index);
  Id apply(ExprOp op, Id a, Id b = -1, Id c = -1);
  Id round_to(DType dtype, Id a);
  /// Adds an output; outputs are numbered in the order of these calls. Masks are stored as bits.
  void output(Id id);

  bool empty() const { return nodes_.empty(); }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Id>& outputs() const { return outputs_; }
  bool operator==(const Expression&) const = default;
  /// "out0 = add(in0, mul(in1, 0.5))", the form of logs and of tile programs. Values used more than once are named t0,
  /// t1, ... first, separated by "; ".
  std::string to_string() const;
  /// Reads what to_string writes; the error says where it stopped.
  static Result<Expression> parse(const std::string& text);

  // Common composites.
  Id gelu(Id x);       ///< x / 2 * (1 + erf(x / sqrt 2))
  Id gelu_tanh(Id x);  ///< the tanh approximation
  Id silu(Id x);
  Id d_gelu(Id x);  ///< derivative at x
  Id d_gelu_tanh(Id x);
  Id d_silu(Id x);
  Id d_tanh(Id y);     ///< from the result: 1 - y y
  Id d_sigmoid(Id y);  ///< y (1 - y)
  Id leaky_relu(Id x, double slope);
  Id elu(Id x, double alpha);

 private:
  std::vector<Node> nodes_;
  std::vector<Id> outputs_;
};

enum class Broadcast : uint8_t {
  none,    ///< [m, n]
  row,     ///< [n], the same for every row
  column,  ///< [m], the same for every column
  scalar,  ///< one element
};

/// An operand or result in memory.
struct ExpressionOperand {
  DType dtype = DType::f32;  ///< f64, f32, bf16, f16; boolean means a mask in bits, rows beginning at whole bytes
  Broadcast broadcast = Broadcast::none;
  int64_t leading = kAtCall;  ///< elements (masks: bits, a multiple of 8) between rows; not looked at where broadcast
  bool operator==(const ExpressionOperand&) const = default;
};

struct ExpressionDesc {
  int64_t m = kAtCall, n = kAtCall;
  DType compute = DType::f32;  ///< f32 or f64
  Expression expression;
  std::vector<ExpressionOperand> inputs, outputs;  ///< outputs may share memory with full inputs of the same layout
  bool stream = false;  ///< outputs are larger than caches: stores that bypass them, where alignment allows
  bool operator==(const ExpressionDesc&) const = default;
};
std::string to_string(const ExpressionDesc& desc);

struct ExpressionCall {
  int64_t m = 0, n = 0;  ///< where the descriptor says kAtCall
  const void* const* inputs = nullptr;
  void* const* outputs = nullptr;
  const int64_t *input_leading = nullptr, *output_leading = nullptr;  ///< where kAtCall
  const double* parameters = nullptr;
  void* scratch = nullptr;  ///< ExpressionKernel::scratch_bytes(n), 64-byte aligned
};

class ExpressionKernel {
 public:
  using Function = void (*)(const ExpressionCall* call, const void* context);

  /// Validates (ErrorCode::invalid_argument names what is wrong: a mask where a number is needed, an unused operand
  /// index, a column reduction used further, ...), then compiles.
  static std::shared_ptr<const ExpressionKernel> compile(const Target& target, const ExpressionDesc& desc);

  void operator()(const ExpressionCall& call) const { function_(&call, context_); }
  const KernelInfo& info() const { return info_; }
  /// Where a call enters. Code compiled as one piece is the info().code_bytes from there.
  const void* code() const { return reinterpret_cast<const void*>(function_); }
  /// Scratch of a call with `n` columns (the descriptor's, where fixed).
  virtual int64_t scratch_bytes(int64_t n) const = 0;
  virtual ~ExpressionKernel() = default;

 protected:
  ExpressionKernel() = default;
  Function function_ = nullptr;
  const void* context_ = nullptr;
  KernelInfo info_;
};

struct ExpressionImplementation {
  const char* name;
  Result<std::shared_ptr<ExpressionKernel>> (*make)(const Target&, const ExpressionDesc&);
};

}  // namespace gregale::kernels
