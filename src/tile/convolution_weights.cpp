// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/convolution_weights.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/common.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {

using kernels::align_bytes;
using kernels::ContractionCall;
using kernels::ContractionDesc;

namespace {

// All of these are part of the numerical recipe, so they are no function of the caches.
constexpr int64_t kBandPixels = 1024;     ///< a band's block of x and of d_y are some 200 KB each
constexpr int64_t kCallPixels = 256;      ///< of d_y with 64 outputs: 32 KB, which all taps meet in L1
constexpr int64_t kTileCallPixels = 512;  ///< of x with 32 channels, the same
constexpr int64_t kTilePixels = 32;       ///< that tiles multiply at a time
constexpr int64_t kTileChannels = 32;     ///< of a kernel call on tiles
constexpr int64_t kSumsBytes = 320 << 10, kTileSumsBytes = 640 << 10;      ///< of all taps, in L2
constexpr int64_t kMostChannels = 256, kMostOutputs = 256, kOutputs = 64;  ///< of a block; of a kernel call
constexpr int64_t kChunkPixels = 2048;  ///< at least: what sums of chunks cost is little beside their products
constexpr int64_t kTasks = 32;          ///< so many, where there are pixels enough, for the threads to share

/// Of one tap without strides and padding all pixels are alike: rows of other lengths, even ones that pairs fill.
Conv2d with_even_rows(const Conv3d& volume) {
  Conv2d p = volume.plane;
  p.n *= volume.out_d();
  if (volume.t != 1 || volume.stride_d != 1 || volume.pad_front != 0 || volume.pad_back != 0) return p;
  if (p.r * p.s != 1 || p.stride_h * p.stride_w != 1 || p.out_h() != p.h || p.out_w() != p.w) return p;
  const int64_t pixels = p.n * p.h * p.w;
  for (int64_t w = kCallPixels; w > p.w; w -= 2) {
    if (pixels % w != 0) continue;
    p.n = 1;
    p.h = pixels / w;
    p.w = w;
    break;
  }
  return p;
}

/// Of few channels a row of taps is taken for channels: in the image they follow each other.
bool unfolds(const Conv2d& p) {
  constexpr int64_t kFewChannels = 16;
  return p.groups == 1 && p.s > 1 && p.dilation_w == 1 && p.c < kFewChannels;
}
Conv2d as_multiplied(const Conv3d& problem) {
  Conv2d p = with_even_rows(problem);
  if (!unfolds(problem.plane)) return p;
  // Nothing asks for the width's padding and reach beyond the copy.
  p.c *= p.s;
  p.pad_right -= p.s - 1;
  p.s = 1;
  return p;
}

}  // namespace

Conv2dWeightsGradient::Axis Conv2dWeightsGradient::axis(int64_t extent, int64_t out, int64_t taps, int64_t stride,
                                                        int64_t dilation, int64_t pad, int64_t block) {
  Axis a{.stride = stride, .pad = pad, .extent = extent, .out = out, .block = block, .blocks = ceil_div(out, block)};
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t residue = tap * dilation % stride;
    auto found = std::find(a.residues.begin(), a.residues.end(), residue);
    if (found == a.residues.end()) found = a.residues.insert(found, residue);
    a.residue_at.push_back(found - a.residues.begin());
    a.at.push_back(tap * dilation / stride);
    a.reach = std::max(a.reach, block + a.at.back());
  }
  return a;
}

