// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/tile_layout.hpp"

#include <gmock/gmock.h>

#include <bit>

#include "kernels/layout/layout_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::check_layout;
using ::testing::HasSubstr;
using testing::isas;
using testing::LayoutCase;

constexpr int64_t kSizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 47, 64, 67, 96, 131};

/// Every pair of sizes with slack, alignment and what is fixed varying along.
void check_all_sizes(LayoutCase c) {
  unsigned number = 0;
  for (const int64_t m : kSizes) {
    for (const int64_t n : kSizes) {
      ++number;
      c.m = m, c.n = n;
      c.src_slack = number % 3 == 0 ? 0 : number % 5;
      c.dst_slack = number % 4 == 0 ? 0 : number % 7;
      c.seed = number;
      check_layout(c, number % 64);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

constexpr DType kBySize[] = {DType::u8, DType::f16, DType::f32, DType::c64, DType::c128};

TEST(TileLayout, Copies) {
  for (const DType dtype : kBySize) {
    for (const LayoutOp op : {LayoutOp::copy, LayoutOp::zero}) {
      LayoutCase c;
      c.desc.op = op;
      c.desc.src = c.desc.dst = dtype;
      check_all_sizes(c);
      c.desc.stream = true;
      check_all_sizes(c);
    }
  }
}

TEST(TileLayout, Pads) {
  for (const DType dtype : kBySize) {
    for (const int64_t m : {0, 1, 5, 16, 33}) {
      for (const int64_t n : {0, 1, 7, 16, 45, 300}) {
        for (const int64_t more : {0, 1, 16}) {
          LayoutCase c;
          c.desc.op = LayoutOp::pad;
          c.desc.src = c.desc.dst = dtype;
          c.m = m, c.n = n, c.dst_m = m + more, c.dst_n = n + 2 * more;
          c.src_slack = more, c.dst_slack = n % 3;
          check_layout(c, static_cast<unsigned>(m + n) % 64);
        }
      }
    }
  }
}

TEST(TileLayout, Transposes) {
  for (const DType dtype : kBySize) {
    LayoutCase c;
    c.desc.op = LayoutOp::transpose;
    c.desc.src = c.desc.dst = dtype;
    check_all_sizes(c);
  }
}

TEST(TileLayout, PairsOfRows) {
  for (const bool trans : {false, true}) {
    LayoutCase c;
    c.desc.op = LayoutOp::vnni2;
    c.desc.src = c.desc.dst = DType::bf16;
    c.desc.trans = trans;
    check_all_sizes(c);
  }
  LayoutCase back;
  back.desc.op = LayoutOp::vnni2_back;
  back.desc.src = back.desc.dst = DType::bf16;
  check_all_sizes(back);
}

TEST(TileLayout, Panels) {
  for (const bool trans : {false, true}) {
    for (const bool stream : {false, true}) {
      LayoutCase c;
      c.desc.trans = trans;
      c.desc.stream = stream;
      c.desc.op = LayoutOp::panels16;
      c.desc.src = c.desc.dst = DType::bf16;
      check_all_sizes(c);
      c.desc.src = DType::f32;
      check_all_sizes(c);
      c.wild = true;
      check_all_sizes(c);
      c.desc.op = LayoutOp::panels16x3;
      check_all_sizes(c);
      c.wild = false;
      check_all_sizes(c);
    }
  }
}

TEST(TileLayout, ColumnPanels) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const bool trans : {false, true}) {
      for (const int64_t width : {1, 6, 8, 16, 24, 48, 64}) {
        LayoutCase c;
        c.desc.op = LayoutOp::column_panels;
        c.desc.src = c.desc.dst = dtype;
        c.desc.trans = trans;
        c.desc.width = width;
        check_all_sizes(c);
      }
    }
  }
}

TEST(TileLayout, Parts) {
  for (const int parts : {2, 3}) {
    for (const bool wild : {false, true}) {
      LayoutCase c;
      c.wild = wild;
      c.desc.parts = parts;
      c.desc.op = LayoutOp::split;
      c.desc.src = DType::f32, c.desc.dst = DType::bf16;
      check_all_sizes(c);
    }
    LayoutCase c;  // what a sum of infinities of both signs is differs in the sign of NaN: only finite parts
    c.desc.parts = parts;
    c.desc.op = LayoutOp::join;
    c.desc.src = DType::bf16, c.desc.dst = DType::f32;
    check_all_sizes(c);
  }
}

