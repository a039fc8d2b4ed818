// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/parts_isa.hpp"
#include "kernels/layout/tile_isa.hpp"

#if defined(__AVX2__)

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

/// Where panels come from. `rows` gives words of two bf16 each, the upper from the second row, of kLanes columns,
/// of which there are `count` where that is given; a row that is null is zeros.
struct FromBf16 {
  static constexpr int kParts = 1, kSize = 2;
  GREGALE_INLINE void rows(const Byte* a, const Byte* b, W (&v)[1], Range&) {
    v[0] = or_w(widen_16(a), left<16>(widen_16(b)));
  }
  GREGALE_INLINE void rows(const Byte* a, const Byte* b, int64_t count, W (&v)[1], Range&) {
    v[0] = or_w(a ? widen_16(a, count) : zero_w(), left<16>(b ? widen_16(b, count) : zero_w()));
  }
};
/// From f32: Convert says which bf16 (in upper halves of words) become of one x.
template <class Convert>
struct FromF32 {
  static constexpr int kParts = Convert::kParts, kSize = 4;
  GREGALE_INLINE void join_rows(W x, W y, W (&v)[kParts], Range& range) {
    W a[kParts], b[kParts];
    Convert::of(x, a, range);
    Convert::of(y, b, range);
    for (int p = 0; p < kParts; ++p) v[p] = upper_pair(a[p], b[p]);
  }
  GREGALE_INLINE void rows(const Byte* a, const Byte* b, W (&v)[kParts], Range& range) {
    join_rows(load_w(a), load_w(b), v, range);
  }
  GREGALE_INLINE void rows(const Byte* a, const Byte* b, int64_t count, W (&v)[kParts], Range& range) {
    join_rows(a ? load_bytes(a, 4 * count) : zero_w(), b ? load_bytes(b, 4 * count) : zero_w(), v, range);
  }
};

template <bool kStream>
GREGALE_INLINE void put(void* p, W v) {
  if constexpr (kStream)
    stream_w(p, v);
  else
    store_w(p, v);
}

/// One block of 32 rows and 16 columns from row `k` and column `n` on.
template <class From, bool kStream, bool kWhole>
GREGALE_INLINE void plain_block(const LayoutArguments& a, int64_t k, int64_t n, Range& range) {
  const Byte* src = bytes_of(a.src) + (k * a.src_leading + n) * From::kSize;
  const int64_t stride = a.src_leading * From::kSize;
  Byte* dst = bytes_of(a.dst) + (n / 16 * a.dst_leading + k * 16) * 2;
  for (int64_t t = 0; t < 16; ++t, src += 2 * stride, dst += 64) {
    for (int64_t h = 0; h < 16; h += kLanes) {
      W v[From::kParts];
      if constexpr (kWhole) {
        From::rows(src + h * From::kSize, src + stride + h * From::kSize, v, range);
      } else {
        const int64_t count = smaller(a.n - n - h, kLanes);
        const Byte* first = k + 2 * t < a.m && count > 0 ? src + h * From::kSize : nullptr;
        const Byte* second = k + 2 * t + 1 < a.m && count > 0 ? src + stride + h * From::kSize : nullptr;
        From::rows(first, second, count, v, range);
      }
      for (int p = 0; p < From::kParts; ++p) put<kStream>(dst + p * a.part * 2 + h * 4, v[p]);
    }
  }
}

/// The same where the source is [n, k]: words of two neighbours in a row change places.
template <bool kStream, bool kWhole>
GREGALE_INLINE void trans_block(const LayoutArguments& a, int64_t k, int64_t n) {
  const int64_t stride = a.src_leading * 2;
  for (int64_t h = 0; h < 16; h += kLanes) {
    for (int64_t q = 0; q < 16; q += kLanes) {
      W v[kLanes];
      const Byte* src = bytes_of(a.src) + (n + h) * stride + (k + 2 * q) * 2;
      const int64_t count = smaller(a.m - k - 2 * q, 2 * kLanes);
      for (int r = 0; r < kLanes; ++r) {
        if constexpr (kWhole)
          v[r] = load_w(src + r * stride);
        else
          v[r] = n + h + r < a.n && count > 0 ? load_bytes(src + r * stride, 2 * count) : zero_w();
      }
      transpose_block(v);
      Byte* dst = bytes_of(a.dst) + (n / 16 * a.dst_leading + k * 16) * 2 + q * 64 + h * 4;
      for (int c = 0; c < kLanes; ++c) put<kStream>(dst + c * 64, v[c]);
    }
  }
}

