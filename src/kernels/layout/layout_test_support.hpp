// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "gregale/dtype.hpp"
#include "kernels/kernels_test_support.hpp"
#include "kernels/layout/layout_reference.hpp"
#include "kernels/layout/tile_layout.hpp"

/// Runs any descriptor beside the plain reference; the unit test and the fuzzer share it.
namespace gregale::kernels::testing {

/// Extents and leading dimensions of a call whose descriptor may leave them open.
struct LayoutCase {
  LayoutDesc desc;
  int64_t m = 0, n = 0, dst_m = 0, dst_n = 0;
  int64_t src_slack = 0, dst_slack = 0;  ///< beyond the smallest leading
  int64_t rows_of_source = 0;            ///< gathers
  double rate = 0.3;
  uint64_t offset = 0, row_stride = 0;
  bool wild = false;  ///< values that are tiny, infinite or NaN among the others
  bool mask = true;
  unsigned seed = 0;
};

inline int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// What a case needs in memory, elements.
struct LayoutExtent {
  int64_t src_rows, src_columns, src_leading, src_total;
  int64_t dst_leading, dst_total, part;
};
inline LayoutExtent extent_of(const LayoutCase& c) {
  const LayoutDesc& d = c.desc;
  LayoutExtent e{};
  e.src_rows = d.trans ? c.n : c.m;
  e.src_columns = d.trans ? c.m : c.n;
  if (d.op == LayoutOp::gather_rows || d.op == LayoutOp::gather_reduce) e.src_rows = c.rows_of_source;
  e.src_leading = e.src_columns + c.src_slack;
  e.src_total = e.src_rows * e.src_leading;
  int64_t rows = c.m, columns = c.n;
  switch (d.op) {
    case LayoutOp::pad:
      rows = c.dst_m, columns = c.dst_n;
      break;
    case LayoutOp::transpose:
      rows = c.n, columns = c.m;
      break;
    case LayoutOp::vnni2:
      rows = rounded_up(c.m, 2);
      break;
    case LayoutOp::vnni2_back:
      e.src_total = rounded_up(c.m, 2) * e.src_leading;
      break;
    case LayoutOp::panels16:
    case LayoutOp::panels16x3:
      rows = rounded_up(c.n, 16) / 16, columns = rounded_up(c.m, 32) * 16;
      break;
    case LayoutOp::column_panels:
      rows = rounded_up(c.n, d.width) / d.width, columns = c.m * d.width;
      break;
    case LayoutOp::gather_reduce:
      rows = 1;
      break;
    default:
      break;
  }
  const bool panels = d.op == LayoutOp::panels16 || d.op == LayoutOp::panels16x3;
  e.dst_leading = columns + c.dst_slack * (panels ? 32 : 1);
  e.dst_total = rows * e.dst_leading;
  const int64_t parts = d.op == LayoutOp::panels16x3 ? 3 : std::max(d.parts, 1);
  if (d.op == LayoutOp::join) {
    e.part = e.src_total + 32 * c.src_slack;
    e.src_total = (parts - 1) * e.part + e.src_total;
  } else if (parts > 1) {
    e.part = e.dst_total + 32 * c.dst_slack;
    e.dst_total = (parts - 1) * e.part + e.dst_total;
  }
  return e;
}

/// Bytes with guards on both sides. `data` is 64-byte aligned plus `shift`; the end is the end of the allocation but
/// for the guard.
class Guarded {
 public:
  static constexpr int64_t kGuard = 128;
  Guarded(int64_t bytes, int64_t shift, uint8_t fill)
      : bytes_(bytes), memory_(static_cast<size_t>(bytes + 2 * kGuard + 64 + shift), fill) {
    const auto at = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard;
    data_ = memory_.data() + kGuard + (64 - at % 64) % 64 + shift;
  }
  uint8_t* data() { return data_; }
  int64_t bytes() const { return bytes_; }
  /// What is written and a guard on each side.
  std::vector<uint8_t> with_guards() const { return {data_ - kGuard, data_ + bytes_ + kGuard / 2}; }