TEST(TileLayout, Gathers) {
  for (const DType index : {DType::i32, DType::i64}) {
    for (const DType dtype : kBySize) {
      LayoutCase c;
      c.desc.op = LayoutOp::gather_rows;
      c.desc.src = c.desc.dst = dtype;
      c.desc.index = index;
      c.rows_of_source = 23;
      check_all_sizes(c);
    }
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      for (const Pooling pooling : {Pooling::sum, Pooling::max, Pooling::min}) {
        LayoutCase c;
        c.desc.op = LayoutOp::gather_reduce;
        c.desc.src = dtype;
        c.desc.dst = dtype == DType::f64 ? DType::f64 : DType::f32;
        c.desc.index = index;
        c.desc.pooling = pooling;
        c.rows_of_source = 23;
        check_all_sizes(c);
        c.desc.accumulate = true;
        check_all_sizes(c);
      }
    }
  }
}

TEST(TileLayout, Dropout) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const uint64_t offset : {uint64_t{0}, uint64_t{5}, uint64_t{1} << 34, ~uint64_t{0} - 40}) {
      for (const double rate : {0.0, 0.3, 1.0}) {
        LayoutCase c;
        c.desc.op = LayoutOp::dropout;
        c.desc.src = c.desc.dst = dtype;
        c.offset = offset;
        c.row_stride = offset == 0 ? 132 : 131;
        c.rate = rate;
        c.mask = rate != 0.0;
        for (const int64_t n : kSizes) {
          c.m = n % 5, c.n = n, c.src_slack = n % 3, c.dst_slack = n % 4, c.seed = static_cast<unsigned>(n);
          check_layout(c, static_cast<unsigned>(n) % 64);
        }
      }
    }
    LayoutCase c;
    c.desc.op = LayoutOp::dropout_backward;
    c.desc.src = c.desc.dst = dtype;
    check_all_sizes(c);
  }
}

// What the reference itself is held to.

LayoutDesc desc_of(LayoutOp op, DType src, DType dst) {
  LayoutDesc d;
  d.op = op;
  d.src = src;
  d.dst = dst;
  return d;
}

TEST(TileLayout, FormsAreTheDocumentedOnes) {
  const int64_t k = 37, n = 21;
  std::vector<bf16> src(static_cast<size_t>(k * n)), turned(src.size());
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      src[static_cast<size_t>(i * n + j)].bits = static_cast<uint16_t>(1 + i * n + j);
      turned[static_cast<size_t>(j * k + i)].bits = static_cast<uint16_t>(1 + i * n + j);
    }
  }
  const auto is = [&](const bf16* x, int64_t i, int64_t j) {
    ASSERT_EQ(x->bits, i < k && j < n ? 1 + i * n + j : 0) << "element " << i << ", " << j;
  };
  for (const Isa isa : isas()) {
    for (const bool trans : {false, true}) {
      LayoutDesc d = desc_of(LayoutOp::vnni2, DType::bf16, DType::bf16);
      d.trans = trans;
      LayoutCall call;
      call.src = trans ? turned.data() : src.data();
      call.m = k, call.n = n, call.src_leading = trans ? k : n, call.dst_leading = 24;
      std::vector<bf16> pairs(38 * 24);
      call.dst = pairs.data();
      (*LayoutKernel::compile(Target::detect().capped(isa), d))(call);
      for (int64_t i = 0; i < 38; ++i)
        for (int64_t j = 0; j < n; ++j) is(&pairs[static_cast<size_t>(i / 2 * 2 * 24 + 2 * j + i % 2)], i, j);
      std::vector<bf16> whole(src.size());
      for (size_t i = 0; i < whole.size(); ++i)
        whole[i] = to_bf16(static_cast<float>(static_cast<int>(i * 37 % 256) - 128));
      LayoutDesc to_bytes = desc_of(LayoutOp::panels16, DType::bf16, DType::i8);
      to_bytes.trans = trans;
      LayoutCall narrow = call;
      narrow.src = whole.data();
      narrow.dst_leading = 16 * 64;
      std::vector<int8_t> bytes(2 * 16 * 64, int8_t{7});
      narrow.dst = bytes.data();
      (*LayoutKernel::compile(Target::detect().capped(isa), to_bytes))(narrow);
      for (int64_t i = 0; i < 64; ++i)
        for (int64_t j = 0; j < 32; ++j) {
          const int64_t from = trans ? j * k + i : i * n + j;
          const float expected = i < k && j < n ? to_f32(whole[static_cast<size_t>(from)]) : 0;
          EXPECT_EQ(bytes[static_cast<size_t>(j / 16 * 1024 + i / 2 * 32 + i % 2 * 16 + j % 16)], expected);
        }
      d.op = LayoutOp::panels16;
      call.dst_leading = 16 * 64 + 32;
      std::vector<bf16> panels(static_cast<size_t>(2 * call.dst_leading), bf16{7});
      call.dst = panels.data();
      (*LayoutKernel::compile(Target::detect().capped(isa), d))(call);
      for (int64_t i = 0; i < 64; ++i) {
        for (int64_t j = 0; j < 32; ++j) {
          is(&panels[static_cast<size_t>(j / 16 * call.dst_leading + i / 2 * 32 + j % 16 * 2 + i % 2)], i, j);
        }
      }
    }
  }
}

