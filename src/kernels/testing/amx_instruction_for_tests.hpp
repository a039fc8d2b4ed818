// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstring>

/// Decoding of tile instructions.
namespace gregale::kernels::testing {

enum class AmxOp : uint8_t {
  none,  ///< no tile instruction
  ldtilecfg,
  sttilecfg,
  tilerelease,
  tilezero,
  tileloadd,
  tileloaddt1,
  tilestored,
  tdpbf16ps,
  tdpbssd,
  tdpbsud,
  tdpbusd,
  tdpbuud,
};
inline constexpr int kAmxOps = 13;
inline constexpr const char* kAmxNames[kAmxOps] = {"none",      "ldtilecfg",   "sttilecfg",  "tilerelease", "tilezero",
                                                   "tileloadd", "tileloaddt1", "tilestored", "tdpbf16ps",   "tdpbssd",
                                                   "tdpbsud",   "tdpbusd",     "tdpbuud"};

struct AmxInstruction {
  static constexpr int kNoRegister = -1, kRip = -2;
  AmxOp op = AmxOp::none;
  int length = 0;
  int reg = 0, rm = 0, vvvv = 0;  ///< tiles
  int base = kNoRegister, index = kNoRegister, scale = 0;
  int64_t displacement = 0;

  /// A general register by its number in encodings.
  static int64_t value(const greg_t* registers, int number) {
    constexpr int kPlaces[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return registers[kPlaces[number]];
  }
  /// Of a tile's rows, and of other operands without their index. REG_RIP is that of the next instruction.
  uintptr_t address(const greg_t* registers) const {
    int64_t at = displacement;
    if (base == kRip) at += registers[REG_RIP];
    if (base >= 0) at += value(registers, base);
    const bool rows = op == AmxOp::tileloadd || op == AmxOp::tileloaddt1 || op == AmxOp::tilestored;
    if (!rows) at += stride(registers);
    return static_cast<uintptr_t>(at);
  }
  int64_t stride(const greg_t* registers) const {
    return index == kNoRegister ? 0 : static_cast<int64_t>(static_cast<uint64_t>(value(registers, index)) << scale);
  }
};

namespace detail {
inline AmxOp amx_op(uint8_t opcode, int prefix, bool memory, int reg, int rm) {
  enum { kNone, k66, kF3, kF2 };
  switch (opcode) {
    case 0x49:
      if (prefix == kNone && memory && reg == 0) return AmxOp::ldtilecfg;
      if (prefix == k66 && memory && reg == 0) return AmxOp::sttilecfg;
      if (prefix == kNone && !memory && reg == 0 && rm == 0) return AmxOp::tilerelease;
      if (prefix == kF2 && !memory && rm == 0) return AmxOp::tilezero;
      return AmxOp::none;
    case 0x4b:
      if (!memory || rm != 4) return AmxOp::none;  // rows are addressed by a SIB byte alone
      return prefix == kF2   ? AmxOp::tileloadd
             : prefix == k66 ? AmxOp::tileloaddt1
             : prefix == kF3 ? AmxOp::tilestored
                             : AmxOp::none;
    case 0x5c:
      return !memory && prefix == kF3 ? AmxOp::tdpbf16ps : AmxOp::none;
    case 0x5e:
      if (memory) return AmxOp::none;
      return prefix == kF2   ? AmxOp::tdpbssd
             : prefix == kF3 ? AmxOp::tdpbsud
             : prefix == k66 ? AmxOp::tdpbusd
                             : AmxOp::tdpbuud;
    default:
      return AmxOp::none;
  }
}
}  // namespace detail

/// The instruction at `code`, with `op` none where it is another than a tile instruction, or one the processor would
/// refuse too. Reads no byte past the instruction.
inline AmxInstruction decode_amx(const uint8_t* code) {
  AmxInstruction found;
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2) return found;  // three-byte VEX, map 0F38
  if ((code[2] & 0x84) != 0) return found;                     // W0, L0
  if (code[3] != 0x49 && code[3] != 0x4b && code[3] != 0x5c && code[3] != 0x5e) return found;
  const int r = ~code[1] >> 7 & 1, x = ~code[1] >> 6 & 1, b = ~code[1] >> 5 & 1;
  const int vvvv = ~code[2] >> 3 & 15;
  const uint8_t modrm = code[4];
  const int mod = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
  const AmxOp op = detail::amx_op(code[3], code[2] & 3, mod != 3, reg, rm);
  const bool products = op >= AmxOp::tdpbf16ps;
  if (op == AmxOp::none || (!products && vvvv != 0)) return found;
  found.reg = reg + 8 * r;
  found.vvvv = vvvv;
  int at = 5;
  if (mod == 3) {
    found.rm = rm + 8 * b;
  } else {
    bool wide = mod == 2;  // a displacement of 32 bits
    if (rm == 4) {
      const uint8_t sib = code[at++];
      found.scale = sib >> 6;
      found.index = (sib >> 3 & 7) + 8 * x;
      if (found.index == 4) found.index = AmxInstruction::kNoRegister;
      found.base = (sib & 7) + 8 * b;
      if (mod == 0 && (sib & 7) == 5) {
        found.base = AmxInstruction::kNoRegister;
        wide = true;
      }
    } else if (mod == 0 && rm == 5) {
      found.base = AmxInstruction::kRip;
      wide = true;
    } else {
      found.base = rm + 8 * b;
    }
    if (wide) {
      int32_t displacement;
      std::memcpy(&displacement, code + at, 4);
      found.displacement = displacement;
      at += 4;
    } else if (mod == 1) {
      found.displacement = static_cast<int8_t>(code[at++]);
    }
  }
  found.op = op;
  found.length = at;
  return found;
}

}  // namespace gregale::kernels::testing