Conv2dWeightsGradient::Conv2dWeightsGradient(kernels::KernelCache& cache, const Conv3d& problem, DType dtype)
    : volume_(problem),
      p_(as_multiplied(problem)),
      pixel_channels_(p_.c / (unfolds(problem.plane) ? problem.plane.s : 1)),
      dtype_(dtype) {
  const int64_t channels = p_.c / p_.groups, outputs = p_.k / p_.groups, oh = p_.out_h(), ow = p_.out_w();
  const int64_t taps = p_.r * p_.s, size = size_of(dtype);
  const bool interleaved = dtype == DType::bf16;
  on_tiles_ = interleaved && kernels::has_tiles(cache.target());
  if (p_.n == 0 || channels == 0 || outputs == 0) return;
  // Bands. A stride's band sees more pixels than it has.
  const int64_t seen = std::min(p_.r, p_.stride_h) * std::min(p_.s, p_.stride_w);
  const int64_t pixels = pixel_channels_ != p_.c ? 2 * kBandPixels : std::max<int64_t>(1, kBandPixels / seen);
  columns_ = axis(p_.w, ow, p_.s, p_.stride_w, p_.dilation_w, p_.pad_left, balanced_block(ow, pixels / 2, 2));
  rows_ = axis(p_.h, oh, p_.r, p_.stride_h, p_.dilation_h, p_.pad_top,
               balanced_block(oh, std::max<int64_t>(1, pixels / columns_.block), 1));
  if (on_tiles_ && rows_.reach * columns_.reach % 2 != 0) ++rows_.reach;  // pairs of pixels, image by image
  images_ = rows_.blocks * columns_.blocks > 1 ? 1 : balanced_block(p_.n, std::max<int64_t>(1, pixels / (oh * ow)), 1);
  bands_ = ceil_div(p_.n, images_) * rows_.blocks * columns_.blocks;
  // Blocks.
  const int64_t channel_unit = on_tiles_ ? kTileChannels : 16, sums_bytes = on_tiles_ ? kTileSumsBytes : kSumsBytes;
  block_k_ = balanced_block(outputs,
                            taps == 1               ? kMostOutputs
                            : seen > 1 || on_tiles_ ? 2 * kOutputs
                                                    : kOutputs,
                            kOutputs);
  call_k_ = std::min(block_k_, kOutputs);
  block_c_ = balanced_block(channels,
                            std::clamp<int64_t>(sums_bytes / (taps * block_k_ * 4) / channel_unit * channel_unit,
                                                channel_unit, kMostChannels),
                            channel_unit);
  blocks_c_ = ceil_div(channels, block_c_);
  blocks_k_ = ceil_div(outputs, block_k_);
  chunks_ = std::clamp<int64_t>(
      std::min(kTasks / (volume_.t * p_.groups * blocks_c_ * blocks_k_), p_.n * oh * ow / kChunkPixels), 1, bands_);
  if (chunks_ > 1) partials_bytes_ = align_bytes(chunks_ * volume_.t * taps * channels * p_.k * 4);

  copy_pixels_ = images_ * static_cast<int64_t>(rows_.residues.size()) * rows_.reach *
                 static_cast<int64_t>(columns_.residues.size()) * columns_.reach;
  if (on_tiles_) {
    row_pitch_ = columns_.reach;
    run_parts_ = ceil_div(rows_.block * row_pitch_, kTileCallPixels);
    part_pixels_ = round_up(ceil_div(rows_.block * row_pitch_, run_parts_), kTilePixels);
    run_pixels_ = run_parts_ * part_pixels_;
    call_runs_ = std::max<int64_t>(1, kTileCallPixels / part_pixels_);
    in_place_ = run_pixels_ == rows_.block * ow && oh % rows_.block == 0;
    for (int64_t r = 0; r < p_.r; ++r)
      for (int64_t s = 0; s < p_.s; ++s) odd_ |= row_in_copy(0, 0, r, s) % 2 != 0;
    // The last run of a tap reaches beyond the copy, where zeros meet zeros.
    packed_pixels_ = round_up(copy_pixels_ + run_pixels_ - rows_.block * row_pitch_ + columns_.reach, kTilePixels);
    turned_leading_ = odd_lines(images_ * run_pixels_, size);
  } else {
    row_pitch_ = interleaved ? round_up(columns_.block, 2) : ow;
    call_rows_ = std::max<int64_t>(1, kCallPixels / columns_.block);
    in_place_ = !interleaved || (columns_.blocks == 1 && ow % 2 == 0);
    packed_pixels_ = round_up(images_ * rows_.block * row_pitch_, kTilePixels);
    turned_leading_ = odd_lines(copy_pixels_, size);
  }
  // Whole rows, of which every pixel is seen once.
  turns_in_place_ = interleaved && volume_.t == 1 && volume_.stride_d == 1 && volume_.out_d() == volume_.d &&
                    volume_.pad_front == 0 && pixel_channels_ == p_.c && taps == 1 && seen == 1 && p_.h == oh &&
                    p_.w == ow && columns_.blocks == 1 && p_.pad_top == 0 && p_.pad_left == 0 && columns_.reach == ow &&
                    rows_.reach == rows_.block;
  if (!turns_in_place_) copy_bytes_ = align_bytes(copy_pixels_ * block_c_ * size);
  sums_bytes_ = align_bytes(taps * block_c_ * block_k_ * 4);
  offsets_bytes_ = align_bytes(2 * images_ * rows_.block * static_cast<int64_t>(sizeof(int64_t)));  // of runs
  if (interleaved) {
    turned_bytes_ = align_bytes(turned_leading_ * (on_tiles_ ? block_k_ : block_c_) * size);
    packed_bytes_ = align_bytes(packed_pixels_ * round_up(on_tiles_ ? block_c_ : block_k_, 16) * size);
    if (odd_) packed_bytes_ *= 2;
    if (!in_place_)
      gaps_bytes_ = align_bytes(images_ * (on_tiles_ ? run_pixels_ : rows_.block * row_pitch_) * block_k_ * size);
    turn_ = cache.get({.op = kernels::LayoutOp::transpose, .dst_leading = turned_leading_, .src = dtype, .dst = dtype});
    pack_ =
        cache.get({.op = kernels::LayoutOp::panels16, .dst_leading = 16 * packed_pixels_, .src = dtype, .dst = dtype});
    if (on_tiles_)
      turn_sums_ =
          cache.get({.op = kernels::LayoutOp::transpose, .dst_leading = p_.k, .src = DType::f32, .dst = DType::f32});
  }
  for (const int tc : {0, 1})
    for (const int tk : {0, 1})
      for (const int tp : {0, 1})
        for (const int begins : {0, 1}) {
          ContractionDesc d;
          d.m = on_tiles_ ? piece_size(outputs, block_k_, tk) : piece_size(channels, block_c_, tc);
          d.n = on_tiles_ ? piece_size(channels, kTileChannels, tc) : piece_size(outputs, call_k_, tk);
          d.k = on_tiles_ ? part_pixels_ : piece_size(ow, columns_.block, tp);
          if (d.m == 0 || d.n == 0 || d.k == 0 || (on_tiles_ && tp != 0)) continue;
          d.a = d.b = dtype;
          d.ldc = on_tiles_ ? block_c_ : block_k_;
          d.accumulate = d.own_chain = begins == 0;
          d.addressing = ContractionDesc::Batch::offset;
          d.batch = kernels::kAtCall;
          if (interleaved) {
            d.compute = kernels::Compute::bf16;
            d.lda = turned_leading_;
            d.ldb = 16 * packed_pixels_;
            d.b_packing = kernels::Packing::panels16;
          } else {
            d.trans_a = true;
            d.lda = block_c_;
            d.ldb = p_.k;
          }
          auto& kernel = kernels_[tc][tk][tp][begins];
          kernel = cache.get(d);
          kernel_bytes_ = std::max(kernel_bytes_, align_bytes(kernel->scratch_bytes()));
        }
}