TEST(TileLayout, PairsOfRowsComeBack) {
  const auto values = testing::randoms(31 * 45, 3);
  std::vector<bf16> src(values.size()), pairs(32 * 45), back(src.size());
  std::transform(values.begin(), values.end(), src.begin(), [](float x) { return to_bf16(x); });
  for (const Isa isa : isas()) {
    const Target target = Target::detect().capped(isa);
    LayoutCall call;
    call.m = 31, call.n = call.src_leading = call.dst_leading = 45;
    call.src = src.data(), call.dst = pairs.data();
    (*LayoutKernel::compile(target, desc_of(LayoutOp::vnni2, DType::bf16, DType::bf16)))(call);
    call.src = pairs.data(), call.dst = back.data();
    (*LayoutKernel::compile(target, desc_of(LayoutOp::vnni2_back, DType::bf16, DType::bf16)))(call);
    EXPECT_TRUE(back == src);
    std::fill(back.begin(), back.end(), bf16{});
  }
}

TEST(TileLayout, ThreePartsAreTheValue) {
  // Down to 2^-103 the three parts hold every bit, and none is a denormal that AMX would flush.
  std::vector<float> src = testing::randoms(4000, 5);
  for (size_t i = 0; i < src.size(); ++i) src[i] = std::ldexp(src[i], static_cast<int>(i % 200) - 95);
  for (float& x : src)
    if (std::fabs(x) < 0x1p-103f) x = 0;
  src.insert(src.end(), {0x1p-103f, 0x1.fffffep-103f, 0x1.fffffep127f, 0.0f, -0x1.010101p-103f});
  const auto count = static_cast<int64_t>(src.size());
  for (const Isa isa : isas()) {
    const Target target = Target::detect().capped(isa);
    for (const int parts : {2, 3}) {
      LayoutDesc d = desc_of(LayoutOp::split, DType::f32, DType::bf16);
      d.parts = parts;
      std::vector<bf16> pieces(static_cast<size_t>(parts * count));
      std::vector<float> back(src.size());
      LayoutCall call;
      call.m = 1, call.n = call.src_leading = call.dst_leading = call.part = count;
      call.src = src.data(), call.dst = pieces.data();
      (*LayoutKernel::compile(target, d))(call);
      EXPECT_EQ(call.range, 0);
      for (const bf16 piece : pieces)
        ASSERT_TRUE(to_f32(piece) == 0 || std::isnormal(to_f32(piece)) || parts == 2) << to_f32(piece);
      d = desc_of(LayoutOp::join, DType::bf16, DType::f32);
      d.parts = parts;
      call.src = pieces.data(), call.dst = back.data();
      (*LayoutKernel::compile(target, d))(call);
      for (size_t i = 0; i < src.size(); ++i) {
        if (parts == 2 && std::fabs(src[i]) > 0x1.fffep127f) continue;  // the sum of two rounds to infinity
        if (parts == 3)
          ASSERT_EQ(back[i], src[i]);
        else
          ASSERT_LE(std::fabs(back[i] - src[i]), 0x1p-15f * std::fabs(src[i])) << src[i];
      }
    }
  }
}

