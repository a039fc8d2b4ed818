// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Target::detect: what this machine is.
#include <fmt/format.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <thread>

#include "base/cores.hpp"
#include "gregale/context.hpp"
#include "gregale/error.hpp"

namespace gregale {
namespace {

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

unsigned cpuid7_edx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) ? edx : 0;
}

/// The CPU has tiles and their bf16 product, and the kernel lets this process use their state (Linux 5.16 and later:
/// Documentation/arch/x86/xstate.rst).
bool has_amx() {
  const unsigned edx = cpuid7_edx();
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
  if ((edx & kBf16) == 0 || (edx & kTile) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

CpuFeatures features_of(Isa isa) {
  CpuFeatures f;
  if (isa >= Isa::avx2) {
    unsigned a = 0, b = 0, c = 0, d = 0;  // clang 14's __builtin_cpu_supports does not know it
    f.f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
  }
  if (isa >= Isa::avx512) {
    f.avx512_bf16 = __builtin_cpu_supports("avx512bf16") != 0;
    f.avx512_vnni = __builtin_cpu_supports("avx512vnni") != 0;
    f.avx512_vbmi = __builtin_cpu_supports("avx512vbmi") != 0;
    f.fast_bf16_dot = f.avx512_bf16 && __builtin_cpu_is("amd");
  }
  if (isa >= Isa::amx) {
    f.amx_bf16 = true;  // part of the level
    f.amx_int8 = (cpuid7_edx() & (1u << 25)) != 0;
  }
  return f;
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_amx() { return false; }
CpuFeatures features_of(Isa) { return {}; }
#endif

Isa isa_cap() {
  const char* text = std::getenv("GREGALE_MAX_ISA");
  if (text == nullptr || *text == '\0') return Isa::amx;
  for (const Isa isa : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (std::string_view(text) == to_string(isa)) return isa;
  }
  throw_error(ErrorCode::usage,
              fmt::format("GREGALE_MAX_ISA={}: expected reference, avx2, avx512 or amx", std::string_view(text)));
}

void set_cache_size(int name, int64_t* bytes) {
  const long size = sysconf(name);
  if (size > 0) *bytes = size;  // 0 or -1 where the system does not know: the default stays
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(':');
    const size_t begin = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "unknown";
}

}  // namespace

int allowed_cores() {
  // The mask's length is not known beforehand: machines with more than 1024 CPUs refuse a short one.
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 16); cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    CPU_ZERO_S(bytes, set);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? static_cast<int>(count) : 1;
}

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::reference:
      return "reference";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::amx:
      return "amx";
  }
  return "reference";
}

Target Target::detect() {
  Target target;
  const Isa cap = isa_cap();
  // Each level asks for those before it; permission for tiles is requested only where they may be used.
  if (cap >= Isa::avx2 && has_avx2()) target.isa = Isa::avx2;
  if (cap >= Isa::avx512 && target.isa == Isa::avx2 && has_avx512()) target.isa = Isa::avx512;
  if (cap >= Isa::amx && target.isa == Isa::avx512 && has_amx()) target.isa = Isa::amx;
  target.features = features_of(target.isa);
  target.cores = allowed_cores();
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  set_cache_size(_SC_LEVEL1_DCACHE_SIZE, &target.l1_bytes);
  set_cache_size(_SC_LEVEL2_CACHE_SIZE, &target.l2_bytes);
  set_cache_size(_SC_LEVEL3_CACHE_SIZE, &target.l3_bytes);
#endif
  target.cpu = cpu_name();
  return target;
}

Target Target::capped(Isa cap) const {
  Target target = *this;
  target.isa = std::min(isa, cap);
  target.kernels = nullptr;  // those were compiled for more
  CpuFeatures& f = target.features;
  if (target.isa < Isa::amx) f.amx_bf16 = f.amx_int8 = false;
  if (target.isa < Isa::avx512) f.avx512_bf16 = f.avx512_vnni = f.avx512_vbmi = f.fast_bf16_dot = false;
  if (target.isa < Isa::avx2) f.f16c = false;
  return target;
}

}  // namespace gregale
