// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/convolution.hpp"

#include <algorithm>

#include "kernels/common.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {

using kernels::align_bytes;
using kernels::ContractionCall;
using kernels::ContractionDesc;
using kernels::kElementGrain;

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

int64_t patches_bytes(const Sizes& s) { return align_bytes(s.taps * s.pixels * 4); }

/// body(image, group) in order.
template <class Body>
void for_groups(const Conv2d& p, Body&& body) {
  for (int64_t image = 0; image < p.n; ++image)
    for (int64_t group = 0; group < p.groups; ++group) body(image, group);
}

constexpr int kDimC = 0, kDimTaps = 1, kDimRow = 2, kDimColumn = 3;

}  // namespace

void set_geometry(Conv2d& problem, const NodeView& node) {
  const std::vector<int64_t>&strides = node.integers("strides"), &pads = node.integers("pads"),
        &dilations = node.integers("dilations");
  problem.stride_h = strides[0];
  problem.stride_w = strides[1];
  problem.pad_top = pads[0];
  problem.pad_left = pads[1];
  problem.pad_bottom = pads[2];
  problem.pad_right = pads[3];
  problem.dilation_h = dilations[0];
  problem.dilation_w = dilations[1];
  problem.groups = node.integer("groups");
}

void set_geometry(Conv3d& problem, const NodeView& node) {
  const std::vector<int64_t>&strides = node.integers("strides"), &pads = node.integers("pads"),
        &dilations = node.integers("dilations");
  problem.stride_d = strides[0];
  problem.pad_front = pads[0];
  problem.pad_back = pads[3];
  problem.dilation_d = dilations[0];
  Conv2d& p = problem.plane;
  p.stride_h = strides[1];
  p.stride_w = strides[2];
  p.pad_top = pads[1];
  p.pad_left = pads[2];
  p.pad_bottom = pads[4];
  p.pad_right = pads[5];
  p.dilation_h = dilations[1];
  p.dilation_w = dilations[2];
  p.groups = node.integer("groups");
}

Conv2dForward::Conv2dForward(kernels::KernelCache& cache, const Conv2d& problem) : problem_(problem) {
  const Conv2d& p = problem_;
  const Sizes sizes(p);
  in_place_ =
      p.stride_h == 1 && p.stride_w == 1 && p.pad_top == 0 && p.pad_left == 0 && p.pad_bottom == 0 && p.pad_right == 0;
  plane_h_ = in_place_ ? p.h : ceil_div(p.h + p.pad_top + p.pad_bottom, p.stride_h);
  plane_w_ = in_place_ ? p.w : ceil_div(p.w + p.pad_left + p.pad_right, p.stride_w);
  rows_ = p.out_h();
  columns_ = p.out_w();
  if (plane_w_ == columns_) {  // rows join: taps are one wide at most
    columns_ *= rows_;
    rows_ = 1;
  }
  const int64_t plane = plane_h_ * plane_w_;
  for (int64_t r = 0; r < p.r; ++r)
    for (int64_t s = 0; s < p.s; ++s) {
      const int64_t y = r * p.dilation_h, x = s * p.dilation_w;
      const int64_t phase = y % p.stride_h * p.stride_w + x % p.stride_w;
      weights_offsets_.push_back((r * p.s + s) * p.k * sizes.channels);
      image_offsets_.push_back(phase * p.c * plane + y / p.stride_h * plane_w_ + x / p.stride_w);
    }
  if (p.r * p.s > 1) weights_bytes_ = align_bytes(p.k * sizes.taps * 4);  // those of one tap are in order already
  if (!in_place_) image_bytes_ = align_bytes(p.stride_h * p.stride_w * p.c * plane * 4);

  constexpr int64_t kChannels = 256, kOutputs = 96, kColumns = 64;
  block_c_ = balanced_block(sizes.channels, kChannels, 32);  // part of the recipe: nothing but the channels may matter
  block_k_ = balanced_block(sizes.outputs, kOutputs, 12);
  block_columns_ = balanced_block(columns_, kColumns, 16);
  nest_.emplace(
      std::vector<LoopDim>{{.name = "c", .extent = sizes.channels, .step = block_c_, .blocks = {}, .reduction = true},
                           {.name = "k", .extent = sizes.outputs, .step = block_k_, .blocks = {}},
                           {.name = "row", .extent = rows_, .step = 1, .blocks = {}},
                           {.name = "column", .extent = columns_, .step = block_columns_, .blocks = {}}},
      "BCDa");
  if (p.n == 0) return;
  for (const int tk : {0, 1})
    for (const int tj : {0, 1})
      for (const int tc : {0, 1})
        for (const int begins : {0, 1}) {
          ContractionDesc d;
          d.m = piece_size(sizes.outputs, block_k_, tk);
          d.n = piece_size(columns_, block_columns_, tj);
          d.k = piece_size(sizes.channels, block_c_, tc);
          if (d.m == 0 || d.n == 0 || d.k == 0) continue;
          if (begins == 1 && tc == 1 && sizes.channels >= block_c_) continue;  // a tail never begins
          if (begins == 0 && sizes.channels <= block_c_) continue;
          d.lda = sizes.channels;
          d.ldb = plane;
          d.ldc = sizes.pixels;
          d.accumulate = d.own_chain = begins == 0;
          d.addressing = ContractionDesc::Batch::offset;
          d.batch = static_cast<int64_t>(weights_offsets_.size());
          auto& kernel = kernels_[tk][tj][tc][begins];
          kernel = cache.get(d);
          thread_bytes_ = std::max(thread_bytes_, align_bytes(kernel->scratch_bytes()));
        }
}

