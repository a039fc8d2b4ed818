// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <vector>

#include "kernels/contraction/contraction_implementations.hpp"
#include "kernels/element.hpp"

namespace gregale::kernels {
namespace {

using Batch = ContractionDesc::Batch;

/// The definition, as plain loops: products and sums in f64 (of f32 and bf16 the products are exact), rounded once.
class ReferenceContraction final : public ContractionKernel {
 public:
  ReferenceContraction(const Target& target, const ContractionDesc& desc) : desc_(desc) {
    function_ = run;
    context_ = this;
    info_.implementation = "reference";
    info_.isa = Isa::reference;
    info_.blocking = "plain loops";
    info_.traffic = operand_traffic(desc);
    const Target plain = target.capped(Isa::reference);
    const DType sum = desc.compute == Compute::f64 ? DType::f64 : DType::f32;
    const auto compile = [&](const Expression& expression, DType src, DType dst,
                             const std::vector<ExpressionOperand>& more) {
      if (expression.empty()) return std::shared_ptr<const ExpressionKernel>();
      ExpressionDesc e;
      e.compute = sum;
      e.expression = expression;
      e.inputs = {{src, Broadcast::none, kAtCall}};
      e.inputs.insert(e.inputs.end(), more.begin(), more.end());
      e.outputs = {{dst, Broadcast::none, kAtCall}};
      return ExpressionKernel::compile(plain, e);
    };
    prologue_a_ = compile(desc.prologue_a, desc.a, desc.a, {});
    prologue_b_ = compile(desc.prologue_b, desc.b, desc.b, {});
    epilogue_ = compile(desc.epilogue, sum, desc.c, desc.epilogue_inputs);
  }

 private:
  static int64_t given(int64_t fixed, const ContractionCall* call, int64_t ContractionCall::*field) {
    return fixed == kAtCall ? call->*field : fixed;
  }

  static void run(const void* a, const void* b, void* c, const ContractionCall* call, const void* context) {
    static_cast<const ReferenceContraction*>(context)->run(static_cast<const char*>(a), static_cast<const char*>(b), c,
                                                           call);
  }

