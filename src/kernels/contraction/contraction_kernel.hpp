// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "kernels/expression/expression_kernel.hpp"
#include "kernels/kernel.hpp"

/// Batch-reduce contraction over one tile: c[m, n] = epilogue(beta c + sum over i of a_i[m, k] b_i[k, n]), the one
/// primitive under matrix multiplication, convolution and attention (Georganas et al., "Tensor Processing Primitives: a
/// programming abstraction for efficiency and portability in deep learning workloads", SC 2021). Everything is
/// row-major.
///
/// Numerical recipe: every element of c is one chain over i, then k, in an order that depends on k, the dtypes, the
/// computation and the ISA alone: never on m, on the number of rows or on the batch's addressing. Splitting a chain
/// over calls with `accumulate`, without `own_chain`, and f32 (f64) c gives the same bits as one call, where the split
/// falls on a multiple of 32.
namespace gregale::kernels {

/// What multiplies and adds.
enum class Compute : uint8_t {
  f32,     ///< fp32 (and bf16 widened to fp32) with fused multiply-adds, fp32 accumulation
  f64,     ///< fp64 throughout
  bf16,    ///< products of bf16 pairs, fp32 accumulation; the unit flushes denormals
  fp32x3,  ///< fp32 operands as three bf16 parts, six products: fp32 accuracy
};

/// Products of bf16 in one of fp32x3.
inline constexpr int kFp32x3Products = 6;
/// Whether fp32x3 takes a b of these elements: each is 0 or from 2^-103 (below, the unit would flush parts) to 2^63.
bool parts_hold(std::span<const float> b);

/// Whether the target multiplies bf16 on tiles. Code around the products also rounds to bf16 with AVX512_BF16.
bool has_tiles(const Target& target);

/// How an operand is stored.
enum class Packing : uint8_t {
  plain,  ///< row-major, `leading` elements between rows
  /// bf16, B only: pairs of rows interleaved. Element (k, n) is at (k / 2) * 2 * leading + 2 * n + k % 2; K is even in
  /// storage, an odd last row is followed by zeros.
  vnni2,
  /// bf16, B only: panels of 16 columns, each in vnni2 with leading = 16, so that 32 x 16 elements are 1 KB in one
  /// piece (one AMX tile). Element (k, n) is at (n / 16) * leading + (k / 2) * 32 + (n % 16) * 2 + k % 2. `leading` is
  /// the elements of a panel, 16 times K rounded up to a multiple of 32. Padding in k and n holds zeros. Elements may
  /// be i8, which are made bf16 where they are multiplied: half of what is read, for a few rows of a. Of each pair of
  /// rows the even one's 16 then precede the odd one's: (n / 16) * leading + (k / 2) * 32 + k % 2 * 16 + n % 16.
  panels16,
  /// fp32x3's B: three panels16 images (high, middle, low part) one after another, `leading` for each panel as there,
  /// part p beginning at p * part elements; see ContractionDesc::b_part.
  panels16x3,
};

struct ContractionDesc {
  int64_t m = kAtCall, n = kAtCall, k = kAtCall;
  int64_t lda = kAtCall, ldb = kAtCall, ldc = kAtCall;  ///< `leading` of the operands, elements; rows of a may overlap
  DType a = DType::f32, b = DType::f32, c = DType::f32;
  Compute compute = Compute::f32;
  Packing b_packing = Packing::plain;
  bool trans_a = false;     ///< a is stored [k, m]
  bool trans_b = false;     ///< b is stored [n, k]; plain packing only
  bool accumulate = false;  ///< beta = 1; c is then f32 or f64
  /// With accumulate: the chain begins at zero and c is added at its end. Sums over many calls then lose less, for
  /// every call's rounding errors are those of a short sum.
  bool own_chain = false;
  int64_t b_part = 0;  ///< panels16x3: elements between the parts
  /// The products that are summed: one, or `batch` of them (fixed or at the call), the operands of product i being
  /// stride: at a + i * a_stride, b + i * b_stride (elements, fixed or at the call);
  /// offset: at a + a_offsets[i], b + b_offsets[i] (elements, at the call);
  /// address: at a_list[i], b_list[i] (`a` and `b` of the call are not looked at).
  enum class Batch : uint8_t { none, stride, offset, address } addressing = Batch::none;
  int64_t batch = 1, a_stride = kAtCall, b_stride = kAtCall;
  /// Elementwise expressions; empty ones do nothing. Input 0 of a prologue is the operand as it is stored, its output
  /// what is multiplied (same dtype). Input 0 of the epilogue is the f32 (f64) tile of sums, further inputs are given
  /// with the call; its output 0 is c. Only f32 and f64 contractions from plain operands have prologues.
  Expression prologue_a, prologue_b, epilogue;
  /// Operand descriptions of the epilogue's inputs from 1 on (broadcast, dtype, leading).
  std::vector<ExpressionOperand> epilogue_inputs;

  bool operator==(const ContractionDesc&) const = default;
};
std::string to_string(const ContractionDesc& desc);

/// What a call gives besides a, b and c. Fields that the descriptor fixes are not looked at.
struct ContractionCall {
  int64_t m = 0, n = 0, k = 0, lda = 0, ldb = 0, ldc = 0;
  int64_t batch = 0, a_stride = 0, b_stride = 0;
  const int64_t *a_offsets = nullptr, *b_offsets = nullptr;
  const void *const *a_list = nullptr, *const *b_list = nullptr;
  const void* const* epilogue_inputs = nullptr;  ///< data of the epilogue's inputs from 1 on
  const int64_t* epilogue_leading = nullptr;     ///< where their leading is at the call
  const double* epilogue_parameters = nullptr;
  void* scratch = nullptr;  ///< ContractionKernel::scratch_bytes, 64-byte aligned; one a thread
};

class ContractionKernel {
 public:
  /// `context` is the kernel's own; compiled code ignores it.
  using Function = void (*)(const void* a, const void* b, void* c, const ContractionCall* call, const void* context);

  /// Validates the descriptor (Error ErrorCode::invalid_argument names the field), then compiles. Never fails to give a
  /// kernel for a valid descriptor.
  static std::shared_ptr<const ContractionKernel> compile(const Target& target, const ContractionDesc& desc);

  /// `call` may be null where the descriptor fixes everything and there is no epilogue input and no scratch.
  void operator()(const void* a, const void* b, void* c, const ContractionCall* call = nullptr) const {
    function_(a, b, c, call, context_);
  }
  const KernelInfo& info() const { return info_; }
  /// Where a call enters. Code compiled as one piece is the info().code_bytes from there.
  const void* code() const { return reinterpret_cast<const void*>(function_); }
  int64_t scratch_bytes() const { return scratch_bytes_; }
  virtual ~ContractionKernel() = default;

 protected:
  ContractionKernel() = default;
  Function function_ = nullptr;
  const void* context_ = nullptr;
  int64_t scratch_bytes_ = 0;
  KernelInfo info_;
};

/// One way to make a contraction kernel: asked in order, the first that does not refuse is taken.
struct ContractionImplementation {
  const char* name;
  Result<std::shared_ptr<ContractionKernel>> (*make)(const Target&, const ContractionDesc&);
};

}  // namespace gregale::kernels
