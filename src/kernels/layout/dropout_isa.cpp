// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/parts_isa.hpp"

#if defined(__AVX2__)

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

// Philox4x32-10 (include/gregale/random.hpp) on kHalf blocks at once. The words x0 and x2 stand in the lower halves of
// 64-bit lanes, where the widening product reads them; x1 and x3 are the lower halves of the products before. Upper
// halves hold anything: nothing looks at them before the end.
#if defined(__AVX512F__)
GREGALE_INLINE W product(W a, W b) { return _mm512_maskz_mul_epu32(0xff, a, b); }
GREGALE_INLINE W upper(W v) { return _mm512_maskz_shuffle_epi32(0xffff, v, _MM_PERM_DDBB); }  // no multiplier's port
GREGALE_INLINE W to_upper(W v) { return _mm512_maskz_slli_epi64(0xff, v, 32); }
GREGALE_INLINE W xor_3(W a, W b, W c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
GREGALE_INLINE W halves(W low, W high) { return _mm512_mask_blend_epi32(0xaaaa, low, high); }
GREGALE_INLINE W first_lanes(W a, W b) { return _mm512_maskz_unpacklo_epi64(0xff, a, b); }
GREGALE_INLINE W second_lanes(W a, W b) { return _mm512_maskz_unpackhi_epi64(0xff, a, b); }
GREGALE_INLINE W add_wide(W a, W b) { return _mm512_add_epi64(a, b); }
GREGALE_INLINE W set1_wide(uint64_t x) { return _mm512_set1_epi64(static_cast<int64_t>(x)); }
/// Neighbouring blocks stand so that first_lanes, then second_lanes give them in order.
GREGALE_INLINE W block_order() { return _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0); }
GREGALE_INLINE uint32_t at_least(W v, W threshold) { return _mm512_cmpge_epu32_mask(v, threshold); }
/// x where the bit of `keep` is set, else 0.
GREGALE_INLINE W kept(W x, uint32_t keep) { return _mm512_maskz_mov_epi32(static_cast<__mmask16>(keep), x); }
/// The same for halves of words.
GREGALE_INLINE W kept_16(W x, uint32_t keep) { return _mm512_maskz_mov_epi16(keep, x); }
#else
GREGALE_INLINE W product(W a, W b) { return _mm256_mul_epu32(a, b); }
GREGALE_INLINE W upper(W v) { return _mm256_shuffle_epi32(v, 0xf5); }
GREGALE_INLINE W to_upper(W v) { return _mm256_slli_epi64(v, 32); }
GREGALE_INLINE W xor_3(W a, W b, W c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
GREGALE_INLINE W halves(W low, W high) { return _mm256_blend_epi32(low, high, 0xaa); }
GREGALE_INLINE W first_lanes(W a, W b) { return _mm256_unpacklo_epi64(a, b); }
GREGALE_INLINE W second_lanes(W a, W b) { return _mm256_unpackhi_epi64(a, b); }
GREGALE_INLINE W add_wide(W a, W b) { return _mm256_add_epi64(a, b); }
GREGALE_INLINE W set1_wide(uint64_t x) { return _mm256_set1_epi64x(static_cast<int64_t>(x)); }
GREGALE_INLINE W block_order() { return _mm256_set_epi64x(3, 1, 2, 0); }
GREGALE_INLINE uint32_t at_least(W v, W threshold) {
  const W equal = _mm256_cmpeq_epi32(_mm256_max_epu32(v, threshold), v);
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(equal)));
}
GREGALE_INLINE W kept(W x, uint32_t keep) {
  const W lane = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
  const W has = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(keep)), lane), lane);
  return _mm256_and_si256(x, has);
}
GREGALE_INLINE W kept_16(W x, uint32_t keep) {
  const W lane =
      _mm256_set_epi16(-0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1);
  const W has = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16(static_cast<int16_t>(keep)), lane), lane);
  return _mm256_and_si256(x, has);
}
#endif

