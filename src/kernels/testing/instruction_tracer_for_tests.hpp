// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <string>

#include "kernels/testing/amx_emulator_for_tests.hpp"

/// Which instructions ran: the proof that a forced instruction set is the one in use. A single step costs some
/// microseconds, so that kernels under trace have to be small.
namespace gregale::kernels::testing {

/// Instructions executed within a range of code, by encoding.
struct InstructionCounts {
  int64_t legacy = 0;
  int64_t vex128 = 0, vex256 = 0;  ///< by VEX.L; scalar ones, general ones and those of masks are among them
  int64_t evex = 0;                ///< all of EVEX
  int64_t evex512 = 0;             ///< of those, of 512 bits
  int64_t amx = 0;                 ///< tile instructions, which are no vex128 here
  int64_t outside = 0;             ///< executed outside of the range
  int64_t total() const { return legacy + vex128 + vex256 + evex + amx; }
};

inline std::string to_string(const InstructionCounts& counts) {
  return "legacy " + std::to_string(counts.legacy) + ", vex128 " + std::to_string(counts.vex128) + ", vex256 " +
         std::to_string(counts.vex256) + ", evex " + std::to_string(counts.evex) + " (" +
         std::to_string(counts.evex512) + " of 512 bits), amx " + std::to_string(counts.amx) + ", outside " +
         std::to_string(counts.outside);
}

namespace detail {
struct Trace {
  uintptr_t begin, end;
  InstructionCounts counts;
};
inline constinit thread_local Trace* trace = nullptr;

/// Counts the instruction at `code`, which is about to run.
inline void count_instruction(const uint8_t* code) {
  Trace* t = trace;
  if (t == nullptr) return;
  const auto at = reinterpret_cast<uintptr_t>(code);
  InstructionCounts& counts = t->counts;
  if (at < t->begin || at >= t->end) {
    ++counts.outside;
    return;
  }
  // Prefixes that may stand before VEX and EVEX: segments and the size of addresses.
  while (*code == 0x64 || *code == 0x65 || *code == 0x67 || *code == 0x2e || *code == 0x36 || *code == 0x3e ||
         *code == 0x26)
    ++code;
  if (*code == 0x62) {
    ++counts.evex;
    if ((code[3] >> 5 & 3) == 2) ++counts.evex512;
  } else if (decode_amx(code).op != AmxOp::none) {
    ++counts.amx;
  } else if (*code == 0xc4 || *code == 0xc5) {
    const bool wide = (code[*code == 0xc4 ? 2 : 1] & 4) != 0;
    ++(wide ? counts.vex256 : counts.vex128);
  } else {
    ++counts.legacy;
  }
}

inline void trap(int, siginfo_t*, void* context) {
  const greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  count_instruction(reinterpret_cast<const uint8_t*>(registers[REG_RIP]));
}

// The trap flag alone changes, and the red zone is left as it is.
__attribute__((always_inline)) inline void begin_steps() {
  asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}
__attribute__((always_inline)) inline void end_steps() {
  asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $-0x101, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}
}  // namespace detail

/// Runs `function()` one instruction at a time on this thread and counts what it executes in [begin, begin + bytes).
/// Other threads are not looked at, so kernels have to run on this one. One trace at a time in the process, as signal
/// handlers are the process's. `function` must not throw. Tile instructions count where an AmxEmulator runs them too.
template <class Function>
InstructionCounts trace_instructions(const void* begin, int64_t bytes, Function&& function) {
  const auto first = reinterpret_cast<uintptr_t>(begin);
  detail::Trace trace{first, first + static_cast<uintptr_t>(bytes), {}};
  struct sigaction action {
  }, old{};
  action.sa_sigaction = detail::trap;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTRAP, &action, &old);
  detail::trace = &trace;
  detail::after_emulated_step = detail::count_instruction;
  detail::begin_steps();
  function();
  detail::end_steps();
  detail::after_emulated_step = nullptr;
  detail::trace = nullptr;
  sigaction(SIGTRAP, &old, nullptr);
  return trace.counts;
}

}  // namespace gregale::kernels::testing
