// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/layout_reference.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "gregale/dtype.hpp"

namespace gregale::kernels {
namespace {

/// Element `index` of an array whose elements have `size` bytes.
const std::byte* at(const void* base, int64_t index, int64_t size) {
  return static_cast<const std::byte*>(base) + index * size;
}
std::byte* at(void* base, int64_t index, int64_t size) { return static_cast<std::byte*>(base) + index * size; }

void move(const LayoutArguments& a, int64_t to, int64_t from, int64_t size) {
  std::memcpy(at(a.dst, to, size), at(a.src, from, size), static_cast<size_t>(size));
}
void clear(const LayoutArguments& a, int64_t to, int64_t size) {
  std::memset(at(a.dst, to, size), 0, static_cast<size_t>(size));
}

int64_t index_at(const LayoutDesc& desc, const LayoutArguments& a, int64_t i) {
  return desc.index == DType::i32 ? static_cast<const int32_t*>(a.indices)[i]
                                  : static_cast<const int64_t*>(a.indices)[i];
}

/// Element i of what is summed as T; no conversion where there need not be one, which would change a signalling NaN.
template <class T>
T value_at(DType dtype, const void* data, int64_t i) {
  if constexpr (std::is_same_v<T, double>) {
    return static_cast<const double*>(data)[i];
  } else {
    return dtype == DType::bf16 ? to_f32(static_cast<const bf16*>(data)[i]) : static_cast<const float*>(data)[i];
  }
}

/// The upper 16 bits of x and of what each leaves; of two parts the second is rounded.
std::array<bf16, 3> split_of(float x, int parts, int& range) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (!std::isfinite(x)) {
    range |= kRangeNotFinite;
    const uint32_t quiet = std::isnan(x) ? 0x40u : 0u;
    return {bf16{static_cast<uint16_t>((bits >> 16) | quiet)}, bf16{}, bf16{}};
  }
  if (x != 0 && std::fabs(x) < 0x1p-103f) range |= kRangeTiny;
  const auto truncated = [](float y) { return bf16{static_cast<uint16_t>(std::bit_cast<uint32_t>(y) >> 16)}; };
  const bf16 high = truncated(x);
  const float rest = x - to_f32(high);
  if (parts == 2) return {high, to_bf16(rest), bf16{}};
  const bf16 middle = truncated(rest);
  return {high, middle, truncated(rest - to_f32(middle))};
}

/// Element (row, column) of the logical tile in the source.
int64_t source_of(const LayoutDesc& desc, const LayoutArguments& a, int64_t row, int64_t column) {
  return desc.trans ? column * a.src_leading + row : row * a.src_leading + column;
}

/// Whole numbers from -128 to 127 in bf16.
void panels16_of_bytes(const LayoutDesc& desc, const LayoutArguments& a) {
  const auto* src = static_cast<const bf16*>(a.src);
  const int64_t row_step = desc.trans ? 1 : a.src_leading, column_step = desc.trans ? a.src_leading : 1;
  for (int64_t first = 0; first < round_up(a.n, 16); first += 16) {
    auto* dst = static_cast<int8_t*>(a.dst) + first / 16 * a.dst_leading;
    for (int64_t row = 0; row < round_up(a.m, 32); ++row)
      for (int64_t column = first; column < first + 16; ++column) {
        const bool there = row < a.m && column < a.n;
        dst[row / 2 * 32 + row % 2 * 16 + column - first] =
            there ? static_cast<int8_t>(to_f32(src[row * row_step + column * column_step])) : int8_t{0};
      }
  }
}

void panels16(const LayoutDesc& desc, LayoutArguments& a) {
  if (desc.dst == DType::i8) return panels16_of_bytes(desc, a);
  const int parts = desc.op == LayoutOp::panels16x3 ? 3 : 1;
  auto* dst = static_cast<bf16*>(a.dst);
  for (int64_t row = 0; row < round_up(a.m, 32); ++row) {
    for (int64_t column = 0; column < round_up(a.n, 16); ++column) {
      const int64_t to = column / 16 * a.dst_leading + row / 2 * 32 + column % 16 * 2 + row % 2;
      std::array<bf16, 3> x{};
      if (row < a.m && column < a.n) {
        const int64_t from = source_of(desc, a, row, column);
        if (desc.src == DType::bf16)
          x[0] = static_cast<const bf16*>(a.src)[from];
        else if (parts == 1)
          x[0] = to_bf16(static_cast<const float*>(a.src)[from]);
        else
          x = split_of(static_cast<const float*>(a.src)[from], 3, a.range);
      }
      for (int p = 0; p < parts; ++p) dst[p * a.part + to] = x[static_cast<size_t>(p)];
    }
  }
}

void split(const LayoutDesc& desc, LayoutArguments& a) {
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t j = 0; j < a.n; ++j) {
      const auto x = split_of(static_cast<const float*>(a.src)[i * a.src_leading + j], desc.parts, a.range);
      for (int p = 0; p < desc.parts; ++p)
        static_cast<bf16*>(a.dst)[p * a.part + i * a.dst_leading + j] = x[static_cast<size_t>(p)];
    }
  }
}

void join(const LayoutDesc& desc, const LayoutArguments& a) {
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t j = 0; j < a.n; ++j) {
      const auto part = [&](int p) {
        return to_f32(static_cast<const bf16*>(a.src)[p * a.part + i * a.src_leading + j]);
      };
      const float rest = desc.parts == 3 ? part(2) + part(1) : part(1);
      static_cast<float*>(a.dst)[i * a.dst_leading + j] = rest + part(0);
    }
  }
}