 private:
  int64_t bytes_;
  std::vector<uint8_t> memory_;
  uint8_t* data_;
};

/// Values as their dtype wants them; between the rows stands 0xff, a NaN in every format.
inline void fill_source(const LayoutCase& c, const LayoutExtent& e, uint8_t* data) {
  const int64_t size = size_of(c.desc.src);
  std::mt19937_64 engine(c.seed + 17);
  std::uniform_real_distribution<double> draw(-2, 2);
  std::memset(data, 0xff, static_cast<size_t>(e.src_total * size));
  const auto fill_row = [&](uint8_t* row, int64_t columns) {
    for (int64_t j = 0; j < columns; ++j, row += size) {
      double x = draw(engine);
      if (c.wild && engine() % 8 == 0) {
        constexpr double kWild[] = {0,        -0.0,      0x1p-103, 0x1.fffffep-104, 0x1p-126,  0x1.234p-140,
                                    INFINITY, -INFINITY, NAN,      0x1.fffffep127,  -0x1p-149, 0x1.8p-120};
        x = kWild[engine() % 12];
      }
      if (c.desc.src == DType::f32) {
        float y = static_cast<float>(x);
        if (std::isnan(y) && engine() % 2 == 0) y = std::bit_cast<float>(0xff800001u);  // all in the lower half
        std::memcpy(row, &y, 4);
      } else if (c.desc.src == DType::f64) {
        std::memcpy(row, &x, 8);
      } else if (c.desc.src == DType::bf16) {
        const bf16 y = to_bf16(static_cast<float>(x));
        std::memcpy(row, &y, 2);
      } else {
        for (int64_t b = 0; b < size; ++b) row[b] = static_cast<uint8_t>(engine());
      }
    }
  };
  if (c.desc.op == LayoutOp::zero || c.desc.op == LayoutOp::vnni2_back || c.desc.op == LayoutOp::join) {
    fill_row(data, e.src_total);
  } else {
    for (int64_t i = 0; i < e.src_rows; ++i) fill_row(data + i * e.src_leading * size, e.src_columns);
  }
}

/// A descriptor with what `fixed` (bits) says filled from the case.
inline LayoutDesc with_fixed(const LayoutCase& c, unsigned fixed) {
  const LayoutExtent e = extent_of(c);
  LayoutDesc d = c.desc;
  const bool parts = d.op == LayoutOp::panels16x3 || d.op == LayoutOp::split || d.op == LayoutOp::join;
  if (fixed & 1) d.m = c.m;
  if (fixed & 2) d.n = c.n;
  if (fixed & 4) d.src_leading = e.src_leading;
  if (fixed & 8) d.dst_leading = e.dst_leading;
  if (fixed & 16 && parts) d.part = e.part;
  if (fixed & 32 && d.op == LayoutOp::pad) d.dst_m = c.dst_m, d.dst_n = c.dst_n;
  return d;
}

/// Runs the case on every instruction set of this machine and compares every byte of the destination, the mask and
/// what surrounds them with what the reference leaves.
inline void check_layout(const LayoutCase& c, unsigned fixed = 0) {
  const LayoutExtent e = extent_of(c);
  const int64_t dst_size = size_of(c.desc.dst), shift = c.dst_slack % 2 == 0 ? 0 : dst_size % 64;
  Guarded src(e.src_total * size_of(c.desc.src), 0, 0xff);
  fill_source(c, e, src.data());
  std::vector<int64_t> indices64(static_cast<size_t>(c.m));
  std::vector<int32_t> indices32(indices64.size());
  std::mt19937 engine(c.seed);
  for (size_t i = 0; i < indices64.size() && c.rows_of_source > 0; ++i) {
    indices64[i] = static_cast<int64_t>(engine()) % c.rows_of_source;
    indices32[i] = static_cast<int32_t>(indices64[i]);
  }
  const int64_t mask_row = (c.n + 7) / 8 + c.dst_slack;
  std::vector<uint8_t> expected, expected_mask;
  int expected_range = 0;
  const LayoutDesc desc = with_fixed(c, fixed);
  SCOPED_TRACE(to_string(desc) + " at " + std::to_string(c.m) + "x" + std::to_string(c.n) + " slack " +
               std::to_string(c.src_slack) + ", " + std::to_string(c.dst_slack));
  for (const Isa isa : isas()) {
    const auto kernel = LayoutKernel::compile(Target::detect().capped(isa), desc);
    ASSERT_LE(kernel->info().isa, isa);
    Guarded dst(e.dst_total * dst_size, shift, 0x5a), mask(c.m * mask_row, 0, 0x5a);
    if (c.desc.op == LayoutOp::gather_reduce && c.desc.accumulate)
      std::memset(dst.data(), 0x3f, static_cast<size_t>(dst.bytes()));
    if (c.desc.op == LayoutOp::dropout_backward) {
      std::mt19937 bits(c.seed + 1);
      for (int64_t i = 0; i < mask.bytes(); ++i) mask.data()[i] = static_cast<uint8_t>(bits());
    }
    LayoutCall call;
    call.src = src.data();
    call.dst = dst.data();
    if (!(fixed & 1)) call.m = c.m;
    if (!(fixed & 2)) call.n = c.n;
    if (!(fixed & 4)) call.src_leading = e.src_leading;
    if (!(fixed & 8)) call.dst_leading = e.dst_leading;
    if (!(fixed & 16)) call.part = e.part;
    if (!(fixed & 32)) call.dst_m = c.dst_m, call.dst_n = c.dst_n;
    call.indices = c.desc.index == DType::i32 ? static_cast<const void*>(indices32.data()) : indices64.data();
    call.key = {uint64_t{c.seed} * 0x9e3779b97f4a7c15u, c.seed + 3, c.seed + 5};
    call.offset = c.offset;
    call.row_stride = c.row_stride;
    call.rate = c.rate;
    call.mask = c.mask || c.desc.op == LayoutOp::dropout_backward ? mask.data() : nullptr;
    call.mask_leading = mask_row * 8;
    (*kernel)(call);
    if (isa == Isa::reference) {
      EXPECT_EQ(kernel->info().implementation, "reference");
      expected = dst.with_guards();
      expected_mask = mask.with_guards();
      expected_range = call.range;
      for (int64_t i = 0; i < 64; ++i) {
        ASSERT_EQ(dst.data()[-1 - i], 0x5a) << "the reference wrote before the destination";
        ASSERT_EQ(dst.data()[dst.bytes() + i], 0x5a) << "the reference wrote behind the destination";
      }
      continue;
    }
    SCOPED_TRACE(kernel->info().implementation);
    const auto got = dst.with_guards(), got_mask = mask.with_guards();
    const auto wrong = std::mismatch(got.begin(), got.end(), expected.begin()).first;
    ASSERT_TRUE(wrong == got.end()) << "byte " << wrong - got.begin() - Guarded::kGuard << " of the destination";
    ASSERT_TRUE(got_mask == expected_mask) << "masks differ";
    ASSERT_EQ(call.range, expected_range);
  }
}

}  // namespace gregale::kernels::testing
