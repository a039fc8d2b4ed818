// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What asking for kernels costs: a repeated request at a call site, one through the cache, and compiling.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/kernel_cache.hpp"

namespace gregale::kernels {
namespace {

template <class Body>
double median_ns(int64_t calls, const Body& body) {
  constexpr int kRounds = 11;
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < calls; ++i) body(i);
    times.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() /
                    static_cast<double>(calls));
  }
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

ContractionDesc typical(int64_t m) {
  ContractionDesc d;
  d.m = m;
  d.n = 64;
  d.k = 256;
  d.lda = 256;
  d.ldb = d.ldc = 64;
  return d;
}

ExpressionDesc gelu(int64_t n) {
  ExpressionDesc d;
  d.m = 64;
  d.n = n;
  Expression& e = d.expression;
  const auto sum = e.apply(ExprOp::add, e.input(0), e.input(1));
  e.output(e.apply(ExprOp::add, e.gelu(sum), e.input(2)));
  d.inputs = {{.leading = n}, {.broadcast = Broadcast::row}, {.leading = n}};
  d.outputs = {{.leading = n}};
  return d;
}

void run() {
  const Target target = Target::detect();
  KernelCache cache(target);
  int64_t sink = 0;
  const auto row = [](const char* what, double ns) { fmt::print("{:<52} {:>10.1f} ns\n", what, ns); };

  const ContractionDesc contraction = typical(64);
  const ExpressionDesc expression = gelu(64);
  ContractionSite contraction_site;
  ExpressionSite expression_site;
  row("contraction, repeated at a call site",
      median_ns(100000, [&](int64_t) { sink += contraction_site.get(cache, contraction).info().code_bytes; }));
  row("expression (GELU, bias, residual), repeated",
      median_ns(100000, [&](int64_t) { sink += expression_site.get(cache, expression).info().code_bytes; }));
  row("contraction, through the cache",
      median_ns(20000, [&](int64_t) { sink += cache.get(contraction)->info().code_bytes; }));
  row("expression, through the cache",
      median_ns(20000, [&](int64_t) { sink += cache.get(expression)->info().code_bytes; }));
  row("contraction 64x64x256 fp32, compiled", median_ns(50, [&](int64_t i) {
        sink += ContractionKernel::compile(target, typical(64 + i % 2))->info().code_bytes;
      }));
  row("expression (GELU, bias, residual), compiled", median_ns(50, [&](int64_t i) {
        sink += ExpressionKernel::compile(target, gelu(64 + i % 2))->info().code_bytes;
      }));
  if (sink == 0) fmt::print("(no code: this target runs the reference)\n");
}

}  // namespace
}  // namespace gregale::kernels

int main() { gregale::kernels::run(); }
