// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "gregale/random.hpp"
#include "kernels/kernel.hpp"

/// Moving one 2-D row-major tile from one place and form to another: copies, transposes, packing for the contractions,
/// gathers and dropout. Everything but dropout and the split into parts is exact in every bit.
namespace gregale::kernels {

/// The logical tile is always [m, n]: m rows of n columns, `src_leading` elements from row to row. With `trans` its
/// source is stored [n, m] instead. For the packings of a contraction's B, m is its K.
enum class LayoutOp : uint8_t {
  copy,       ///< dst [m, n]; any dtype
  zero,       ///< dst [m, n] becomes zeros; there is no source
  pad,        ///< dst [dst_m, dst_n], neither below m and n, zeros beyond the source
  transpose,  ///< dst [n, m]; any dtype
  /// bf16: Packing::vnni2 (contraction_kernel.hpp), dst_leading as `leading` there; an odd last row is followed by
  /// zeros. trans: from [n, m].
  vnni2,
  vnni2_back,  ///< bf16: from vnni2, src_leading as `leading` there, to plain
  /// bf16, from bf16 or (rounded to nearest even) f32: Packing::panels16, dst_leading the elements of a panel, at least
  /// 16 times m rounded up to a multiple of 32. Columns are padded to a multiple of 16 and rows to one of 32. trans:
  /// from [n, m]. To i8 from bf16 that holds whole numbers from -128 to 127.
  panels16,
  /// From f32: three such images of bf16, `part` elements from one to the next: the upper 16 bits of x, those of what
  /// is left, those of what is then left. The call's `range` says whether their sum is x.
  panels16x3,
  /// f32, f64: blocks [n / width][m][width], dst_leading elements from block to block (at least m * width), columns
  /// padded with zeros. trans: from [n, m].
  column_panels,
  /// f32 to `parts` (2 or 3) plain bf16 tiles, `part` elements from one to the next. Three hold x exactly where its
  /// range is exact; of two, the first is truncated, the second rounded to nearest, which leaves an error below
  /// 2^-15 |x| (and infinity as the sum beyond 0x1.fffep127). The first part of an infinity or NaN is that, the others
  /// are zero. Reports `range` as panels16x3.
  split,
  join,         ///< the opposite: the sum of the parts, smallest first
  gather_rows,  ///< dst[i, :] = src[indices[i], :], m indices; any dtype
  /// dst[j] = pooling over i of src[indices[i], j], m indices, n columns; with `accumulate` dst[j] joins in. dst is f64
  /// for a source of f64, else f32; the chain runs over i in order. Nothing pooled is 0 or the infinity that never
  /// wins; NaN wins always. There are no destination rows.
  gather_reduce,
  /// f32, bf16, f64: dst = random_uniform(key, i row_stride + j + offset) >= rate ? src * scale : 0, where scale is
  /// 1 / (1 - rate) rounded to f32 (f64: to f64). In place is fine. `mask`, where there is one, gets a bit for each
  /// element (1: kept), rows beginning at whole bytes, what is left of a row's last byte zero.
  dropout,
  dropout_backward,  ///< dst = mask ? src * scale : 0, the mask read
};
enum class Pooling : uint8_t { sum, max, min };

struct LayoutDesc {
  LayoutOp op = LayoutOp::copy;
  int64_t m = kAtCall, n = kAtCall;
  int64_t src_leading = kAtCall, dst_leading = kAtCall;
  DType src = DType::f32, dst = DType::f32;  ///< zero: both the destination's
  bool trans = false;                        ///< vnni2, panels16, panels16x3, column_panels
  int64_t dst_m = kAtCall, dst_n = kAtCall;  ///< pad
  int64_t width = 0;                         ///< column_panels: columns of a block, 1 to 64
  int parts = 0;                             ///< split, join: 2 or 3
  int64_t part = kAtCall;                    ///< panels16x3, split, join: elements between the parts
  DType index = DType::i64;                  ///< gather_rows, gather_reduce: i32 or i64
  Pooling pooling = Pooling::sum;            ///< gather_reduce
  bool accumulate = false;                   ///< gather_reduce
  /// The destination is larger than the caches: stores that bypass them, where alignment (64 bytes of dst and its
  /// leading) allows. Looked at by panels16, panels16x3 and copy; others ignore it.
  bool stream = false;

  bool operator==(const LayoutDesc&) const = default;
};
std::string to_string(const LayoutDesc& desc);

/// Bits of LayoutCall::range; 0 says that the parts sum to every x exactly, with no part that AMX would flush.
enum RangeFlag : int {
  /// Some 0 < |x| < 2^-103: parts may be bf16 denormals. Flushing them changes x by less than 2^-126, which matters
  /// only to sums that are themselves that small.
  kRangeTiny = 1,
  kRangeNotFinite = 2,  ///< an infinity or NaN: compute with something else
};

/// Fields that the descriptor fixes, or its operation does not use, are not looked at. Sources and destinations do not
/// overlap unless the operation says so; any extent may be 0. Indices are not checked.
struct LayoutCall {
  const void* src = nullptr;
  void* dst = nullptr;
  int64_t m = 0, n = 0, src_leading = 0, dst_leading = 0, dst_m = 0, dst_n = 0, part = 0;
  const void* indices = nullptr;
  RandomKey key;
  uint64_t offset = 0, row_stride = 0;  ///< dropout: where the tile is in the stream; sums wrap around
  double rate = 0;                      ///< dropout, dropout_backward: probability of a zero, in [0, 1]
  uint8_t* mask = nullptr;
  int64_t mask_leading = 0;  ///< bits between rows, a multiple of 8
  int range = 0;             ///< result of panels16x3 and split: their RangeFlags are or'ed into it
};

class LayoutKernel {
 public:
  using Function = void (*)(LayoutCall* call, const void* context);

  /// Validates the descriptor (Error ErrorCode::invalid_argument names the field), then takes the first implementation
  /// that does not refuse.
  static std::shared_ptr<const LayoutKernel> compile(const Target& target, const LayoutDesc& desc);

  void operator()(LayoutCall& call) const { function_(&call, context_); }
  const KernelInfo& info() const { return info_; }
  virtual ~LayoutKernel() = default;

 protected:
  LayoutKernel() = default;
  Function function_ = nullptr;
  const void* context_ = nullptr;
  KernelInfo info_;
};

struct LayoutImplementation {
  const char* name;
  Result<std::shared_ptr<LayoutKernel>> (*make)(const Target&, const LayoutDesc&);
};

}  // namespace gregale::kernels
