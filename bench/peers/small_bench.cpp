// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Small products against libxsmm: c = a b for random (m, n, k) in [1, 64], operands in L1, both sides compiled before
// the clock starts and timed alternately. Not part of the product: it links libxsmm.
//
//   small_bench [f32|bf16] [count] [seed]            sampled shapes, ratios of libxsmm's time to ours
//   small_bench shape f32|bf16 M N K [repeats]       one shape
//   small_bench peak [f32|bf16]                      larger tiles from L1 and L2 against the peak of the unit
//   small_bench compile                              time of compilation and of a call
//
// SMALL_BENCH_ROWS=1 prints every shape as m,n,k,ours,theirs,multiply-adds alone (ns).
#include <fmt/format.h>
#include <libxsmm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "jit/assembler.hpp"
#include "kernels/contraction/contraction_kernel.hpp"

namespace {

using namespace gregale;
using namespace gregale::kernels;

struct Sizes {
  int m = 0, n = 0, k = 0;
};

template <class Body>
double seconds(Body&& body, int64_t repeats) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < repeats; ++i) body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / static_cast<double>(repeats);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Median times of both, alternately: ours, theirs.
template <class Ours, class Theirs>
std::pair<double, double> race(Ours&& ours, Theirs&& theirs, double slice = 50e-6, int rounds = 11) {
  seconds(ours, 16);
  seconds(theirs, 16);
  const auto repeats = [&](double one) { return std::max<int64_t>(1, static_cast<int64_t>(slice / one)); };
  const int64_t our_repeats = repeats(seconds(ours, 64)), their_repeats = repeats(seconds(theirs, 64));
  std::vector<double> our_times, their_times;
  for (int round = 0; round < rounds; ++round) {
    our_times.push_back(seconds(ours, our_repeats));
    their_times.push_back(seconds(theirs, their_repeats));
  }
  return {median(our_times), median(their_times)};
}

struct Memory {
  explicit Memory(size_t bytes) : data(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)) {
    std::memset(data, 0, bytes);
  }
  ~Memory() { std::free(data); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data;
};

/// a, b, c and their c one after the other, as a program's tiles are: operands that all began at a page would alias.
struct Operands {
  explicit Operands(const Sizes& s) : memory(4 * 17000) {
    const auto lines = [](int rows, int columns) {
      return (static_cast<size_t>(rows * columns) * 4 + 63) / 64 * 64 + 64;
    };
    char* at = static_cast<char*>(memory.data);
    a = at;
    b = at += lines(s.m, s.k);
    c = at += lines(s.k, s.n);
    d = at + lines(s.m, s.n);
  }
  Memory memory;
  void *a = nullptr, *b = nullptr, *c = nullptr, *d = nullptr;
};

void fill_f32(void* data, int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(-1, 1);
  for (int64_t i = 0; i < count; ++i) static_cast<float*>(data)[i] = draw(engine);
}

void fill_bf16(void* data, int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(-1, 1);
  for (int64_t i = 0; i < count; ++i) static_cast<bf16*>(data)[i] = to_bf16(draw(engine));
}

ContractionDesc describe(const Sizes& s, bool half) {
  ContractionDesc desc;
  desc.m = s.m;
  desc.n = s.n;
  desc.k = s.k;
  desc.lda = s.k;
  desc.ldb = s.n;
  desc.ldc = s.n;
  if (half) {
    desc.a = desc.b = DType::bf16;
    desc.compute = Compute::bf16;
    desc.b_packing = Packing::vnni2;
  }
  return desc;
}

/// Theirs is column-major: the operands change places.
struct Times {
  double ours = 0, theirs = 0;
};
Times run_f32(const Target& target, const Sizes& s) {
  const auto kernel = ContractionKernel::compile(target, describe(s, false));
  Operands memory(s);
  void *const a = memory.a, *const b = memory.b, *const c = memory.c, *const d = memory.d;
  fill_f32(a, s.m * s.k, 1);
  fill_f32(b, s.k * s.n, 2);
  const libxsmm_blasint lda = s.n, ldb = s.k, ldc = s.n;
  const float one = 1, zero = 0;
  const int prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
  const auto theirs = libxsmm_smmdispatch(s.n, s.m, s.k, &lda, &ldb, &ldc, &one, &zero, nullptr, &prefetch);
  if (theirs == nullptr) return {};
  const auto [our_time, their_time] =
      race([&] { (*kernel)(a, b, c); },
           [&] { theirs(static_cast<const float*>(b), static_cast<const float*>(a), static_cast<float*>(d)); });
  for (int i = 0; i < s.m * s.n; ++i) {
    if (std::fabs(static_cast<float*>(c)[i] - static_cast<float*>(d)[i]) > 1e-4f) {
      fmt::print("{}x{}x{}: results differ at {}\n", s.m, s.n, s.k, i);
      break;
    }
  }
  return {our_time, their_time};
}

