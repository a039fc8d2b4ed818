// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/matmul.hpp"

#include "gregale/error.hpp"
#include "kernels/kernels_test_support.hpp"
#include "kernels/testing/amx_emulator_for_tests.hpp"

namespace gregale::tile {
namespace {

using kernels::Compute;
using kernels::KernelCache;
using kernels::testing::on_all_teams;
using kernels::testing::randoms;
using kernels::testing::Scratch;
using kernels::testing::targets;

void run(const Matmul& program, ThreadTeam& team, const void* a, const void* b, void* c) {
  Scratch scratch(program.scratch_bytes()), own(program.thread_scratch_bytes() * team.size());
  program.run(team, {a, b, c}, scratch.get(), own.get());
}

struct Case {
  int64_t m, n, k;
};

TEST(Matmul, AgreesWithLoopsForAllShapesAndTransposes) {
  const Case cases[] = {{1, 1, 1},     {0, 5, 3},     {5, 0, 3},     {4, 6, 0},     {7, 13, 5},
                        {48, 64, 128}, {49, 65, 129}, {23, 16, 7},   {24, 48, 9},   {100, 17, 3},
                        {1, 300, 31},  {97, 1, 257},  {53, 531, 61}, {13, 130, 300}};
  for (const Target& target : targets()) {
    KernelCache cache(target);
    for (const Case& c : cases) {
      for (int mode = 0; mode < 8; ++mode) {
        const bool ta = (mode & 1) != 0, tb = (mode & 2) != 0;
        MatmulProblem p = dense_matmul(c.m, c.n, c.k, ta, tb);
        p.accumulate = (mode & 4) != 0;
        const auto a = randoms(c.m * c.k, 1), b = randoms(c.k * c.n, 2), start = randoms(c.m * c.n, 3);
        const auto got = on_all_teams([&](ThreadTeam& team) {
          auto out = start;
          run(Matmul(cache, p), team, a.data(), b.data(), out.data());
          return out;
        });
        for (int64_t i = 0; i < c.m; ++i) {
          for (int64_t j = 0; j < c.n; ++j) {
            double sum = p.accumulate ? start[static_cast<size_t>(i * c.n + j)] : 0.0, size = std::fabs(sum) + 1e-30;
            for (int64_t q = 0; q < c.k; ++q) {
              const double x = static_cast<double>(a[static_cast<size_t>(ta ? q * c.m + i : i * c.k + q)]) *
                               b[static_cast<size_t>(tb ? j * c.k + q : q * c.n + j)];
              sum += x;
              size += std::fabs(x);
            }
            ASSERT_NEAR(got[static_cast<size_t>(i * c.n + j)], sum, 1e-6 * size)
                << gregale::to_string(target.isa) << " " << c.m << "x" << c.n << "x" << c.k << " mode " << mode
                << " at " << i << "," << j;
          }
        }
      }
    }
  }
}

TEST(Matmul, BitsOfARowDependOnItAlone) {
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (const Target& target : targets()) {
    KernelCache cache(target);
    for (int64_t n : {5, 64, 200}) {
      const int64_t k = 300, most = 130;
      const auto a = randoms(most * k, 4), b = randoms(k * n, 5);
      std::vector<float> all(static_cast<size_t>(most * n));
      const MatmulProblem whole = dense_matmul(most, n, k);
      run(Matmul(cache, whole), *team, a.data(), b.data(), all.data());
      for (int64_t m : {1, 2, 23, 24, 47, 48, 49, 100}) {
        for (int64_t first : {int64_t{0}, most - m}) {
          std::vector<float> some(static_cast<size_t>(m * n));
          run(Matmul(cache, dense_matmul(m, n, k)), *team, a.data() + first * k, b.data(), some.data());
          ASSERT_EQ(std::memcmp(some.data(), all.data() + first * n, some.size() * 4), 0) << m << " rows, n " << n;
        }
      }
    }
  }
}

TEST(Matmul, BatchesBroadcastAndStride) {
  for (const Target& target : targets()) {
    KernelCache cache(target);
    // [3, 1, 5, 7] x [4, 7, 9]
    const int64_t a_extents[] = {3, 1, 5, 7}, b_extents[] = {4, 7, 9};
    const MatmulProblem p = broadcast_matmul(4, a_extents, false, 3, b_extents, false);
    const auto a = randoms(3 * 5 * 7, 6), b = randoms(4 * 7 * 9, 7);
    const auto got = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> out(3 * 4 * 5 * 9);
      run(Matmul(cache, p), team, a.data(), b.data(), out.data());
      return out;
    });
    for (int u = 0; u < 3; ++u)
      for (int v = 0; v < 4; ++v)
        for (int i = 0; i < 5; ++i)
          for (int j = 0; j < 9; ++j) {
            double sum = 0;
            for (int q = 0; q < 7; ++q)
              sum += static_cast<double>(a[static_cast<size_t>((u * 5 + i) * 7 + q)]) *
                     b[static_cast<size_t>((v * 7 + q) * 9 + j)];
            ASSERT_NEAR(got[static_cast<size_t>(((u * 4 + v) * 5 + i) * 9 + j)], sum, 1e-5);
          }
    // Blocks of channels, as a block-diagonal layer has them: [40, 8 x 16] x [8, 16, 16].
    MatmulProblem blocks = dense_matmul(40, 16, 16);
    blocks.lda = blocks.ldc = 128;
    blocks.batch = {1, {8}, {16}, {256}, {16}};
    const auto x = randoms(40 * 128, 8), w = randoms(8 * 256, 9);
    const auto y = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> out(40 * 128);
      run(Matmul(cache, blocks), team, x.data(), w.data(), out.data());
      return out;
    });
    for (int i = 0; i < 40; ++i)
      for (int c = 0; c < 128; ++c) {
        double sum = 0;
        for (int q = 0; q < 16; ++q)
          sum += static_cast<double>(x[static_cast<size_t>(i * 128 + c / 16 * 16 + q)]) *
                 w[static_cast<size_t>((c / 16 * 16 + q) * 16 + c % 16)];
        ASSERT_NEAR(y[static_cast<size_t>(i * 128 + c)], sum, 1e-5);
      }
    // b shared by the batch: merged into rows, same bits as row by row.
    const int64_t tall[] = {6, 10, 7}, flat[] = {7, 9};
    const MatmulProblem shared = broadcast_matmul(3, tall, false, 2, flat, false);
    const auto t = randoms(6 * 10 * 7, 10);
    std::vector<float> together(6 * 10 * 9), apart(6 * 10 * 9);
    auto team = make_thread_team(1, TeamKind::caller);
    run(Matmul(cache, shared), *team, t.data(), b.data(), together.data());
    for (int i = 0; i < 60; ++i)
      run(Matmul(cache, dense_matmul(1, 9, 7)), *team, t.data() + i * 7, b.data(), apart.data() + i * 9);
    EXPECT_EQ(together, apart);
  }
}