template <class T>
void gather_reduce(const LayoutDesc& desc, const LayoutArguments& a) {
  auto* dst = static_cast<T*>(a.dst);
  for (int64_t j = 0; j < a.n; ++j) {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    T sum = desc.pooling == Pooling::sum ? T{0} : desc.pooling == Pooling::max ? -kInfinity : kInfinity;
    if (a.accumulate) sum = dst[j];
    for (int64_t i = 0; i < a.m; ++i) {
      const T x = value_at<T>(desc.src, a.src, index_at(desc, a, i) * a.src_leading + j);
      if (desc.pooling == Pooling::sum)
        sum += x;
      else if (x != x || (desc.pooling == Pooling::max ? x > sum : x < sum))
        sum = x;
    }
    dst[j] = sum;
  }
}

void scaled(const LayoutDesc& desc, const LayoutArguments& a, int64_t i, int64_t j, bool keep) {
  const int64_t from = i * a.src_leading + j, to = i * a.dst_leading + j;
  if (desc.src == DType::f64) {
    static_cast<double*>(a.dst)[to] = keep ? static_cast<const double*>(a.src)[from] * a.scale : 0;
    return;
  }
  const float x = keep ? value_at<float>(desc.src, a.src, from) * static_cast<float>(a.scale) : 0;
  if (desc.src == DType::bf16)
    static_cast<bf16*>(a.dst)[to] = to_bf16(x);
  else
    static_cast<float*>(a.dst)[to] = x;
}

void dropout(const LayoutDesc& desc, const LayoutArguments& a) {
  const RandomKey key{a.seed, a.step, a.stream_number};
  for (int64_t i = 0; i < a.m; ++i) {
    uint8_t* mask = a.mask ? a.mask + i * (a.mask_leading / 8) : nullptr;
    for (int64_t j = 0; j < a.n; ++j) {
      const uint64_t index = static_cast<uint64_t>(i) * a.row_stride + static_cast<uint64_t>(j) + a.offset;
      const bool keep = philox(key, index / 4)[index % 4] >= a.threshold;
      scaled(desc, a, i, j, keep);
      if (mask == nullptr) continue;
      if (j % 8 == 0) mask[j / 8] = 0;
      mask[j / 8] = static_cast<uint8_t>(mask[j / 8] | (keep ? 1u << (j % 8) : 0u));
    }
  }
}

}  // namespace

void layout_reference(const LayoutDesc& desc, LayoutArguments& a) {
  const int64_t size = size_of(desc.src);
  switch (desc.op) {
    case LayoutOp::copy:
    case LayoutOp::zero:
    case LayoutOp::gather_rows:
      for (int64_t i = 0; i < a.m; ++i) {
        const int64_t row = desc.op == LayoutOp::gather_rows ? index_at(desc, a, i) : i;
        for (int64_t j = 0; j < a.n; ++j) {
          if (desc.op == LayoutOp::zero)
            clear(a, i * a.dst_leading + j, size);
          else
            move(a, i * a.dst_leading + j, row * a.src_leading + j, size);
        }
      }
      return;
    case LayoutOp::pad:
      for (int64_t i = 0; i < a.dst_m; ++i) {
        for (int64_t j = 0; j < a.dst_n; ++j) {
          if (i < a.m && j < a.n)
            move(a, i * a.dst_leading + j, i * a.src_leading + j, size);
          else
            clear(a, i * a.dst_leading + j, size);
        }
      }
      return;
    case LayoutOp::transpose:
      for (int64_t j = 0; j < a.n; ++j)
        for (int64_t i = 0; i < a.m; ++i) move(a, j * a.dst_leading + i, i * a.src_leading + j, size);
      return;
    case LayoutOp::vnni2:
      for (int64_t i = 0; i < round_up(a.m, 2); ++i) {
        for (int64_t j = 0; j < a.n; ++j) {
          const int64_t to = i / 2 * 2 * a.dst_leading + 2 * j + i % 2;
          if (i < a.m)
            move(a, to, source_of(desc, a, i, j), size);
          else
            clear(a, to, size);
        }
      }
      return;
    case LayoutOp::vnni2_back:
      for (int64_t i = 0; i < a.m; ++i)
        for (int64_t j = 0; j < a.n; ++j)
          move(a, i * a.dst_leading + j, i / 2 * 2 * a.src_leading + 2 * j + i % 2, size);
      return;
    case LayoutOp::panels16:
    case LayoutOp::panels16x3:
      return panels16(desc, a);
    case LayoutOp::column_panels:
      for (int64_t j = 0; j < round_up(a.n, a.width); ++j) {
        for (int64_t i = 0; i < a.m; ++i) {
          const int64_t to = j / a.width * a.dst_leading + i * a.width + j % a.width;
          if (j < a.n)
            move(a, to, source_of(desc, a, i, j), size);
          else
            clear(a, to, size);
        }
      }
      return;
    case LayoutOp::split:
      return split(desc, a);
    case LayoutOp::join:
      return join(desc, a);
    case LayoutOp::gather_reduce:
      return desc.src == DType::f64 ? gather_reduce<double>(desc, a) : gather_reduce<float>(desc, a);
    case LayoutOp::dropout:
      return dropout(desc, a);
    case LayoutOp::dropout_backward:
      for (int64_t i = 0; i < a.m; ++i)
        for (int64_t j = 0; j < a.n; ++j)
          scaled(desc, a, i, j, ((a.mask[i * (a.mask_leading / 8) + j / 8] >> (j % 8)) & 1u) != 0);
      return;
  }
}

}  // namespace gregale::kernels
