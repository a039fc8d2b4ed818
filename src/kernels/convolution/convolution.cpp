// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/convolution/convolution.hpp"

#include <algorithm>

#include "kernels/contraction/contraction.hpp"

namespace gregale::kernels {
namespace {

/// Sizes of one group of one image.
struct Sizes {
  int64_t channels, outputs, taps, pixels;
  explicit Sizes(const Conv2d& p)
      : channels(p.c / p.groups), outputs(p.k / p.groups), taps(channels * p.r * p.s), pixels(p.out_h() * p.out_w()) {}
};

/// The range of output columns (or rows) whose tap at `offset` lies inside [0, extent): offset + stride * i.
void valid_range(int64_t offset, int64_t stride, int64_t extent, int64_t count, int64_t* begin, int64_t* end) {
  *begin = offset >= 0 ? 0 : std::min(count, (-offset + stride - 1) / stride);
  *end = offset >= extent ? *begin : std::max(*begin, std::min(count, (extent - 1 - offset) / stride + 1));
}

/// patches [channels * r * s, oh * ow] of one group of one image, zeros outside.
void gather_patches(ThreadTeam& team, const Conv2d& p, const Sizes& sizes, const float* x, float* patches) {
  const int64_t oh = p.out_h(), ow = p.out_w();
  parallel_for(team, sizes.taps, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, sizes.pixels)),
               [&](int64_t first, int64_t last, int) {
                 for (int64_t t = first; t < last; ++t) {
                   const float* image = x + t / (p.r * p.s) * p.h * p.w;
                   const int64_t dy = t / p.s % p.r * p.dilation_h - p.pad_top;
                   const int64_t dx = t % p.s * p.dilation_w - p.pad_left;
                   int64_t begin, end;
                   valid_range(dx, p.stride_w, p.w, ow, &begin, &end);
                   for (int64_t i = 0; i < oh; ++i) {
                     float* out = patches + t * sizes.pixels + i * ow;
                     const int64_t row = dy + i * p.stride_h;
                     if (row < 0 || row >= p.h) {
                       std::fill_n(out, ow, 0.0f);
                       continue;
                     }
                     const float* in = image + row * p.w + dx;
                     std::fill(out, out + begin, 0.0f);
                     if (p.stride_w == 1) {
                       std::copy(in + begin, in + end, out + begin);
                     } else {
                       for (int64_t j = begin; j < end; ++j) out[j] = in[j * p.stride_w];
                     }
                     std::fill(out + end, out + ow, 0.0f);
                   }
                 }
               });
}

/// The adjoint: d_x of one group of one image, each channel summed by one thread in the order of the taps.
void scatter_patches(ThreadTeam& team, const Conv2d& p, const Sizes& sizes, const float* patches, float* d_x) {
  const int64_t oh = p.out_h(), ow = p.out_w();
  const int64_t work = std::max<int64_t>(1, p.r * p.s * sizes.pixels + p.h * p.w);
  parallel_for(team, sizes.channels, std::max<int64_t>(1, kElementGrain / work), [&](int64_t first, int64_t last, int) {
    for (int64_t channel = first; channel < last; ++channel) {
      float* image = d_x + channel * p.h * p.w;
      std::fill_n(image, p.h * p.w, 0.0f);
      for (int64_t tap = 0; tap < p.r * p.s; ++tap) {
        const float* in = patches + (channel * p.r * p.s + tap) * sizes.pixels;
        const int64_t dy = tap / p.s * p.dilation_h - p.pad_top;
        const int64_t dx = tap % p.s * p.dilation_w - p.pad_left;
        int64_t begin, end;
        valid_range(dx, p.stride_w, p.w, ow, &begin, &end);
        for (int64_t i = 0; i < oh; ++i) {
          const int64_t row = dy + i * p.stride_h;
          if (row < 0 || row >= p.h) continue;
          float* out = image + row * p.w;
          for (int64_t j = begin; j < end; ++j) out[dx + j * p.stride_w] += in[i * ow + j];
        }
      }
    }
  });
}

Matmul forward_product(const Sizes& s) { return dense_matmul(s.outputs, s.pixels, s.taps); }
Matmul input_product(const Sizes& s) { return dense_matmul(s.taps, s.pixels, s.outputs, true, false); }
Matmul weights_product(const Sizes& s) { return dense_matmul(s.outputs, s.taps, s.pixels, false, true); }

int64_t patches_bytes(const Sizes& s) { return align_bytes(s.taps * s.pixels * 4); }

/// body(image, group) in order.
template <class Body>
void for_groups(const Conv2d& p, Body&& body) {
  for (int64_t image = 0; image < p.n; ++image)
    for (int64_t group = 0; group < p.groups; ++group) body(image, group);
}

}  // namespace

int64_t conv2d_scratch_bytes(Isa isa, const Conv2d& problem) {
  const Sizes sizes(problem);
  return patches_bytes(sizes) +
         std::max({matmul_scratch_bytes(isa, forward_product(sizes)), matmul_scratch_bytes(isa, input_product(sizes)),
                   matmul_scratch_bytes(isa, weights_product(sizes))});
}

void conv2d_f32(Isa isa, ThreadTeam& team, const Conv2d& p, const float* x, const float* weights, float* y,
                std::byte* scratch) {
  const Sizes sizes(p);
  float* patches = reinterpret_cast<float*>(scratch);
  std::byte* rest = scratch + patches_bytes(sizes);
  for_groups(p, [&](int64_t image, int64_t group) {
    gather_patches(team, p, sizes, x + (image * p.c + group * sizes.channels) * p.h * p.w, patches);
    matmul_f32(isa, team, forward_product(sizes), weights + group * sizes.outputs * sizes.taps, patches,
               y + (image * p.k + group * sizes.outputs) * sizes.pixels, rest);
  });
}

void conv2d_d_input_f32(Isa isa, ThreadTeam& team, const Conv2d& p, const float* weights, const float* d_y, float* d_x,
                        std::byte* scratch) {
  const Sizes sizes(p);
  float* patches = reinterpret_cast<float*>(scratch);
  std::byte* rest = scratch + patches_bytes(sizes);
  for_groups(p, [&](int64_t image, int64_t group) {
    matmul_f32(isa, team, input_product(sizes), weights + group * sizes.outputs * sizes.taps,
               d_y + (image * p.k + group * sizes.outputs) * sizes.pixels, patches, rest);
    scatter_patches(team, p, sizes, patches, d_x + (image * p.c + group * sizes.channels) * p.h * p.w);
  });
}

void conv2d_d_weights_f32(Isa isa, ThreadTeam& team, const Conv2d& p, const float* x, const float* d_y,
                          float* d_weights, std::byte* scratch) {
  const Sizes sizes(p);
  float* patches = reinterpret_cast<float*>(scratch);
  std::byte* rest = scratch + patches_bytes(sizes);
  if (p.n == 0) std::fill_n(d_weights, p.k * sizes.taps, 0.0f);
  for_groups(p, [&](int64_t image, int64_t group) {
    gather_patches(team, p, sizes, x + (image * p.c + group * sizes.channels) * p.h * p.w, patches);
    Matmul product = weights_product(sizes);
    product.accumulate = image > 0;
    matmul_f32(isa, team, product, d_y + (image * p.k + group * sizes.outputs) * sizes.pixels, patches,
               d_weights + group * sizes.outputs * sizes.taps, rest);
  });
}

}  // namespace gregale::kernels