  void run(const char* a, const char* b, void* c, const ContractionCall* call) const {
    const ContractionDesc& d = desc_;
    const int64_t m = given(d.m, call, &ContractionCall::m), n = given(d.n, call, &ContractionCall::n);
    const int64_t k = given(d.k, call, &ContractionCall::k);
    const int64_t lda = given(d.lda, call, &ContractionCall::lda), ldb = given(d.ldb, call, &ContractionCall::ldb);
    const int64_t ldc = given(d.ldc, call, &ContractionCall::ldc);
    const int64_t batch = given(d.batch, call, &ContractionCall::batch);
    std::vector<double> sums(static_cast<size_t>(m * n));
    for (int64_t row = 0; row < m && d.accumulate; ++row) {
      for (int64_t column = 0; column < n; ++column) {
        sums[static_cast<size_t>(row * n + column)] = load_element(d.c, c, row * ldc + column);
      }
    }
    for (int64_t i = 0; i < batch; ++i) {
      auto [a_i, b_i] = operands(a, b, call, i);
      int64_t a_leading = lda, b_leading = ldb;
      std::vector<char> a_after, b_after;
      if (prologue_a_) a_i = apply(*prologue_a_, d.a, d.trans_a ? k : m, d.trans_a ? m : k, a_i, a_leading, a_after);
      if (prologue_b_) b_i = apply(*prologue_b_, d.b, d.trans_b ? n : k, d.trans_b ? k : n, b_i, b_leading, b_after);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t column = 0; column < n; ++column) {
          double sum = sums[static_cast<size_t>(row * n + column)];
          for (int64_t p = 0; p < k; ++p) {
            sum += load_element(d.a, a_i, d.trans_a ? p * a_leading + row : row * a_leading + p) *
                   b_value(b_i, b_leading, p, column);
          }
          sums[static_cast<size_t>(row * n + column)] = sum;
        }
      }
    }
    if (epilogue_) return finish(m, n, sums, c, ldc, call);
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t column = 0; column < n; ++column) {
        store_element(d.c, c, row * ldc + column, sums[static_cast<size_t>(row * n + column)]);
      }
    }
  }

  /// A prologue of a whole operand as it is stored; gives what is multiplied, dense.
  static const void* apply(const ExpressionKernel& prologue, DType dtype, int64_t rows, int64_t columns,
                           const void* src, int64_t& leading, std::vector<char>& memory) {
    memory.resize(static_cast<size_t>(rows * columns * size_of(dtype)));
    std::vector<char> scratch(static_cast<size_t>(prologue.scratch_bytes(columns)) + 64);
    void* dst = memory.data();
    ExpressionCall call;
    call.m = rows;
    call.n = columns;
    call.inputs = &src;
    call.outputs = &dst;
    call.input_leading = &leading;
    call.output_leading = &columns;
    call.scratch = aligned(scratch);
    prologue(call);
    leading = columns;
    return dst;
  }

  void finish(int64_t m, int64_t n, const std::vector<double>& sums, void* c, int64_t ldc,
              const ContractionCall* call) const {
    const DType sum = desc_.compute == Compute::f64 ? DType::f64 : DType::f32;
    std::vector<double> tile(sums.size());  // of f32 values: half of it
    for (size_t i = 0; i < sums.size(); ++i) store_element(sum, tile.data(), static_cast<int64_t>(i), sums[i]);
    std::vector<char> scratch(static_cast<size_t>(epilogue_->scratch_bytes(n)) + 64);
    const void* inputs[kMostEpilogueInputs + 1] = {tile.data()};
    int64_t leading[kMostEpilogueInputs + 1] = {n};
    for (size_t i = 0; i < desc_.epilogue_inputs.size(); ++i) {
      inputs[i + 1] = call->epilogue_inputs[i];
      leading[i + 1] = call->epilogue_leading != nullptr ? call->epilogue_leading[i] : desc_.epilogue_inputs[i].leading;
    }
    ExpressionCall e;
    e.m = m;
    e.n = n;
    e.inputs = inputs;
    e.outputs = &c;
    e.input_leading = leading;
    e.output_leading = &ldc;
    e.parameters = call != nullptr ? call->epilogue_parameters : nullptr;
    e.scratch = aligned(scratch);
    (*epilogue_)(e);
  }

  static void* aligned(std::vector<char>& memory) {
    const auto at = reinterpret_cast<uintptr_t>(memory.data());
    return memory.data() + (64 - at % 64) % 64;
  }

  struct Operands {
    const void *a, *b;
  };
  Operands operands(const char* a, const char* b, const ContractionCall* call, int64_t i) const {
    const int64_t a_bytes = size_of(desc_.a), b_bytes = size_of(desc_.b);
    switch (desc_.addressing) {
      case Batch::none:
        break;
      case Batch::stride:
        return {a + i * a_bytes * given(desc_.a_stride, call, &ContractionCall::a_stride),
                b + i * b_bytes * given(desc_.b_stride, call, &ContractionCall::b_stride)};
      case Batch::offset:
        return {a + a_bytes * call->a_offsets[i], b + b_bytes * call->b_offsets[i]};
      case Batch::address:
        return {call->a_list[i], call->b_list[i]};
    }
    return {a, b};
  }

  double b_value(const void* b, int64_t ldb, int64_t p, int64_t column) const {
    switch (desc_.b_packing) {
      case Packing::plain:
        break;
      case Packing::vnni2:
        return load_element(desc_.b, b, p / 2 * 2 * ldb + 2 * column + p % 2);
      case Packing::panels16:
        if (desc_.b == DType::i8)
          return load_element(desc_.b, b, column / 16 * ldb + p / 2 * 32 + p % 2 * 16 + column % 16);
        return load_element(desc_.b, b, column / 16 * ldb + p / 2 * 32 + column % 16 * 2 + p % 2);
      case Packing::panels16x3: {
        const int64_t at = column / 16 * ldb + p / 2 * 32 + column % 16 * 2 + p % 2;
        return load_element(desc_.b, b, at) + load_element(desc_.b, b, desc_.b_part + at) +
               load_element(desc_.b, b, 2 * desc_.b_part + at);
      }
    }
    return load_element(desc_.b, b, desc_.trans_b ? column * ldb + p : p * ldb + column);
  }

  const ContractionDesc desc_;
  std::shared_ptr<const ExpressionKernel> prologue_a_, prologue_b_, epilogue_;
};

}  // namespace

Result<std::shared_ptr<ContractionKernel>> make_contraction_reference(const Target& target,
                                                                      const ContractionDesc& desc) {
  return std::shared_ptr<ContractionKernel>(std::make_shared<ReferenceContraction>(target, desc));
}

}  // namespace gregale::kernels
