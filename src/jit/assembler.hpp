// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <xbyak/xbyak.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "jit/code.hpp"

namespace gregale::jit {

/// Memory an assembler writes into: ordinary, never executable.
class HeapAllocator : public Xbyak::Allocator {
 public:
  uint8_t* alloc(size_t size) override;
  void free(uint8_t* memory) override;
  bool useProtect() const override { return false; }
};

namespace detail {
struct AllocatorHolder {  // constructed before, and destroyed after, the code generator that uses it
  HeapAllocator allocator;
};
}  // namespace detail

/// Xbyak's assembler, made safe: it writes to ordinary memory that grows as needed, what it hands out is position
/// independent, and tile instructions always get the addressing their encoding requires. Calls of the base class throw
/// Xbyak::Error for impossible operands, which is our mistake: finish() and `assemble` report it as
/// ErrorCode::internal.
///
/// Code must reach its constants and labels RIP-relative or by relative jumps; an absolute address of a label would be
/// wrong after the copy, so `mov(reg, label)` must not be used (`lea(reg, ptr[rip + label])` does the same).
///
/// Functions follow the System V ABI. Vector and mask registers belong to the callee.
class Assembler : private detail::AllocatorHolder, public Xbyak::CodeGenerator {
 public:
  Assembler();

  /// Pushes the registers among `used` that belong to the caller (rbx, rbp, r12 to r15), then makes `stack` bytes of
  /// stack, 64-byte aligned at rsp (rbp holds the frame then, and is pushed in any case where stack > 0).
  void enter(std::initializer_list<Xbyak::Reg64> used, int64_t stack = 0);
  /// Undoes enter(), clears the upper halves of vector registers (SSE code would be slow after) and returns.
  void leave();

  /// Tile loads and stores of [base + index * 1 + displacement], rows `index` bytes apart. (Xbyak 6.68 encodes a store
  /// without an index silently wrong.)
  void tile_load(const Xbyak::Tmm& tile, const Xbyak::Reg64& base, const Xbyak::Reg64& stride, int displacement = 0);
  /// The same for rows that will not be read again soon: they leave L1 to the others.
  void tile_load_once(const Xbyak::Tmm& tile, const Xbyak::Reg64& base, const Xbyak::Reg64& stride,
                      int displacement = 0);
  void tile_store(const Xbyak::Reg64& base, const Xbyak::Reg64& stride, int displacement, const Xbyak::Tmm& tile);

  /// A constant in the code's own pool, 64-byte aligned, emitted by finish(). Equal contents share a place. The label
  /// is valid until then: vmovups(zmm0, ptr[rip + label]).
  Xbyak::Label& pool(const void* bytes, size_t count);
  /// 64 bytes, all lanes of f32 (or f64) the same value: serves full-width loads and broadcasts alike.
  Xbyak::Label& pool_f32(float value);
  Xbyak::Label& pool_f64(double value);
  Xbyak::Label& pool_u32(uint32_t value);

  /// The finished code. Call once.
  Code finish(const std::string& name);

 private:
  struct Constant {
    std::vector<uint8_t> bytes;
    Xbyak::Label label;
  };
  std::vector<std::unique_ptr<Constant>> pool_;
  std::vector<Xbyak::Reg64> saved_;
  bool frame_ = false;
};

}  // namespace gregale::jit
