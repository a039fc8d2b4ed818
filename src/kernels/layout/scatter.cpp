// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstring>
#include <type_traits>

#include "kernels/layout/layout.hpp"

namespace gregale::kernels {
namespace {

/// Columns that one task owns.
constexpr int64_t kColumns = 1024;

/// Updates `count` elements that lie side by side.
using Combine = void (*)(void* to, const void* updates, int64_t count);

template <class T, Scatter op>
void combine(void* to, const void* updates, int64_t count) {
  T* out = static_cast<T*>(to);
  const T* in = static_cast<const T*>(updates);
  for (int64_t i = 0; i < count; ++i) {
    const auto value = [](T x) {
      if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>)
        return to_f32(x);
      else if constexpr (std::is_integral_v<T>)
        return static_cast<std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>(x);
      else
        return x;
    };
    const auto a = value(out[i]), b = value(in[i]);
    auto result = a;
    if constexpr (std::is_integral_v<T> && (op == Scatter::add || op == Scatter::mul)) {  // unsigned: they wrap around
      const auto u = static_cast<uint64_t>(a), v = static_cast<uint64_t>(b);
      result = static_cast<decltype(result)>(op == Scatter::add ? u + v : u * v);
    } else if constexpr (op == Scatter::add) {
      result = a + b;
    } else if constexpr (op == Scatter::mul) {
      result = a * b;
    } else {
      result = (op == Scatter::max ? a < b : b < a) || b != b ? b : a;
      if (a != a) result = a;
    }
    if constexpr (std::is_same_v<T, f16>)
      out[i] = to_f16(result);
    else if constexpr (std::is_same_v<T, bf16>)
      out[i] = to_bf16(result);
    else
      out[i] = static_cast<T>(result);
  }
}

template <class T>
Combine combine_of(Scatter op) {
  switch (op) {
    case Scatter::add:
      return combine<T, Scatter::add>;
    case Scatter::mul:
      return combine<T, Scatter::mul>;
    case Scatter::max:
      return combine<T, Scatter::max>;
    case Scatter::min:
      return combine<T, Scatter::min>;
    case Scatter::none:
      break;
  }
  return nullptr;
}

template <size_t bytes>
void replace(void* to, const void* updates, int64_t count) {
  if (count == 1)
    std::memcpy(to, updates, bytes);
  else
    std::memcpy(to, updates, static_cast<size_t>(count) * bytes);
}

Combine combine_of(DType dtype, Scatter op) {
  if (op == Scatter::none) {
    switch (size_of(dtype)) {
      case 1:
        return replace<1>;
      case 2:
        return replace<2>;
      case 4:
        return replace<4>;
      case 8:
        return replace<8>;
      default:
        return replace<16>;
    }
  }
  switch (dtype) {
    case DType::f64:
      return combine_of<double>(op);
    case DType::f32:
      return combine_of<float>(op);
    case DType::f16:
      return combine_of<f16>(op);
    case DType::bf16:
      return combine_of<bf16>(op);
    case DType::i64:
      return combine_of<int64_t>(op);
    case DType::i32:
      return combine_of<int32_t>(op);
    case DType::i16:
      return combine_of<int16_t>(op);
    case DType::i8:
      return combine_of<int8_t>(op);
    case DType::u64:
      return combine_of<uint64_t>(op);
    case DType::u32:
      return combine_of<uint32_t>(op);
    case DType::u16:
      return combine_of<uint16_t>(op);
    case DType::u8:
    case DType::boolean:
      return combine_of<uint8_t>(op);
    default:
      return nullptr;
  }
}

void copy(ThreadTeam& team, int64_t bytes, const void* src, void* dst) {
  if (src == dst || bytes == 0) return;
  parallel_for(team, bytes, kElementGrain * 4, [&](int64_t begin, int64_t end, int) {
    std::memcpy(static_cast<char*>(dst) + begin, static_cast<const char*>(src) + begin,
                static_cast<size_t>(end - begin));
  });
}

}  // namespace