const kernels::KernelInfo& Conv2dForward::kernel_info() const {
  static const kernels::KernelInfo none;
  for (const auto& of_k : kernels_)
    for (const auto& of_column : of_k)
      for (const auto& of_c : of_column)
        for (const auto& kernel : of_c)
          if (kernel != nullptr) return kernel->info();
  return none;
}

/// weights [k, c, r, s] as [r, s, k, c].
void Conv2dForward::sort_weights(ThreadTeam& team, const float* weights, float* sorted) const {
  const Conv2d& p = problem_;
  const int64_t channels = p.c / p.groups, taps = p.r * p.s;
  parallel_for(team, p.k, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, channels * taps)),
               [&](int64_t first, int64_t last, int) {
                 for (int64_t tap = 0; tap < taps; ++tap)
                   for (int64_t k = first; k < last; ++k)
                     for (int64_t c = 0; c < channels; ++c)
                       sorted[(tap * p.k + k) * channels + c] = weights[(k * channels + c) * taps + tap];
               });
}

/// x [c, h, w] as [phase, c, plane_h, plane_w] with zeros around.
void Conv2dForward::copy_image(ThreadTeam& team, const float* x, float* planes) const {
  const Conv2d& p = problem_;
  const int64_t plane = plane_h_ * plane_w_, phases = p.stride_h * p.stride_w;
  parallel_for(team, phases * p.c, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, plane)),
               [&](int64_t first, int64_t last, int) {
                 for (int64_t t = first; t < last; ++t) {
                   const int64_t phase = t / p.c, dx = phase % p.stride_w - p.pad_left;
                   const float* image = x + t % p.c * p.h * p.w;
                   int64_t begin, end;
                   valid_range(dx, p.stride_w, p.w, plane_w_, &begin, &end);
                   for (int64_t i = 0; i < plane_h_; ++i) {
                     float* out = planes + t * plane + i * plane_w_;
                     const int64_t row = i * p.stride_h + phase / p.stride_w - p.pad_top;
                     if (row < 0 || row >= p.h) {
                       std::fill_n(out, plane_w_, 0.0f);
                       continue;
                     }
                     const float* in = image + row * p.w;
                     std::fill(out, out + begin, 0.0f);
                     for (int64_t j = begin; j < end; ++j) out[j] = in[dx + j * p.stride_w];
                     std::fill(out + end, out + plane_w_, 0.0f);
                   }
                 }
               });
}

