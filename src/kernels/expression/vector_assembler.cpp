// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/vector_assembler.hpp"

#include "gregale/error.hpp"

namespace gregale::kernels::expression {

using Xbyak::Address;
using Xbyak::Ymm;
using Xbyak::Zmm;

namespace {
/// The same place, `bytes` further.
Address moved(const Address& address, int bytes) {
  return Address(address.getBit(), address.isBroadcast(), address.getRegExp() + bytes);
}
}  // namespace

VectorAssembler::VectorAssembler(const Target& target, bool wide, bool f64)
    : wide_(wide), f64_(f64), bf16_(wide && target.features.avx512_bf16) {}

void VectorAssembler::compare(int mask, const Reg& a, const Operand& b, uint8_t predicate) {
  if (wide_) {
    f64_ ? vcmppd(k(mask), a, b, predicate) : vcmpps(k(mask), a, b, predicate);
  } else {
    f64_ ? vcmppd(v(mask), a, b, predicate) : vcmpps(v(mask), a, b, predicate);
  }
}

void VectorAssembler::mask_of_signs(int mask, const Reg& a) {
  if (wide_) {
    vpmovd2m(k(mask), a);
  } else if (mask != a.getIdx()) {
    load(v(mask), a);  // blends look at signs only
  }
}

void VectorAssembler::merge(const Reg& d, int mask, const Operand& yes) {
  if (wide_) {
    f64_ ? vblendmpd(d | k(mask), d, yes) : vblendmps(d | k(mask), d, yes);
  } else {
    f64_ ? vblendvpd(d, d, yes, v(mask)) : vblendvps(d, d, yes, v(mask));
  }
}

void VectorAssembler::mask_and(int d, int a, int b) { wide_ ? kandw(k(d), k(a), k(b)) : vandps(v(d), v(a), v(b)); }
void VectorAssembler::mask_or(int d, int a, int b) { wide_ ? korw(k(d), k(a), k(b)) : vorps(v(d), v(a), v(b)); }
void VectorAssembler::mask_not(int d, int a, int temp) {
  if (wide_) {
    knotw(k(d), k(a));
  } else {
    vpcmpeqd(v(temp), v(temp), v(temp));
    vxorps(v(d), v(a), v(temp));
  }
}

void VectorAssembler::set_tail(int temp) {
  mov(ptr[rsp + tail_count_at], rcx);
  mov(eax, 1);
  shl(eax, cl);
  dec(eax);
  mov(ptr[rsp + tail_bits_at], rax);
  if (wide_) {
    kmovw(k(kTailMask), eax);
    return;
  }
  // Lane i is set where i < count.
  if (f64_) {
    const int64_t numbers[] = {0, 1, 2, 3};
    vmovq(Xbyak::Xmm(temp), rcx);
    vpbroadcastq(v(temp), Xbyak::Xmm(temp));
    vpcmpgtq(v(temp), v(temp), ptr[rip + pool(numbers, sizeof numbers)]);
  } else {
    const int32_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};
    vmovd(Xbyak::Xmm(temp), ecx);
    vpbroadcastd(v(temp), Xbyak::Xmm(temp));
    vpcmpgtd(v(temp), v(temp), ptr[rip + pool(numbers, sizeof numbers)]);
  }
  vmovups(ptr[rsp + tail_mask_at], v(temp));
}

/// The tail's elements, one by one. Uses rcx as counter; `to` and `from` are other registers.
void VectorAssembler::copy_tail(const Xbyak::Reg64& to, const Xbyak::Reg64& from, int element) {
  Xbyak::Label again;
  mov(rcx, ptr[rsp + tail_count_at]);
  // A data register is borrowed: there is none to spare.
  push(rdx);
  L(again);
  if (element == 2) {
    mov(dx, ptr[from + rcx * 2 - 2]);
    mov(ptr[to + rcx * 2 - 2], dx);
  } else if (element == 4) {
    mov(edx, ptr[from + rcx * 4 - 4]);
    mov(ptr[to + rcx * 4 - 4], edx);
  } else {
    mov(rdx, ptr[from + rcx * 8 - 8]);
    mov(ptr[to + rcx * 8 - 8], rdx);
  }
  dec(rcx);
  jnz(again);
  pop(rdx);
}

