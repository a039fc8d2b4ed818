// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/elementwise/elementwise_table.hpp"
#include "kernels/isa_table.hpp"
#include "kernels/loops.hpp"

namespace gregale::kernels {
namespace {

const ElementwiseTable& elementwise_table_of(Isa isa) {
  return table_for(isa, isa_generic::elementwise_table, isa_avx2::elementwise_table, isa_avx512::elementwise_table);
}

/// Elements of operands with other strides than 0 and 1 that are gathered at a time.
constexpr int64_t kGather = 512;

/// An operand's piece with stride 0 or 1: itself, or a copy in `buffer`. `Width` values an element.
template <int Width, class T>
const T* even_operand(const T* src, int64_t stride, int64_t n, T* buffer) {
  if (stride == 0 || stride == 1) return src;
  for (int64_t i = 0; i < n; ++i)
    for (int j = 0; j < Width; ++j) buffer[i * Width + j] = src[i * stride * Width + j];
  return buffer;
}

/// run(n, a, a_stride, b, b_stride, dst) over all rows, with operand strides 0 or 1.
template <int Width, class Out, class Run>
void binary_rows(ThreadTeam& team, int rank, const int64_t* extents, const float* a, const int64_t* a_strides,
                 const float* b, const int64_t* b_strides, Out* dst, int out_width, Run run) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t dst_strides[kMaxRank];
  dense_strides(rank, extents, dst_strides);
  const auto loops = collapse<3>(rank, extents, {a_strides, b_strides, dst_strides});
  const int64_t a_step = loops.strides[loops.rank - 1][0], b_step = loops.strides[loops.rank - 1][1];
  const bool even = (a_step == 0 || a_step == 1) && (b_step == 0 || b_step == 1);
  for_rows(team, loops, [&](const int64_t(&at)[3], int64_t n) {
    const int64_t step = even ? n : std::min(n, kGather);
    float a_buffer[kGather * Width], b_buffer[kGather * Width];
    for (int64_t i = 0; i < n; i += step) {
      const int64_t count = std::min(step, n - i);
      run(count, even_operand<Width>(a + (at[0] + i * a_step) * Width, a_step, count, a_buffer), a_step == 0 ? 0 : 1,
          even_operand<Width>(b + (at[1] + i * b_step) * Width, b_step, count, b_buffer), b_step == 0 ? 0 : 1,
          dst + (at[2] + i) * out_width);
    }
  });
}

template <class Body>
void for_elements(ThreadTeam& team, int64_t count, Body&& body) {
  parallel_for(team, count, kElementGrain, [&](int64_t begin, int64_t end, int) { body(begin, end - begin); });
}

}  // namespace

bool broadcast_strides(int from_rank, const int64_t* from, int to_rank, const int64_t* to, int64_t* strides) {
  if (from_rank > to_rank) return false;
  int64_t step = 1;
  for (int i = to_rank - 1; i >= 0; --i) {
    const int at = i - (to_rank - from_rank);
    strides[i] = 0;
    if (at < 0 || from[at] == 1) continue;
    if (from[at] != to[i]) return false;
    strides[i] = step;
    step *= from[at];
  }
  return true;
}

void unary_f32(Isa isa, ThreadTeam& team, UnaryOp op, int64_t count, const float* src, float* dst, float parameter) {
  const auto run = elementwise_table_of(isa).unary[static_cast<int>(op)];
  for_elements(team, count, [&](int64_t at, int64_t n) { run(n, src + at, dst + at, parameter); });
}

void binary_f32(Isa isa, ThreadTeam& team, BinaryOp op, int rank, const int64_t* extents, const float* a,
                const int64_t* a_strides, const float* b, const int64_t* b_strides, float* dst) {
  binary_rows<1>(team, rank, extents, a, a_strides, b, b_strides, dst, 1,
                 elementwise_table_of(isa).binary[static_cast<int>(op)]);
}

void compare_f32(Isa isa, ThreadTeam& team, CompareOp op, int rank, const int64_t* extents, const float* a,
                 const int64_t* a_strides, const float* b, const int64_t* b_strides, uint8_t* dst) {
  binary_rows<1>(team, rank, extents, a, a_strides, b, b_strides, dst, 1,
                 elementwise_table_of(isa).compare[static_cast<int>(op)]);
}

void binary_c64(Isa isa, ThreadTeam& team, ComplexOp op, int rank, const int64_t* extents, const float* a,
                const int64_t* a_strides, const float* b, const int64_t* b_strides, float* dst) {
  binary_rows<2>(team, rank, extents, a, a_strides, b, b_strides, dst, 2,
                 elementwise_table_of(isa).complex_binary[static_cast<int>(op)]);
}

void select_f32(Isa isa, ThreadTeam& team, int rank, const int64_t* extents, const uint8_t* condition,
                const int64_t* condition_strides, const float* a, const int64_t* a_strides, const float* b,
                const int64_t* b_strides, float* dst) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t dst_strides[kMaxRank];
  dense_strides(rank, extents, dst_strides);
  const auto loops = collapse<4>(rank, extents, {condition_strides, a_strides, b_strides, dst_strides});
  const int64_t* steps = loops.strides[loops.rank - 1];
  const bool even =
      (steps[0] == 0 || steps[0] == 1) && (steps[1] == 0 || steps[1] == 1) && (steps[2] == 0 || steps[2] == 1);
  const auto run = elementwise_table_of(isa).select;
  for_rows(team, loops, [&](const int64_t(&at)[4], int64_t n) {
    const int64_t step = even ? n : std::min(n, kGather);
    uint8_t c_buffer[kGather];
    float a_buffer[kGather], b_buffer[kGather];
    for (int64_t i = 0; i < n; i += step) {
      const int64_t count = std::min(step, n - i);
      run(count, even_operand<1>(condition + at[0] + i * steps[0], steps[0], count, c_buffer), steps[0] == 0 ? 0 : 1,
          even_operand<1>(a + at[1] + i * steps[1], steps[1], count, a_buffer), steps[1] == 0 ? 0 : 1,
          even_operand<1>(b + at[2] + i * steps[2], steps[2], count, b_buffer), steps[2] == 0 ? 0 : 1, dst + at[3] + i);
    }
  });
}