int64_t Conv2dWeightsGradient::thread_scratch_bytes() const {
  return copy_bytes_ + turned_bytes_ + gaps_bytes_ + packed_bytes_ + sums_bytes_ + offsets_bytes_ + kernel_bytes_;
}

Conv2dWeightsGradient::Band Conv2dWeightsGradient::band(int64_t index) const {
  const auto part = [](int64_t at, int64_t block, int64_t extent, int64_t* begin, int64_t* count) {
    *begin = at * block;
    *count = std::min(block, extent - *begin);
  };
  Band b{};
  part(index % columns_.blocks, columns_.block, columns_.out, &b.column, &b.columns);
  index /= columns_.blocks;
  part(index % rows_.blocks, rows_.block, rows_.out, &b.row, &b.rows);
  part(index / rows_.blocks, images_, p_.n, &b.image, &b.images);
  return b;
}

// The copy is [image][residue of the row][residue of the column][row][column].
int64_t Conv2dWeightsGradient::row_in_copy(int64_t image, int64_t row, int64_t r, int64_t s) const {
  const auto row_residues = static_cast<int64_t>(rows_.residues.size());
  const auto column_residues = static_cast<int64_t>(columns_.residues.size());
  const auto tap_r = static_cast<size_t>(r), tap_s = static_cast<size_t>(s);
  const int64_t plane = (image * row_residues + rows_.residue_at[tap_r]) * column_residues + columns_.residue_at[tap_s];
  return (plane * rows_.reach + row + rows_.at[tap_r]) * columns_.reach + columns_.at[tap_s];
}