TEST(Matmul, NonFiniteOperandsStayInTheirRowsAndColumns) {
  for (const Target& target : targets()) {
    KernelCache cache(target);
    auto a = randoms(10 * 8, 11), b = randoms(8 * 20, 12);
    a[3 * 8] = INFINITY;
    b[5] = NAN;
    std::vector<float> c(200);
    auto team = make_thread_team(1, TeamKind::caller);
    run(Matmul(cache, dense_matmul(10, 20, 8)), *team, a.data(), b.data(), c.data());
    for (int i = 0; i < 10; ++i)
      for (int j = 0; j < 20; ++j) EXPECT_EQ(std::isfinite(c[static_cast<size_t>(i * 20 + j)]), i != 3 && j != 5);
  }
}

/// Any cut of the loops, any order, any number of threads: the same bits.
TEST(Matmul, NoScheduleChangesBits) {
  const int64_t m = 131, n = 333, k = 1200;  // three blocks of k
  const auto a = randoms(m * k, 13), b = randoms(k * n, 14);
  for (const Target& target : targets()) {
    if (target.isa == Isa::reference) continue;  // seconds of plain loops
    KernelCache cache(target);
    for (const bool trans_b : {false, true}) {
      const MatmulProblem p = dense_matmul(m, n, k, false, trans_b);
      const MatmulBlocks blocks = Matmul::default_blocks(target, p);
      const auto expected = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> c(static_cast<size_t>(m * n));
        run(Matmul(cache, p, blocks), team, a.data(), b.data(), c.data());
        return c;
      });
      for (const char* schedule : {"DBCac", "dabcc", "acDBc", "D<BC>ac", "C{2}B{3}dac", "da<BC>c"}) {
        for (const int64_t rows : {12, 50, 131}) {
          for (const int64_t span : {1, 2, 6}) {
            for (const bool copy : {false, true}) {
              MatmulBlocks other = blocks;
              other.schedule = schedule;
              other.m = rows;
              other.n_span = span * other.n;
              other.copy_a = copy;
              const Matmul program(cache, p, other);
              auto team = make_thread_team(2, TeamKind::std_thread);
              std::vector<float> c(static_cast<size_t>(m * n));
              run(program, *team, a.data(), b.data(), c.data());
              ASSERT_EQ(std::memcmp(c.data(), expected.data(), c.size() * 4), 0) << program.describe();
            }
          }
        }
      }
      MatmulBlocks wrong = blocks;
      wrong.schedule = "dCcBa";  // parallel loops apart
      EXPECT_THROW(Matmul(cache, p, wrong), Error);
      wrong = blocks;
      wrong.k *= 2;  // part of the recipe
      EXPECT_THROW(Matmul(cache, p, wrong), Error);
    }
  }
}

