// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <vector>

#include "gregale/random.hpp"
#include "gregale/tensor.hpp"
#include "kernels/machine/machine.hpp"
#include "tile/matmul.hpp"
#include "tools/bench.hpp"

namespace gregale::tools {
namespace {

struct GemmOptions {
  Common common;
  int64_t m = 0, n = 0, k = 0;
  std::string dtype = "fp32";
  bool flat_b = false;
};

/// Uninitialised bytes on a cache line.
class Bytes {
 public:
  explicit Bytes(int64_t bytes)
      : data_(static_cast<std::byte*>(::operator new(static_cast<size_t>(std::max<int64_t>(bytes, 64)), kLine))) {}
  ~Bytes() { ::operator delete(data_, kLine); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  std::byte* get() const { return data_; }

 private:
  static constexpr std::align_val_t kLine{64};
  std::byte* data_;
};

/// Everything that can be wrong, before any work.
void check(const GemmOptions& o) {
  static const std::string kDtypes[] = {"fp32", "bf16", "fp32x3", "int8"};
  const std::pair<const char*, int64_t> extents[] = {{"--m", o.m}, {"--n", o.n}, {"--k", o.k}};
  for (const auto& [name, value] : extents)
    GREGALE_CHECK(value >= 1, usage, "{}: expected an integer >= 1, got {}", name, value);
  GREGALE_CHECK(std::count(std::begin(kDtypes), std::end(kDtypes), o.dtype) == 1, usage,
                "--dtype: expected fp32, bf16, fp32x3 or int8, got '{}'", o.dtype);
  const double element = o.dtype == "bf16" ? 2 : o.dtype == "int8" ? 1 : 4;
  const auto m = static_cast<double>(o.m), n = static_cast<double>(o.n), k = static_cast<double>(o.k);
  const double bytes = element * (m * k + 2 * k * n + m * n);  // b is there twice: plain and packed
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  const auto* largest = std::max_element(std::begin(extents), std::end(extents),
                                         [](const auto& x, const auto& y) { return x.second < y.second; });
  GREGALE_CHECK(bytes <= 0.9 * memory, usage, "{}: {} is too large: the matrices take {}, this machine has {}",
                largest->first, largest->second, format_bytes(bytes), format_bytes(memory));
  GREGALE_CHECK(o.dtype != "int8", unsupported, "--dtype: int8 contraction is not there yet");
}

void fill(ThreadTeam& team, uint64_t seed, uint32_t stream, DType dtype, int64_t count, std::byte* to) {
  constexpr int64_t kGrain = 65536;
  parallel_for(team, count, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float x = random_uniform({seed, 0, stream}, static_cast<uint64_t>(i)) - 0.5f;
      if (dtype == DType::bf16) {
        reinterpret_cast<bf16*>(to)[i] = to_bf16(x);
      } else {
        reinterpret_cast<float*>(to)[i] = x;
      }
    }
  });
}

tile::MatmulProblem problem_of(const GemmOptions& o) {
  tile::MatmulProblem p = tile::dense_matmul(o.m, o.n, o.k);
  if (o.dtype == "bf16") {
    p.a = p.b = p.c = DType::bf16;
    p.compute = kernels::Compute::bf16;
  }
  if (o.dtype == "fp32x3") p.compute = kernels::Compute::fp32x3;  // fp32 where the target has no tiles
  p.packed_b = !o.flat_b;
  return p;
}

/// The peak, in Gflop/s, of the unit that a kernel of this problem runs on.
double product_peak(const Target& target, ThreadTeam& team, const tile::MatmulProblem& p,
                    const std::string& implementation) {
  const bool dots = implementation.find("bf16") != std::string::npos || implementation.find("amx") == 0;
  if (!dots) return kernels::measure_compute_peak(target, team, kernels::ComputeUnit::fp32);
  const double peak = kernels::measure_compute_peak(target, team, kernels::ComputeUnit::bf16);
  return p.compute == kernels::Compute::fp32x3 ? peak / kernels::kFp32x3Products : peak;
}

int run_gemm(const GemmOptions& o) {
  check(o);
  auto context = o.common.make_context();
  ThreadTeam& team = context->team();
  const Target target = Target::detect();
  kernels::KernelCache cache(target);
  const tile::MatmulProblem problem = problem_of(o);
  const tile::Matmul matmul(cache, problem);

  const int64_t element = size_of(problem.a);
  const Bytes a(o.m * o.k * element), c(o.m * o.n * element);
  const Bytes b(o.k * o.n * element), packed(o.flat_b ? 0 : matmul.packed_bytes());
  const Bytes scratch(matmul.scratch_bytes()), own(matmul.thread_scratch_bytes() * team.size());
  const auto seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  fill(team, seed, 0, problem.a, o.m * o.k, a.get());
  fill(team, seed, 1, problem.b, o.k * o.n, b.get());
  if (!o.flat_b) matmul.pack_b(team, b.get(), packed.get());
  const tile::MatmulArguments arguments{a.get(), o.flat_b ? b.get() : packed.get(), c.get()};
  auto once = [&] {
    const auto begin = std::chrono::steady_clock::now();
    matmul.run(team, arguments, scratch.get(), own.get());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };

  constexpr double kWarm = 0.1, kTotal = 1, kHuge = 2;  // seconds
  double estimate = once();                             // pages and threads are new
  for (double warm = estimate; warm < kWarm; warm += estimate) estimate = std::max(once(), 1e-7);
  const auto fill_second = static_cast<int64_t>(std::ceil(kTotal / std::max(estimate, 1e-7)));
  const int64_t runs = estimate > kHuge ? 3 : std::clamp<int64_t>(fill_second, 7, 100000);
  std::vector<double> seconds;
  Progress progress("run", runs, o.common.quiet);
  {
    const TraceSpan span(context->trace(), "bench", "gemm");
    for (int64_t r = 1; r <= runs; ++r) {
      seconds.push_back(once());
      progress.update(r);
    }
  }
  progress.done();
  const double median = median_of(seconds), fastest = *std::min_element(seconds.begin(), seconds.end());
  const std::string implementation = matmul.kernel_info().implementation;
  const double peak = product_peak(target, team, problem, implementation);
  const double gflops = 2e-9 * static_cast<double>(o.m) * static_cast<double>(o.n) * static_cast<double>(o.k) / median;
  const tile::MatmulBlocks& blocks = matmul.blocks();
  const std::string blocks_text = fmt::format("{}x{}x{} (m, n, k), kernel {} columns, {}", blocks.m, blocks.n_span,
                                              blocks.k, blocks.n, blocks.schedule);
  o.common.finish(*context);
  if (o.common.json) {
    const nlohmann::json document = {{"m", o.m},
                                     {"n", o.n},
                                     {"k", o.k},
                                     {"dtype", o.dtype},
                                     {"flat_b", o.flat_b},
                                     {"threads", team.size()},
                                     {"runs", runs},
                                     {"median_seconds", median},
                                     {"min_seconds", fastest},
                                     {"gflops", gflops},
                                     {"peak_gflops", peak},
                                     {"fraction_of_peak", gflops / peak},
                                     {"implementation", implementation},
                                     {"blocks", blocks_text}};
    std::printf("%s\n", document.dump(2).c_str());
    return 0;
  }
  fmt::print("gemm {} x {} x {} (m, n, k) {}, b {}, {} thread{}\n", o.m, o.n, o.k, o.dtype,
             o.flat_b ? "plain" : "packed beforehand", team.size(), team.size() == 1 ? "" : "s");
  fmt::print("  median          {:.4g} ms of {} runs, fastest {:.4g} ms\n", median * 1e3, runs, fastest * 1e3);
  fmt::print("  speed           {:.1f} Gflop/s, {:.1f} % of the peak measured just now, {:.1f}\n", gflops,
             100 * gflops / peak, peak);
  fmt::print("  implementation  {}\n  blocks          {}\n", implementation, blocks_text);
  return 0;
}

}  // namespace

Runner add_bench_gemm(Command& bench) {
  auto o = std::make_shared<GemmOptions>();
  Command gemm = add_command(bench, "gemm", "Time one contraction: c[m, n] = a[m, k] b[k, n]",
                             "gregale bench gemm --m 1024 --n 1024 --k 1024 --dtype bf16", o->common);
  gemm.option("--m", o->m, "N", "Rows of a and c").required();
  gemm.option("--n", o->n, "N", "Columns of b and c").required();
  gemm.option("--k", o->k, "N", "Columns of a, rows of b").required();
  gemm.option("--dtype", o->dtype, "T", "fp32, bf16, fp32x3 or int8; of the operands and the result (default: fp32)");
  gemm.flag("--flat-b", o->flat_b, "b is plain row-major; where it is packed, that is part of the time");
  return [o] { return run_gemm(*o); };
}

}  // namespace gregale::tools