int64_t Conv2dWeightsGradient::source_slice(int64_t slice, int64_t t) const {
  if (volume_.t == 1 && volume_.d == 1) return slice;
  const int64_t out = volume_.out_d();
  const int64_t at = slice % out * volume_.stride_d + t * volume_.dilation_d - volume_.pad_front;
  return at >= 0 && at < volume_.d ? slice / out * volume_.d + at : -1;
}

void Conv2dWeightsGradient::copy_band(const Band& band, int64_t t, const std::byte* x, int64_t c0, int64_t channels,
                                      std::byte* to) const {
  const int64_t size = size_of(dtype_), pixel = pixel_channels_ * size, bytes = channels * size, step = block_c_ * size;
  for (int64_t image = 0; image < band.images; ++image) {
    const int64_t slice = source_slice(band.image + image, t);
    for (const int64_t row_residue : rows_.residues)
      for (const int64_t residue : columns_.residues) {
        // Columns first to last of this residue are in the image.
        const int64_t begin = band.column * columns_.stride + residue - columns_.pad, count = columns_.reach;
        const int64_t first = begin >= 0 ? 0 : std::min(count, ceil_div(-begin, columns_.stride));
        const int64_t last =
            begin >= columns_.extent
                ? first
                : std::clamp<int64_t>((columns_.extent - 1 - begin) / columns_.stride + 1, first, count);
        for (int64_t i = 0; i < rows_.reach; ++i) {
          const int64_t row = (band.row + i) * rows_.stride + row_residue - rows_.pad;
          const bool there =
              slice >= 0 && row >= 0 && row < rows_.extent && i < rows_.reach - (rows_.block - band.rows);
          const std::byte* from = x + (slice * p_.h + row) * p_.w * pixel;
          if (pixel_channels_ != p_.c) {
            to = unfold_row(band, there ? from : nullptr, c0, channels, to);
            continue;
          }
          if (!there || first == last) {
            std::memset(to, 0, static_cast<size_t>(count * step));
            to += count * step;
            continue;
          }
          std::memset(to, 0, static_cast<size_t>(first * step));
          const std::byte* source = from + (begin + first * columns_.stride) * pixel;
          if (columns_.stride == 1 && pixel == step && bytes == step) {
            std::memcpy(to + first * step, source, static_cast<size_t>((last - first) * step));
          } else {
            constexpr int64_t kAhead = 8;  // pixels; their distance is not foreseen
            for (int64_t j = first; j < last; ++j, source += columns_.stride * pixel) {
              for (int64_t line = 0; line < bytes; line += 64)
                __builtin_prefetch(source + kAhead * columns_.stride * pixel + line);
              std::memcpy(to + j * step, source, static_cast<size_t>(bytes));
            }
          }
          std::memset(to + last * step, 0, static_cast<size_t>((count - last) * step));
          to += count * step;
        }
      }
  }
}