TEST(TileLayout, RangeIsReported) {
  for (const Isa isa : isas()) {
    for (const bool trans : {false, true}) {
      LayoutDesc d = desc_of(LayoutOp::panels16x3, DType::f32, DType::bf16);
      d.trans = trans;
      const auto kernel = LayoutKernel::compile(Target::detect().capped(isa), d);
      const auto range_with = [&](float x, size_t where) {
        std::vector<float> src(40 * 40, 1.5f);
        src[where] = x;
        const int64_t panel = 64 * 16;
        std::vector<bf16> dst(static_cast<size_t>(9 * panel));
        LayoutCall call;
        call.m = call.n = call.src_leading = 40, call.dst_leading = panel, call.part = 3 * panel;
        call.src = src.data(), call.dst = dst.data();
        (*kernel)(call);
        return call.range;
      };
      for (const size_t where : {size_t{0}, size_t{39}, size_t{777}, size_t{1599}}) {
        EXPECT_EQ(range_with(0, where), 0);
        EXPECT_EQ(range_with(-0x1p-103f, where), 0);
        EXPECT_EQ(range_with(0x1.fffffep127f, where), 0);
        EXPECT_EQ(range_with(-0x1.fffffep-104f, where), kRangeTiny);
        EXPECT_EQ(range_with(0x1p-149f, where), kRangeTiny);
        EXPECT_EQ(range_with(-INFINITY, where), kRangeNotFinite);
        EXPECT_EQ(range_with(std::bit_cast<float>(0x7f800001u), where), kRangeNotFinite);
      }
    }
  }
}

TEST(TileLayout, DropoutIsThePlainFunction) {
  const RandomKey key{0x123456789abcdefu, 41, 0xfedcba98u};
  const int64_t m = 61, n = 1000;
  const double rate = 0.1;
  const auto src = testing::randoms(m * n, 8, 1, 2);
  for (const Isa isa : isas()) {
    std::vector<float> dst(src.size()), back(src.size());
    std::vector<uint8_t> mask(static_cast<size_t>(m * n / 8));
    LayoutCall call;
    call.src = src.data(), call.dst = dst.data(), call.mask = mask.data();
    call.m = m, call.n = call.src_leading = call.dst_leading = call.mask_leading = n;
    call.key = key, call.offset = 77, call.row_stride = 1003, call.rate = rate;
    const Target target = Target::detect().capped(isa);
    (*LayoutKernel::compile(target, desc_of(LayoutOp::dropout, DType::f32, DType::f32)))(call);
    int64_t dropped = 0;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<size_t>(i * n + j);
        const bool keep = random_uniform(key, static_cast<uint64_t>(77 + i * 1003 + j)) >= rate;
        ASSERT_EQ(dst[at], keep ? src[at] * static_cast<float>(1 / (1 - rate)) : 0.0f);
        ASSERT_EQ((mask[at / 8] >> (at % 8)) & 1, keep ? 1 : 0);
        dropped += keep ? 0 : 1;
      }
    }
    EXPECT_NEAR(static_cast<double>(dropped), rate * m * n, 5 * std::sqrt(rate * m * n));
    call.dst = back.data();
    (*LayoutKernel::compile(target, desc_of(LayoutOp::dropout_backward, DType::f32, DType::f32)))(call);
    EXPECT_TRUE(back == dst);
    // In place, from another row on.
    std::vector<float> again(src.begin() + 3 * n, src.end());
    call.src = call.dst = again.data(), call.m = m - 3, call.offset += 3 * 1003;
    (*LayoutKernel::compile(target, desc_of(LayoutOp::dropout, DType::f32, DType::f32)))(call);
    EXPECT_TRUE(std::equal(again.begin(), again.end(), dst.begin() + 3 * n));
  }
}

TEST(TileLayout, PoolingOfNothingAndOfNan) {
  const float src[] = {1, NAN, -3, 5, 2, -7};
  const int64_t rows[] = {0, 1, 0};
  for (const Isa isa : isas()) {
    LayoutDesc d = desc_of(LayoutOp::gather_reduce, DType::f32, DType::f32);
    d.pooling = Pooling::max;
    const auto kernel = LayoutKernel::compile(Target::detect().capped(isa), d);
    float dst[3];
    LayoutCall call;
    call.src = src, call.dst = dst, call.indices = rows, call.m = 3, call.n = call.src_leading = 3;
    (*kernel)(call);
    EXPECT_EQ(dst[0], 5);
    EXPECT_TRUE(std::isnan(dst[1]));
    EXPECT_EQ(dst[2], -3);
    call.m = 0;
    (*kernel)(call);
    EXPECT_EQ(dst[1], -INFINITY);
  }
}

