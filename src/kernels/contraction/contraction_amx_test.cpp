// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Contractions on tiles: native where the CPU has AMX, emulated elsewhere.
#include <gmock/gmock.h>

#include "kernels/contraction/contraction_test_support.hpp"
#include "kernels/contraction/contraction_tile_emitter.hpp"
#include "kernels/layout/tile_layout.hpp"
#include "kernels/testing/amx_emulator_for_tests.hpp"

namespace gregale::kernels {
namespace {

using namespace testing;
using Batch = ContractionDesc::Batch;

constexpr Dtypes kToF32 = {DType::bf16, DType::bf16, DType::f32, Compute::bf16};
constexpr Dtypes kBytes = {DType::bf16, DType::i8, DType::f32, Compute::bf16};
constexpr Dtypes kToBf16 = {DType::bf16, DType::bf16, DType::bf16, Compute::bf16};

class Amx : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* why = amx_untestable()) GTEST_SKIP() << why;
  }
  /// How many tile products ran in `body`; all of them where the CPU runs them itself and none are seen.
  template <class Body>
  bool tiles_ran(const Body& body) const {
    const int64_t before = emulator_.count(AmxOp::tdpbf16ps);
    body();
    return AmxEmulator::native() || emulator_.count(AmxOp::tdpbf16ps) > before;
  }

  AmxEmulator emulator_;
  const Target target_ = amx_target();
};

ContractionDesc amx_desc(int64_t m, int64_t n, int64_t k, const Dtypes& dtypes) {
  ContractionDesc desc = desc_of(m, n, k, dtypes);
  desc.b_packing = Packing::panels16;
  return desc;
}

TEST_F(Amx, RowsAreCutEvenly) {
  for (int64_t m = 1; m <= 200; ++m) {
    int64_t rows = 0;
    int least = 32, most = 0;
    for (const TileRows& cut : cut_tile_rows(m)) {
      rows += cut.rows() * cut.count;
      least = std::min(least, cut.rows());
      most = std::max(most, cut.rows());
      EXPECT_LE(cut.upper, 16);
      EXPECT_LE(cut.lower, cut.upper);
      EXPECT_TRUE(cut.lower > 0 || cut.upper == cut.rows());
    }
    EXPECT_EQ(rows, m);
    EXPECT_LE(most - least, 1) << m;
  }
}

TEST_F(Amx, RaggedExtents) {
  const int64_t sizes[] = {1, 5, 15, 16, 17, 31, 32, 33, 48, 49, 64, 65},
                depths[] = {1, 2, 31, 32, 33, 64, 100, 256, 0};
  std::mt19937 engine(1);
  EXPECT_TRUE(tiles_ran([&] {
    for (const Dtypes& dtypes : {kToF32, kToBf16, kBytes}) {
      for (int draw = 0; draw < 60 && !HasFatalFailure(); ++draw) {
        ContractionDesc desc = amx_desc(sizes[engine() % std::size(sizes)], sizes[engine() % std::size(sizes)],
                                        depths[engine() % std::size(depths)], dtypes);
        desc.accumulate = desc.c == DType::f32 && engine() % 3 == 0;
        desc.own_chain = desc.accumulate && engine() % 2 == 0;
        EXPECT_EQ(ContractionKernel::compile(target_, Problem(desc).desc)->info().implementation, "amx bf16");
        check(target_, Problem(desc, engine(), static_cast<int64_t>(engine() % 3), engine() % 2 == 0));
      }
    }
  }));
}

TEST_F(Amx, EveryAddressingOfABatch) {
  std::mt19937 engine(2);
  for (const Batch addressing : {Batch::stride, Batch::offset, Batch::address}) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{20, 40, 33}, {49, 17, 64}, {70, 70, 5}}) {
      for (const int64_t batch : {0, 1, 3}) {
        for (const Dtypes& dtypes : {kToF32, kBytes}) {
          ContractionDesc desc = amx_desc(m, n, k, dtypes);
          desc.addressing = addressing;
          desc.batch = batch;
          desc.accumulate = batch == 3;
          check(target_, Problem(desc, engine(), 1));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

/// Bytes are what they are as bf16: the same bits come out.
TEST_F(Amx, BytesGiveTheBitsOfBf16) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 16, 32}, {16, 70, 100}, {32, 48, 512}, {40, 40, 1100}}) {
    const Problem bytes(amx_desc(m, n, k, kBytes), 5);
    Problem wide(amx_desc(m, n, k, kToF32), 5);
    std::memcpy(wide.a->get(), bytes.a->get(), static_cast<size_t>(bytes.a->bytes()));
    for (int64_t p = 0; p < k; ++p)
      for (int64_t column = 0; column < n; ++column)
        store_element(DType::bf16, wide.b->get(), wide.b_index(p, column),
                      load_element(DType::i8, bytes.b->get(), bytes.b_index(p, column)));
    EXPECT_EQ(bytes.run(*ContractionKernel::compile(target_, bytes.desc)),
              wide.run(*ContractionKernel::compile(target_, wide.desc)))
        << m << "x" << n << "x" << k;
  }
}

