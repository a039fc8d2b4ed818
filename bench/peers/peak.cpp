// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The ceilings of arithmetic, measured without any of Gregale's code: loops that never leave the registers, written out
// in assembly. Same protocol as the workers: {"op": "peak", "unit": "fp32|bf16|amx_bf16|amx_int8", "threads": 2}, then
// "run" is answered with {"gflops": ...}.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if !defined(__x86_64__)
#error "the ceilings are written in x86-64 assembly"
#endif
#include <cpuid.h>

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

// Sums that start at zero and factors that are zero or small stay clear of overflow and denormals.
#define TEN(op, r) op(r##0) op(r##1) op(r##2) op(r##3) op(r##4) op(r##5) op(r##6) op(r##7) op(r##8) op(r##9)

[[gnu::target("avx2,fma")]] void fma_ymm(int64_t repeats) {
  const float one = 1.0f;
#define FMA(i) "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #i "\n\t"
#define ZERO(i) "vxorps %%ymm" #i ", %%ymm" #i ", %%ymm" #i "\n\t"
  asm volatile("vbroadcastss %1, %%ymm14\n\t"
               "vbroadcastss %1, %%ymm15\n\t" TEN(ZERO, ) ZERO(10) ZERO(11)
               "1:\n\t" TEN(FMA, ) FMA(10) FMA(11)
               "dec %0\n\t"
               "jnz 1b\n\t"
               : "+&r"(repeats)
               : "m"(one)
               : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
                 "xmm12", "xmm13", "xmm14", "xmm15");
#undef FMA
#undef ZERO
}
constexpr double kFmaYmm = 12 * 8 * 2;

#define CLOBBER_ZMM                                                                                                \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",  \
      "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"
#define ZERO(i) "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"

[[gnu::target("avx512f,avx512bw,avx512vl")]] void fma_zmm(int64_t repeats) {
  const float one = 1.0f;
#define FMA(i) "vfmadd231ps %%zmm31, %%zmm30, %%zmm" #i "\n\t"
  asm volatile("vbroadcastss %1, %%zmm30\n\t"
               "vbroadcastss %1, %%zmm31\n\t" TEN(ZERO, ) TEN(ZERO, 1)
               "1:\n\t" TEN(FMA, ) TEN(FMA, 1)
               "dec %0\n\t"
               "jnz 1b\n\t"
               : "+&r"(repeats)
               : "m"(one)
               : CLOBBER_ZMM);
#undef FMA
}
constexpr double kFmaZmm = 20 * 16 * 2;

[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] void dot_zmm(int64_t repeats) {
  const uint32_t ones = 0x3f803f80;  // a pair of 1.0 in bf16
#define DOT(i) "vdpbf16ps %%zmm31, %%zmm30, %%zmm" #i "\n\t"
  asm volatile("vpbroadcastd %1, %%zmm30\n\t"
               "vpbroadcastd %1, %%zmm31\n\t" TEN(ZERO, ) TEN(ZERO, 1)
               "1:\n\t" TEN(DOT, ) TEN(DOT, 1)
               "dec %0\n\t"
               "jnz 1b\n\t"
               : "+&r"(repeats)
               : "m"(ones)
               : CLOBBER_ZMM);
#undef DOT
}
constexpr double kDotZmm = 20 * 32 * 2;

struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t colsb[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

/// Four sums, each with a pair of operand tiles that hold numbers, not zeros.
#define TILES(product)                                                                             \
  const TileConfig config;                                                                         \
  alignas(64) uint32_t data[256];                                                                  \
  for (uint32_t & x : data) x = 0x3f803f80;                                                        \
  const int64_t stride = 64;                                                                       \
  asm volatile(                                                                                    \
      "ldtilecfg %1\n\t"                                                                           \
      "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"               \
      "tileloadd (%2,%3,1), %%tmm4\n\ttileloadd (%2,%3,1), %%tmm5\n\t"                             \
      "tileloadd (%2,%3,1), %%tmm6\n\ttileloadd (%2,%3,1), %%tmm7\n\t"                             \
      "1:\n\t" product " %%tmm6, %%tmm4, %%tmm0\n\t" product " %%tmm7, %%tmm4, %%tmm1\n\t" product \
      " %%tmm6, %%tmm5, %%tmm2\n\t" product                                                        \
      " %%tmm7, %%tmm5, %%tmm3\n\t"                                                                \
      "dec %0\n\t"                                                                                 \
      "jnz 1b\n\t"                                                                                 \
      "tilerelease\n\t"                                                                            \
      : "+&r"(repeats)                                                                             \
      : "m"(config), "r"(data), "r"(stride)                                                        \
      : "cc", "memory")

[[gnu::target("amx-tile,amx-bf16")]] void tiles_bf16(int64_t repeats) { TILES("tdpbf16ps"); }
[[gnu::target("amx-tile,amx-int8")]] void tiles_int8(int64_t repeats) { TILES("tdpbusd"); }
constexpr double kTilesBf16 = 4 * 16 * 16 * 32 * 2, kTilesInt8 = 4 * 16 * 16 * 64 * 2;

bool has_tiles(unsigned bit) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & (1u << 24)) == 0 || (edx & (1u << bit)) == 0) {
    return false;
  }
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct Unit {
  void (*run)(int64_t repeats) = nullptr;
  double flops = 0;  // of one repeat
};

