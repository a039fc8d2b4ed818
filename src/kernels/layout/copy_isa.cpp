// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <type_traits>

#include "kernels/layout/tile_isa.hpp"

#if defined(__AVX2__)

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

constexpr int64_t kVector = 4 * kLanes;  // bytes

/// Rows of a few hundred bytes are copied here; the C library is as fast for longer ones.
GREGALE_INLINE void copy_row(Byte* dst, const Byte* src, int64_t bytes) {
  if (bytes > 512) {
    __builtin_memcpy(dst, src, static_cast<unsigned long>(bytes));
    return;
  }
  int64_t i = 0;
  for (; i + kVector <= bytes; i += kVector) store_w(dst + i, load_w(src + i));
  if (i < bytes) store_bytes(dst + i, load_bytes(src + i, bytes - i), bytes - i);
}
GREGALE_INLINE void zero_row(Byte* dst, int64_t bytes) {
  if (bytes > 0) __builtin_memset(dst, 0, static_cast<unsigned long>(bytes));
}
void stream_row(Byte* dst, const Byte* src, int64_t bytes) {
  int64_t i = 0;
  for (; i + 64 <= bytes; i += 64)
    for (int64_t h = 0; h < 64; h += kVector) stream_w(dst + i + h, load_w(src + i + h));
  copy_row(dst + i, src + i, bytes - i);
}

template <int kSize>
void copy(LayoutArguments& a) {
  const Byte* src = bytes_of(a.src);
  Byte* dst = bytes_of(a.dst);
  int64_t rows = a.m, row = a.n * kSize;
  if (a.src_leading == a.n && a.dst_leading == a.n) {
    row *= rows;
    rows = rows > 0 ? 1 : 0;
  }
  const int64_t src_stride = a.src_leading * kSize, dst_stride = a.dst_leading * kSize;
  if (a.stream && is_aligned(dst, 64) && (rows <= 1 || dst_stride % 64 == 0)) {
    for (int64_t i = 0; i < rows; ++i) stream_row(dst + i * dst_stride, src + i * src_stride, row);
    _mm_sfence();
    return;
  }
  for (int64_t i = 0; i < rows; ++i) copy_row(dst + i * dst_stride, src + i * src_stride, row);
}

template <int kSize>
void zero(LayoutArguments& a) {
  if (a.dst_leading == a.n) return zero_row(bytes_of(a.dst), a.m * a.n * kSize);
  for (int64_t i = 0; i < a.m; ++i) zero_row(bytes_of(a.dst) + i * a.dst_leading * kSize, a.n * kSize);
}

template <int kSize>
void pad(LayoutArguments& a) {
  for (int64_t i = 0; i < a.dst_m; ++i) {
    Byte* dst = bytes_of(a.dst) + i * a.dst_leading * kSize;
    const int64_t there = i < a.m ? a.n * kSize : 0;
    if (there > 0) copy_row(dst, bytes_of(a.src) + i * a.src_leading * kSize, there);
    zero_row(dst + there, a.dst_n * kSize - there);
  }
}

/// How many rows ahead the first lines of a gathered row are asked for: rows are anywhere in memory.
constexpr int64_t kAhead = 8;

template <class Index>
GREGALE_INLINE void ask_for(const Byte* src, const Index* indices, int64_t i, int64_t m, int64_t stride,
                            int64_t bytes) {
  if (i >= m) return;
  const Byte* p = src + static_cast<int64_t>(indices[i]) * stride;
  for (int64_t line = 0; line < bytes && line < 512; line += 64) __builtin_prefetch(p + line);
}

template <class Index, int kSize>
void gather_rows(LayoutArguments& a) {
  const auto* indices = static_cast<const Index*>(a.indices);
  const int64_t stride = a.src_leading * kSize, bytes = a.n * kSize;
  for (int64_t i = 0; i < a.m; ++i) {
    ask_for(bytes_of(a.src), indices, i + kAhead, a.m, stride, bytes);
    copy_row(bytes_of(a.dst) + i * a.dst_leading * kSize, bytes_of(a.src) + static_cast<int64_t>(indices[i]) * stride,
             bytes);
  }
}

/// Sources of a pooled gather: kCount lanes of T.
struct OfF32 {
  using V = F;
  using T = float;
  static constexpr int64_t kCount = kLanes, kSize = 4;
  GREGALE_INLINE V of(const Byte* p) { return bits<F>(load_w(p)); }
  GREGALE_INLINE V of(const Byte* p, int64_t count) { return bits<F>(load_bytes(p, 4 * count)); }
};
struct OfF64 {
  using V = D;
  using T = double;
  static constexpr int64_t kCount = kHalf, kSize = 8;
  GREGALE_INLINE V of(const Byte* p) { return bits<D>(load_w(p)); }
  GREGALE_INLINE V of(const Byte* p, int64_t count) { return bits<D>(load_bytes(p, 8 * count)); }
};
struct OfBf16 {
  using V = F;
  using T = float;
  static constexpr int64_t kCount = kLanes, kSize = 2;
  GREGALE_INLINE V of(const Byte* p) { return bits<F>(left<16>(widen_16(p))); }
  GREGALE_INLINE V of(const Byte* p, int64_t count) { return bits<F>(left<16>(widen_16(p, count))); }
};