void VectorAssembler::load_full_as(DType dtype, int d, const Address& from, int temp) {
  switch (dtype) {
    case DType::f64:
      if (f64_) {
        load(v(d), from);
      } else if (wide_) {
        vcvtpd2ps(Ymm(d), zword[from.getRegExp()]);
        vcvtpd2ps(Ymm(temp), zword[from.getRegExp() + 64]);
        vinsertf32x8(Zmm(d), Zmm(d), Ymm(temp), 1);
      } else {
        vcvtpd2ps(Xbyak::Xmm(d), yword[from.getRegExp()]);
        vcvtpd2ps(Xbyak::Xmm(temp), yword[from.getRegExp() + 32]);
        vinsertf128(Ymm(d), Ymm(d), Xbyak::Xmm(temp), 1);
      }
      break;
    case DType::f32:
      f64_ ? vcvtps2pd(v(d), from) : load(v(d), from);
      break;
    case DType::bf16:
      if (f64_) {
        vpmovzxwd(half(d), from);
        vpslld(half(d), half(d), 16);
        vcvtps2pd(v(d), half(d));
      } else {
        vpmovzxwd(v(d), from);
        vpslld(v(d), v(d), 16);
      }
      break;
    default:
      if (f64_) {
        vcvtph2ps(half(d), from);
        vcvtps2pd(v(d), half(d));
      } else {
        vcvtph2ps(v(d), from);
      }
  }
}

void VectorAssembler::load_as(DType dtype, int d, const Address& from, Lanes lanes, int temp) {
  if (lanes == Lanes::all) return load_full_as(dtype, d, from, temp);
  const int element = static_cast<int>(size_of(dtype));
  if (wide_) {
    const auto tail = k(kTailMask);
    switch (dtype) {
      case DType::f64:
        if (f64_) {
          vmovupd(Zmm(d) | tail | T_z, from);
        } else {
          vcvtpd2ps(Ymm(d) | tail | T_z, zword[from.getRegExp()]);
          kshiftrw(k(kTempMask), tail, 8);
          vcvtpd2ps(Ymm(temp) | k(kTempMask) | T_z, zword[from.getRegExp() + 64]);
          vinsertf32x8(Zmm(d), Zmm(d), Ymm(temp), 1);
        }
        break;
      case DType::f32:
        f64_ ? vcvtps2pd(Zmm(d) | tail | T_z, from) : vmovups(Zmm(d) | tail | T_z, from);
        break;
      case DType::bf16:
        if (f64_) {
          vpmovzxwd(Ymm(d) | tail | T_z, from);
          vpslld(Ymm(d), Ymm(d), 16);
          vcvtps2pd(Zmm(d), Ymm(d));
        } else {
          vpmovzxwd(Zmm(d) | tail | T_z, from);
          vpslld(Zmm(d), Zmm(d), 16);
        }
        break;
      default:
        if (f64_) {
          vcvtph2ps(Ymm(d) | tail | T_z, from);
          vcvtps2pd(Zmm(d), Ymm(d));
        } else {
          vcvtph2ps(Zmm(d) | tail | T_z, from);
        }
    }
    return;
  }
  if (element == element_bytes()) {
    vmovups(v(d), ptr[rsp + tail_mask_at]);
    f64_ ? vmaskmovpd(v(d), v(d), from) : vmaskmovps(v(d), v(d), from);
    return;
  }
  lea(rax, from);
  vxorps(v(d), v(d), v(d));
  vmovups(ptr[rsp + buffer_at], v(d));
  vmovups(ptr[rsp + buffer_at + 32], v(d));
  lea(rdi, ptr[rsp + buffer_at]);
  copy_tail(rdi, rax, element);
  load_full_as(dtype, d, ptr[rsp + buffer_at], temp);
}