TEST(Matmul, WeightsMayBePackedBeforehand) {
  const int64_t m = 77, n = 150, k = 90;
  const auto a = randoms(m * k, 15), b = randoms(k * n, 16);
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (const Target& target : targets()) {
    KernelCache cache(target);
    MatmulProblem p = dense_matmul(m, n, k);
    std::vector<float> plain(static_cast<size_t>(m * n)), packed(plain.size());
    run(Matmul(cache, p), *team, a.data(), b.data(), plain.data());
    p.packed_b = true;
    const Matmul program(cache, p);
    EXPECT_EQ(program.scratch_bytes(), 0);
    Scratch weights(program.packed_bytes());
    program.pack_b(*team, b.data(), weights.get());
    run(program, *team, a.data(), weights.get(), packed.data());
    EXPECT_EQ(std::memcmp(plain.data(), packed.data(), plain.size() * 4), 0);
  }
}

TEST(Matmul, F64AndBf16) {
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (const Target& target : targets()) {
    KernelCache cache(target);
    for (const int64_t k : {7, 96, 2500}) {
      const int64_t m = 19, n = 45;
      const auto a = randoms(m * k, 17), b = randoms(k * n, 18);
      for (const bool trans_a : {false, true}) {
        for (const bool trans_b : {false, true}) {
          MatmulProblem p = dense_matmul(m, n, k, trans_a, trans_b);
          const std::vector<double> a64(a.begin(), a.end()), b64(b.begin(), b.end());
          std::vector<bf16> a16, b16, c16(static_cast<size_t>(m * n));
          for (float x : a) a16.push_back(to_bf16(x));
          for (float x : b) b16.push_back(to_bf16(x));
          std::vector<double> c64(static_cast<size_t>(m * n));
          p.a = p.b = p.c = DType::f64;
          p.compute = Compute::f64;
          run(Matmul(cache, p), *team, a64.data(), b64.data(), c64.data());
          p.a = p.b = p.c = DType::bf16;
          p.compute = Compute::bf16;
          run(Matmul(cache, p), *team, a16.data(), b16.data(), c16.data());
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < n; ++j) {
              double sum = 0, sum16 = 0, size = 0;
              for (int64_t q = 0; q < k; ++q) {
                const auto at_a = static_cast<size_t>(trans_a ? q * m + i : i * k + q);
                const auto at_b = static_cast<size_t>(trans_b ? j * k + q : q * n + j);
                sum += a64[at_a] * b64[at_b];
                sum16 += static_cast<double>(to_f32(a16[at_a])) * to_f32(b16[at_b]);
                size += std::fabs(a64[at_a] * b64[at_b]);
              }
              const auto at = static_cast<size_t>(i * n + j);
              ASSERT_NEAR(c64[at], sum, 1e-14 * size);
              ASSERT_NEAR(to_f32(c16[at]), sum16, std::fabs(sum16) / 256 + 1e-6 * size)
                  << gregale::to_string(target.isa) << " k " << k << (trans_a ? " ta" : "") << (trans_b ? " tb" : "");
            }
        }
      }
    }
  }
}