/// What each output pixel of a row sees of an image row (none: of padding), from the c0-th on.
std::byte* Conv2dWeightsGradient::unfold_row(const Band& band, const std::byte* x, int64_t c0, int64_t channels,
                                             std::byte* to) const {
  const int64_t size = size_of(dtype_), step = block_c_ * size, row = p_.w * pixel_channels_;
  for (int64_t j = 0; j < columns_.reach; ++j, to += step) {
    const int64_t begin = ((band.column + j) * columns_.stride - columns_.pad) * pixel_channels_ + c0;
    const int64_t first = std::clamp<int64_t>(-begin, 0, channels),
                  last = x == nullptr ? first : std::clamp<int64_t>(row - begin, first, channels);
    if (first < last)
      std::memcpy(to + first * size, x + (begin + first) * size, static_cast<size_t>((last - first) * size));
    if (last - first == channels) continue;
    std::memset(to, 0, static_cast<size_t>(first * size));
    std::memset(to + last * size, 0, static_cast<size_t>((channels - last) * size));
  }
  return to;
}

void Conv2dWeightsGradient::lay_out(const kernels::LayoutKernel& kernel, const Pixels& pixels, int64_t columns,
                                    void* to) {
  kernels::LayoutCall call;
  call.src = pixels.at;
  call.dst = to;
  call.m = pixels.count;
  call.n = columns;
  call.src_leading = pixels.leading;
  kernel(call);
}

Conv2dWeightsGradient::Pixels Conv2dWeightsGradient::image_of(const Band& band, const std::byte* x,
                                                              std::byte* copy) const {
  if (!turns_in_place_) return {copy, block_c_, row_in_copy(band.images, 0)};
  return {x + (band.image * p_.h + band.row) * p_.w * p_.c * size_of(dtype_), p_.c, band.images * band.rows * p_.w};
}

/// Rows of pixels begin at even places, for pairs are multiplied; on tiles where the copy's do.
Conv2dWeightsGradient::Pixels Conv2dWeightsGradient::outputs_of(const Band& band, const std::byte* d_y, int64_t outputs,
                                                                std::byte* rows) const {
  const int64_t size = size_of(dtype_), pixel = p_.k * size, step = block_k_ * size;
  const auto at = [&](int64_t image, int64_t row) {
    return d_y + (((band.image + image) * rows_.out + band.row + row) * columns_.out + band.column) * pixel;
  };
  if (in_place_) return {at(0, 0), p_.k, band.images * band.rows * columns_.out};
  std::byte* to = rows;
  const auto zeros = [&](int64_t pixels) {
    std::memset(to, 0, static_cast<size_t>(pixels * step));
    to += pixels * step;
  };
  for (int64_t image = 0; image < band.images; ++image) {
    for (int64_t row = 0; row < band.rows; ++row) {
      const std::byte* from = at(image, row);
      for (int64_t j = 0; j < band.columns; ++j, to += step, from += pixel)
        std::memcpy(to, from, static_cast<size_t>(outputs * size));
      zeros(row_pitch_ - band.columns);
    }
    if (on_tiles_) zeros(run_pixels_ - band.rows * row_pitch_);
  }
  return {rows, block_k_, (to - rows) / step};
}