/// f32 lanes of s to bf16 in the upper halves, rounded to nearest even; NaN becomes the quiet NaN. s is overwritten.
void VectorAssembler::float_to_bf16(int s, int temp) {
  const Reg x = f64_ ? half(s) : v(s), t = f64_ ? half(temp) : v(temp);
  const bool zmm = x.isZMM();
  // NaN first: 0x7fc00000 stays itself below.
  if (wide_) {
    vcmpps(k(kTempMask), x, x, kUnordered);
    vblendmps(x | k(kTempMask), x, ptr[rip + pool_u32(0x7fc00000u)]);
  } else {
    vcmpps(t, x, x, kUnordered);
    vblendvps(x, x, ptr[rip + pool_u32(0x7fc00000u)], t);
  }
  vpsrld(t, x, 16);
  zmm ? vpandd(t, t, ptr[rip + pool_u32(1)]) : vandps(t, t, ptr[rip + pool_u32(1)]);
  vpaddd(x, x, ptr[rip + pool_u32(0x7fff)]);
  vpaddd(x, x, t);
  vpsrld(x, x, 16);
}

void VectorAssembler::store_full_as(DType dtype, const Address& to, int s, int temp, bool stream) {
  switch (dtype) {
    case DType::f64:
      if (f64_) {
        stream ? vmovntpd(to, v(s)) : vmovupd(to, v(s));
      } else {
        vcvtps2pd(v(temp), half(s));
        vmovupd(to, v(temp));
        wide_ ? vextractf32x8(Ymm(temp), Zmm(s), 1) : vextractf128(Xbyak::Xmm(temp), Ymm(s), 1);
        vcvtps2pd(v(temp), half(temp));
        vmovupd(moved(to, bytes()), v(temp));
      }
      break;
    case DType::f32:
      if (f64_) {
        vcvtpd2ps(half(temp), v(s));
        vmovups(to, half(temp));
      } else {
        stream ? vmovntps(to, v(s)) : vmovups(to, v(s));
      }
      break;
    case DType::bf16: {
      const Reg narrow = f64_ ? quarter(temp) : half(temp);  // of the result
      if (bf16_) {
        if (f64_) {
          vcvtpd2ps(half(temp), v(s));
          vcvtneps2bf16(narrow, half(temp));
        } else {
          vcvtneps2bf16(narrow, v(s));
        }
        if (stream && !f64_) {
          vmovntps(to, narrow);
        } else {
          vmovups(to, narrow);
        }
        break;
      }
      // The rounding needs a second register; s is given back from the buffer.
      vmovups(ptr[rsp + buffer_at], v(s));
      if (f64_) vcvtpd2ps(half(s), v(s));
      float_to_bf16(s, temp);
      if (wide_) {
        vpmovdw(to, f64_ ? half(s) : v(s));
      } else if (f64_) {
        vpackusdw(Xbyak::Xmm(s), Xbyak::Xmm(s), Xbyak::Xmm(s));
        vmovq(to, Xbyak::Xmm(s));
      } else {
        vextracti128(Xbyak::Xmm(temp), Ymm(s), 1);
        vpackusdw(Xbyak::Xmm(s), Xbyak::Xmm(s), Xbyak::Xmm(temp));
        vmovups(to, Xbyak::Xmm(s));
      }
      vmovups(v(s), ptr[rsp + buffer_at]);
      break;
    }
    default:
      if (f64_) {
        vcvtpd2ps(half(temp), v(s));
        vcvtps2ph(to, half(temp), 0);
      } else {
        vcvtps2ph(to, v(s), 0);
      }
  }
}

