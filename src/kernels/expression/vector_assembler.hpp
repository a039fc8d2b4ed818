// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/context.hpp"
#include "jit/assembler.hpp"

/// One vocabulary for the vectors of AVX2 and AVX-512, so that one generator serves both.
namespace gregale::kernels::expression {

/// How an access treats lanes beyond the row's end.
enum class Lanes : uint8_t {
  all,   ///< a full vector
  tail,  ///< the lanes of the tail mask only: others are neither read nor written, and are zero after a load
};

/// Instructions over vectors of the computation's dtype. Numbers name registers; masks are k registers with AVX-512,
/// vectors of all-ones lanes with AVX2. rax, rcx and rdi are scratch of the tail accesses, the others are the user's.
class VectorAssembler : public jit::Assembler {
 public:
  VectorAssembler(const Target& target, bool wide, bool f64);

  using Reg = Xbyak::Xmm;
  using Operand = Xbyak::Operand;

  bool wide() const { return wide_; }  ///< AVX-512
  bool f64() const { return f64_; }
  int bytes() const { return wide_ ? 64 : 32; }
  int lanes() const { return bytes() / element_bytes(); }
  int element_bytes() const { return f64_ ? 8 : 4; }
  int vector_registers() const { return wide_ ? 32 : 16; }

  Reg v(int i) const { return wide_ ? Reg(Xbyak::Zmm(i)) : Reg(Xbyak::Ymm(i)); }
  Reg half(int i) const { return wide_ ? Reg(Xbyak::Ymm(i)) : Reg(Xbyak::Xmm(i)); }
  Reg quarter(int i) const { return Xbyak::Xmm(i); }
  static Xbyak::Opmask k(int i) { return Xbyak::Opmask(i); }

#define GREGALE_BY_DTYPE(name, single, twice) \
  void name(const Reg& d, const Reg& a, const Operand& b) { f64_ ? twice(d, a, b) : single(d, a, b); }
  GREGALE_BY_DTYPE(add_, vaddps, vaddpd)
  GREGALE_BY_DTYPE(sub_, vsubps, vsubpd)
  GREGALE_BY_DTYPE(mul_, vmulps, vmulpd)
  GREGALE_BY_DTYPE(div_, vdivps, vdivpd)
  GREGALE_BY_DTYPE(max_, vmaxps, vmaxpd)  ///< b where either is NaN or both are zero
  GREGALE_BY_DTYPE(min_, vminps, vminpd)
  GREGALE_BY_DTYPE(and_bits, vandps, vandpd)
  GREGALE_BY_DTYPE(or_bits, vorps, vorpd)
  GREGALE_BY_DTYPE(xor_bits, vxorps, vxorpd)
  GREGALE_BY_DTYPE(fma132, vfmadd132ps, vfmadd132pd)     ///< d = d b + a
  GREGALE_BY_DTYPE(fma213, vfmadd213ps, vfmadd213pd)     ///< d = d a + b
  GREGALE_BY_DTYPE(fma231, vfmadd231ps, vfmadd231pd)     ///< d = a b + d
  GREGALE_BY_DTYPE(fnma231, vfnmadd231ps, vfnmadd231pd)  ///< d = d - a b
  GREGALE_BY_DTYPE(int_add, vpaddd, vpaddd)
  GREGALE_BY_DTYPE(int_sub, vpsubd, vpsubd)
#undef GREGALE_BY_DTYPE
  void sqrt_(const Reg& d, const Operand& a) { f64_ ? vsqrtpd(d, a) : vsqrtps(d, a); }
  void load(const Reg& d, const Operand& a) { vmovups(d, a); }
  void zero(int d) { vxorps(quarter_low(d), quarter_low(d), quarter_low(d)); }
  /// To the nearest integer, ties to even; f32.
  void round_(const Reg& d, const Operand& a) { wide_ ? vrndscaleps(d, a, 0) : vroundps(d, a, 0); }
  /// To an integer in the direction of `mode`; of the computation's dtype, without raising "inexact".
  static constexpr uint8_t kNearest = 0x08, kDown = 0x09, kUp = 0x0a;
  void whole_(const Reg& d, const Operand& a, uint8_t mode) {
    if (f64_)
      wide_ ? vrndscalepd(d, a, mode) : vroundpd(d, a, mode);
    else
      wide_ ? vrndscaleps(d, a, mode) : vroundps(d, a, mode);
  }

  /// mask = a PREDICATE b, with the immediate of vcmpps.
  void compare(int mask, const Reg& a, const Operand& b, uint8_t predicate);
  /// mask = sign bits of a; f32.
  void mask_of_signs(int mask, const Reg& a);
  /// d = mask ? yes : d
  void merge(const Reg& d, int mask, const Operand& yes);
  void mask_and(int d, int a, int b);
  void mask_or(int d, int a, int b);
  void mask_not(int d, int a, int temp);

  /// Loads and stores with conversion. `temp` is a vector register they may use.
  void load_as(DType dtype, int d, const Xbyak::Address& from, Lanes lanes, int temp);
  void store_as(DType dtype, const Xbyak::Address& to, int s, Lanes lanes, int temp, bool stream);
  /// One element, into all lanes.
  void broadcast_as(DType dtype, int d, const Xbyak::Address& from);
  /// The first lane. Destroys s.
  void store_one_as(DType dtype, const Xbyak::Address& to, int s);
  /// What storing as `dtype` and loading again does. `temp` two registers.
  void round_as(DType dtype, int d, int temp, int temp2);

  /// Masks as bits in memory. `column` is the register with the first lane's number.
  void load_mask(int mask, const Xbyak::Address& from, Lanes lanes, const Xbyak::Reg64& column, int temp);
  void store_mask(const Xbyak::Address& to, int mask, Lanes lanes);

  /// Makes the tail mask from rcx = lanes in use (0 to lanes() - 1). Uses rax.
  void set_tail(int temp);

  /// Frame offsets, from rsp, that the user provides: 64 bytes of buffer, 64 bytes of tail mask, one quadword each for
  /// the count of lanes and the mask's bits.
  int buffer_at = 0, tail_mask_at = 0, tail_count_at = 0, tail_bits_at = 0;

  /// The k register that holds the tail mask, and one that the accesses may use.
  static constexpr int kTailMask = 1, kTempMask = 2;

  static constexpr uint8_t kLess = 0x11, kLessEqual = 0x12, kGreater = 0x1e, kGreaterEqual = 0x1d, kEqual = 0x00,
                           kNotEqual = 0x04, kUnordered = 0x03, kOrdered = 0x07, kNotLess = 0x15;

 private:
  Reg quarter_low(int i) const { return i < 16 ? Reg(Xbyak::Xmm(i)) : Reg(Xbyak::Zmm(i)); }
  void copy_tail(const Xbyak::Reg64& to, const Xbyak::Reg64& from, int element);
  void float_to_bf16(int s, int temp);
  void load_full_as(DType dtype, int d, const Xbyak::Address& from, int temp);
  void store_full_as(DType dtype, const Xbyak::Address& to, int s, int temp, bool stream);

  bool wide_, f64_, bf16_;
};

}  // namespace gregale::kernels::expression