Unit find_unit(const std::string& name) {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  if (name == "fp32" && avx512) return {fma_zmm, kFmaZmm};
  if (name == "fp32" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {fma_ymm, kFmaYmm};
  if (name == "bf16" && avx512 && __builtin_cpu_supports("avx512bf16")) return {dot_zmm, kDotZmm};
  if (name == "amx_bf16" && has_tiles(22)) return {tiles_bf16, kTilesBf16};
  if (name == "amx_int8" && has_tiles(25)) return {tiles_int8, kTilesInt8};
  throw std::runtime_error("this processor has no unit " + name);
}

double thread_cpu_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Sample {
  double gflops = 0;       // of all threads together, from the first one's start to the last one's end
  bool disturbed = false;  // another program had a processor meanwhile
};

Sample measure(const Unit& unit, int threads, int64_t repeats) {
  std::atomic<int> arrived{0};
  std::vector<Clock::time_point> begins(static_cast<size_t>(threads)), ends = begins;
  std::atomic<bool> disturbed{false};
  auto work = [&](size_t i) {
    arrived.fetch_add(1);
    while (arrived.load() < threads) std::this_thread::yield();
    const double cpu = thread_cpu_seconds();
    begins[i] = Clock::now();
    unit.run(repeats);
    ends[i] = Clock::now();
    const double wall = std::chrono::duration<double>(ends[i] - begins[i]).count();
    if (thread_cpu_seconds() - cpu < 0.98 * wall) disturbed = true;
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work, static_cast<size_t>(i));
  work(0);
  for (std::thread& thread : others) thread.join();
  Clock::time_point begin = begins[0], end = ends[0];
  for (size_t i = 1; i < begins.size(); ++i) {
    begin = std::min(begin, begins[i]);
    end = std::max(end, ends[i]);
  }
  const double seconds = std::chrono::duration<double>(end - begin).count();
  for (const Clock::time_point& b : begins) {  // a thread that slept at the start line
    if (std::chrono::duration<double>(b - begin).count() > 0.02 * seconds) disturbed = true;
  }
  return {unit.flops * static_cast<double>(repeats) * threads / seconds * 1e-9, disturbed};
}

}  // namespace

int main() {
  Unit unit;
  int threads = 1;
  int64_t repeats = 0;
  std::string line;
  while (std::getline(std::cin, line)) {
    Json answer;
    try {
      if (line == "name") {
        answer = {{"name", "peak"}, {"version", "1"}};
      } else if (line == "run") {
        if (unit.run == nullptr) throw std::runtime_error("run without a job");
        Sample sample = measure(unit, threads, repeats);
        for (int again = 0; again < 10 && sample.disturbed; ++again) sample = measure(unit, threads, repeats);
        answer = {{"gflops", sample.gflops}, {"disturbed", sample.disturbed}};
      } else {
        const Json job = Json::parse(line);
        unit = find_unit(job.at("unit"));
        threads = job.value("threads", 1);
        constexpr double kRun = 0.02;
        repeats = 1000;
        while (true) {
          const double seconds = unit.flops * static_cast<double>(repeats) * 1e-9 / measure(unit, 1, repeats).gflops;
          if (seconds > kRun / 4) {
            repeats = static_cast<int64_t>(static_cast<double>(repeats) * kRun / seconds) + 1;
            break;
          }
          repeats *= 2;
        }
        answer = {{"ready", true}, {"implementation", job.at("unit")}};
      }
    } catch (const std::exception& error) {
      answer = {{"refused", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}
