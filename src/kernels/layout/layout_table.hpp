// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What one instruction set gives to the movement of tiles (tile_layout.hpp): plain data and functions.
namespace gregale::kernels {

/// A call with everything resolved; the meaning of the fields is LayoutDesc's and LayoutCall's.
struct LayoutArguments {
  const void* src;
  void* dst;
  int64_t m, n, src_leading, dst_leading;
  int64_t dst_m, dst_n, width, part;
  const void* indices;
  uint64_t seed, offset, row_stride;
  uint32_t step, stream_number;
  uint64_t threshold;  ///< of the 32 random bits: below it, an element is dropped. At most 2^32
  double scale;
  uint8_t* mask;
  int64_t mask_leading;
  bool accumulate, stream;
  int range;
};
using LayoutFunction = void (*)(LayoutArguments& arguments);

struct CopyTable {
  LayoutFunction copy[4], zero[4], pad[4], gather_rows[2][4];  ///< log2 of the element's bytes; i32, i64
  LayoutFunction gather_reduce[2][3][3];                       ///< i32, i64; f32, f64, bf16; Pooling
};
struct TransposeTable {
  LayoutFunction transpose[4];  ///< log2 of the element's bytes
  LayoutFunction vnni2_trans;
  LayoutFunction column_panels[2][2];  ///< f32, f64; trans
};
struct PackTable {
  LayoutFunction vnni2, vnni2_back;
  LayoutFunction panels16[2][2];     ///< from bf16, f32; trans
  LayoutFunction panels16x3[2];      ///< trans
  LayoutFunction split[2], join[2];  ///< 2, 3 parts
};
struct DropoutTable {
  LayoutFunction dropout[2], backward[2];  ///< f32, bf16
};

// The generic build has none: there the plain reference runs.
namespace isa_avx2 {
extern const CopyTable copy_table;
extern const TransposeTable transpose_table;
extern const PackTable pack_table;
extern const DropoutTable dropout_table;
}  // namespace isa_avx2
namespace isa_avx512 {
extern const CopyTable copy_table;
extern const TransposeTable transpose_table;
extern const PackTable pack_table;
extern const DropoutTable dropout_table;
}  // namespace isa_avx512

}  // namespace gregale::kernels
