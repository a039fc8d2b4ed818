// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "gregale/context.hpp"
#include "kernels/testing/amx_instruction_for_tests.hpp"

/// Tile instructions carried out by software, so that tests of AMX kernels run on machines without AMX. The rules are
/// those of the "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2, for palette 1.
namespace gregale::kernels::testing {

namespace detail {

/// What LDTILECFG reads and STTILECFG writes.
struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t colsb[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

/// The tiles of one thread. All zero is the state of a thread that has configured nothing.
struct TileState {
  TileConfig config;
  uint8_t data[8][16][64];
};
inline constinit thread_local TileState tile_state{};
/// Called with the address of the next instruction where one was emulated in a single-stepped thread: the processor
/// does not trap between a fault and the instruction after it.
using StepHook = void (*)(const uint8_t* next);
inline constinit thread_local StepHook after_emulated_step = nullptr;

/// Only what may be called in a signal handler.
[[noreturn]] inline void tile_fault(const AmxInstruction& instruction, const char* why) {
  const auto put = [](const char* text) { (void)!write(STDERR_FILENO, text, std::strlen(text)); };
  put("AMX emulator: ");
  put(kAmxNames[static_cast<int>(instruction.op)]);
  put(": ");
  put(why);
  put("\n");
  std::abort();
}

/// DAZ and FTZ, round to nearest even, nothing trapped: what tile products use whatever the thread's MXCSR says.
inline constexpr unsigned kTileMxcsr = 0x9fc0;

/// One row of c. A function of its own, so that no operation moves past the change of MXCSR.
__attribute__((noinline, target("fma"))) inline void tile_row_bf16(const uint8_t* a, const uint8_t (*b)[64], uint8_t* c,
                                                                   int pairs, int columns) {
  const auto widen = [](const uint8_t* at) {
    uint16_t bits;
    std::memcpy(&bits, at, 2);
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
  };
  float sums[32] = {};
  for (int k = 0; k < pairs; ++k) {
    const float even = widen(a + 4 * k), odd = widen(a + 4 * k + 2);
    for (int n = 0; n < columns; ++n) {
      sums[2 * n] = __builtin_fmaf(even, widen(b[k] + 4 * n), sums[2 * n]);
      sums[2 * n + 1] = __builtin_fmaf(odd, widen(b[k] + 4 * n + 2), sums[2 * n + 1]);
    }
  }
  for (int n = 0; n < columns; ++n) {
    float old;
    std::memcpy(&old, c + 4 * n, 4);
    const float pair = sums[2 * n] + sums[2 * n + 1];
    const float sum = old + pair;
    std::memcpy(c + 4 * n, &sum, 4);
  }
}

inline void tile_row_int8(const uint8_t* a, const uint8_t (*b)[64], uint8_t* c, int quads, int columns, bool signed_a,
                          bool signed_b) {
  const auto widen = [](uint8_t byte, bool is_signed) { return is_signed ? static_cast<int8_t>(byte) : int{byte}; };
  for (int n = 0; n < columns; ++n) {
    uint32_t sum;  // wraps around
    std::memcpy(&sum, c + 4 * n, 4);
    for (int k = 0; k < quads; ++k) {
      for (int i = 0; i < 4; ++i)
        sum += static_cast<uint32_t>(widen(a[4 * k + i], signed_a) * widen(b[k][4 * n + i], signed_b));
    }
    std::memcpy(c + 4 * n, &sum, 4);
  }
}

inline void configure_tiles(const AmxInstruction& instruction, const void* memory) {
  TileConfig config;
  std::memcpy(&config, memory, sizeof config);
  if (config.palette > 1) tile_fault(instruction, "the palette is neither 0 nor 1");
  std::memset(&tile_state, 0, sizeof tile_state);
  if (config.palette == 0) return;
  for (uint8_t byte : config.reserved) {
    if (byte != 0) tile_fault(instruction, "reserved bytes are not zero");
  }
  for (int t = 0; t < 16; ++t) {
    const int rows = config.rows[t], colsb = config.colsb[t];
    if (t >= 8 && (rows != 0 || colsb != 0)) tile_fault(instruction, "tiles beyond 7 are not zero");
    if (rows > 16) tile_fault(instruction, "a tile has more than 16 rows");
    if (colsb > 64) tile_fault(instruction, "a tile has more than 64 bytes a row");
    if ((rows == 0) != (colsb == 0)) tile_fault(instruction, "a tile has rows without columns, or the reverse");
  }
  if (config.start_row != 0) tile_fault(instruction, "start_row is not 0, which the emulator does not know");
  tile_state.config = config;
}

inline void check_tile(const AmxInstruction& instruction, int tile) {
  if (tile_state.config.palette == 0) tile_fault(instruction, "no tiles are configured");
  if (tile > 7) tile_fault(instruction, "there is no such tile");
  if (tile_state.config.rows[tile] == 0) tile_fault(instruction, "a tile is not configured");
}

inline void multiply_tiles(const AmxInstruction& instruction) {
  const int c = instruction.reg, a = instruction.rm, b = instruction.vvvv;
  for (int tile : {c, a, b}) check_tile(instruction, tile);
  TileState& state = tile_state;
  const TileConfig& config = state.config;
  if (c == a || a == b || c == b) tile_fault(instruction, "the three tiles are not different ones");
  for (int tile : {c, a, b}) {
    if (config.colsb[tile] % 4 != 0) tile_fault(instruction, "a row is no multiple of 4 bytes");
  }
  if (config.rows[c] != config.rows[a]) tile_fault(instruction, "c and a have not the same rows");
  if (config.colsb[c] != config.colsb[b]) tile_fault(instruction, "c and b have not the same columns");
  if (config.colsb[a] / 4 != config.rows[b]) tile_fault(instruction, "a's columns are not b's rows");
  const int rows = config.rows[c], inner = config.rows[b], columns = config.colsb[c] / 4;
  const unsigned mxcsr = _mm_getcsr();
  _mm_setcsr(kTileMxcsr);
  for (int m = 0; m < rows; ++m) {
    if (instruction.op == AmxOp::tdpbf16ps) {
      tile_row_bf16(state.data[a][m], state.data[b], state.data[c][m], inner, columns);
    } else {
      const bool signed_a = instruction.op == AmxOp::tdpbssd || instruction.op == AmxOp::tdpbsud;
      const bool signed_b = instruction.op == AmxOp::tdpbssd || instruction.op == AmxOp::tdpbusd;
      tile_row_int8(state.data[a][m], state.data[b], state.data[c][m], inner, columns, signed_a, signed_b);
    }
    std::memset(state.data[c][m] + 4 * columns, 0, static_cast<size_t>(64 - 4 * columns));
  }
  std::memset(state.data[c][rows], 0, static_cast<size_t>(16 - rows) * 64);
  _mm_setcsr(mxcsr);
}

inline void execute_tile_instruction(const AmxInstruction& instruction, const greg_t* registers) {
  TileState& state = tile_state;
  const auto address = [&] { return reinterpret_cast<uint8_t*>(instruction.address(registers)); };
  switch (instruction.op) {
    case AmxOp::ldtilecfg:
      return configure_tiles(instruction, address());
    case AmxOp::sttilecfg:
      std::memcpy(address(), &state.config, sizeof state.config);
      return;
    case AmxOp::tilerelease:
      std::memset(&state, 0, sizeof state);
      return;
    case AmxOp::tilezero:
      check_tile(instruction, instruction.reg);
      std::memset(state.data[instruction.reg], 0, sizeof state.data[0]);
      return;
    case AmxOp::tileloadd:
    case AmxOp::tileloaddt1: {
      check_tile(instruction, instruction.reg);
      const uint8_t* from = address();
      const int64_t stride = instruction.stride(registers);
      std::memset(state.data[instruction.reg], 0, sizeof state.data[0]);
      for (int row = 0; row < state.config.rows[instruction.reg]; ++row)
        std::memcpy(state.data[instruction.reg][row], from + row * stride, state.config.colsb[instruction.reg]);
      return;
    }
    case AmxOp::tilestored: {
      check_tile(instruction, instruction.reg);
      uint8_t* to = address();
      const int64_t stride = instruction.stride(registers);
      for (int row = 0; row < state.config.rows[instruction.reg]; ++row)
        std::memcpy(to + row * stride, state.data[instruction.reg][row], state.config.colsb[instruction.reg]);
      return;
    }
    default:
      return multiply_tiles(instruction);
  }
}

}  // namespace detail

/// While one lives, tile instructions that the processor does not know are carried out by its SIGILL handler, in any
/// thread. At most one lives at a time. Where the processor has AMX, it does nothing (and counts nothing).
class AmxEmulator {
 public:
  AmxEmulator() {
    for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGILL, &action, &old_);
  }
  ~AmxEmulator() { sigaction(SIGILL, &old_, nullptr); }
  AmxEmulator(const AmxEmulator&) = delete;
  AmxEmulator& operator=(const AmxEmulator&) = delete;