void Conv2dWeightsGradient::add_band(const Band& band, const std::byte* x, const std::byte* d_y, int64_t channels,
                                     int64_t outputs, bool begins, Work& work) const {
  const int64_t size = size_of(dtype_);
  const bool interleaved = dtype_ == DType::bf16;
  // Neighbouring pixels are neighbours, or a row of channels apart.
  const int64_t a_pixel = interleaved ? 1 : block_c_;
  const std::byte* left = work.copy;
  const std::byte* right = d_y + ((band.image * rows_.out + band.row) * columns_.out + band.column) * p_.k * size;
  if (interleaved) {
    lay_out(*turn_, image_of(band, x, work.copy), channels, work.turned);
    lay_out(*pack_, outputs_of(band, d_y, outputs, work.gaps), outputs, work.packed);
    left = work.turned;
    right = work.packed;
  }
  int64_t rows = 0;
  for (int64_t image = 0; image < band.images; ++image)
    for (int64_t row = 0; row < band.rows; ++row, ++rows) {
      work.a_offsets[rows] = row_in_copy(image, row) * a_pixel;
      work.b_offsets[rows] = interleaved ? rows * row_pitch_ * 16 : (image * rows_.out + row) * row_pitch_ * p_.k;
    }
  for (int64_t first = 0; first < rows; first += call_rows_) {
    work.call.batch = std::min(call_rows_, rows - first);
    work.call.a_offsets = work.a_offsets + first;
    work.call.b_offsets = work.b_offsets + first;
    for (int64_t n = 0; n < outputs; n += call_k_) {
      const auto& kernel =
          kernels_[channels != block_c_][outputs - n < call_k_][band.columns != columns_.block][begins && first == 0];
      const std::byte* panels = right + n * (interleaved ? packed_pixels_ : 1) * size;
      for (int64_t r = 0; r < p_.r; ++r)
        for (int64_t s = 0; s < p_.s; ++s)
          (*kernel)(left + row_in_copy(0, 0, r, s) * a_pixel * size, panels,
                    work.sums + (r * p_.s + s) * block_c_ * block_k_ + n, &work.call);
    }
  }
}

void Conv2dWeightsGradient::add_band_on_tiles(const Band& band, const std::byte* x, const std::byte* d_y,
                                              int64_t channels, int64_t outputs, bool begins, Work& work) const {
  const int64_t size = size_of(dtype_), panel = 16 * packed_pixels_ * size;
  lay_out(*turn_, outputs_of(band, d_y, outputs, work.gaps), outputs, work.turned);
  std::byte* const packed[2] = {work.packed, work.packed + packed_bytes_ / 2};
  Pixels image = image_of(band, x, work.copy);
  for (const int odd : {0, 1}) {
    if (odd != 0 && !odd_) continue;
    lay_out(*pack_, image, channels, packed[odd]);
    const int64_t end = round_up(image.count, kTilePixels) * 16 * size;
    for (int64_t p = 0; p < ceil_div(channels, 16); ++p)
      std::memset(packed[odd] + p * panel + end, 0, static_cast<size_t>(panel - end));
    image.at += image.leading * size;
    --image.count;
  }
  for (int64_t i = 0; i < band.images; ++i) {
    work.a_offsets[i] = i * run_pixels_;
    work.b_offsets[i] = row_in_copy(i, 0) * 16;
  }
  for (int64_t first = 0; first < band.images; first += call_runs_)
    for (int64_t part = 0; part < run_parts_; ++part) {
      work.call.batch = std::min(call_runs_, band.images - first);
      work.call.a_offsets = work.a_offsets + first;
      work.call.b_offsets = work.b_offsets + first;
      for (int64_t c = 0; c < channels; c += kTileChannels) {
        const auto& kernel =
            kernels_[channels - c < kTileChannels][outputs != block_k_][0][begins && first == 0 && part == 0];
        // Taps of the same panels follow each other.
        for (const int odd : {0, 1})
          for (int64_t r = 0; r < p_.r; ++r)
            for (int64_t s = 0; s < p_.s; ++s) {
              const int64_t pixel = row_in_copy(0, 0, r, s);
              if (pixel % 2 != odd) continue;
              (*kernel)(work.turned + part * part_pixels_ * size,
                        packed[odd] + c / 16 * panel + (pixel - odd + part * part_pixels_) * 16 * size,
                        work.sums + (r * p_.s + s) * block_c_ * block_k_ + c, &work.call);
            }
      }
    }
}

