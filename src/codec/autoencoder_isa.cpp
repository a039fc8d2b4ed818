// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/autoencoder_isa.hpp"

#include <cstddef>

namespace gregale::codec::GREGALE_ISA_NAMESPACE {
namespace {

void linear(const float* src, int64_t in, const float* weights, const float* bias, int64_t out, bool leaky,
            float* dst) {
  for (int64_t begin = 0; begin < out; begin += 16) {
    float sum[16];
    for (int64_t o = 0; o < 16; ++o) sum[o] = bias[begin + o];
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < 16; ++o) sum[o] += src[i] * weights[i * out + begin + o];
    for (int64_t o = 0; o < 16; ++o) dst[begin + o] = leaky ? leaky_relu(sum[o]) : sum[o];
  }
}

template <int64_t kSide>
void convolve_side(const float* src, int64_t in, const float* weights, const float* bias, int64_t out, bool last,
                   float* dst) {
  constexpr int64_t kRow = kSide + 2, kPlane = kRow * kRow;
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t y = 0; y < kSide; ++y) {
      float sum[kSide];
      for (int64_t x = 0; x < kSide; ++x) sum[x] = bias[o];
      for (int64_t i = 0; i < in; ++i)
        for (int64_t ky = 0; ky < 3; ++ky)
          for (int64_t kx = 0; kx < 3; ++kx) {
            const float w = weights[((o * in + i) * 3 + ky) * 3 + kx];
            const float* row = src + i * kPlane + (y + ky) * kRow + kx;
            for (int64_t x = 0; x < kSide; ++x) sum[x] += w * row[x];
          }
      if (last) {
        for (int64_t x = 0; x < kSide; ++x) dst[y * kSide + x] = sum[x];
      } else {
        for (int64_t x = 0; x < kSide; ++x) dst[o * kPlane + (y + 1) * kRow + 1 + x] = leaky_relu(sum[x]);
      }
    }
  }
}

void convolve(const float* src, int64_t in, const float* weights, const float* bias, int64_t out, int64_t side,
              bool last, float* dst) {
  if (side == 16)
    convolve_side<16>(src, in, weights, bias, out, last, dst);
  else
    convolve_side<8>(src, in, weights, bias, out, last, dst);
}

}  // namespace

extern const AutoencoderTable autoencoder_rows;
const AutoencoderTable autoencoder_rows{linear, convolve};

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