void VectorAssembler::store_as(DType dtype, const Address& to, int s, Lanes lanes, int temp, bool stream) {
  if (lanes == Lanes::all) return store_full_as(dtype, to, s, temp, stream);
  const int element = static_cast<int>(size_of(dtype));
  if (wide_) {
    const auto tail = k(kTailMask);
    switch (dtype) {
      case DType::f64:
        if (f64_) {
          vmovupd(to | tail, Zmm(s));
        } else {
          vcvtps2pd(Zmm(temp), Ymm(s));
          vmovupd(to | tail, Zmm(temp));
          vextractf32x8(Ymm(temp), Zmm(s), 1);
          vcvtps2pd(Zmm(temp), Ymm(temp));
          kshiftrw(k(kTempMask), tail, 8);
          vmovupd(moved(to, 64) | k(kTempMask), Zmm(temp));
        }
        break;
      case DType::f32:
        if (f64_) {
          vcvtpd2ps(Ymm(temp), Zmm(s));
          vmovups(to | tail, Ymm(temp));
        } else {
          vmovups(to | tail, Zmm(s));
        }
        break;
      case DType::bf16:
        if (bf16_) {
          if (f64_) {
            vcvtpd2ps(Ymm(temp), Zmm(s));
            vcvtneps2bf16(Xbyak::Xmm(temp), Ymm(temp));
            vmovdqu16(to | tail, Xbyak::Xmm(temp));
          } else {
            vcvtneps2bf16(Ymm(temp), Zmm(s));
            vmovdqu16(to | tail, Ymm(temp));
          }
          break;
        }
        vmovups(ptr[rsp + buffer_at], Zmm(s));
        if (f64_) vcvtpd2ps(Ymm(s), Zmm(s));
        float_to_bf16(s, temp);
        vpmovdw(to | tail, f64_ ? half(s) : v(s));
        vmovups(Zmm(s), ptr[rsp + buffer_at]);
        break;
      default:
        if (f64_) {
          vcvtpd2ps(Ymm(temp), Zmm(s));
          vcvtps2ph(to | tail, Ymm(temp), 0);
        } else {
          vcvtps2ph(to | tail, Zmm(s), 0);
        }
    }
    return;
  }
  if (element == element_bytes()) {
    vmovups(v(temp), ptr[rsp + tail_mask_at]);
    f64_ ? vmaskmovpd(to, v(temp), v(s)) : vmaskmovps(to, v(temp), v(s));
    return;
  }
  lea(rax, to);
  // The conversion to bf16 saves s in the buffer itself, and loads it again before the copy would be needed: the
  // result goes to the tail buffer's second half.
  const int at = dtype == DType::bf16 ? buffer_at + 32 : buffer_at;
  store_full_as(dtype, ptr[rsp + at], s, temp, false);
  lea(rdi, ptr[rsp + at]);
  copy_tail(rax, rdi, element);
}

void VectorAssembler::broadcast_as(DType dtype, int d, const Address& from) {
  const Xbyak::Xmm x(d);
  switch (dtype) {
    case DType::f64:
      if (f64_) {
        vbroadcastsd(Ymm(v(d).getIdx()), from);
        if (wide_) vbroadcastsd(Zmm(d), from);
      } else {
        vmovsd(x, from);
        vcvtpd2ps(x, x);
        vbroadcastss(v(d), x);
      }
      return;
    case DType::f32:
      if (!f64_) {
        vbroadcastss(v(d), from);
        return;
      }
      vmovss(x, from);
      break;
    case DType::bf16:
      movzx(eax, word[from.getRegExp()]);
      shl(eax, 16);
      vmovd(x, eax);
      break;
    default:
      movzx(eax, word[from.getRegExp()]);
      vmovd(x, eax);
      vcvtph2ps(x, x);
  }
  if (!f64_) {
    vbroadcastss(v(d), x);
    return;
  }
  vcvtps2pd(x, x);
  wide_ ? vbroadcastsd(Zmm(d), x) : vbroadcastsd(Ymm(d), x);
}

void VectorAssembler::store_one_as(DType dtype, const Address& to, int s) {
  const Xbyak::Xmm x(s);
  if (dtype == DType::f64) {
    if (!f64_) vcvtps2pd(x, x);
    vmovsd(to, x);
    return;
  }
  if (f64_) vcvtpd2ps(x, x);
  if (dtype == DType::f32) {
    vmovss(to, x);
  } else if (dtype == DType::f16) {
    vcvtps2ph(x, x, 0);
    vmovd(edi, x);
    mov(word[to.getRegExp()], di);
  } else {
    // In integers: one element is not worth a vector's constants.
    Xbyak::Label number, done;
    vmovd(edi, x);
    vucomiss(x, x);
    jnp(number);
    mov(edi, 0x7fc0);
    jmp(done);
    L(number);
    mov(ecx, edi);
    if (bf16_) {  // as the vectors' instruction does it: denormals become zero
      Xbyak::Label normal;
      test(edi, 0x7f800000);
      jnz(normal);
      and_(edi, static_cast<uint32_t>(0x80000000u));
      mov(ecx, edi);
      L(normal);
    }
    shr(ecx, 16);
    and_(ecx, 1);
    lea(edi, ptr[edi + ecx + 0x7fff]);
    shr(edi, 16);
    L(done);
    mov(word[to.getRegExp()], di);
  }
}

