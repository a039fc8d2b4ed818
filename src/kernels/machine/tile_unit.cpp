// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The tile products of AMX: four that do not wait for one another, again and again.

#include "kernels/machine/tile_unit.hpp"

#include <algorithm>

#include "jit/assembler.hpp"

namespace gregale::kernels {
namespace {

constexpr int kProducts = 4, kTileRows = 16, kRowBytes = 64;

/// The layout of ldtilecfg's operand (Intel SDM, "TILECFG").
struct TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfiguration) == 64);

DotUnit unit_of(const jit::Code& code, bool bf16) {
  const int64_t depth = bf16 ? kRowBytes / 2 : kRowBytes;
  return {int64_t{kProducts} * kTileRows * (kRowBytes / 4) * depth * 2, code.entry<uint32_t (*)(int64_t)>()};
}

}  // namespace

jit::Code assemble_tile_loop(bool bf16) {
  using namespace Xbyak::util;
  TileConfiguration configuration;
  for (int t = 0; t < 8; ++t) {
    configuration.row_bytes[t] = kRowBytes;
    configuration.rows[t] = kTileRows;
  }
  // Every row of a tile is the same 64 bytes, read with a stride of 0. Sums of bf16 products grow by 32 / 128 a repeat.
  uint32_t left[kTileRows], right[kTileRows];
  std::fill_n(left, kTileRows, bf16 ? 0x3f803f80U : 0x03030303U);   // pairs of 1.0, or bytes 3
  std::fill_n(right, kTileRows, bf16 ? 0x3c003c00U : 0xfbfbfbfbU);  // pairs of 1 / 128, or bytes -5

  jit::Assembler a;
  const auto &repeats = rdi, &at = rcx, &stride = rdx;
  Xbyak::Label loop, end;
  a.enter({}, kTileRows * kRowBytes);
  a.lea(at, ptr[rip + a.pool(&configuration, sizeof configuration)]);
  a.ldtilecfg(ptr[at]);
  a.xor_(edx, edx);
  a.lea(at, ptr[rip + a.pool(left, sizeof left)]);
  for (const int t : {4, 5}) a.tile_load(Xbyak::Tmm(t), at, stride);
  a.lea(at, ptr[rip + a.pool(right, sizeof right)]);
  for (const int t : {6, 7}) a.tile_load(Xbyak::Tmm(t), at, stride);
  for (int t = 0; t < kProducts; ++t) a.tilezero(Xbyak::Tmm(t));

  a.test(repeats, repeats);
  a.jz(end, Xbyak::CodeGenerator::T_NEAR);
  a.L(loop);
  for (int t = 0; t < kProducts; ++t) {
    const Xbyak::Tmm sum(t), x(4 + t / 2), y(6 + t % 2);
    bf16 ? a.tdpbf16ps(sum, x, y) : a.tdpbssd(sum, x, y);
  }
  a.dec(repeats);
  a.jnz(loop, Xbyak::CodeGenerator::T_NEAR);
  a.L(end);

  // The first element of each sum: no product can be left out.
  a.xor_(eax, eax);
  a.mov(edx, kRowBytes);
  for (int t = 0; t < kProducts; ++t) {
    a.tile_store(rsp, stride, 0, Xbyak::Tmm(t));
    a.add(eax, dword[rsp]);
  }
  a.tilerelease();
  a.leave();
  return a.finish(bf16 ? "machine_tile_bf16" : "machine_tile_int8");
}

DotUnit bf16_tile_unit(const Target& target) {
  if (target.isa != Isa::amx || !target.features.amx_bf16) return {};
  static const jit::Code code = assemble_tile_loop(true);
  return unit_of(code, true);
}

DotUnit int8_tile_unit(const Target& target) {
  if (target.isa != Isa::amx || !target.features.amx_int8) return {};
  static const jit::Code code = assemble_tile_loop(false);
  return unit_of(code, false);
}

}  // namespace gregale::kernels