/// Rows by themselves, and a sum in two calls, give the bits of one call.
TEST_F(Amx, BitsDependOnNeitherRowsNorCutsOfK) {
  const int64_t m = 77, n = 50, k = 96;
  const Problem whole(amx_desc(m, n, k, kToF32));
  const std::vector<char> result = whole.run(*ContractionKernel::compile(target_, whole.desc));
  const auto* all = reinterpret_cast<const float*>(result.data());
  for (const int64_t rows : {1, 15, 16, 17, 33}) {
    ContractionDesc part = whole.desc;
    part.m = rows;
    std::vector<float> c(static_cast<size_t>(rows * part.ldc));
    const int64_t first = m - rows;
    (*ContractionKernel::compile(target_, part))(whole.a->get<bf16>() + first * part.lda, whole.b->get(), c.data());
    for (int64_t i = 0; i < rows; ++i)
      EXPECT_EQ(std::memcmp(c.data() + i * part.ldc, all + (first + i) * part.ldc, static_cast<size_t>(n) * 4), 0);
  }
  ContractionDesc head = whole.desc, rest = whole.desc;
  head.k = 32;
  rest.k = 64;
  rest.accumulate = true;
  std::vector<float> c(static_cast<size_t>(m * head.ldc));
  (*ContractionKernel::compile(target_, head))(whole.a->get(), whole.b->get(), c.data());
  (*ContractionKernel::compile(target_, rest))(whole.a->get<bf16>() + 32, whole.b->get<bf16>() + 32 * 16, c.data());
  for (int64_t i = 0; i < m; ++i)
    EXPECT_EQ(std::memcmp(c.data() + i * head.ldc, all + i * head.ldc, static_cast<size_t>(n) * 4), 0);
}

TEST_F(Amx, NonFiniteOperandsStayInTheirRowsAndColumnsAndDenormalsAreZero) {
  const int64_t m = 20, n = 20, k = 40;  // with padding behind k and n
  const Problem problem(amx_desc(m, n, k, kToF32));
  auto* a = problem.a->get<bf16>();
  auto* b = problem.b->get<bf16>();
  for (int64_t p = 0; p < k; ++p) a[4 * problem.desc.lda + p] = {1};  // denormals
  a[3 * problem.desc.lda + 39] = to_bf16(INFINITY);
  b[problem.b_index(39, 5)] = to_bf16(NAN);
  const std::vector<char> result = problem.run(*ContractionKernel::compile(target_, problem.desc));
  const auto* c = reinterpret_cast<const float*>(result.data());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const float value = c[i * problem.desc.ldc + j];
      EXPECT_EQ(std::isfinite(value), i != 3 && j != 5) << i << "," << j;
      if (i == 4 && j != 5) {
        EXPECT_EQ(value, 0.0f);
      }
    }
}

TEST_F(Amx, ScopesConfigureOnce) {
  if (AmxEmulator::native()) GTEST_SKIP() << "instructions are counted where they are emulated";
  const Problem problem(amx_desc(32, 32, 32, kToF32));
  const auto kernel = ContractionKernel::compile(target_, problem.desc);
  const auto run = [&] { problem.run(*kernel); };
  const auto configured = [&](const auto& body) {
    emulator_.reset_counts();
    body();
    return std::pair<int64_t, int64_t>(emulator_.count(AmxOp::ldtilecfg), emulator_.count(AmxOp::tilerelease));
  };
  EXPECT_EQ(configured([&] { run(), run(); }), (std::pair<int64_t, int64_t>(2, 2)));
  EXPECT_EQ(configured([&] {
              const TileScope outer;
              run();
              {
                const TileScope inner;
                run();
              }
              run();
            }),
            (std::pair<int64_t, int64_t>(1, 1)));
}

TEST_F(Amx, RefusesWithReasons) {
  using ::testing::HasSubstr;
  const auto reasons = [](const Target& target, const ContractionDesc& desc) {
    const auto kernel = ContractionKernel::compile(target, desc);
    return kernel->info().refusals.empty() ? std::string() : kernel->info().refusals[0];
  };
  ContractionDesc desc = Problem(amx_desc(8, 8, 8, kToF32)).desc;
  EXPECT_EQ(reasons(target_, desc), "");
  EXPECT_THAT(reasons(target_.capped(Isa::avx512), desc), HasSubstr("no AMX"));
  EXPECT_THAT(reasons(target_, Problem(desc_of(8, 8, 8, kToF32)).desc), HasSubstr("panels16"));
  desc.m = kAtCall;
  EXPECT_THAT(reasons(target_, desc), HasSubstr("at the call"));
}

