// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Whole expressions against their floors: GELU with bias and residual, layer norm, softmax rows, Adam in place; in L2
// and from memory. The byte floor is each operand once at the rate of a copy of the same size, the compute floor the
// operations of the code at one vector instruction a multiply-add slot; both rates are measured in turn with the
// kernel.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/expression/expression_kernel.hpp"
#include "kernels/machine/machine.hpp"

namespace gregale::kernels {
namespace {

double seconds_of(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;
Memory memory(int64_t bytes) {
  auto* data = static_cast<std::byte*>(std::aligned_alloc(4096, static_cast<size_t>((bytes + 4095) / 4096 * 4096)));
  std::memset(data, 0, static_cast<size_t>(bytes));
  return Memory(data);
}

using Id = Expression::Id;

ExpressionDesc gelu(DType dtype, int64_t n) {
  ExpressionDesc d;
  Expression& e = d.expression;
  const Id x = e.apply(ExprOp::add, e.input(0), e.input(1));
  e.output(e.apply(ExprOp::add, e.gelu(x), e.input(2)));
  d.inputs = {{.dtype = dtype, .leading = n}, {.broadcast = Broadcast::row}, {.dtype = dtype, .leading = n}};
  d.outputs = {{.dtype = dtype, .leading = n}};
  return d;
}

ExpressionDesc layer_norm(int64_t n) {
  ExpressionDesc d;
  Expression& e = d.expression;
  const Id x = e.input(0), count = e.constant(1.0 / static_cast<double>(n));
  const Id mean = e.apply(ExprOp::mul, e.apply(ExprOp::row_sum, x), count);
  const Id centred = e.apply(ExprOp::sub, x, mean);
  const Id variance = e.apply(ExprOp::mul, e.apply(ExprOp::row_sum_squares, centred), count);
  const Id scale = e.apply(ExprOp::reciprocal_sqrt, e.apply(ExprOp::add, variance, e.constant(1e-5)));
  const Id normal = e.apply(ExprOp::mul, centred, scale);
  e.output(e.apply(ExprOp::multiply_add, normal, e.input(1), e.input(2)));
  d.inputs = {{.leading = n}, {.broadcast = Broadcast::row}, {.broadcast = Broadcast::row}};
  d.outputs = {{.leading = n}};
  return d;
}

ExpressionDesc softmax(int64_t n) {
  ExpressionDesc d;
  Expression& e = d.expression;
  const Id x = e.input(0);
  const Id power = e.apply(ExprOp::exp, e.apply(ExprOp::sub, x, e.apply(ExprOp::row_max, x)));
  e.output(e.apply(ExprOp::mul, power, e.apply(ExprOp::reciprocal, e.apply(ExprOp::row_sum, power))));
  d.inputs = {{.leading = n}};
  d.outputs = {{.leading = n}};
  return d;
}

/// Weights, both moments and the gradient; the first three are written where they were read.
ExpressionDesc adam(int64_t n) {
  ExpressionDesc d;
  Expression& e = d.expression;
  const Id w = e.input(0), m = e.input(1), v = e.input(2), g = e.input(3);
  const Id m1 = e.apply(ExprOp::multiply_add, m, e.constant(0.9), e.apply(ExprOp::mul, g, e.constant(0.1)));
  const Id v1 = e.apply(ExprOp::multiply_add, v, e.constant(0.999),
                        e.apply(ExprOp::mul, e.apply(ExprOp::square, g), e.constant(0.001)));
  const Id step = e.apply(ExprOp::div, e.apply(ExprOp::mul, m1, e.parameter(0)),
                          e.apply(ExprOp::add, e.apply(ExprOp::sqrt, v1), e.constant(1e-8)));
  e.output(e.apply(ExprOp::sub, w, step));
  e.output(m1);
  e.output(v1);
  d.inputs = {{.leading = n}, {.leading = n}, {.leading = n}, {.leading = n}};
  d.outputs = {{.leading = n}, {.leading = n}, {.leading = n}};
  return d;
}

/// The same operands, every result the sum of all inputs.
ExpressionDesc bare(ExpressionDesc d) {
  Expression e;
  Id sum = e.input(0);
  for (size_t i = 1; i < d.inputs.size(); ++i) sum = e.apply(ExprOp::add, sum, e.input(static_cast<int>(i)));
  for (size_t i = 0; i < d.outputs.size(); ++i) e.output(sum);
  d.expression = e;
  return d;
}

struct Workload {
  const char* name;
  ExpressionDesc desc;
  bool in_place = false;
};

void run() {
  const Target target = Target::detect();
  const auto team = make_thread_team(1, TeamKind::caller);
  fmt::print("{:<28} {:>8} {:>9} {:>9} {:>9} {:>7}   kernel\n", "", "where", "GB/s", "bare GB/s", "floor", "share");
  constexpr int64_t kColumns = 768;
  for (const bool in_memory : {false, true}) {
    for (Workload w : {Workload{"GELU, bias, residual f32", gelu(DType::f32, kColumns)},
                       Workload{"GELU, bias, residual bf16", gelu(DType::bf16, kColumns)},
                       Workload{"layer norm", layer_norm(kColumns)}, Workload{"softmax rows", softmax(kColumns)},
                       Workload{"Adam in place", adam(kColumns), true}}) {
      ExpressionDesc& d = w.desc;
      int64_t row_bytes = 0;  // of what is read and written once
      for (const auto* list : {&d.inputs, &d.outputs})
        for (const ExpressionOperand& o : *list)
          if (o.broadcast == Broadcast::none) row_bytes += kColumns * size_of(o.dtype);
      // Half of L2, or several times the last cache.
      const int64_t bytes = in_memory ? std::max<int64_t>(4 * target.l3_bytes, 256 << 20) : target.l2_bytes / 2;
      d.n = kColumns;
      d.m = std::max<int64_t>(1, bytes / row_bytes);
      d.stream = in_memory && !w.in_place;
      const auto kernel = ExpressionKernel::compile(target, d);
      std::vector<Memory> owned;
      std::vector<const void*> inputs;
      std::vector<void*> outputs;
      for (const ExpressionOperand& o : d.inputs) {
        owned.push_back(memory(d.m * kColumns * size_of(o.dtype)));
        inputs.push_back(owned.back().get());
      }
      for (size_t i = 0; i < d.outputs.size(); ++i) {
        if (w.in_place) {
          outputs.push_back(owned[i].get());
          continue;
        }
        owned.push_back(memory(d.m * kColumns * size_of(d.outputs[i].dtype)));
        outputs.push_back(owned.back().get());
      }
      const Memory scratch = memory(kernel->scratch_bytes(kColumns) + 64);
      const double rate = 1e-3;
      ExpressionCall call;
      call.inputs = inputs.data();
      call.outputs = outputs.data();
      call.parameters = &rate;
      call.scratch = scratch.get();
      const int64_t total = row_bytes * d.m;
      const auto bare_kernel = ExpressionKernel::compile(target, bare(d));
      const int64_t repeats = std::max<int64_t>(1, (int64_t{64} << 20) / total);
      std::vector<double> kernel_times, bare_times, slot_times;
      for (int round = 0; round < 9; ++round) {
        kernel_times.push_back(seconds_of([&] {
          for (int64_t r = 0; r < repeats; ++r) (*kernel)(call);
        }));
        bare_times.push_back(seconds_of([&] {
          for (int64_t r = 0; r < repeats; ++r) (*bare_kernel)(call);
        }));
        slot_times.push_back(2e-9 / measure_compute_peak(target, *team, ComputeUnit::fp32));  // of one lane's operation
      }
      const double time = median(kernel_times) / static_cast<double>(repeats);
      const double byte_floor = median(bare_times) / static_cast<double>(repeats);
      const double compute_floor = kernel->info().traffic.flops * median(slot_times);
      const double floor = std::max(byte_floor, compute_floor);
      fmt::print("{:<28} {:>8} {:>9.1f} {:>9.1f} {:>9} {:>6.0f}%   {}\n", w.name, in_memory ? "memory" : "L2",
                 static_cast<double>(total) / time * 1e-9, static_cast<double>(total) / byte_floor * 1e-9,
                 byte_floor > compute_floor ? "bytes" : "compute", 100 * floor / time, kernel->info().implementation);
    }
  }
}

}  // namespace
}  // namespace gregale::kernels

int main() { gregale::kernels::run(); }
