// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/convolution_channels_last.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {

using kernels::align_bytes;
using kernels::Broadcast;
using kernels::Compute;
using kernels::ContractionCall;
using kernels::ContractionDesc;
using kernels::kAtCall;

namespace {

bool has_padding(const Conv2d& s) { return (s.pad_top | s.pad_left | s.pad_bottom | s.pad_right) != 0; }
bool one_tap(const Conv2d& s) { return s.r * s.s == 1; }

}  // namespace

ConvChannelsLast::ConvChannelsLast(kernels::KernelCache& cache, const ConvChannelsLastProblem& problem)
    : problem_(problem) {
  ConvChannelsLastProblem& p = problem_;
  const Conv2d& s = p.shape;
  const auto check = [](bool holds, const char* what) { GREGALE_CHECK(holds, invalid_argument, "[conv2d] {}", what); };
  check(s.n >= 0 && s.c > 0 && s.h > 0 && s.w > 0 && s.k > 0 && s.r > 0 && s.s > 0, "an extent is not positive");
  check(s.stride_h > 0 && s.stride_w > 0 && s.dilation_h > 0 && s.dilation_w > 0,
        "a stride or dilation is not positive");
  check(std::min({s.pad_top, s.pad_left, s.pad_bottom, s.pad_right}) >= 0, "padding is negative");
  check(s.groups > 0 && s.c % s.groups == 0 && s.k % s.groups == 0, "groups do not divide the channels");
  check(s.h + s.pad_top + s.pad_bottom >= s.dilation_h * (s.r - 1) + 1 &&
            s.w + s.pad_left + s.pad_right >= s.dilation_w * (s.s - 1) + 1,
        "the taps reach beyond the padded image");
  const auto f32_or_bf16 = [](DType d) { return d == DType::f32 || d == DType::bf16; };
  check(f32_or_bf16(p.x) && f32_or_bf16(p.y), "x and y are f32 or bf16");
  check(p.compute == Compute::f32 || (p.compute == Compute::bf16 && p.x == DType::bf16),
        "the computation is f32, or bf16 of x in bf16");
  check(p.epilogue_inputs.size() <= kMostEpilogueInputs, "too many operands of the epilogue");
  check(!p.epilogue.empty() || p.epilogue_inputs.empty(), "operands of an epilogue that there is not");
  for (kernels::ExpressionOperand& o : p.epilogue_inputs) {
    check(o.dtype != DType::boolean, "the epilogue takes no masks");
    check(o.broadcast != Broadcast::none || o.leading == kAtCall || o.leading == s.k,
          "full operands of the epilogue have y's shape");
    o.leading = s.k;
  }
  weights_dtype_ = p.compute == Compute::bf16 ? DType::bf16 : DType::f32;
  if (one_tap(s) && s.stride_h == 1 && s.stride_w == 1 && s.groups == 1 && !has_padding(s)) {
    MatmulProblem product = dense_matmul(s.n * s.h * s.w, s.k, s.c, false, true);
    product.a = p.x;
    product.b = weights_dtype_;
    product.c = p.y;
    product.compute = p.compute;
    product.packed_b = true;
    product.epilogue = p.epilogue;
    product.epilogue_inputs = p.epilogue_inputs;
    product_.emplace(cache, product);
    return;
  }
  choose_blocks(cache.target());
  place_taps();
  depthwise() ? compile_depthwise(cache) : compile(cache);
}