constexpr int kBits = 4 * kLanes;  // elements of 2 kHalf blocks: two chains of multiplications side by side
constexpr uint64_t kAllBits = ~uint64_t{0} >> (64 - kBits);

/// Draws whether elements are kept, kBits of them at a time.
class Draws {
 public:
  explicit Draws(const LayoutArguments& a)
      : step_(set1_wide(a.step)),
        stream_(set1_wide(a.stream_number)),
        threshold_(set1_w(static_cast<uint32_t>(a.threshold))),
        none_(a.threshold > 0xffffffffu) {
    auto k0 = static_cast<uint32_t>(a.seed), k1 = static_cast<uint32_t>(a.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < kHalf; ++i) key0_[round][i] = k0, key1_[round][i] = k1;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
  }

  /// Bits of the elements of blocks `block` to block + kLanes - 1.
  GREGALE_INLINE uint64_t of(const Draws& d, uint64_t block) {
    const W m0 = set1_wide(0xD2511F53u), m1 = set1_wide(0xCD9E8D57u);
    W x0[2], x1[2], x2[2], x3[2];
    for (int h = 0; h < 2; ++h) {
      // The number of a block has 62 bits: it wraps around with the index.
      x0[h] = and_w(add_wide(set1_wide(block + h * kHalf), block_order()), set1_wide(~uint64_t{0} >> 2));
      x1[h] = upper(x0[h]), x2[h] = d.step_, x3[h] = d.stream_;
    }
    for (int round = 0; round < 10; ++round) {
      const W k0 = load_w(d.key0_[round]), k1 = load_w(d.key1_[round]);
      for (int h = 0; h < 2; ++h) {
        const W p0 = product(x0[h], m0), p1 = product(x2[h], m1);
        x0[h] = xor_3(upper(p1), x1[h], k0);
        x2[h] = xor_3(upper(p0), x3[h], k1);
        x1[h] = p1;
        x3[h] = p0;
      }
    }
    uint64_t keep = 0;
    for (int h = 0; h < 2; ++h) {
      const W x01 = halves(x0[h], to_upper(x1[h])), x23 = halves(x2[h], to_upper(x3[h]));
      keep |= uint64_t{at_least(first_lanes(x01, x23), d.threshold_)} << (2 * h * kLanes);
      keep |= uint64_t{at_least(second_lanes(x01, x23), d.threshold_)} << ((2 * h + 1) * kLanes);
    }
    return d.none_ ? 0 : keep;
  }

 private:
  W step_, stream_, threshold_;
  bool none_;
  uint64_t key0_[10][kHalf], key1_[10][kHalf];  // as vectors
};

/// kBits elements by their bits; where not whole, `count` of them.
struct AsF32 {
  static constexpr int64_t kSize = 4;
  template <bool kWhole>
  GREGALE_INLINE void apply(const Byte* src, Byte* dst, F scale, uint64_t keep, int64_t count) {
    for (int64_t i = 0; i < kBits; i += kLanes, keep >>= kLanes) {
      const int64_t there = kWhole ? kLanes : smaller(count - i, kLanes);
      if (there <= 0) return;
      const W x = kWhole ? load_w(src + i * 4) : load_bytes(src + i * 4, there * 4);
      const W y = kept(bits<W>(bits<F>(x) * scale), static_cast<uint32_t>(keep));
      if constexpr (kWhole)
        store_w(dst + i * 4, y);
      else
        store_bytes(dst + i * 4, y, there * 4);
    }
  }
};
/// Even and odd elements apart, so that nothing moves between lanes.
struct AsBf16 {
  static constexpr int64_t kSize = 2;
  template <bool kWhole>
  GREGALE_INLINE void apply(const Byte* src, Byte* dst, F scale, uint64_t keep, int64_t count) {
    for (int64_t i = 0; i < kBits; i += 2 * kLanes, keep >>= 2 * kLanes) {
      const int64_t there = kWhole ? 2 * kLanes : smaller(count - i, 2 * kLanes);
      if (there <= 0) return;
      const W x = kWhole ? load_w(src + i * 2) : load_bytes(src + i * 2, there * 2);
      const F even = bits<F>(left<16>(x)) * scale, odd = bits<F>(and_w(x, set1_w(0xffff0000u))) * scale;
      const W y = kept_16(upper_pair(round_w(bits<W>(even)), round_w(bits<W>(odd))), static_cast<uint32_t>(keep));
      if constexpr (kWhole)
        store_w(dst + i * 2, y);
      else
        store_bytes(dst + i * 2, y, there * 2);
    }
  }
};