TEST(Matmul, EpilogueSpansTheWholeProduct) {
  using kernels::ExprOp;
  const int64_t m = 60, n = 140;
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (const Target& target : targets()) {
    KernelCache cache(target);
    for (const int64_t k : {20, 1100}) {  // sums kept in registers, sums kept in scratch
      const auto a = randoms(m * k, 19), b = randoms(k * n, 20), bias = randoms(n, 21), residual = randoms(m * n, 22);
      MatmulProblem p = dense_matmul(m, n, k);
      kernels::Expression& e = p.epilogue;
      const auto sum = e.apply(ExprOp::add, e.input(0), e.input(1));
      e.output(e.apply(ExprOp::add, e.apply(ExprOp::relu, sum), e.input(2)));
      p.epilogue_inputs = {{.broadcast = kernels::Broadcast::row}, {.leading = n}};
      const Matmul program(cache, p);
      std::vector<float> c(static_cast<size_t>(m * n));
      Scratch scratch(program.scratch_bytes()), own(program.thread_scratch_bytes() * team->size());
      const void* inputs[] = {bias.data(), residual.data()};
      program.run(*team, {a.data(), b.data(), c.data(), inputs}, scratch.get(), own.get());
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double total = bias[static_cast<size_t>(j)];
          for (int64_t q = 0; q < k; ++q)
            total += static_cast<double>(a[static_cast<size_t>(i * k + q)]) * b[static_cast<size_t>(q * n + j)];
          const auto at = static_cast<size_t>(i * n + j);
          ASSERT_NEAR(c[at], std::max(0.0, total) + residual[at], 1e-4) << gregale::to_string(target.isa);
        }
    }
  }
}

/// Programs over tiles, native or emulated: several blocks of k, tails everywhere.
TEST(Matmul, OnTiles) {
  using kernels::testing::AmxEmulator;
  if (const char* why = kernels::testing::amx_untestable()) GTEST_SKIP() << why;
  const AmxEmulator emulator;
  Target target = kernels::testing::amx_target();
  KernelCache cache(target);
  const int64_t m = 70, n = 75;
  for (const int64_t k : {40, 300}) {
    const auto a = randoms(m * k, 23), b = randoms(k * n, 24);
    std::vector<bf16> a16, b16;
    for (float x : a) a16.push_back(to_bf16(x));
    for (float x : b) b16.push_back(to_bf16(x));
    MatmulProblem p = dense_matmul(m, n, k);
    p.a = p.b = p.c = DType::bf16;
    p.compute = Compute::bf16;
    EXPECT_EQ(Matmul(cache, p).kernel_info().implementation, "amx bf16");
    const auto c16 = on_all_teams([&](ThreadTeam& team) {
      std::vector<bf16> c(static_cast<size_t>(m * n));
      run(Matmul(cache, p), team, a16.data(), b16.data(), c.data());
      return c;
    });
    for (const bool trans_a : {false, true}) {
      MatmulProblem p3 = dense_matmul(m, n, k, trans_a);
      p3.compute = Compute::fp32x3;
      EXPECT_EQ(Matmul(cache, p3).kernel_info().implementation, "amx fp32x3");
      const auto c3 = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> c(static_cast<size_t>(m * n));
        run(Matmul(cache, p3), team, a.data(), b.data(), c.data());
        return c;
      });
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum16 = 0, sum3 = 0, size = 0;
          for (int64_t q = 0; q < k; ++q) {
            const double x = a[static_cast<size_t>(trans_a ? q * m + i : i * k + q)],
                         y = b[static_cast<size_t>(q * n + j)];
            sum3 += x * y;
            size += std::fabs(x * y);
            sum16 += static_cast<double>(to_f32(a16[static_cast<size_t>(i * k + q)])) *
                     to_f32(b16[static_cast<size_t>(q * n + j)]);
          }
          const auto at = static_cast<size_t>(i * n + j);
          ASSERT_NEAR(c3[at], sum3, 1e-6 * size) << k << (trans_a ? " ta" : "");
          ASSERT_NEAR(to_f32(c16[at]), sum16, std::fabs(sum16) / 256 + 1e-6 * size) << k;
        }
    }
  }
}

