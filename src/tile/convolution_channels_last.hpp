// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tile/convolution.hpp"

/// Two-dimensional convolution of channels-last images as a tile program: x [n, h, w, c], y [n, oh, ow, k], both dense,
/// weights [k, c/groups, r, s], packed once beforehand.
///
/// Method: output pixels are rows, output channels columns, and a row of pixels is one batch-reduce contraction over
/// the taps and a block of channels (Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
/// architectures", SC 2018). A task takes a band of output pixels of one image. Where there is more than one tap, or
/// padding, its thread first copies what the band reads to its own scratch, in blocks of channels with zeros around:
/// then pixels are as far apart as a block is deep, whatever the image's extents, and no border needs code of its own.
/// Where there is one tap, images are read where they are, and without strides all pixels of all images are one matrix
/// product.
///
/// A depthwise convolution has nothing to contract: for a block of channels it is an expression over the shifted images
/// and the weights of the taps.
///
/// The blocks of channels depend on the weights' shape, dtypes, computation and ISA alone and are summed in order: bits
/// depend neither on threads nor on the number of images, nor on the extents of the image around a pixel.
namespace gregale::tile {

struct ConvChannelsLastProblem {
  Conv2d shape;
  DType x = DType::f32, y = DType::f32;              ///< f32 or bf16
  kernels::Compute compute = kernels::Compute::f32;  ///< f32, or bf16 of x in bf16; sums are fp32
  /// Of the sums, as ContractionDesc::epilogue. Operands without broadcast have y's shape, row operands k elements.
  kernels::Expression epilogue;
  std::vector<kernels::ExpressionOperand> epilogue_inputs;
};

struct ConvChannelsLastArguments {
  const void* x = nullptr;
  const void* weights = nullptr;  ///< what pack_weights wrote
  void* y = nullptr;
  const void* const* epilogue_inputs = nullptr;
  const double* epilogue_parameters = nullptr;
};

class ConvChannelsLast {
 public:
  /// Compiles the kernels. Throws ErrorCode::invalid_argument for impossible problems.
  ConvChannelsLast(kernels::KernelCache& cache, const ConvChannelsLastProblem& problem);

  /// 64-byte aligned. `weights` is f32 or bf16 and is converted to what the computation multiplies.
  int64_t packed_weights_bytes() const { return product_ ? product_->packed_bytes() : packed_bytes_; }
  void pack_weights(ThreadTeam& team, DType dtype, const void* weights, std::byte* packed) const;

  int64_t scratch_bytes() const { return product_ ? product_->scratch_bytes() : 0; }
  int64_t thread_scratch_bytes() const { return product_ ? product_->thread_scratch_bytes() : thread_bytes_; }
  void run(ThreadTeam& team, const ConvChannelsLastArguments& arguments, std::byte* scratch,
           std::byte* thread_scratch) const;

  const ConvChannelsLastProblem& problem() const { return problem_; }
  /// The kernel of most calls.
  const kernels::KernelInfo& kernel_info() const;
  std::string describe() const;

 private:
  /// How loops are cut. `channels` is part of the numerical recipe.
  struct Blocks {
    int64_t channels = 0, count = 0;  ///< of one block, blocks of a group
    int64_t rows = 0, columns = 0;    ///< output pixels of a band
    int64_t span = 0, outputs = 0;    ///< output channels of a task, of a kernel call
  };
  /// Which band lies in a thread's scratch; compared before another is copied.
  struct BandTag {
    int64_t image = -1, group = -1, row = -1, column = -1;
    bool operator==(const BandTag&) const = default;
  };
  static constexpr int64_t kTagBytes = 64;
  static constexpr size_t kMostEpilogueInputs = 15;  // beside the sums
  static constexpr int64_t kTapsOfAKernel = 9;       // depthwise
  /// An image as the kernels read it, in elements.
  struct Source {
    const std::byte* data = nullptr;
    int64_t row = 0, block = 0;  ///< from one row of output pixels to the next, from one block of channels to the next
  };
  bool depthwise() const {
    const Conv2d& s = problem_.shape;
    return s.groups > 1 && s.groups == s.c && s.k == s.c;
  }
  bool interleaved() const { return weights_dtype_ == DType::bf16; }
  void choose_blocks(const Target& target);
  void place_taps();
  void compile(kernels::KernelCache& cache);
  void compile_depthwise(kernels::KernelCache& cache);
  void compile_finish(kernels::KernelCache& cache);
  void pack_depthwise(DType dtype, const void* weights, float* packed) const;
  void copy_band(const std::byte* x, const LoopIndex& index, std::byte* image) const;
  Source source_of(const std::byte* x, const LoopIndex& index, std::byte* scratch) const;
  void tile(const ConvChannelsLastArguments& arguments, const LoopIndex& index, std::byte* scratch) const;
  void tile_depthwise(const ConvChannelsLastArguments& arguments, const LoopIndex& index, std::byte* scratch) const;
  void finish(const ConvChannelsLastArguments& arguments, int64_t pixel, int64_t output, int64_t pixels,
              int64_t outputs, const std::byte* sums, std::byte* scratch) const;

  ConvChannelsLastProblem problem_;
  DType weights_dtype_ = DType::f32;
  std::optional<Matmul> product_;  ///< all there is to do where there is one tap, no stride and no padding
  Blocks blocks_;
  bool in_place_ = false;                           ///< images are read where they are
  bool join_taps_ = false;                          ///< taps of a row are one sum: few channels
  bool direct_ = false;                             ///< kernels write y
  int64_t band_h_ = 0, band_w_ = 0;                 ///< of a copied band
  int64_t depth_ = 0, step_ = 0;                    ///< of one sum; from pixel to pixel
  int64_t item_elements_ = 0, block_elements_ = 0;  ///< of packed weights: one sum's, one block of channels'
  std::vector<int64_t> image_offsets_, weights_offsets_;
  std::optional<LoopNest> nest_;
  /// By whether the tile is a tail in pixels, in output channels, and whether it begins the sum.
  std::shared_ptr<const kernels::ContractionKernel> kernels_[2][2][2];
  std::shared_ptr<const kernels::ExpressionKernel> finish_;
  /// Depthwise, by whether the tile is a tail in channels: a few taps each, the later ones added to the sums.
  std::vector<std::shared_ptr<const kernels::ExpressionKernel>> taps_[2];
  int64_t packed_bytes_ = 0, thread_bytes_ = 0, image_bytes_ = 0, sums_bytes_ = 0;
};

}  // namespace gregale::tile