void ConvChannelsLast::choose_blocks(const Target& target) {
  const Conv2d& s = problem_.shape;
  const bool depth = depthwise();             // blocks of channels are what groups are otherwise
  constexpr int64_t kDepthwiseChannels = 64;  // three rows of 30 pixels are 23 KB of L1
  const int64_t channels = depth ? std::min(s.c, kDepthwiseChannels) : s.c / s.groups;
  const int64_t groups = depth ? ceil_div(s.c, channels) : s.groups;
  const int64_t outputs = depth ? channels : s.k / s.groups, oh = s.out_h(), ow = s.out_w();
  const int64_t size = size_of(problem_.x), weight = size_of(weights_dtype_);
  const bool tiles = kernels::has_tiles(target) && problem_.compute == Compute::bf16;
  blocks_.outputs = interleaved() ? (tiles ? 32 : 64) : target.isa >= Isa::avx512 ? 64 : 16;
  // One call's weights stay in L2 while the rows of a band go by.
  constexpr int64_t kCallBytes = 160 << 10;
  const int64_t most = kCallBytes / (s.r * s.s * blocks_.outputs * weight);
  blocks_.channels = balanced_block(channels, std::max<int64_t>(most, 16), 16);
  if (depth) blocks_.channels = blocks_.outputs = channels;
  blocks_.count = ceil_div(channels, blocks_.channels);
  in_place_ = !depth && one_tap(s) && !has_padding(s) && channels % blocks_.channels == 0;

  constexpr int64_t kColumns = 128;
  blocks_.columns = balanced_block(ow, kColumns, 4);
  const auto copied = [&](int64_t rows) {
    return ((rows - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1) *
           ((blocks_.columns - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1) * blocks_.channels * blocks_.count *
           size;
  };
  blocks_.rows = oh;
  const int64_t most_sums = target.l2_bytes / 4 / (blocks_.columns * blocks_.outputs * 4);
  if (blocks_.count > 1) blocks_.rows = std::clamp<int64_t>(most_sums, 1, oh);
  while (blocks_.rows > 1 && copied(blocks_.rows) > target.l2_bytes / 4) --blocks_.rows;
  blocks_.rows = balanced_block(oh, blocks_.rows, 1);
  blocks_.span = round_up(outputs, blocks_.outputs);
  // Enough bands for the cores: of two tasks both read either the same weights or the same band.
  constexpr int64_t kCellsPerCore = 4, kTaskWork = 1 << 20;
  const int64_t weights_bytes = s.r * s.s * channels * outputs * weight;
  for (;;) {
    const int64_t cells = std::max<int64_t>(s.n, 1) * groups * ceil_div(oh, blocks_.rows) *
                          ceil_div(ow, blocks_.columns) * ceil_div(outputs, blocks_.span);
    const int64_t work =
        blocks_.rows * blocks_.columns * std::min(outputs, blocks_.span) * (depth ? 1 : channels) * s.r * s.s;
    if (target.cores <= 1 || cells >= kCellsPerCore * target.cores || work < 2 * kTaskWork) break;
    const bool can_span = blocks_.span > blocks_.outputs, can_rows = blocks_.rows > 1;
    if (can_span && (!can_rows || weights_bytes > copied(blocks_.rows))) {
      blocks_.span = round_up(ceil_div(blocks_.span, 2), blocks_.outputs);
    } else if (can_rows) {
      blocks_.rows = ceil_div(blocks_.rows, 2);
    } else {
      break;
    }
  }
}

/// Where the sums of one kernel call begin in the image and in the packed weights.
void ConvChannelsLast::place_taps() {
  const Conv2d& s = problem_.shape;
  const int64_t c = blocks_.channels, channels = s.c / s.groups;
  constexpr int64_t kFewChannels = 32;  // neighbouring taps are neighbours in the copy
  join_taps_ = !in_place_ && !depthwise() && s.s > 1 && s.dilation_w == 1 && c < kFewChannels;
  depth_ = join_taps_ ? s.s * c : c;
  band_h_ = (blocks_.rows - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1;
  band_w_ = (blocks_.columns - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1;
  step_ = s.stride_w * (in_place_ ? s.c : c);
  item_elements_ = interleaved() ? round_up(depth_, 32) * 16 : depth_ * blocks_.outputs;
  const int64_t sums = s.r * (join_taps_ ? 1 : s.s);
  for (int64_t i = 0; i < sums; ++i) {
    const int64_t r = join_taps_ ? i : i / s.s, column = join_taps_ ? 0 : i % s.s;
    image_offsets_.push_back((r * s.dilation_h * band_w_ + column * s.dilation_w) * c);
    weights_offsets_.push_back(i * item_elements_);
  }
  block_elements_ = sums * item_elements_ * (interleaved() ? blocks_.outputs / 16 : 1);
  packed_bytes_ = align_bytes(s.groups * ceil_div(s.k / s.groups, blocks_.outputs) * blocks_.count * block_elements_ *
                              size_of(weights_dtype_));
  if (!in_place_) image_bytes_ = align_bytes(band_h_ * band_w_ * c * blocks_.count * size_of(problem_.x));
  if (depthwise()) packed_bytes_ = align_bytes(s.r * s.s * s.c * 4);
  direct_ = blocks_.count == 1 && problem_.epilogue.empty() && !depthwise();
  const int64_t rows = blocks_.count > 1 ? blocks_.rows : 1;
  if (!direct_) sums_bytes_ = align_bytes(rows * blocks_.columns * blocks_.outputs * 4);
  const int64_t groups = depthwise() ? ceil_div(s.c, c) : s.groups, outputs = depthwise() ? c : s.k / s.groups;
  nest_.emplace(std::vector<LoopDim>{{.name = "image", .extent = s.n, .step = 1, .blocks = {}},
                                     {.name = "group", .extent = groups, .step = 1, .blocks = {}},
                                     {.name = "row", .extent = s.out_h(), .step = blocks_.rows, .blocks = {}},
                                     {.name = "column", .extent = s.out_w(), .step = blocks_.columns, .blocks = {}},
                                     {.name = "output", .extent = outputs, .step = blocks_.span, .blocks = {}}},
                "ABCDE");
  GREGALE_ASSERT(!in_place_ || channels == c * blocks_.count);
}

void ConvChannelsLast::compile(kernels::KernelCache& cache) {
  const Conv2d& s = problem_.shape;
  const bool tiles = kernels::has_tiles(cache.target()) && problem_.compute == Compute::bf16;
  int64_t kernel_bytes = 0;
  for (const int tp : {0, 1})
    for (const int tk : {0, 1})
      for (const int begins : {0, 1}) {
        ContractionDesc d;
        d.m = piece_size(s.out_w(), blocks_.columns, tp);
        d.n = piece_size(s.k / s.groups, blocks_.outputs, tk);
        d.k = depth_;
        if (d.m == 0 || d.n == 0 || (begins == 0 && blocks_.count == 1)) continue;
        d.a = problem_.x;
        d.b = weights_dtype_;
        d.compute = problem_.compute;
        d.lda = step_ >= depth_ ? step_ : kAtCall;  // joined taps: rows overlap
        d.ldb = interleaved() ? block_elements_ / (blocks_.outputs / 16) : blocks_.outputs;
        if (interleaved()) d.b_packing = kernels::Packing::panels16;
        d.c = direct_ ? problem_.y : DType::f32;
        d.ldc = direct_ ? s.k : blocks_.outputs;
        d.accumulate = begins == 0;
        d.own_chain = begins == 0 && !tiles;  // as in tile::Matmul
        d.addressing = ContractionDesc::Batch::offset;
        d.batch = static_cast<int64_t>(image_offsets_.size());
        auto& kernel = kernels_[tp][tk][begins];
        kernel = cache.get(d);
        kernel_bytes = std::max(kernel_bytes, align_bytes(kernel->scratch_bytes()));
      }
  thread_bytes_ = kTagBytes + image_bytes_ + sums_bytes_ + kernel_bytes;
  compile_finish(cache);
}

void ConvChannelsLast::compile_depthwise(kernels::KernelCache& cache) {
  using kernels::ExprOp;
  const Conv2d& s = problem_.shape;
  int64_t kernel_bytes = 0;
  for (const int tail : {0, 1})
    for (int64_t first = 0; first < s.r * s.s; first += kTapsOfAKernel) {
      const int count = static_cast<int>(std::min(kTapsOfAKernel, s.r * s.s - first));
      kernels::ExpressionDesc d;
      d.n = piece_size(s.c, blocks_.channels, tail);
      if (d.n == 0) continue;
      kernels::Expression& e = d.expression;
      kernels::Expression::Id sum = first > 0 ? e.input(2 * count) : -1;
      for (int t = 0; t < count; ++t) {
        const auto x = e.input(t), w = e.input(count + t);
        sum = sum < 0 ? e.apply(ExprOp::mul, x, w) : e.apply(ExprOp::multiply_add, x, w, sum);
      }
      e.output(sum);
      const auto taps = static_cast<size_t>(count);
      d.inputs.assign(taps, {.dtype = problem_.x, .leading = step_});
      d.inputs.insert(d.inputs.end(), taps, {.broadcast = Broadcast::row});
      if (first > 0) d.inputs.push_back({.leading = blocks_.channels});
      d.outputs = {{.leading = blocks_.channels}};
      taps_[tail].push_back(cache.get(d));
      kernel_bytes = std::max(kernel_bytes, align_bytes(taps_[tail].back()->scratch_bytes(d.n)));
    }
  thread_bytes_ = kTagBytes + image_bytes_ + sums_bytes_ + kernel_bytes;
  compile_finish(cache);
}

/// The epilogue's kernel, or the one that rounds; its scratch may be another kernel's.
void ConvChannelsLast::compile_finish(kernels::KernelCache& cache) {
  if (direct_) return;
  kernels::ExpressionDesc d;
  d.inputs = {{.leading = blocks_.outputs}};
  d.inputs.insert(d.inputs.end(), problem_.epilogue_inputs.begin(), problem_.epilogue_inputs.end());
  d.outputs = {{.dtype = problem_.y, .leading = problem_.shape.k}};
  d.expression = problem_.epilogue;
  if (d.expression.empty()) d.expression.output(d.expression.input(0));
  finish_ = cache.get(d);
  thread_bytes_ = std::max(
      thread_bytes_, kTagBytes + image_bytes_ + sums_bytes_ + align_bytes(finish_->scratch_bytes(blocks_.outputs)));
}

/// [tap][channel], in f32: products of bf16 are exact there.
void ConvChannelsLast::pack_depthwise(DType dtype, const void* weights, float* packed) const {
  const Conv2d& s = problem_.shape;
  const int64_t taps = s.r * s.s;
  for (int64_t i = 0; i < s.c * taps; ++i) {
    float w =
        dtype == DType::f32 ? static_cast<const float*>(weights)[i] : to_f32(static_cast<const bf16*>(weights)[i]);
    if (problem_.compute == Compute::bf16) w = to_f32(to_bf16(w));
    packed[i % taps * s.c + i / taps] = w;
  }
}

void ConvChannelsLast::pack_weights(ThreadTeam& team, DType dtype, const void* weights, std::byte* packed) const {
  const Conv2d& s = problem_.shape;
  GREGALE_CHECK(dtype == DType::f32 || dtype == DType::bf16, invalid_argument, "[conv2d] weights are f32 or bf16");
  const auto value = [&](int64_t i) {
    return dtype == DType::f32 ? static_cast<const float*>(weights)[i] : to_f32(static_cast<const bf16*>(weights)[i]);
  };
  const auto store = [&](std::byte* to, int64_t i, float x) {
    if (interleaved()) {
      reinterpret_cast<bf16*>(to)[i] = to_bf16(x);
    } else {
      reinterpret_cast<float*>(to)[i] = x;
    }
  };
  if (depthwise()) return pack_depthwise(dtype, weights, reinterpret_cast<float*>(packed));
  if (product_) {
    if (dtype == weights_dtype_) return product_->pack_b(team, weights, packed);
    std::vector<std::byte> converted(static_cast<size_t>(s.k * s.c * size_of(weights_dtype_)));
    for (int64_t i = 0; i < s.k * s.c; ++i) store(converted.data(), i, value(i));
    return product_->pack_b(team, converted.data(), packed);
  }
  const int64_t channels = s.c / s.groups, outputs = s.k / s.groups, panels = ceil_div(outputs, blocks_.outputs);
  const int64_t bytes = block_elements_ * size_of(weights_dtype_), taps = s.r * s.s;
  const int64_t leading = interleaved() ? block_elements_ / (blocks_.outputs / 16) : 0;
  parallel_for(team, s.groups * panels * blocks_.count, 1, [&](int64_t task, int64_t, int) {
    std::byte* to = packed + task * bytes;
    std::memset(to, 0, static_cast<size_t>(bytes));
    const int64_t c0 = task % blocks_.count * blocks_.channels, panel = task / blocks_.count % panels;
    const int64_t group = task / blocks_.count / panels, k0 = panel * blocks_.outputs;
    for (int64_t k = 0; k < std::min(blocks_.outputs, outputs - k0); ++k)
      for (int64_t c = 0; c < std::min(blocks_.channels, channels - c0); ++c)
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t item = join_taps_ ? tap / s.s : tap;
          const int64_t at = join_taps_ ? tap % s.s * blocks_.channels + c : c;
          const int64_t place =
              item * item_elements_ +
              (interleaved() ? k / 16 * leading + at / 2 * 32 + k % 16 * 2 + at % 2 : at * blocks_.outputs + k);
          store(to, place, value(((group * outputs + k0 + k) * channels + c0 + c) * taps + tap));
        }
  });
}

const kernels::KernelInfo& ConvChannelsLast::kernel_info() const {
  if (product_) return product_->kernel_info();
  for (const auto& of_pixels : kernels_)
    for (const auto& of_outputs : of_pixels)
      for (const auto& kernel : of_outputs)
        if (kernel != nullptr) return kernel->info();
  if (!taps_[0].empty()) return taps_[0].front()->info();
  static const kernels::KernelInfo none;
  return none;
}

std::string ConvChannelsLast::describe() const {
  if (product_) return product_->describe();
  return fmt::format(
      "convolution: bands of {}x{} pixels, {} output channels ({} a call), {} blocks of {} channels, {}{}; {}, {}",
      blocks_.rows, blocks_.columns, blocks_.span, blocks_.outputs, blocks_.count, blocks_.channels,
      in_place_ ? "images in place" : "images copied", join_taps_ ? ", taps joined" : "", kernel_info().implementation,
      kernel_info().blocking);
}

}  // namespace gregale::tile
