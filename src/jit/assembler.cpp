// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "jit/assembler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "gregale/error.hpp"

namespace gregale::jit {

uint8_t* HeapAllocator::alloc(size_t size) {
  return static_cast<uint8_t*>(std::aligned_alloc(64, (size + 63) / 64 * 64));
}
void HeapAllocator::free(uint8_t* memory) { std::free(memory); }

Assembler::Assembler() : Xbyak::CodeGenerator(size_t{16} << 10, Xbyak::AutoGrow, &allocator) {}

void Assembler::enter(std::initializer_list<Xbyak::Reg64> used, int64_t stack) {
  constexpr int kCallees[] = {Xbyak::Operand::RBX, Xbyak::Operand::R12, Xbyak::Operand::R13, Xbyak::Operand::R14,
                              Xbyak::Operand::R15};
  frame_ = stack > 0;
  const bool uses_rbp = std::any_of(used.begin(), used.end(), [&](const Xbyak::Reg64& r) { return r == rbp; });
  GREGALE_ASSERT(!(frame_ && uses_rbp));
  if (frame_ || uses_rbp) push(rbp);
  if (uses_rbp) saved_.push_back(rbp);
  if (frame_) mov(rbp, rsp);
  for (const Xbyak::Reg64& r : used) {
    if (std::find(std::begin(kCallees), std::end(kCallees), r.getIdx()) == std::end(kCallees)) continue;
    push(r);
    saved_.push_back(r);
  }
  if (frame_) {
    sub(rsp, static_cast<uint32_t>((stack + 63) / 64 * 64));
    and_(rsp, -64);
  }
}

void Assembler::leave() {
  vzeroupper();
  if (frame_) lea(rsp, ptr[rbp - 8 * static_cast<int>(saved_.size())]);
  for (auto r = saved_.rbegin(); r != saved_.rend(); ++r) pop(*r);
  if (frame_) pop(rbp);
  ret();
}

void Assembler::tile_load(const Xbyak::Tmm& tile, const Xbyak::Reg64& base, const Xbyak::Reg64& stride,
                          int displacement) {
  tileloadd(tile, ptr[base + stride * 1 + displacement]);
}

void Assembler::tile_load_once(const Xbyak::Tmm& tile, const Xbyak::Reg64& base, const Xbyak::Reg64& stride,
                               int displacement) {
  tileloaddt1(tile, ptr[base + stride * 1 + displacement]);
}

void Assembler::tile_store(const Xbyak::Reg64& base, const Xbyak::Reg64& stride, int displacement,
                           const Xbyak::Tmm& tile) {
  tilestored(ptr[base + stride * 1 + displacement], tile);
}

Xbyak::Label& Assembler::pool(const void* bytes, size_t count) {
  for (const auto& c : pool_) {
    if (c->bytes.size() == count && std::memcmp(c->bytes.data(), bytes, count) == 0) return c->label;
  }
  auto constant = std::make_unique<Constant>();
  const auto* begin = static_cast<const uint8_t*>(bytes);
  constant->bytes.assign(begin, begin + count);
  pool_.push_back(std::move(constant));
  return pool_.back()->label;
}

Xbyak::Label& Assembler::pool_f32(float value) {
  float lanes[16];
  std::fill(std::begin(lanes), std::end(lanes), value);
  return pool(lanes, sizeof lanes);
}
Xbyak::Label& Assembler::pool_f64(double value) {
  double lanes[8];
  std::fill(std::begin(lanes), std::end(lanes), value);
  return pool(lanes, sizeof lanes);
}
Xbyak::Label& Assembler::pool_u32(uint32_t value) {
  uint32_t lanes[16];
  std::fill(std::begin(lanes), std::end(lanes), value);
  return pool(lanes, sizeof lanes);
}

Code Assembler::finish(const std::string& name) {
  try {
    if (!pool_.empty()) align(64);
    for (const auto& c : pool_) {
      L(c->label);
      for (uint8_t byte : c->bytes) db(byte);
      while (getSize() % 64 != 0) db(0);
    }
    ready(PROTECT_RW);
    return Code(name, getCode(), getSize());
  } catch (const Xbyak::Error& error) {
    throw_error(ErrorCode::internal,
                fmt::format("[jit] {}: {} (a bug in Gregale; please report it)", name, error.what()));
  }
}

}  // namespace gregale::jit
