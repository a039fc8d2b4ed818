// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise/depthwise_table.hpp"
#include "kernels/vector_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

/// As many sums at once, of two vectors a pixel, as hide the latency of the multiply-add and fit in registers.
constexpr int kPixels = kLanes == 16 ? 8 : 4;

template <bool Some>
GREGALE_INLINE F get(const float* p, int64_t count) {
  return Some ? load_some(p, count) : load(p);
}

/// Of some neighbouring results, `Vectors` vectors of channels; the last of them is short where there is a tail. At a
/// border, pixels are asked one by one whether a tap sees the image.
template <int Pixels, int Vectors, bool Tail, bool Border>
GREGALE_INLINE void block(const DepthwiseRow& d, int64_t column, int64_t channel) {
  const int64_t channels = d.channels, stride = d.stride, extent = d.pixels, taps = d.taps, dilation = d.dilation;
  const int64_t last = (Vectors - 1) * kLanes, tail = channels - channel - last;
  F sums[Pixels][Vectors];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) sums[p][v] = F{};
  const float *weights = d.weights + channel, *x = d.x + channel;
  for (int64_t r = 0; r < d.rows; ++r, x += d.row_step) {
    int64_t first = column * stride - d.padding;  // pixel that the tap sees of the first result
    for (int64_t s = 0; s < taps; ++s, first += dilation, weights += channels) {
      F w[Vectors];
#pragma GCC unroll 16
      for (int v = 0; v + 1 < Vectors; ++v) w[v] = load(weights + v * kLanes);
      w[Vectors - 1] = get<Tail>(weights + last, tail);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) {
        const int64_t pixel = first + p * stride;
        if (Border && (pixel < 0 || pixel >= extent)) continue;
        const float* at = x + pixel * channels;
#pragma GCC unroll 16
        for (int v = 0; v + 1 < Vectors; ++v) sums[p][v] = fma(load(at + v * kLanes), w[v], sums[p][v]);
        sums[p][Vectors - 1] = fma(get<Tail>(at + last, tail), w[Vectors - 1], sums[p][Vectors - 1]);
      }
    }
  }
  float* y = d.y + column * channels + channel;
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p, y += channels) {
#pragma GCC unroll 16
    for (int v = 0; v + 1 < Vectors; ++v) store(y + v * kLanes, sums[p][v]);
    if (Tail)
      store_some(y + last, sums[p][Vectors - 1], tail);
    else
      store(y + last, sums[p][Vectors - 1]);
  }
}

template <int Pixels, bool Border>
void channels(const DepthwiseRow& d, int64_t column) {
  int64_t at = d.first_channel;
  for (; at + 2 * kLanes <= d.last_channel; at += 2 * kLanes) block<Pixels, 2, false, Border>(d, column, at);
  const int64_t rest = d.last_channel - at;
  if (rest > kLanes)
    block<Pixels, 2, true, Border>(d, column, at);
  else if (rest == kLanes)
    block<Pixels, 1, false, Border>(d, column, at);
  else if (rest > 0)
    block<Pixels, 1, true, Border>(d, column, at);
}

template <int Pixels>
void pixels(const DepthwiseRow& d, int64_t column) {
  const int64_t first = column * d.stride - d.padding;
  const int64_t last = first + (Pixels - 1) * d.stride + (d.taps - 1) * d.dilation;
  if (first >= 0 && last < d.pixels)
    channels<Pixels, false>(d, column);
  else
    channels<Pixels, true>(d, column);
}

/// The last pixels of a row are done together with some before them, again.
void row(const DepthwiseRow& d) {
  int64_t column = 0;
  for (; column + kPixels <= d.out; column += kPixels) pixels<kPixels>(d, column);
  const int64_t rest = d.out - column;
  if (rest == 0) return;
  if (rest > kPixels / 2 && d.out >= kPixels) return pixels<kPixels>(d, d.out - kPixels);
  constexpr int kFew = kPixels / 2;
  if (d.out >= kFew) {
    for (; column + kFew <= d.out; column += kFew) pixels<kFew>(d, column);
    if (column < d.out) pixels<kFew>(d, d.out - kFew);
    return;
  }
  for (; column < d.out; ++column) pixels<1>(d, column);
}

}  // namespace

extern const DepthwiseTable depthwise_table;
const DepthwiseTable depthwise_table = {kLanes, row};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