void complex_join(Isa, ThreadTeam& team, int64_t count, const float* re, const float* im, float* z) {
  for_elements(team, count, [&](int64_t at, int64_t n) {
    for (int64_t i = at; i < at + n; ++i) {
      z[2 * i] = re != nullptr ? re[i] : 0.0f;
      z[2 * i + 1] = im != nullptr ? im[i] : 0.0f;
    }
  });
}

void complex_split(Isa, ThreadTeam& team, int64_t count, const float* z, float* re, float* im) {
  for_elements(team, count, [&](int64_t at, int64_t n) {
    if (re != nullptr) {
      for (int64_t i = at; i < at + n; ++i) re[i] = z[2 * i];
    }
    if (im != nullptr) {
      for (int64_t i = at; i < at + n; ++i) im[i] = z[2 * i + 1];
    }
  });
}

bool cast_supported(DType from, DType to) {
  const auto known = [](DType dtype) {
    return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16 ||
           dtype == DType::i64 || dtype == DType::boolean;
  };
  return known(from) && known(to) && (from == DType::f32 || to == DType::f32);
}

void cast(Isa isa, ThreadTeam& team, DType from, DType to, int64_t count, const void* src, void* dst) {
  GREGALE_ASSERT(cast_supported(from, to));
  const ElementwiseTable& table = elementwise_table_of(isa);
  for_elements(team, count, [&](int64_t at, int64_t n) {
    if (to == DType::f32) {
      float* out = static_cast<float*>(dst) + at;
      switch (from) {
        case DType::f64:
          return table.from_f64(n, static_cast<const double*>(src) + at, out);
        case DType::bf16:
          return table.from_bf16(n, static_cast<const uint16_t*>(src) + at, out);
        case DType::i64:
          return table.from_i64(n, static_cast<const int64_t*>(src) + at, out);
        case DType::boolean:
          return table.from_bool(n, static_cast<const uint8_t*>(src) + at, out);
        case DType::f16:
          for (int64_t i = 0; i < n; ++i) out[i] = to_f32(static_cast<const f16*>(src)[at + i]);
          return;
        default:
          if (dst != src) std::memcpy(out, static_cast<const float*>(src) + at, static_cast<size_t>(n) * 4);
          return;
      }
    }
    const float* in = static_cast<const float*>(src) + at;
    switch (to) {
      case DType::f64:
        return table.to_f64(n, in, static_cast<double*>(dst) + at);
      case DType::bf16:
        return table.to_bf16(n, in, static_cast<uint16_t*>(dst) + at);
      case DType::f16:
        for (int64_t i = 0; i < n; ++i) static_cast<f16*>(dst)[at + i] = to_f16(in[i]);
        return;
      case DType::i64:
        for (int64_t i = 0; i < n; ++i) {
          const bool fits = in[i] >= -0x1p63f && in[i] < 0x1p63f;
          static_cast<int64_t*>(dst)[at + i] = fits ? static_cast<int64_t>(in[i]) : INT64_MIN;
        }
        return;
      default:
        for (int64_t i = 0; i < n; ++i) static_cast<uint8_t*>(dst)[at + i] = in[i] != 0.0f ? 1 : 0;
    }
  });
}

void fill_f32(Isa, ThreadTeam& team, int64_t count, float value, float* dst) {
  for_elements(team, count, [&](int64_t at, int64_t n) { std::fill_n(dst + at, n, value); });
}

void copy_bytes(ThreadTeam& team, int64_t bytes, const void* src, void* dst) {
  parallel_for(team, bytes, kElementGrain * 8, [&](int64_t begin, int64_t end, int) {
    std::memcpy(static_cast<char*>(dst) + begin, static_cast<const char*>(src) + begin,
                static_cast<size_t>(end - begin));
  });
}

void adam_update_f32(Isa isa, ThreadTeam& team, const AdamStep& options, int64_t count, const float* parameter,
                     const float* m, const float* v, const float* gradient, float* new_parameter, float* new_m,
                     float* new_v) {
  const double step = options.step, rate = options.learning_rate;
  AdamFactors k;
  k.scale = options.scale;
  k.beta1 = static_cast<float>(options.beta1);
  k.one_minus_beta1 = static_cast<float>(1 - options.beta1);
  k.beta2 = static_cast<float>(options.beta2);
  k.one_minus_beta2 = static_cast<float>(1 - options.beta2);
  k.step_size = static_cast<float>(rate / (1 - std::pow(options.beta1, step)));
  k.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, step)));
  k.epsilon = static_cast<float>(options.epsilon);
  k.decay = static_cast<float>(rate * options.weight_decay);
  const auto run = elementwise_table_of(isa).adam;
  for_elements(team, count, [&](int64_t at, int64_t n) {
    run(n, k, parameter + at, m + at, v + at, gradient + at, new_parameter + at, new_m + at, new_v + at);
  });
}

}  // namespace gregale::kernels