void refuses(LayoutDesc desc, const char* part) {
  try {
    LayoutKernel::compile(Target::detect(), desc);
    ADD_FAILURE() << to_string(desc) << " was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("[layout]"));
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

TEST(TileLayout, WrongDescriptorsAreNamed) {
  const auto with = [](LayoutOp op, DType src, DType dst, auto&& change) {
    LayoutDesc d = desc_of(op, src, dst);
    change(d);
    return d;
  };
  const auto nothing = [](LayoutDesc&) {};
  const DType f32 = DType::f32, b16 = DType::bf16;
  refuses(with(LayoutOp::copy, f32, b16, nothing), "copy does not take src f32 to dst bf16");
  refuses(with(LayoutOp::vnni2, f32, f32, nothing), "vnni2 does not take");
  refuses(with(LayoutOp::panels16, f32, f32, nothing), "panels16 does not take");
  refuses(with(LayoutOp::panels16x3, b16, b16, nothing), "panels16x3 does not take");
  refuses(with(LayoutOp::gather_reduce, b16, b16, nothing), "gather_reduce does not take");
  refuses(with(LayoutOp::dropout, DType::i32, DType::i32, nothing), "dropout does not take");
  refuses(with(LayoutOp::column_panels, DType::i32, DType::i32, [](auto& d) { d.width = 8; }), "column_panels does");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.m = -2; }), "m of copy is -2");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.n = int64_t{1} << 60; }), "n of copy is");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.n = 5, d.src_leading = 4; }), "src_leading of copy is 4");
  refuses(with(LayoutOp::transpose, f32, f32, [](auto& d) { d.m = 5, d.dst_leading = 4; }), "dst_leading");
  refuses(with(LayoutOp::panels16, b16, b16, [](auto& d) { d.m = 33, d.dst_leading = 1023; }), "less than 1024");
  refuses(with(LayoutOp::column_panels, f32, f32, nothing), "width is 0");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.width = 8; }), "width is for column_panels");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.trans = true; }), "trans is nothing copy has");
  refuses(with(LayoutOp::pad, f32, f32, [](auto& d) { d.m = 4, d.dst_m = 3; }), "dst_m is 3");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.dst_n = 3; }), "are for pad");
  refuses(with(LayoutOp::split, f32, b16, nothing), "parts is 0");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.parts = 2; }), "parts is for split");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.part = 2; }), "part is nothing copy has");
  refuses(with(LayoutOp::gather_rows, f32, f32, [](auto& d) { d.index = f32; }), "index is f32");
  refuses(with(LayoutOp::copy, f32, f32, [](auto& d) { d.accumulate = true; }), "are for gather_reduce");
  refuses(with(static_cast<LayoutOp>(99), f32, f32, nothing), "op 99");
}

TEST(TileLayout, SaysWhatWasChosen) {
  LayoutDesc d = desc_of(LayoutOp::transpose, DType::f32, DType::f32);
  d.m = 10, d.n = 20;
  const Isa best = std::min(Target::detect().isa, Isa::avx512);
  const auto kernel = LayoutKernel::compile(Target::detect().capped(best), d);
  EXPECT_EQ(kernel->info().request, "layout transpose f32 10x20, leading ? to ?");
  EXPECT_EQ(kernel->info().isa, best);
  EXPECT_EQ(kernel->info().traffic.l1_bytes, 1600);
  EXPECT_EQ(kernel->info().implementation, to_string(best));
  d.src = d.dst = DType::c128;
  const auto plain = LayoutKernel::compile(Target::detect().capped(Isa::avx2), d);
  EXPECT_EQ(plain->info().implementation, "reference");
  ASSERT_EQ(plain->info().refusals.size(), 2u);
  EXPECT_EQ(plain->info().refusals[0], "avx512: the target has no avx512");
}

}  // namespace
}  // namespace gregale::kernels
