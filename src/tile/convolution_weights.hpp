// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "kernels/kernel_cache.hpp"
#include "tile/convolution.hpp"

namespace gregale::tile {

/// The gradient of a channels-last convolution in its weights: d_weights [r, s, c/groups, k] in f32 from x [n, h, w, c]
/// and d_y [n, oh, ow, k], both f32 or both bf16. Of volumes, d_weights [t, r, s, c/groups, k] is that of planes for
/// each of the t taps, which sees the slices of x so many further on.
///
/// Method: of every tap it is a product that sums over pixels, the channels of the pixels it sees times the outputs of
/// d_y. A task has a block of channels and one of outputs, whose sums for all taps stay in L2, and goes through bands
/// of output pixels: what a band sees of x is copied with zeros around, in bf16 turned so that pixels follow each
/// other, and one batch-reduce contraction over the rows of the band adds to the sums of each tap. So every pixel is
/// brought once for all taps (the outer products of Georganas et al., "Anatomy of high-performance deep learning
/// convolutions on SIMD architectures", SC 2018). With strides, columns and rows of the copy are sorted by what they
/// are modulo the stride; then the pixels of a tap are neighbours.
///
/// On tiles it is the other way round: d_y is turned, and what the band sees of x is packed in pairs of pixels, once
/// from the first and once from the second pixel on. So all taps read whole cache lines of both.
///
/// Bands, and the chunks of them that are summed apart where there are few blocks, depend on the shapes alone, and
/// chunks are added in order: bits do not depend on threads.
class Conv2dWeightsGradient {
 public:
  Conv2dWeightsGradient(kernels::KernelCache& cache, const Conv2d& problem, DType dtype)
      : Conv2dWeightsGradient(cache, Conv3d{.plane = problem}, dtype) {}
  Conv2dWeightsGradient(kernels::KernelCache& cache, const Conv3d& problem, DType dtype);
  int64_t scratch_bytes() const { return partials_bytes_; }
  int64_t thread_scratch_bytes() const;
  void run(ThreadTeam& team, const void* x, const void* d_y, float* d_weights, std::byte* scratch,
           std::byte* thread_scratch) const;

 private:
  /// Rows or columns: how output pixels and taps meet the copy of a band.
  struct Axis {
    int64_t stride = 1, pad = 0, extent = 0, out = 0;
    int64_t block = 1, blocks = 1;        ///< output pixels of a band
    int64_t reach = 1;                    ///< pixels of one residue that the band sees
    std::vector<int64_t> residues;        ///< those that a tap has
    std::vector<int64_t> at, residue_at;  ///< of each tap: how far on its pixels are, and which of the residues
  };
  static Axis axis(int64_t extent, int64_t out, int64_t taps, int64_t stride, int64_t dilation, int64_t pad,
                   int64_t block);
  struct Band {
    int64_t image, images, row, rows, column, columns;
  };
  Band band(int64_t index) const;
  /// Where in the copy of the band the pixels begin that tap (r, s) sees of an output row.
  int64_t row_in_copy(int64_t image, int64_t row, int64_t r = 0, int64_t s = 0) const;
  std::byte* unfold_row(const Band& band, const std::byte* x, int64_t c0, int64_t channels, std::byte* to) const;
  /// The slice of x that tap t of an output slice sees, counted through all volumes; -1 for none.
  int64_t source_slice(int64_t slice, int64_t t) const;
  void copy_band(const Band& band, int64_t t, const std::byte* x, int64_t c0, int64_t channels, std::byte* to) const;
  /// A matrix of pixels: where it is, elements from pixel to pixel, pixels.
  struct Pixels {
    const std::byte* at;
    int64_t leading, count;
  };
  Pixels image_of(const Band& band, const std::byte* x, std::byte* copy) const;
  Pixels outputs_of(const Band& band, const std::byte* d_y, int64_t outputs, std::byte* rows) const;
  /// Turns or packs.
  static void lay_out(const kernels::LayoutKernel& kernel, const Pixels& pixels, int64_t columns, void* to);
  /// What of the scratch a task works with.
  struct Work {
    std::byte *copy, *turned, *gaps, *packed;
    float* sums;
    int64_t *a_offsets, *b_offsets;
    kernels::ContractionCall call;
  };
  /// Adds a band to the sums of all taps, or begins them.
  void add_band(const Band& band, const std::byte* x, const std::byte* d_y, int64_t channels, int64_t outputs,
                bool begins, Work& work) const;
  void add_band_on_tiles(const Band& band, const std::byte* x, const std::byte* d_y, int64_t channels, int64_t outputs,
                         bool begins, Work& work) const;
  void task(int64_t index, const std::byte* x, const std::byte* d_y, float* to, std::byte* scratch) const;

  Conv3d volume_;
  Conv2d p_;                ///< of slices, as it is multiplied: few channels are joined with the taps of a row
  int64_t pixel_channels_;  ///< of x
  DType dtype_;
  Axis rows_, columns_;
  int64_t images_ = 1, bands_ = 0, chunks_ = 1;  ///< images of a band; bands in all; sums of bands kept apart
  int64_t block_c_ = 1, block_k_ = 1, blocks_c_ = 1, blocks_k_ = 1;
  int64_t call_k_ = 1;                         ///< outputs of a kernel call, not on tiles
  int64_t copy_pixels_ = 0;                    ///< of a band's copy
  int64_t turned_leading_ = 0;                 ///< elements from channel to channel of what is turned
  int64_t row_pitch_ = 0, packed_pixels_ = 0;  ///< of d_y in bf16: pixels from row to row; of a panel that is packed
  int64_t call_rows_ = 1;                      ///< rows of pixels that a kernel call sums over, not on tiles
  /// Where there are tiles, which multiply 32 pixels at a time, an image's rows are one run: d_y has zeros where the
  /// copy has what lies between them. A run is cut in parts that a kernel call sums over, of one or several images.
  bool on_tiles_ = false;
  int64_t run_pixels_ = 0, part_pixels_ = 0, run_parts_ = 1, call_runs_ = 1;
  bool odd_ = false;             ///< some tap is an odd number of pixels away
  bool turns_in_place_ = false;  ///< x is turned, on tiles packed, from where it is
  bool in_place_ = false;        ///< d_y is packed, turned or read where it is
  /// By whether the call is a tail in channels, outputs, pixels, and whether it begins the sums.
  std::shared_ptr<const kernels::ContractionKernel> kernels_[2][2][2][2];
  std::shared_ptr<const kernels::LayoutKernel> turn_, pack_, turn_sums_;
  int64_t copy_bytes_ = 0, turned_bytes_ = 0, gaps_bytes_ = 0, packed_bytes_ = 0, sums_bytes_ = 0, offsets_bytes_ = 0,
          kernel_bytes_ = 0, partials_bytes_ = 0;
};

}  // namespace gregale::tile