void Conv2dWeightsGradient::task(int64_t index, const std::byte* x, const std::byte* d_y, float* to,
                                 std::byte* scratch) const {
  const int64_t size = size_of(dtype_), group_c = p_.c / p_.groups, group_k = p_.k / p_.groups;
  const int64_t k0 = index % blocks_k_ * block_k_;
  index /= blocks_k_;
  const int64_t c0 = index % blocks_c_ * block_c_;
  index /= blocks_c_;
  const int64_t group = index % p_.groups;
  index /= p_.groups;
  const int64_t t = index % volume_.t, chunk = index / volume_.t;
  const int64_t channels = std::min(block_c_, group_c - c0), outputs = std::min(block_k_, group_k - k0);
  const bool unfolded = pixel_channels_ != p_.c;
  x += (group * group_c + (unfolded ? 0 : c0)) * size;
  d_y += (group * group_k + k0) * size;

  const auto take = [&](int64_t bytes) { return std::exchange(scratch, scratch + bytes); };
  Work work{};
  work.copy = take(copy_bytes_);
  work.turned = take(turned_bytes_);
  work.gaps = take(gaps_bytes_);
  work.packed = take(packed_bytes_);
  work.sums = reinterpret_cast<float*>(take(sums_bytes_));
  work.a_offsets = reinterpret_cast<int64_t*>(take(offsets_bytes_));
  work.b_offsets = work.a_offsets + images_ * rows_.block;
  work.call.scratch = scratch;
  const int64_t first_band = bands_ * chunk / chunks_, last_band = bands_ * (chunk + 1) / chunks_;
  for (int64_t at = first_band; at < last_band; ++at) {
    const Band b = band(at);
    if (!turns_in_place_) copy_band(b, t, x, unfolded ? c0 : 0, channels, work.copy);
    if (on_tiles_) {
      add_band_on_tiles(b, x, d_y, channels, outputs, at == first_band, work);
    } else {
      add_band(b, x, d_y, channels, outputs, at == first_band, work);
    }
  }
  for (int64_t tap = 0; tap < p_.r * p_.s; ++tap) {
    const float* sums = work.sums + tap * block_c_ * block_k_;
    float* const first =
        to + (((chunk * volume_.t + t) * p_.r * p_.s + tap) * group_c + c0) * p_.k + group * group_k + k0;
    if (on_tiles_) {
      lay_out(*turn_sums_, {reinterpret_cast<const std::byte*>(sums), block_c_, outputs}, channels, first);
      continue;
    }
    for (int64_t c = 0; c < channels; ++c) std::copy_n(sums + c * block_k_, outputs, first + c * p_.k);
  }
}

void Conv2dWeightsGradient::run(ThreadTeam& team, const void* x, const void* d_y, float* d_weights, std::byte* scratch,
                                std::byte* thread_scratch) const {
  const int64_t elements = volume_.t * p_.r * p_.s * (p_.c / p_.groups) * p_.k;
  if (bands_ == 0) {
    std::fill_n(d_weights, elements, 0.0f);
    return;
  }
  float* to = chunks_ > 1 ? reinterpret_cast<float*>(scratch) : d_weights;
  parallel_for(team, chunks_ * volume_.t * p_.groups * blocks_c_ * blocks_k_, 1,
               [&](int64_t index, int64_t, int thread) {
                 task(index, static_cast<const std::byte*>(x), static_cast<const std::byte*>(d_y), to,
                      thread_scratch + thread * thread_scratch_bytes());
               });
  if (chunks_ == 1) return;
  parallel_for(team, elements, kernels::kElementGrain, [&](int64_t begin, int64_t end, int) {
    std::copy(to + begin, to + end, d_weights + begin);
    for (int64_t chunk = 1; chunk < chunks_; ++chunk) {
      const float* from = to + chunk * elements;
      for (int64_t i = begin; i < end; ++i) d_weights[i] += from[i];
    }
  });
}

}  // namespace gregale::tile