template <class As>
void dropout(LayoutArguments& a) {
  const Draws draws(a);
  const F scale = set1(static_cast<float>(a.scale));
  for (int64_t i = 0; i < a.m; ++i) {
    const uint64_t start = static_cast<uint64_t>(i) * a.row_stride + a.offset;
    uint64_t block = start / 4;
    const int skip = static_cast<int>(start % 4);
    // Where a row begins inside a block, its bits straddle two draws.
    uint64_t drawn = skip != 0 ? Draws::of(draws, block) : 0;
    const auto next = [&] {
      if (skip == 0) {
        const uint64_t keep = Draws::of(draws, block);
        block += kLanes;
        return keep;
      }
      block += kLanes;
      const uint64_t following = Draws::of(draws, block);
      const uint64_t keep = ((drawn >> skip) | (following << (kBits - skip))) & kAllBits;
      drawn = following;
      return keep;
    };
    const Byte* src = bytes_of(a.src) + i * a.src_leading * As::kSize;
    Byte* dst = bytes_of(a.dst) + i * a.dst_leading * As::kSize;
    Byte* mask = a.mask ? a.mask + i * (a.mask_leading / 8) : nullptr;
    int64_t j = 0;
    for (; j + kBits <= a.n; j += kBits) {
      const uint64_t keep = next();
      As::template apply<true>(src + j * As::kSize, dst + j * As::kSize, scale, keep, kBits);
      if (mask) __builtin_memcpy(mask + j / 8, &keep, kBits / 8);
    }
    if (j < a.n) {
      const uint64_t keep = next() & ((uint64_t{1} << (a.n - j)) - 1);
      As::template apply<false>(src + j * As::kSize, dst + j * As::kSize, scale, keep, a.n - j);
      if (mask) __builtin_memcpy(mask + j / 8, &keep, static_cast<unsigned long>(a.n - j + 7) / 8);
    }
  }
}

template <class As>
void backward(LayoutArguments& a) {
  const F scale = set1(static_cast<float>(a.scale));
  for (int64_t i = 0; i < a.m; ++i) {
    const Byte* src = bytes_of(a.src) + i * a.src_leading * As::kSize;
    Byte* dst = bytes_of(a.dst) + i * a.dst_leading * As::kSize;
    const Byte* mask = a.mask + i * (a.mask_leading / 8);
    int64_t j = 0;
    uint64_t keep = 0;
    for (; j + kBits <= a.n; j += kBits) {
      __builtin_memcpy(&keep, mask + j / 8, kBits / 8);
      As::template apply<true>(src + j * As::kSize, dst + j * As::kSize, scale, keep, kBits);
    }
    if (j < a.n) {
      __builtin_memcpy(&keep, mask + j / 8, static_cast<unsigned long>(a.n - j + 7) / 8);
      As::template apply<false>(src + j * As::kSize, dst + j * As::kSize, scale, keep, a.n - j);
    }
  }
}

}  // namespace

const DropoutTable dropout_table = {{dropout<AsF32>, dropout<AsBf16>}, {backward<AsF32>, backward<AsBf16>}};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE

#endif  // __AVX2__