/// The same from f32: what is transposed is x, so that no part has to be.
template <class From, bool kStream, bool kWhole>
GREGALE_INLINE void trans_block_f32(const LayoutArguments& a, int64_t k, int64_t n, Range& range) {
  const int64_t stride = a.src_leading * 4;
  for (int64_t h = 0; h < 16; h += kLanes) {
    for (int64_t q = 0; q < 32; q += kLanes) {
      W x[kLanes];
      const Byte* src = bytes_of(a.src) + (n + h) * stride + (k + q) * 4;
      const int64_t count = smaller(a.m - k - q, kLanes);
      for (int r = 0; r < kLanes; ++r) {
        if constexpr (kWhole)
          x[r] = load_w(src + r * stride);
        else
          x[r] = n + h + r < a.n && count > 0 ? load_bytes(src + r * stride, 4 * count) : zero_w();
      }
      transpose_block(x);
      Byte* dst = bytes_of(a.dst) + (n / 16 * a.dst_leading + (k + q) * 16) * 2 + h * 4;
      for (int r = 0; r < kLanes; r += 2, dst += 64) {
        W v[From::kParts];
        From::join_rows(x[r], x[r + 1], v, range);
        for (int p = 0; p < From::kParts; ++p) put<kStream>(dst + p * a.part * 2, v[p]);
      }
    }
  }
}

template <class From, bool kTrans, bool kStream>
void panels_loop(LayoutArguments& a) {
  Range range;
  const auto block = [&](int64_t k, int64_t n) {
    const bool whole = k + 32 <= a.m && n + 16 <= a.n;
    if constexpr (kTrans && From::kSize == 4) {
      if (whole)
        trans_block_f32<From, kStream, true>(a, k, n, range);
      else
        trans_block_f32<From, kStream, false>(a, k, n, range);
    } else if constexpr (kTrans) {
      if (whole)
        trans_block<kStream, true>(a, k, n);
      else
        trans_block<kStream, false>(a, k, n);
    } else {
      if (whole)
        plain_block<From, kStream, true>(a, k, n, range);
      else
        plain_block<From, kStream, false>(a, k, n, range);
    }
  };
  // Along the rows of the source.
  if constexpr (kTrans) {
    for (int64_t n = 0; n < a.n; n += 16)
      for (int64_t k = 0; k < a.m; k += 32) block(k, n);
  } else {
    for (int64_t k = 0; k < a.m; k += 32)
      for (int64_t n = 0; n < a.n; n += 16) block(k, n);
  }
  if constexpr (kStream) _mm_sfence();
  if constexpr (From::kParts > 1) a.range |= range.flags();
}

template <class From, bool kTrans>
void panels(LayoutArguments& a) {
  const bool aligned = is_aligned(a.dst, 64) && a.dst_leading % 32 == 0 && a.part % 32 == 0;
  if (a.stream && aligned)
    panels_loop<From, kTrans, true>(a);
  else
    panels_loop<From, kTrans, false>(a);
}