  /// Instructions of this kind that were emulated since the construction, in all threads.
  int64_t count(AmxOp op) const { return counts_[static_cast<size_t>(op)].load(std::memory_order_relaxed); }
  int64_t total() const {
    int64_t sum = 0;
    for (const auto& count : counts_) sum += count.load(std::memory_order_relaxed);
    return sum;
  }
  void reset_counts() {
    for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
  }

  /// The processor has AMX and this process may use it: tile instructions run there.
  static bool native() { return Target::detect().features.amx_bf16; }

 private:
  static void handle(int signal, siginfo_t* info, void* context) {
    greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const AmxInstruction instruction = decode_amx(reinterpret_cast<const uint8_t*>(registers[REG_RIP]));
    if (instruction.op == AmxOp::none) return pass_on(signal, info, context);
    registers[REG_RIP] += instruction.length;  // before: addresses may be relative to the next instruction
    detail::execute_tile_instruction(instruction, registers);
    counts_[static_cast<size_t>(instruction.op)].fetch_add(1, std::memory_order_relaxed);
    constexpr greg_t kTrapFlag = 0x100;
    if ((registers[REG_EFL] & kTrapFlag) != 0 && detail::after_emulated_step != nullptr)
      detail::after_emulated_step(reinterpret_cast<const uint8_t*>(registers[REG_RIP]));
  }
  static void pass_on(int signal, siginfo_t* info, void* context) {
    if ((old_.sa_flags & SA_SIGINFO) != 0) return old_.sa_sigaction(signal, info, context);
    if (old_.sa_handler != SIG_DFL && old_.sa_handler != SIG_IGN) return old_.sa_handler(signal);
    sigaction(SIGILL, &old_, nullptr);  // the instruction faults once more, and ends the process
  }

  static inline struct sigaction old_ {};
  static inline std::array<std::atomic<int64_t>, kAmxOps> counts_{};
};

/// The CPU has tiles of its own, whether or not this process may use them: some tile instructions would then run
/// natively and others be emulated.
inline bool cpu_has_tiles() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & 1u << 24) != 0;
}

/// Why AMX kernels cannot be tested here, for GTEST_SKIP; null where they can. Their tails need AVX-512 with bf16.
inline const char* amx_untestable() {
  if (cpu_has_tiles() && !AmxEmulator::native()) return "this CPU has tiles, and the process may not use them";
  const Target target = Target::detect();
  return target.isa >= Isa::avx512 && target.features.avx512_bf16 ? nullptr
                                                                  : "this machine has no AVX-512 with bf16 (AMX "
                                                                    "itself would be emulated)";
}

/// This machine as if it had AMX. Only to be used where amx_untestable() is null.
inline Target amx_target() {
  Target target = Target::detect();
  target.isa = Isa::amx;
  target.features.amx_bf16 = target.features.amx_int8 = true;
  return target;
}

}  // namespace gregale::kernels::testing