bool scatter_add_f32(ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, int64_t index_count, Indices indices,
                     const float* src, const float* updates, float* dst) {
  for (int64_t j = 0; j < index_count; ++j)
    if (indices[j] < -n || indices[j] >= n) return false;
  const int64_t blocks = (inner + kColumns - 1) / kColumns;
  const int64_t work = std::max<int64_t>(1, std::min(inner, kColumns) * (n + index_count));
  parallel_for(team, outer * blocks, std::max<int64_t>(1, kElementGrain / work), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t column = t % blocks * kColumns, width = std::min(kColumns, inner - column);
      float* out = dst + t / blocks * n * inner + column;
      const float* in = updates + t / blocks * index_count * inner + column;
      if (dst != src) {
        const float* base = src + t / blocks * n * inner + column;
        for (int64_t i = 0; i < n; ++i)
          std::memcpy(out + i * inner, base + i * inner, static_cast<size_t>(width) * sizeof(float));
      }
      for (int64_t j = 0; j < index_count; ++j) {
        const int64_t at = indices[j];
        float* row = out + (at < 0 ? at + n : at) * inner;
        for (int64_t i = 0; i < width; ++i) row[i] += in[j * inner + i];
      }
    }
  });
  return true;
}

bool scatter_supported(DType dtype, Scatter op) { return combine_of(dtype, op) != nullptr; }

bool scatter_elements(ThreadTeam& team, DType dtype, Scatter op, int64_t outer, int64_t n, int64_t inner, int64_t count,
                      Indices indices, const void* src, const void* updates, void* dst) {
  const int64_t size = size_of(dtype);
  copy(team, outer * n * inner * size, src, dst);
  std::atomic<bool> inside{true};
  const int64_t blocks = (inner + kColumns - 1) / kColumns;
  const int64_t work = std::max<int64_t>(1, std::min(inner, kColumns) * count);
  const Combine update = combine_of(dtype, op);
  parallel_for(team, outer * blocks, std::max<int64_t>(1, kElementGrain / work), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t o = t / blocks, first = t % blocks * kColumns, last = std::min(first + kColumns, inner);
      for (int64_t j = 0; j < count; ++j)
        for (int64_t i = first; i < last; ++i) {
          const int64_t from = (o * count + j) * inner + i, at = indices[from];
          if (at < -n || at >= n) return inside.store(false, std::memory_order_relaxed);
          update(static_cast<char*>(dst) + ((o * n + (at < 0 ? at + n : at)) * inner + i) * size,
                 static_cast<const char*>(updates) + from * size, 1);
        }
    }
  });
  return inside;
}

bool scatter_nd(ThreadTeam& team, DType dtype, Scatter op, int64_t batch, int64_t count, int depth,
                const int64_t* extents, int64_t inner, Indices indices, const void* src, const void* updates,
                void* dst) {
  const int64_t size = size_of(dtype);
  int64_t elements = 1;
  for (int a = 0; a < depth; ++a) elements *= extents[a];
  copy(team, batch * elements * inner * size, src, dst);
  std::atomic<bool> inside{true};
  // One block where rows are empty, so that their indices are checked, too.
  const int64_t blocks = std::max<int64_t>(1, (inner + kColumns - 1) / kColumns);
  const int64_t work = std::max<int64_t>(1, std::min(inner, kColumns) * count);
  const Combine update = combine_of(dtype, op);
  parallel_for(team, batch * blocks, std::max<int64_t>(1, kElementGrain / work), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t b = t / blocks, column = t % blocks * kColumns, width = std::min(kColumns, inner - column);
      for (int64_t j = 0; j < count; ++j) {
        int64_t row = 0;
        for (int a = 0; a < depth; ++a) {
          const int64_t n = extents[a], at = indices[(b * count + j) * depth + a];
          if (at < -n || at >= n) return inside.store(false, std::memory_order_relaxed);
          row = row * n + (at < 0 ? at + n : at);
        }
        if (width > 0)
          update(static_cast<char*>(dst) + ((b * elements + row) * inner + column) * size,
                 static_cast<const char*>(updates) + ((b * count + j) * inner + column) * size, width);
      }
    }
  });
  return inside;
}

}  // namespace gregale::kernels