/// fp32 products on tiles, and the same by a chain of multiply-adds.
class Fp32x3 : public Amx {
 protected:
  static std::vector<float> graded(int64_t count, unsigned seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> draw;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& x : values) x = draw(engine) * std::exp2(static_cast<float>(engine() % 12) - 6.0f);
    return values;
  }

  /// c on tiles, by packing b; `range` gets what the packing said.
  std::vector<float> on_tiles(int64_t m, int64_t n, int64_t k, const std::vector<float>& a, const std::vector<float>& b,
                              int* range = nullptr) const {
    const int64_t panel = 16 * ((k + 31) / 32 * 32), part = (n + 15) / 16 * panel;
    LayoutDesc pack;
    pack.op = LayoutOp::panels16x3;
    pack.src_leading = n;
    pack.dst_leading = panel;
    pack.part = part;
    pack.src = DType::f32;
    pack.dst = DType::bf16;
    std::vector<bf16> packed(static_cast<size_t>(3 * part));
    LayoutCall call;
    call.src = b.data();
    call.dst = packed.data();
    call.m = k;
    call.n = n;
    (*LayoutKernel::compile(target_, pack))(call);
    if (range != nullptr) *range = call.range;
    ContractionDesc d;
    d.m = m;
    d.n = d.ldc = n;
    d.k = d.lda = k;
    d.ldb = panel;
    d.b = DType::bf16;
    d.b_packing = Packing::panels16x3;
    d.b_part = part;
    d.compute = Compute::fp32x3;
    const auto kernel = ContractionKernel::compile(target_, d);
    EXPECT_EQ(kernel->info().implementation, "amx fp32x3") << to_string(kernel->info());
    std::vector<float> c(static_cast<size_t>(m * n), 7.0f);
    Scratch scratch(kernel->scratch_bytes());
    ContractionCall more;
    more.scratch = scratch.get();
    (*kernel)(a.data(), packed.data(), c.data(), &more);
    return c;
  }
};

TEST_F(Fp32x3, IsAsAccurateAsFp32) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{33, 40, 200}, {16, 16, 512}}) {
    for (const bool grades : {false, true}) {
      const auto a = grades ? graded(m * k, 1) : randoms(m * k, 1), b = grades ? graded(k * n, 2) : randoms(k * n, 2);
      std::vector<float> c;
      EXPECT_TRUE(tiles_ran([&] { c = on_tiles(m, n, k, a, b); }));
      double worst = 0, worst_chain = 0;
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double exact = 0, size = 0;
          float chain = 0;
          for (int64_t p = 0; p < k; ++p) {
            const float x = a[static_cast<size_t>(i * k + p)], y = b[static_cast<size_t>(p * n + j)];
            exact += static_cast<double>(x) * y;
            size += std::fabs(static_cast<double>(x) * y);
            chain = std::fma(x, y, chain);
          }
          worst = std::max(worst, std::fabs(c[static_cast<size_t>(i * n + j)] - exact) / size);
          worst_chain = std::max(worst_chain, std::fabs(chain - exact) / size);
        }
      EXPECT_LE(worst, worst_chain) << m << "x" << n << "x" << k;
    }
  }
}

/// Rows that parts do not hold go to plain multiply-adds, and no other row knows.
TEST_F(Fp32x3, RowsOutOfRangeAreByThemselves) {
  const int64_t m = 40, n = 20, k = 70;
  auto a = randoms(m * k, 3);
  const auto b = randoms(k * n, 4);
  const auto before = on_tiles(m, n, k, a, b);
  a[5 * k + 3] = INFINITY;
  a[9 * k] = NAN;
  a[12 * k + 1] = 1e38f;
  for (int64_t p = 0; p < k; ++p) a[static_cast<size_t>(20 * k + p)] *= 1e-36f;
  for (int64_t p = 0; p < k; ++p) a[static_cast<size_t>(21 * k + p)] = 0;
  const auto c = on_tiles(m, n, k, a, b);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<size_t>(i * n + j);
      if (i != 5 && i != 9 && i != 12 && i != 20 && i != 21) {
        EXPECT_EQ(c[at], before[at]) << i << "," << j;
        continue;
      }
      float chain = 0;
      for (int64_t p = 0; p < k; ++p)
        chain = std::fma(a[static_cast<size_t>(i * k + p)], b[static_cast<size_t>(p * n + j)], chain);
      if (std::isnan(chain)) {
        EXPECT_TRUE(std::isnan(c[at])) << i;
      } else {
        EXPECT_EQ(c[at], chain) << i << "," << j;
      }
    }
}

TEST_F(Fp32x3, PackingSaysWhatPartsDoNotHold) {
  const int64_t n = 20, k = 40;
  const auto a = randoms(k, 5);
  auto b = randoms(k * n, 6);
  int range = -1;
  on_tiles(1, n, k, a, b, &range);
  EXPECT_EQ(range, 0);
  b[7] = 0;
  on_tiles(1, n, k, a, b, &range);
  EXPECT_EQ(range, 0);
  b[7] = 1e-35f;
  on_tiles(1, n, k, a, b, &range);
  EXPECT_EQ(range, kRangeTiny);
  b[9] = NAN;
  on_tiles(1, n, k, a, b, &range);
  EXPECT_EQ(range, kRangeTiny | kRangeNotFinite);
}

}  // namespace
}  // namespace gregale::kernels