enum : int { kSum, kMax, kMin };
template <int kPooling, class V>
GREGALE_INLINE V pooled(V sum, V x) {
  if constexpr (kPooling == kSum) {
    return sum + x;
  } else {
    const auto take = (kPooling == kMax ? x > sum : x < sum) | (x != x);
    using M = std::remove_const_t<decltype(take)>;
    return bits<V>((take & bits<M>(x)) | (~take & bits<M>(sum)));
  }
}

/// kVectors vectors of columns from `column` on, `last` of them in the last vector.
template <class Index, class Of, int kPooling, int kVectors, bool kWhole>
GREGALE_INLINE void gather_columns(const LayoutArguments& a, int64_t column, int64_t last) {
  using V = typename Of::V;
  using T = typename Of::T;
  constexpr T kStart = kPooling == kSum   ? T{0}
                       : kPooling == kMax ? -static_cast<T>(__builtin_inf())
                                          : static_cast<T>(__builtin_inf());
  const auto* indices = static_cast<const Index*>(a.indices);
  const int64_t stride = a.src_leading * Of::kSize;
  const Byte* src = bytes_of(a.src) + column * Of::kSize;
  constexpr int64_t kStep = Of::kCount * static_cast<int64_t>(sizeof(T));
  Byte* dst = bytes_of(a.dst) + column * static_cast<int64_t>(sizeof(T));
  V sums[kVectors];
  const int64_t last_bytes = last * static_cast<int64_t>(sizeof(T));
  for (int v = 0; v < kVectors; ++v) {
    if (!a.accumulate)
      sums[v] = kStart - V{};
    else
      sums[v] = bits<V>(kWhole || v + 1 < kVectors ? load_w(dst + v * kStep) : load_bytes(dst + v * kStep, last_bytes));
  }
  for (int64_t i = 0; i < a.m; ++i) {
    ask_for(src, indices, i + kAhead, a.m, stride, kVectors * Of::kCount * Of::kSize);
    const Byte* row = src + static_cast<int64_t>(indices[i]) * stride;
    for (int v = 0; v < kVectors; ++v) {
      const Byte* p = row + v * Of::kCount * Of::kSize;
      sums[v] = pooled<kPooling>(sums[v], kWhole || v + 1 < kVectors ? Of::of(p) : Of::of(p, last));
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    if (kWhole || v + 1 < kVectors)
      store_w(dst + v * kStep, bits<W>(sums[v]));
    else
      store_bytes(dst + v * kStep, bits<W>(sums[v]), last_bytes);
  }
}

template <class Index, class Of, int kPooling>
void gather_reduce(LayoutArguments& a) {
  constexpr int64_t kCount = Of::kCount;
  int64_t j = 0;
  for (; j + 8 * kCount <= a.n; j += 8 * kCount) gather_columns<Index, Of, kPooling, 8, true>(a, j, kCount);
  for (; j + 2 * kCount <= a.n; j += 2 * kCount) gather_columns<Index, Of, kPooling, 2, true>(a, j, kCount);
  for (; j < a.n; j += kCount) gather_columns<Index, Of, kPooling, 1, false>(a, j, smaller(a.n - j, kCount));
}

#define GREGALE_GATHER_REDUCE(Index, Of) \
  { gather_reduce<Index, Of, kSum>, gather_reduce<Index, Of, kMax>, gather_reduce<Index, Of, kMin> }

}  // namespace

const CopyTable copy_table = {
    {copy<1>, copy<2>, copy<4>, copy<8>},
    {zero<1>, zero<2>, zero<4>, zero<8>},
    {pad<1>, pad<2>, pad<4>, pad<8>},
    {{gather_rows<int32_t, 1>, gather_rows<int32_t, 2>, gather_rows<int32_t, 4>, gather_rows<int32_t, 8>},
     {gather_rows<int64_t, 1>, gather_rows<int64_t, 2>, gather_rows<int64_t, 4>, gather_rows<int64_t, 8>}},
    {{GREGALE_GATHER_REDUCE(int32_t, OfF32), GREGALE_GATHER_REDUCE(int32_t, OfF64),
      GREGALE_GATHER_REDUCE(int32_t, OfBf16)},
     {GREGALE_GATHER_REDUCE(int64_t, OfF32), GREGALE_GATHER_REDUCE(int64_t, OfF64),
      GREGALE_GATHER_REDUCE(int64_t, OfBf16)}}};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE

#endif  // __AVX2__