Times run_bf16(const Target& target, Sizes s) {
  s.k += s.k % 2;  // theirs takes pairs
  const auto kernel = ContractionKernel::compile(target, describe(s, true));
  Operands memory(s);
  void *const a = memory.a, *const b = memory.b, *const c = memory.c, *const d = memory.d;
  fill_bf16(a, s.m * s.k, 1);
  fill_bf16(b, s.k * s.n, 2);
  const libxsmm_blasint lda = s.n, ldb = s.k, ldc = s.n;
  const float one = 1, zero = 0;
  const int prefetch = LIBXSMM_GEMM_PREFETCH_NONE, flags = LIBXSMM_GEMM_FLAG_VNNI_A;
  const auto theirs = libxsmm_bsmmdispatch(s.n, s.m, s.k, &lda, &ldb, &ldc, &one, &zero, &flags, &prefetch);
  if (theirs == nullptr) return {};
  const auto [our_time, their_time] = race([&] { (*kernel)(a, b, c); },
                                           [&] {
                                             theirs(static_cast<const libxsmm_bfloat16*>(b),
                                                    static_cast<const libxsmm_bfloat16*>(a), static_cast<float*>(d));
                                           });
  for (int i = 0; i < s.m * s.n; ++i) {
    if (std::fabs(static_cast<float*>(c)[i] - static_cast<float*>(d)[i]) > 1e-3f) {
      fmt::print("{}x{}x{}: results differ at {}\n", s.m, s.n, s.k, i);
      break;
    }
  }
  return {our_time, their_time};
}

/// Register-only multiply-adds: flops of 24 chains, 1024 times each.
double peak_flops(bool half, bool evex) {
  jit::Assembler as;
  as.mov(as.eax, 1024);
  Xbyak::Label loop;
  as.align(64);
  as.L(loop);
  const int chains = evex ? 24 : 12;
  for (int i = 0; i < chains; ++i) {
    if (!evex) {
      as.vfmadd231ps(Xbyak::Ymm(i), Xbyak::Ymm(14), Xbyak::Ymm(15));
    } else if (half) {
      as.vdpbf16ps(Xbyak::Zmm(i), Xbyak::Zmm(30), Xbyak::Zmm(31));
    } else {
      as.vfmadd231ps(Xbyak::Zmm(i), Xbyak::Zmm(30), Xbyak::Zmm(31));
    }
  }
  as.dec(as.eax);
  as.jnz(loop);
  as.vzeroupper();
  as.ret();
  const jit::Code code = as.finish("peak");
  const auto function = code.entry<void (*)()>();
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) times.push_back(seconds(function, 20));
  return 2.0 * chains * 1024 * (evex ? (half ? 32 : 16) : 8) / median(times);
}

void sample(const Target& target, bool half, int count, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<int> draw(1, 64);
  struct Row {
    Sizes shape;
    Times times;
    double ratio = 0;
  };
  std::vector<Row> rows;
  double logs = 0, our_sum = 0, their_sum = 0, shares = 0, their_shares = 0;
  const double top = peak_flops(half, target.isa >= Isa::avx512);
  int missing = 0;
  for (int i = 0; i < count; ++i) {
    const int m = draw(engine), n = draw(engine), k = draw(engine);
    Row row{{m, n, k}, {}, 0};
    row.times = half ? run_bf16(target, row.shape) : run_f32(target, row.shape);
    if (row.times.theirs == 0) {
      ++missing;
      continue;
    }
    row.ratio = row.times.theirs / row.times.ours;
    logs += std::log(row.ratio);
    our_sum += row.times.ours;
    their_sum += row.times.theirs;
    rows.push_back(row);
    // The multiply-adds' own time, columns rounded up to half a register.
    const double floor = 2.0 * m * ((n + 7) / 8 * 8) * (half ? (k + 1) / 2 * 2 : k) / top;
    shares += std::log(floor / row.times.ours);
    if (std::getenv("SMALL_BENCH_ROWS") != nullptr) {
      fmt::print("{},{},{},{:.2f},{:.2f},{:.2f}\n", m, n, k, row.times.ours * 1e9, row.times.theirs * 1e9, floor * 1e9);
    }
    their_shares += std::log(floor / row.times.theirs);
  }
  if (rows.empty()) return;
  std::sort(rows.begin(), rows.end(), [](const Row& x, const Row& y) { return x.ratio < y.ratio; });
  fmt::print(
      "{} against libxsmm ({}), {} shapes ({} without a kernel of theirs): ratio of times, geometric mean {:.3f}, "
      "p10 {:.3f}, median {:.3f}, p90 {:.3f}, of sums {:.3f}\n",
      half ? "bf16" : "f32", libxsmm_get_target_arch(), rows.size(), missing,
      std::exp(logs / static_cast<double>(rows.size())), rows[rows.size() / 10].ratio, rows[rows.size() / 2].ratio,
      rows[rows.size() * 9 / 10].ratio, their_sum / our_sum);
  fmt::print("time of the multiply-adds alone, share: ours {:.3f}, theirs {:.3f} (geometric means)\n",
             std::exp(shares / static_cast<double>(rows.size())),
             std::exp(their_shares / static_cast<double>(rows.size())));
  for (size_t i = 0; i < std::min<size_t>(25, rows.size()); ++i) {
    const Row& r = rows[i];
    fmt::print("  {:2}x{:2}x{:2} ratio {:.3f} ours {:.1f} ns theirs {:.1f} ns, {:.1f} GF  {}\n", r.shape.m, r.shape.n,
               r.shape.k, r.ratio, r.times.ours * 1e9, r.times.theirs * 1e9,
               2e-9 * r.shape.m * r.shape.n * r.shape.k / r.times.ours,
               ContractionKernel::compile(target, describe(r.shape, half))->info().blocking);
  }
}

