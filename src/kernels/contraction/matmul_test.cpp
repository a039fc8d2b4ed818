// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction.hpp"
#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::isas;
using testing::on_all_teams;
using testing::randoms;
using testing::Scratch;

struct Case {
  int64_t m, n, k;
};

TEST(Matmul, AgreesWithLoopsForAllShapesAndTransposes) {
  const Case cases[] = {{1, 1, 1},     {0, 5, 3},     {5, 0, 3},     {4, 6, 0},     {7, 13, 5},
                        {48, 64, 128}, {49, 65, 129}, {23, 16, 7},   {24, 48, 9},   {100, 17, 3},
                        {1, 300, 31},  {97, 1, 257},  {53, 531, 61}, {13, 130, 300}};
  for (Isa isa : isas()) {
    for (const Case& c : cases) {
      for (int mode = 0; mode < 8; ++mode) {
        const bool ta = (mode & 1) != 0, tb = (mode & 2) != 0;
        Matmul p = dense_matmul(c.m, c.n, c.k, ta, tb);
        p.accumulate = (mode & 4) != 0;
        const auto a = randoms(c.m * c.k, 1), b = randoms(c.k * c.n, 2), start = randoms(c.m * c.n, 3);
        const auto got = on_all_teams([&](ThreadTeam& team) {
          auto out = start;
          Scratch scratch(matmul_scratch_bytes(isa, p));
          matmul_f32(isa, team, p, a.data(), b.data(), out.data(), scratch.get());
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
                << to_string(isa) << " " << c.m << "x" << c.n << "x" << c.k << " mode " << mode << " at " << i << ","
                << j;
          }
        }
      }
    }
  }
}

TEST(Matmul, BitsOfARowDependOnItAlone) {
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (Isa isa : isas()) {
    for (int64_t n : {5, 64, 200}) {
      const int64_t k = 300, most = 130;
      const auto a = randoms(most * k, 4), b = randoms(k * n, 5);
      std::vector<float> all(static_cast<size_t>(most * n));
      const Matmul whole = dense_matmul(most, n, k);
      Scratch scratch(matmul_scratch_bytes(isa, whole));
      matmul_f32(isa, *team, whole, a.data(), b.data(), all.data(), scratch.get());
      for (int64_t m : {1, 2, 23, 24, 47, 48, 49, 100}) {
        for (int64_t first : {int64_t{0}, most - m}) {
          std::vector<float> some(static_cast<size_t>(m * n));
          matmul_f32(isa, *team, dense_matmul(m, n, k), a.data() + first * k, b.data(), some.data(), scratch.get());
          ASSERT_EQ(std::memcmp(some.data(), all.data() + first * n, some.size() * 4), 0) << m << " rows, n " << n;
        }
      }
    }
  }
}

TEST(Matmul, BatchesBroadcastAndStride) {
  for (Isa isa : isas()) {
    // [3, 1, 5, 7] x [4, 7, 9]
    const int64_t a_extents[] = {3, 1, 5, 7}, b_extents[] = {4, 7, 9};
    const Matmul p = broadcast_matmul(4, a_extents, false, 3, b_extents, false);
    const auto a = randoms(3 * 5 * 7, 6), b = randoms(4 * 7 * 9, 7);
    const auto got = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> out(3 * 4 * 5 * 9);
      Scratch scratch(matmul_scratch_bytes(isa, p));
      matmul_f32(isa, team, p, a.data(), b.data(), out.data(), scratch.get());
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
    Matmul blocks = dense_matmul(40, 16, 16);
    blocks.lda = blocks.ldc = 128;
    blocks.batch = {1, {8}, {16}, {256}, {16}};
    const auto x = randoms(40 * 128, 8), w = randoms(8 * 256, 9);
    const auto y = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> out(40 * 128);
      Scratch scratch(matmul_scratch_bytes(isa, blocks));
      matmul_f32(isa, team, blocks, x.data(), w.data(), out.data(), scratch.get());
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
    const Matmul shared = broadcast_matmul(3, tall, false, 2, flat, false);
    const auto t = randoms(6 * 10 * 7, 10);
    std::vector<float> together(6 * 10 * 9), apart(6 * 10 * 9);
    auto team = make_thread_team(1, TeamKind::caller);
    Scratch scratch(std::max(matmul_scratch_bytes(isa, shared), matmul_scratch_bytes(isa, dense_matmul(1, 9, 7))));
    matmul_f32(isa, *team, shared, t.data(), b.data(), together.data(), scratch.get());
    for (int i = 0; i < 60; ++i)
      matmul_f32(isa, *team, dense_matmul(1, 9, 7), t.data() + i * 7, b.data(), apart.data() + i * 9, scratch.get());
    EXPECT_EQ(together, apart);
  }
}

TEST(Matmul, NonFiniteOperandsStayInTheirRowsAndColumns) {
  for (Isa isa : isas()) {
    auto a = randoms(10 * 8, 11), b = randoms(8 * 20, 12);
    a[3 * 8] = INFINITY;
    b[5] = NAN;
    std::vector<float> c(200);
    auto team = make_thread_team(1, TeamKind::caller);
    Scratch scratch(matmul_scratch_bytes(isa, dense_matmul(10, 20, 8)));
    matmul_f32(isa, *team, dense_matmul(10, 20, 8), a.data(), b.data(), c.data(), scratch.get());
    for (int i = 0; i < 10; ++i)
      for (int j = 0; j < 20; ++j) EXPECT_EQ(std::isfinite(c[static_cast<size_t>(i * 20 + j)]), i != 3 && j != 5);
  }
}

}  // namespace
}  // namespace gregale::kernels
