// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/tile_isa.hpp"

#if defined(__AVX2__)

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

/// One transposition: `rows` rows of the source become columns of the destination, which has `stored` of them (the rest
/// zeros); `row_bytes` are there in each source row, the destination has `columns` rows.
struct Tile {
  const Byte* src;
  Byte* dst;
  int64_t src_stride, dst_stride;  // bytes
  int64_t rows, stored, row_bytes, columns;
};

/// kLanes words of which each holds the elements of 4 / kSize rows from `row` on: the words are columns.
template <int kSize, bool kWhole>
GREGALE_INLINE W words_of(const Tile& t, int64_t row, int64_t byte) {
  const Byte* p = t.src + row * t.src_stride + byte;
  const int64_t there = kWhole ? 0 : smaller(t.row_bytes - byte, kLanes * kSize);
  const auto has = [&](int64_t r) { return kWhole || (row + r < t.rows && there > 0); };
  if constexpr (kSize == 4) {
    if constexpr (kWhole) return load_w(p);
    return has(0) ? load_bytes(p, there) : zero_w();
  } else if constexpr (kSize == 2) {
    W v[2];
    for (int r = 0; r < 2; ++r) {
      if constexpr (kWhole)
        v[r] = widen_16(p + r * t.src_stride);
      else
        v[r] = has(r) ? widen_16(p + r * t.src_stride, there / 2) : zero_w();
    }
    return or_w(v[0], left<16>(v[1]));
  } else {
    W v[4];
    for (int r = 0; r < 4; ++r) {
      if constexpr (kWhole)
        v[r] = widen_8(p + r * t.src_stride);
      else
        v[r] = has(r) ? widen_8(p + r * t.src_stride, there) : zero_w();
    }
    return or_w(or_w(v[0], left<8>(v[1])), or_w(left<16>(v[2]), left<24>(v[3])));
  }
}

template <int kSize, bool kWhole>
GREGALE_INLINE void block(const Tile& t, int64_t row, int64_t column) {
  Byte* dst = t.dst + column * t.dst_stride + row * kSize;
  if constexpr (kSize == 8) {
    W v[kHalf];
    const int64_t there = smaller(t.row_bytes - column * 8, kHalf * 8);
    for (int r = 0; r < kHalf; ++r) {
      const Byte* p = t.src + (row + r) * t.src_stride + column * 8;
      if constexpr (kWhole)
        v[r] = load_w(p);
      else
        v[r] = row + r < t.rows && there > 0 ? load_bytes(p, there) : zero_w();
    }
    transpose_wide_block(v);
    const int64_t bytes = smaller(t.stored - row, kHalf) * 8;
    for (int c = 0; c < kHalf; ++c) {
      if constexpr (kWhole)
        store_w(dst + c * t.dst_stride, v[c]);
      else if (column + c < t.columns)
        store_bytes(dst + c * t.dst_stride, v[c], bytes);
    }
  } else {
    W v[kLanes];
    for (int g = 0; g < kLanes; ++g) v[g] = words_of<kSize, kWhole>(t, row + g * (4 / kSize), column * kSize);
    transpose_block(v);
    const int64_t bytes = smaller((t.stored - row) * kSize, 4 * kLanes);
    for (int c = 0; c < kLanes; ++c) {
      if constexpr (kWhole)
        store_w(dst + c * t.dst_stride, v[c]);
      else if (column + c < t.columns)
        store_bytes(dst + c * t.dst_stride, v[c], bytes);
    }
  }
}