void VectorAssembler::round_as(DType dtype, int d, int temp, int temp2) {
  const Reg narrow = f64_ ? half(temp) : v(temp);  // the value in f32
  switch (dtype) {
    case DType::f64:
      return;
    case DType::f32:
      if (f64_) {
        vcvtpd2ps(half(d), v(d));
        vcvtps2pd(v(d), half(d));
      }
      return;
    case DType::bf16:
      f64_ ? vcvtpd2ps(narrow, v(d)) : load(narrow, v(d));
      if (bf16_) {
        const Reg small = f64_ ? quarter(temp) : half(temp);
        vcvtneps2bf16(small, narrow);
        vpmovzxwd(narrow, small);
      } else {
        float_to_bf16(temp, temp2);
      }
      vpslld(narrow, narrow, 16);
      f64_ ? vcvtps2pd(v(d), narrow) : load(v(d), narrow);
      return;
    default: {
      f64_ ? vcvtpd2ps(narrow, v(d)) : load(narrow, v(d));
      const Reg small = f64_ ? quarter(temp) : half(temp);
      vcvtps2ph(small, narrow, 0);
      vcvtph2ps(narrow, small);
      f64_ ? vcvtps2pd(v(d), narrow) : load(v(d), narrow);
    }
  }
}

void VectorAssembler::load_mask(int mask, const Address& from, Lanes lanes_in_use, const Xbyak::Reg64& column,
                                int temp) {
  const bool tail = lanes_in_use == Lanes::tail;
  if (wide_ && !tail) {
    lanes() == 16 ? kmovw(k(mask), from) : kmovb(k(mask), from);
    return;
  }
  lea(rdi, from);
  movzx(ecx, byte[rdi]);
  if (lanes() == 16) {  // a second byte only where the row has one
    Xbyak::Label one;
    cmp(dword[rsp + tail_count_at], 8);
    jle(one);
    movzx(edi, byte[rdi + 1]);
    shl(edi, 8);
    or_(ecx, edi);
    L(one);
  }
  if (lanes() == 4) {
    Xbyak::Label low;
    test(column.cvt32(), 4);
    jz(low);
    shr(ecx, 4);
    L(low);
  }
  if (tail) and_(ecx, ptr[rsp + tail_bits_at]);
  if (wide_) {
    kmovw(k(mask), ecx);
    return;
  }
  (void)temp;
  const Ymm m(mask);
  vmovd(Xbyak::Xmm(mask), ecx);
  if (f64_) {
    const int64_t bits[] = {1, 2, 4, 8};
    Xbyak::Label& label = pool(bits, sizeof bits);
    vpbroadcastq(m, Xbyak::Xmm(mask));
    vandps(m, m, ptr[rip + label]);
    vpcmpeqq(m, m, ptr[rip + label]);
  } else {
    const int32_t bits[] = {1, 2, 4, 8, 16, 32, 64, 128};
    Xbyak::Label& label = pool(bits, sizeof bits);
    vpbroadcastd(m, Xbyak::Xmm(mask));
    vandps(m, m, ptr[rip + label]);
    vpcmpeqd(m, m, ptr[rip + label]);
  }
}

void VectorAssembler::store_mask(const Address& to, int mask, Lanes lanes_in_use) {
  const bool tail = lanes_in_use == Lanes::tail;
  GREGALE_ASSERT(lanes() >= 8);
  if (wide_ && !tail) {
    lanes() == 16 ? kmovw(to, k(mask)) : kmovb(to, k(mask));
    return;
  }
  lea(rdi, to);
  wide_ ? kmovw(ecx, k(mask)) : f64_ ? vmovmskpd(ecx, v(mask)) : vmovmskps(ecx, v(mask));
  if (tail) and_(ecx, ptr[rsp + tail_bits_at]);
  mov(byte[rdi], cl);
  if (lanes() != 16) return;
  Xbyak::Label one;
  cmp(dword[rsp + tail_count_at], 8);
  jle(one);
  shr(ecx, 8);
  mov(byte[rdi + 1], cl);
  L(one);
}

}  // namespace gregale::kernels::expression