void vnni2(LayoutArguments& a) {
  const int64_t stride = a.src_leading * 2;
  for (int64_t i = 0; i < a.m; i += 2) {
    const Byte* first = bytes_of(a.src) + i * stride;
    const Byte* second = i + 1 < a.m ? first + stride : nullptr;
    Byte* dst = bytes_of(a.dst) + i * a.dst_leading * 2;
    Range range;
    W v[1];
    int64_t j = 0;
    if (second != nullptr) {
      for (; j + kLanes <= a.n; j += kLanes) {
        FromBf16::rows(first + 2 * j, second + 2 * j, v, range);
        store_w(dst + 4 * j, v[0]);
      }
    }
    for (; j < a.n; j += kLanes) {
      const int64_t count = smaller(a.n - j, kLanes);
      FromBf16::rows(first + 2 * j, second ? second + 2 * j : nullptr, count, v, range);
      store_bytes(dst + 4 * j, v[0], 4 * count);
    }
  }
}

void vnni2_back(LayoutArguments& a) {
  const int64_t stride = a.dst_leading * 2;
  for (int64_t i = 0; i < a.m; i += 2) {
    const Byte* src = bytes_of(a.src) + i * a.src_leading * 2;
    Byte* first = bytes_of(a.dst) + i * stride;
    const bool both = i + 1 < a.m;
    int64_t j = 0;
    for (; j + kLanes <= a.n; j += kLanes) {
      const W v = load_w(src + 4 * j);
      store_half(first + 2 * j, narrow_16(v));
      if (both) store_half(first + stride + 2 * j, narrow_16(right<16>(v)));
    }
    if (j < a.n) {
      const W v = load_bytes(src + 4 * j, 4 * (a.n - j));
      store_half(first + 2 * j, narrow_16(v), 2 * (a.n - j));
      if (both) store_half(first + stride + 2 * j, narrow_16(right<16>(v)), 2 * (a.n - j));
    }
  }
}

template <class Convert>
void split(LayoutArguments& a) {
  Range range;
  W v[Convert::kParts];
  for (int64_t i = 0; i < a.m; ++i) {
    const Byte* src = bytes_of(a.src) + i * a.src_leading * 4;
    Byte* dst = bytes_of(a.dst) + i * a.dst_leading * 2;
    int64_t j = 0;
    for (; j + kLanes <= a.n; j += kLanes) {
      Convert::of(load_w(src + 4 * j), v, range);
      for (int p = 0; p < Convert::kParts; ++p) store_half(dst + p * a.part * 2 + 2 * j, narrow_16(right<16>(v[p])));
    }
    if (j < a.n) {
      Convert::of(load_bytes(src + 4 * j, 4 * (a.n - j)), v, range);
      for (int p = 0; p < Convert::kParts; ++p)
        store_half(dst + p * a.part * 2 + 2 * j, narrow_16(right<16>(v[p])), 2 * (a.n - j));
    }
  }
  a.range |= range.flags();
}

template <int kParts>
void join(LayoutArguments& a) {
  for (int64_t i = 0; i < a.m; ++i) {
    const Byte* src = bytes_of(a.src) + i * a.src_leading * 2;
    Byte* dst = bytes_of(a.dst) + i * a.dst_leading * 4;
    for (int64_t j = 0; j < a.n; j += kLanes) {
      const int64_t count = smaller(a.n - j, kLanes);
      const auto part = [&](int p) {
        const Byte* at = src + p * a.part * 2 + 2 * j;
        return bits<F>(left<16>(count == kLanes ? widen_16(at) : widen_16(at, count)));
      };
      F sum = part(kParts - 1);
      for (int p = kParts - 2; p >= 0; --p) sum = sum + part(p);
      if (count == kLanes)
        store_w(dst + 4 * j, bits<W>(sum));
      else
        store_bytes(dst + 4 * j, bits<W>(sum), 4 * count);
    }
  }
}

}  // namespace

const PackTable pack_table = {vnni2,
                              vnni2_back,
                              {{panels<FromBf16, false>, panels<FromBf16, true>},
                               {panels<FromF32<Rounded>, false>, panels<FromF32<Rounded>, true>}},
                              {panels<FromF32<Parts3>, false>, panels<FromF32<Parts3>, true>},
                              {split<Parts2>, split<Parts3>},
                              {join<2>, join<3>}};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE

#endif  // __AVX2__