void Conv2dForward::run(ThreadTeam& team, const float* x, const float* weights, float* y, std::byte* scratch,
                        std::byte* thread_scratch) const {
  const Conv2d& p = problem_;
  const Sizes sizes(p);
  if (p.n == 0) return;
  if (sizes.channels == 0) {
    std::fill_n(y, p.n * p.k * sizes.pixels, 0.0f);
    return;
  }
  const float* sorted = weights;
  auto* planes = reinterpret_cast<float*>(scratch + weights_bytes_);
  if (weights_bytes_ > 0) {
    sort_weights(team, weights, reinterpret_cast<float*>(scratch));
    sorted = reinterpret_cast<const float*>(scratch);
  }
  const int64_t plane = plane_h_ * plane_w_;
  for (int64_t image = 0; image < p.n; ++image) {
    const float* source = x + image * p.c * p.h * p.w;
    if (!in_place_) {
      copy_image(team, source, planes);
      source = planes;
    }
    for (int64_t group = 0; group < p.groups; ++group) {
      nest_->run(team, [&](const LoopIndex& index, int thread) {
        const int64_t c0 = index.begin[kDimC], k0 = index.begin[kDimTaps] + group * sizes.outputs;
        const int64_t row = index.begin[kDimRow], column = index.begin[kDimColumn];
        ContractionCall call;
        call.a_offsets = weights_offsets_.data();
        call.b_offsets = image_offsets_.data();
        call.scratch = thread_scratch + thread * thread_bytes_;
        const auto& kernel = kernels_[index.size[kDimTaps] != block_k_][index.size[kDimColumn] != block_columns_]
                                     [index.size[kDimC] != block_c_][c0 == 0];
        (*kernel)(sorted + k0 * sizes.channels + c0,
                  source + (group * sizes.channels + c0) * plane + row * plane_w_ + column,
                  y + (image * p.k + k0) * sizes.pixels + row * p.out_w() + column, &call);
      });
    }
  }
}

Conv2dAdjoint::Conv2dAdjoint(kernels::KernelCache& cache, const Conv2d& problem, Of of) : problem_(problem), of_(of) {
  const Sizes s(problem);
  MatmulProblem product = of == Of::input ? dense_matmul(s.taps, s.pixels, s.outputs, true, false)
                                          : dense_matmul(s.outputs, s.taps, s.pixels, false, true);
  first_.emplace(cache, product);
  if (of == Of::input) return;
  product.accumulate = true;
  further_.emplace(cache, product);
}

int64_t Conv2dAdjoint::scratch_bytes() const { return patches_bytes(Sizes(problem_)) + first_->scratch_bytes(); }

void Conv2dAdjoint::run(ThreadTeam& team, const float* weights_or_x, const float* d_y, float* dst, std::byte* scratch,
                        std::byte* thread_scratch) const {
  const Conv2d& p = problem_;
  const Sizes sizes(p);
  auto* patches = reinterpret_cast<float*>(scratch);
  std::byte* rest = scratch + patches_bytes(sizes);
  if (of_ == Of::weights && p.n == 0) std::fill_n(dst, p.k * sizes.taps, 0.0f);
  for_groups(p, [&](int64_t image, int64_t group) {
    const float* d = d_y + (image * p.k + group * sizes.outputs) * sizes.pixels;
    const int64_t at_x = (image * p.c + group * sizes.channels) * p.h * p.w;
    const int64_t at_weights = group * sizes.outputs * sizes.taps;
    if (of_ == Of::input) {
      first_->run(team, {weights_or_x + at_weights, d, patches}, rest, thread_scratch);
      scatter_patches(team, p, sizes, patches, dst + at_x);
    } else {
      gather_patches(team, p, sizes, weights_or_x + at_x, patches);
      const Matmul& product = image == 0 ? *first_ : *further_;
      product.run(team, {d, patches, dst + at_weights}, rest, thread_scratch);
    }
  });
}

}  // namespace gregale::tile