void peak(const Target& target, bool half) {
  const bool evex = target.isa >= Isa::avx512;
  for (const Sizes& s :
       {Sizes{64, 64, 64}, Sizes{60, 64, 64}, Sizes{56, 32, 128}, Sizes{128, 64, 128}, Sizes{256, 64, 64},
        Sizes{256, 64, 128}, Sizes{256, 64, 256}, Sizes{256, 128, 256}, Sizes{256, 256, 256}}) {
    ContractionDesc desc = describe(s, half);
    if (half) desc.k = s.k;
    const auto kernel = ContractionKernel::compile(target, desc);
    const auto bytes = [](int64_t rows, int64_t columns) { return static_cast<size_t>(rows * columns * 4); };
    Memory a(bytes(s.m, s.k)), b(bytes(s.k, s.n)), c(bytes(s.m, s.n));
    if (half) {
      fill_bf16(a.data, s.m * s.k, 1);
      fill_bf16(b.data, s.k * s.n, 2);
    } else {
      fill_f32(a.data, s.m * s.k, 1);
      fill_f32(b.data, s.k * s.n, 2);
    }
    const double flops = 2.0 * s.m * s.n * s.k;
    std::vector<double> shares;
    for (int i = 0; i < 9; ++i) {
      const double top = peak_flops(half, evex);
      const double time = seconds([&] { (*kernel)(a.data, b.data, c.data); }, 2 + static_cast<int64_t>(2e7 / flops));
      shares.push_back(flops / time / top);
    }
    fmt::print("{}x{}x{}: {:.1f}% of the peak ({:.1f} Gflop/s); {}, {} bytes\n", s.m, s.n, s.k, 100 * median(shares),
               1e-9 * peak_flops(half, evex), kernel->info().blocking, kernel->info().code_bytes);
  }
}

void compile_times(const Target& target) {
  for (const Sizes& s :
       {Sizes{64, 64, 64}, Sizes{37, 53, 29}, Sizes{256, 64, 256}, Sizes{8, 8, 8}, Sizes{-1, -1, -1}}) {
    const ContractionDesc desc = describe(s, false);
    const double time = seconds([&] { ContractionKernel::compile(target, desc); }, 50);
    fmt::print("compile {}x{}x{}: {:.1f} us, {} bytes of code\n", s.m, s.n, s.k, time * 1e6,
               ContractionKernel::compile(target, desc)->info().code_bytes);
  }
  const auto kernel = ContractionKernel::compile(target, describe({1, 1, 1}, false));
  Memory a(64), b(64), c(64);
  fmt::print("a call of 1x1x1: {:.2f} ns\n", seconds([&] { (*kernel)(a.data, b.data, c.data); }, 1000000) * 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  libxsmm_init();
  const Target target = Target::detect();
  const std::string mode = argc > 1 ? argv[1] : "f32";
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  if (mode == "peak") {
    peak(target, argc > 2 && std::string(argv[2]) == "bf16");
  } else if (mode == "compile") {
    compile_times(target);
  } else if (mode == "shape") {
    const bool half = std::string(argv[2]) == "bf16";
    const Sizes s{number(3, 1), number(4, 1), number(5, 1)};
    for (int i = 0; i < number(6, 3); ++i) {
      const Times t = half ? run_bf16(target, s) : run_f32(target, s);
      fmt::print("ours {:.1f} ns, theirs {:.1f} ns, ratio {:.3f}, {:.1f} Gflop/s; {}\n", t.ours * 1e9, t.theirs * 1e9,
                 t.theirs / t.ours, 2e-9 * s.m * s.n * s.k / t.ours,
                 ContractionKernel::compile(target, describe(s, half))->info().blocking);
    }
  } else {
    sample(target, mode == "bf16", number(2, 400), static_cast<unsigned>(number(3, 1)));
  }
}
