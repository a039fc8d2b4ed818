// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The run of a channels-last convolution: what a task does.
#include <algorithm>
#include <cstring>

#include "tile/convolution_channels_last.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {

using kernels::Broadcast;
using kernels::ContractionCall;

namespace {

constexpr int kDimImage = 0, kDimGroup = 1, kDimRow = 2, kDimColumn = 3, kDimOutput = 4;

}  // namespace

/// What a band of output pixels reads: [block of channels][band_h][band_w][channels], zeros where there is no image.
void ConvChannelsLast::copy_band(const std::byte* x, const LoopIndex& index, std::byte* image) const {
  const Conv2d& s = problem_.shape;
  const int64_t size = size_of(problem_.x), depth = blocks_.channels;
  const int64_t channels = depthwise() ? depth : s.c / s.groups, channel = index.begin[kDimGroup] * channels;
  const int64_t rows = (index.size[kDimRow] - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1;
  const int64_t columns = (index.size[kDimColumn] - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1;
  const int64_t y0 = index.begin[kDimRow] * s.stride_h - s.pad_top;
  const int64_t x0 = index.begin[kDimColumn] * s.stride_w - s.pad_left;
  const int64_t first = std::clamp<int64_t>(-x0, 0, columns), last = std::clamp<int64_t>(s.w - x0, first, columns);
  const auto clear = [&](std::byte* to, int64_t elements) {
    if (elements > 0) std::memset(to, 0, static_cast<size_t>(elements * size));
  };
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t y = y0 + i;
    for (int64_t block = 0; block < blocks_.count; ++block) {
      std::byte* to = image + (block * band_h_ + i) * band_w_ * depth * size;
      if (y < 0 || y >= s.h) {
        clear(to, columns * depth);
        continue;
      }
      const std::byte* from =
          x + (((index.begin[kDimImage] * s.h + y) * s.w + x0 + first) * s.c + channel + block * depth) * size;
      clear(to, first * depth);
      clear(to + last * depth * size, (columns - last) * depth);
      to += first * depth * size;
      if (depth == s.c) {
        std::memcpy(to, from, static_cast<size_t>((last - first) * depth * size));
        continue;
      }
      const int64_t there = std::min({depth, channels - block * depth, s.c - channel});
      for (int64_t j = first; j < last; ++j, to += depth * size, from += s.c * size) {
        std::memcpy(to, from, static_cast<size_t>(there * size));
        clear(to + there * size, depth - there);
      }
    }
  }
}

ConvChannelsLast::Source ConvChannelsLast::source_of(const std::byte* x, const LoopIndex& index,
                                                     std::byte* scratch) const {
  const Conv2d& s = problem_.shape;
  if (in_place_) {
    const int64_t pixel =
        (index.begin[kDimImage] * s.h + index.begin[kDimRow] * s.stride_h) * s.w + index.begin[kDimColumn] * s.stride_w;
    const int64_t channel = index.begin[kDimGroup] * (s.c / s.groups);
    return {x + (pixel * s.c + channel) * size_of(problem_.x), s.stride_h * s.w * s.c, blocks_.channels};
  }
  auto* tag = reinterpret_cast<BandTag*>(scratch);
  std::byte* image = scratch + kTagBytes;
  const BandTag wanted{index.begin[kDimImage], index.begin[kDimGroup], index.begin[kDimRow], index.begin[kDimColumn]};
  if (!(*tag == wanted)) copy_band(x, index, image);
  *tag = wanted;
  const int64_t row = band_w_ * blocks_.channels;
  return {image, s.stride_h * row, band_h_ * row};
}

/// The epilogue of the sums of `pixels` pixels in a row, or their rounding.
void ConvChannelsLast::finish(const ConvChannelsLastArguments& arguments, int64_t pixel, int64_t output, int64_t pixels,
                              int64_t outputs, const std::byte* sums, std::byte* scratch) const {
  const ConvChannelsLastProblem& p = problem_;
  const void* inputs[kMostEpilogueInputs + 1] = {sums};
  for (size_t i = 0; i < p.epilogue_inputs.size(); ++i) {
    const kernels::ExpressionOperand& o = p.epilogue_inputs[i];
    int64_t offset = 0;
    if (o.broadcast == Broadcast::none) offset = pixel * p.shape.k + output;
    if (o.broadcast == Broadcast::row) offset = output;
    if (o.broadcast == Broadcast::column) offset = pixel;
    inputs[i + 1] = static_cast<const std::byte*>(arguments.epilogue_inputs[i]) + offset * size_of(o.dtype);
  }
  void* outputs_at[] = {static_cast<std::byte*>(arguments.y) + (pixel * p.shape.k + output) * size_of(p.y)};
  kernels::ExpressionCall call;
  call.m = pixels;
  call.n = outputs;
  call.inputs = inputs;
  call.outputs = outputs_at;
  call.parameters = arguments.epilogue_parameters;
  call.scratch = scratch;
  (*finish_)(call);
}

void ConvChannelsLast::tile(const ConvChannelsLastArguments& arguments, const LoopIndex& index,
                            std::byte* scratch) const {
  const Conv2d& s = problem_.shape;
  const Source source = source_of(static_cast<const std::byte*>(arguments.x), index, scratch);
  std::byte* sums = scratch + kTagBytes + image_bytes_;
  std::byte* rest = sums + sums_bytes_;
  ContractionCall call;
  call.lda = step_;
  call.a_offsets = image_offsets_.data();
  call.b_offsets = weights_offsets_.data();
  call.scratch = rest;
  const int64_t outputs = s.k / s.groups, group = index.begin[kDimGroup], columns = index.size[kDimColumn];
  const int64_t panels = ceil_div(outputs, blocks_.outputs), end = index.begin[kDimOutput] + index.size[kDimOutput];
  for (int64_t k0 = index.begin[kDimOutput]; k0 < end; k0 += blocks_.outputs) {
    const int64_t n = std::min(blocks_.outputs, end - k0);
    const auto* weights = static_cast<const std::byte*>(arguments.weights) + (group * panels + k0 / blocks_.outputs) *
                                                                                 blocks_.count * block_elements_ *
                                                                                 size_of(weights_dtype_);
    for (int64_t block = 0; block < blocks_.count; ++block) {
      const auto& kernel = *kernels_[columns != blocks_.columns][n != blocks_.outputs][block == 0];
      for (int64_t i = 0; i < index.size[kDimRow]; ++i) {
        const int64_t pixel =
            (index.begin[kDimImage] * s.out_h() + index.begin[kDimRow] + i) * s.out_w() + index.begin[kDimColumn];
        const std::byte* a = source.data + (i * source.row + block * source.block) * size_of(problem_.x);
        const std::byte* b = weights + block * block_elements_ * size_of(weights_dtype_);
        if (direct_) {
          kernel(a, b,
                 static_cast<std::byte*>(arguments.y) + (pixel * s.k + group * outputs + k0) * size_of(problem_.y),
                 &call);
          continue;
        }
        std::byte* to = blocks_.count > 1 ? sums + i * blocks_.columns * blocks_.outputs * 4 : sums;
        kernel(a, b, to, &call);
        if (block + 1 == blocks_.count) finish(arguments, pixel, group * outputs + k0, columns, n, to, rest);
      }
    }
  }
}

void ConvChannelsLast::tile_depthwise(const ConvChannelsLastArguments& arguments, const LoopIndex& index,
                                      std::byte* scratch) const {
  const Conv2d& s = problem_.shape;
  const Source source = source_of(static_cast<const std::byte*>(arguments.x), index, scratch);
  std::byte* sums = scratch + kTagBytes + image_bytes_;
  std::byte* rest = sums + sums_bytes_;
  const int64_t c0 = index.begin[kDimGroup] * blocks_.channels, n = std::min(blocks_.channels, s.c - c0);
  const auto taps = static_cast<int64_t>(image_offsets_.size());
  const void* inputs[2 * kTapsOfAKernel + 1];
  void* outputs[] = {sums};
  kernels::ExpressionCall call;
  call.m = index.size[kDimColumn];
  call.inputs = inputs;
  call.outputs = outputs;
  call.scratch = rest;
  for (int64_t i = 0; i < index.size[kDimRow]; ++i) {
    for (int64_t first = 0; first < taps; first += kTapsOfAKernel) {
      const int64_t count = std::min(kTapsOfAKernel, taps - first);
      for (int64_t t = 0; t < count; ++t) {
        const int64_t offset = i * source.row + image_offsets_[static_cast<size_t>(first + t)];
        inputs[t] = source.data + offset * size_of(problem_.x);
        inputs[count + t] = static_cast<const float*>(arguments.weights) + (first + t) * s.c + c0;
      }
      inputs[2 * count] = sums;
      (*taps_[n != blocks_.channels][static_cast<size_t>(first / kTapsOfAKernel)])(call);
    }
    const int64_t pixel =
        (index.begin[kDimImage] * s.out_h() + index.begin[kDimRow] + i) * s.out_w() + index.begin[kDimColumn];
    finish(arguments, pixel, c0, call.m, n, sums, rest);
  }
}

void ConvChannelsLast::run(ThreadTeam& team, const ConvChannelsLastArguments& arguments, std::byte* scratch,
                           std::byte* thread_scratch) const {
  if (product_) {
    product_->run(
        team, {arguments.x, arguments.weights, arguments.y, arguments.epilogue_inputs, arguments.epilogue_parameters},
        scratch, thread_scratch);
    return;
  }
  for (int thread = 0; thread < team.size(); ++thread)  // what lies in the scratch is not this run's
    *reinterpret_cast<BandTag*>(thread_scratch + thread * thread_bytes_) = BandTag{};
  nest_->run(team, [&](const LoopIndex& index, int thread) {
    std::byte* own = thread_scratch + thread * thread_bytes_;
    depthwise() ? tile_depthwise(arguments, index, own) : tile(arguments, index, own);
  });
}

}  // namespace gregale::tile