/// 2 kLanes rows and columns of 16 bits: pairs of rows become words, half of the columns at a time.
GREGALE_INLINE void whole_block_16(const Tile& t, int64_t row, int64_t column) {
  const Byte* src = t.src + row * t.src_stride + column * 2;
  Byte* dst = t.dst + column * t.dst_stride + row * 2;
  for (int half = 0; half < 2; ++half) {
    W v[kLanes];
    for (int g = 0; g < kLanes; ++g) {
      const Byte* p = src + 2 * g * t.src_stride;
      const W a = load_w(p), b = load_w(p + t.src_stride);
      v[g] = half == 0 ? first_pairs_16(a, b) : second_pairs_16(a, b);
    }
    transpose_block(v);
    // Each 128 bits had eight columns, of which the first or the second four are here.
    for (int c = 0; c < kLanes; ++c) store_w(dst + (c / 4 * 8 + half * 4 + c % 4) * t.dst_stride, v[c]);
  }
}

/// Down the rows of the source first: the destination is then written along its rows, which the processor foresees,
/// and loads that it does not foresee overlap better than stores.
template <int kSize>
void tile(const Tile& t) {
  constexpr int64_t kColumns = kSize == 8 ? kHalf : kLanes, kRows = 4 * kLanes / kSize;
  int64_t column = 0;
  if constexpr (kSize == 2) {
    for (; (column + 2 * kLanes) * 2 <= t.row_bytes; column += 2 * kLanes) {
      int64_t row = 0;
      for (; row + kRows <= t.rows; row += kRows) whole_block_16(t, row, column);
      for (; row < t.stored; row += kRows) {
        block<2, false>(t, row, column);
        block<2, false>(t, row, column + kLanes);
      }
    }
  }
  for (; column < t.columns; column += kColumns) {
    const int64_t whole_rows = (column + kColumns) * kSize <= t.row_bytes ? t.rows : 0;
    int64_t row = 0;
    for (; row + kRows <= whole_rows; row += kRows) block<kSize, true>(t, row, column);
    for (; row < t.stored; row += kRows) block<kSize, false>(t, row, column);
  }
}

template <int kSize>
void transpose(LayoutArguments& a) {
  tile<kSize>(
      {bytes_of(a.src), bytes_of(a.dst), a.src_leading * kSize, a.dst_leading * kSize, a.m, a.m, a.n * kSize, a.n});
}

/// Pairs along a row of the source are words, and the words change places.
void vnni2_trans(LayoutArguments& a) {
  tile<4>({bytes_of(a.src), bytes_of(a.dst), a.src_leading * 2, a.dst_leading * 4, a.n, a.n, a.m * 2, (a.m + 1) / 2});
}

template <int kSize>
void column_panels_trans(LayoutArguments& a) {
  for (int64_t first = 0; first < a.n; first += a.width) {
    tile<kSize>({bytes_of(a.src) + first * a.src_leading * kSize,
                 bytes_of(a.dst) + first / a.width * a.dst_leading * kSize, a.src_leading * kSize, a.width * kSize,
                 smaller(a.n - first, a.width), a.width, a.m * kSize, a.m});
  }
}

template <int kSize>
void column_panels(LayoutArguments& a) {
  const int64_t width = a.width * kSize;  // from here on in bytes
  for (int64_t first = 0; first < a.n; first += a.width) {
    const int64_t there = smaller(a.n - first, a.width) * kSize;
    const Byte* src = bytes_of(a.src) + first * kSize;
    Byte* dst = bytes_of(a.dst) + first / a.width * a.dst_leading * kSize;
    for (int64_t i = 0; i < a.m; ++i, src += a.src_leading * kSize, dst += width) {
      int64_t at = 0;
      for (; at + 4 * kLanes <= there; at += 4 * kLanes) store_w(dst + at, load_w(src + at));
      for (; at < width; at += 4 * kLanes) {
        const int64_t left_there = smaller(there - at, 4 * kLanes);
        store_bytes(dst + at, left_there > 0 ? load_bytes(src + at, left_there) : zero_w(),
                    smaller(width - at, 4 * kLanes));
      }
    }
  }
}

}  // namespace

const TransposeTable transpose_table = {
    {transpose<1>, transpose<2>, transpose<4>, transpose<8>},
    vnni2_trans,
    {{column_panels<4>, column_panels_trans<4>}, {column_panels<8>, column_panels_trans<8>}}};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE

#endif  // __AVX2__