/// Over a long sum, three parts on tiles lose no more than fp32 multiply-adds in blocks.
TEST(Matmul, PartsAreAsAccurateAsFp32) {
  using kernels::testing::AmxEmulator;
  if (const char* why = kernels::testing::amx_untestable()) GTEST_SKIP() << why;
  const AmxEmulator emulator;
  const int64_t m = 32, n = 48, k = 2048;
  const auto a = randoms(m * k, 27), b = randoms(k * n, 28);
  std::vector<double> exact(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t q = 0; q < k; ++q)
      for (int64_t j = 0; j < n; ++j)
        exact[static_cast<size_t>(i * n + j)] +=
            static_cast<double>(a[static_cast<size_t>(i * k + q)]) * b[static_cast<size_t>(q * n + j)];
  auto team = make_thread_team(2, TeamKind::std_thread);
  const auto worst = [&](Compute compute) {
    KernelCache cache(kernels::testing::amx_target());
    MatmulProblem p = dense_matmul(m, n, k);
    p.compute = compute;
    std::vector<float> c(exact.size());
    run(Matmul(cache, p), *team, a.data(), b.data(), c.data());
    double error = 0;
    for (size_t i = 0; i < c.size(); ++i) error = std::max(error, std::fabs(static_cast<double>(c[i]) - exact[i]));
    return error;
  };
  EXPECT_LE(worst(Compute::fp32x3), worst(Compute::f32));
}

/// b that parts do not hold runs on vector units, packed beforehand or not.
TEST(Matmul, PartsThatDoNotHoldB) {
  using kernels::testing::AmxEmulator;
  if (const char* why = kernels::testing::amx_untestable()) GTEST_SKIP() << why;
  const AmxEmulator emulator;
  KernelCache cache(kernels::testing::amx_target());
  auto team = make_thread_team(2, TeamKind::std_thread);
  const int64_t m = 40, n = 50, k = 60;
  const auto a = randoms(m * k, 25);
  auto b = randoms(k * n, 26);
  b[77] = 1e-37f;
  MatmulProblem plain = dense_matmul(m, n, k), parts = plain;
  parts.compute = Compute::fp32x3;
  std::vector<float> expected(static_cast<size_t>(m * n)), got(expected.size()), packed(expected.size());
  run(Matmul(cache, plain), *team, a.data(), b.data(), expected.data());
  run(Matmul(cache, parts), *team, a.data(), b.data(), got.data());
  EXPECT_EQ(got, expected);
  parts.packed_b = true;
  const Matmul program(cache, parts);
  Scratch weights(program.packed_bytes());
  program.pack_b(*team, b.data(), weights.get());
  run(program, *team, a.data(), weights.get(), packed.data());
  EXPECT_EQ(packed, expected);
}

}  // namespace
}  // namespace gregale::tile
