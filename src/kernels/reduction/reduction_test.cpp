// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduction/reduction.hpp"

#include <algorithm>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::isas;
using testing::on_all_teams;
using testing::randoms;
using testing::Scratch;

double reduce_exact(ReduceOp op, const std::vector<double>& xs) {
  double sum = op == ReduceOp::max ? -INFINITY : op == ReduceOp::min ? INFINITY : 0.0;
  for (double x : xs) {
    if (op == ReduceOp::max)
      sum = std::max(sum, x);
    else if (op == ReduceOp::min)
      sum = std::min(sum, x);
    else
      sum += op == ReduceOp::sum_of_squares ? x * x : x;
  }
  return op == ReduceOp::mean ? sum / static_cast<double>(xs.size()) : sum;
}

TEST(Reduce, AgreesWithLoopsForAnyAxes) {
  const std::vector<std::vector<int64_t>> shapes = {
      {},        {1},          {7},          {20011}, {5, 7}, {300, 3},     {3, 9000},      {2000, 300},
      {4, 5, 6}, {3, 600, 17}, {2, 3, 4, 5}, {0, 3},  {3, 0}, {2, 1, 5, 1}, {7, 2, 9, 3, 4}};
  for (Isa isa : isas()) {
    for (const auto& extents : shapes) {
      const int rank = static_cast<int>(extents.size());
      int64_t size = 1;
      for (int64_t e : extents) size *= e;
      const auto src = randoms(size, 1, -1, 2);
      for (int mask = 0; mask < (1 << rank); ++mask) {
        bool reduced[kMaxRank] = {};
        int64_t kept = 1;
        for (int i = 0; i < rank; ++i) {
          reduced[i] = (mask >> i & 1) != 0;
          if (!reduced[i]) kept *= extents[static_cast<size_t>(i)];
        }
        std::vector<std::vector<double>> groups(static_cast<size_t>(kept));
        for (int64_t flat = 0; flat < size; ++flat) {
          int64_t rest = flat, at = 0, step = 1;
          for (int i = rank - 1; i >= 0; --i) {
            if (!reduced[i]) {
              at += rest % extents[static_cast<size_t>(i)] * step;
              step *= extents[static_cast<size_t>(i)];
            }
            rest /= extents[static_cast<size_t>(i)];
          }
          groups[static_cast<size_t>(at)].push_back(src[static_cast<size_t>(flat)]);
        }
        for (int op = 0; op <= static_cast<int>(ReduceOp::sum_of_squares); ++op) {
          const auto got = on_all_teams([&](ThreadTeam& team) {
            std::vector<float> dst(static_cast<size_t>(kept), 7.0f);
            Scratch scratch(reduce_scratch_bytes(rank, extents.data(), reduced));
            reduce_f32(isa, team, static_cast<ReduceOp>(op), rank, extents.data(), reduced, src.data(), dst.data(),
                       scratch.get());
            return dst;
          });
          for (size_t i = 0; i < groups.size(); ++i) {
            const double exact = reduce_exact(static_cast<ReduceOp>(op), groups[i]);
            ASSERT_LE(testing::ulps(got[i], exact), 1)
                << "rank " << rank << " mask " << mask << " op " << op << " at " << i;
          }
        }
      }
    }
  }
}

TEST(Reduce, NaNPropagatesAndManyElementsKeepTheirDigits) {
  auto team = make_thread_team(1, TeamKind::caller);
  const int64_t n = 1 << 20;
  const bool reduced[] = {true};
  for (Isa isa : isas()) {
    std::vector<float> x(static_cast<size_t>(n), 0.1f);
    Scratch scratch(reduce_scratch_bytes(1, &n, reduced));
    float sum = 0;
    reduce_f32(isa, *team, ReduceOp::sum, 1, &n, reduced, x.data(), &sum, scratch.get());
    EXPECT_FLOAT_EQ(sum, static_cast<float>(0.1f * static_cast<double>(n)));
    for (int64_t at : {int64_t{0}, int64_t{12345}, n - 1}) {
      x[static_cast<size_t>(at)] = NAN;
      for (ReduceOp op : {ReduceOp::max, ReduceOp::min, ReduceOp::sum}) {
        reduce_f32(isa, *team, op, 1, &n, reduced, x.data(), &sum, scratch.get());
        EXPECT_TRUE(std::isnan(sum));
      }
      x[static_cast<size_t>(at)] = 0.1f;
    }
  }
}

TEST(Softmax, RowsColumnsAndBackward) {
  const int64_t shapes[][3] = {{5, 1, 1}, {3, 7, 1},    {40, 100, 1}, {2, 1000, 1},
                               {2, 5, 3}, {3, 17, 300}, {0, 4, 2},    {2, 3, 0}};
  for (Isa isa : isas()) {
    for (const auto& s : shapes) {
      const int64_t outer = s[0], n = s[1], inner = s[2], size = outer * n * inner;
      const auto x = randoms(size, 2, -20, 20), d = randoms(size, 3);
      const auto y = on_all_teams([&](ThreadTeam& team) {
        auto out = x;
        softmax_f32(isa, team, outer, n, inner, out.data(), out.data());
        return out;
      });
      const auto dx = on_all_teams([&](ThreadTeam& team) {
        auto out = d;
        softmax_backward_f32(isa, team, outer, n, inner, y.data(), out.data(), out.data());
        return out;
      });
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t i = 0; i < inner; ++i) {
          double top = -INFINITY, sum = 0, dot = 0;
          const auto at = [&](int64_t j) { return static_cast<size_t>((o * n + j) * inner + i); };
          for (int64_t j = 0; j < n; ++j) top = std::max<double>(top, x[at(j)]);
          for (int64_t j = 0; j < n; ++j) sum += std::exp(x[at(j)] - top);
          for (int64_t j = 0; j < n; ++j) dot += std::exp(x[at(j)] - top) / sum * d[at(j)];
          for (int64_t j = 0; j < n; ++j) {
            const double exact = std::exp(x[at(j)] - top) / sum;
            ASSERT_NEAR(y[at(j)], exact, 3e-6 * exact + 1e-37);
            ASSERT_NEAR(dx[at(j)], exact * (d[at(j)] - dot), 4e-6 * exact + 1e-37);
          }
        }
    }
  }
}

TEST(LayerNorm, ForwardAndBackward) {
  const int64_t shapes[][2] = {{1, 1}, {7, 3}, {100, 16}, {5, 768}, {3000, 40}, {0, 5}, {33, 129}};
  for (Isa isa : isas()) {
    for (const auto& s : shapes) {
      const int64_t rows = s[0], n = s[1];
      auto x = randoms(rows * n, 4, 90, 110);  // far from zero
      const auto gamma = randoms(n, 5), beta = randoms(n, 6), d = randoms(rows * n, 7);
      const auto y = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> out(x.size());
        layer_norm_f32(isa, team, rows, n, 1e-5, x.data(), gamma.data(), beta.data(), out.data());
        return out;
      });
      const auto all = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> out(x.size() + 2 * static_cast<size_t>(n));
        Scratch scratch(layer_norm_backward_scratch_bytes(rows, n));
        layer_norm_backward_f32(isa, team, rows, n, 1e-5, x.data(), gamma.data(), d.data(), out.data(),
                                out.data() + x.size(), out.data() + x.size() + n, scratch.get());
        return out;
      });
      const auto alone = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> out(x.size());
        layer_norm_backward_f32(isa, team, rows, n, 1e-5, x.data(), gamma.data(), d.data(), out.data(), nullptr,
                                nullptr, nullptr);
        return out;
      });
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin()));
      std::vector<double> d_gamma(static_cast<size_t>(n)), d_beta(static_cast<size_t>(n));
      for (int64_t r = 0; r < rows; ++r) {
        const size_t row = static_cast<size_t>(r * n);
        double mean = 0, var = 0, g_mean = 0, dot = 0;
        for (size_t j = 0; j < static_cast<size_t>(n); ++j) mean += x[row + j] / static_cast<double>(n);
        for (size_t j = 0; j < static_cast<size_t>(n); ++j)
          var += (x[row + j] - mean) * (x[row + j] - mean) / static_cast<double>(n);
        const double rstd = 1 / std::sqrt(var + 1e-5);
        for (size_t j = 0; j < static_cast<size_t>(n); ++j) {
          const double u = (x[row + j] - mean) * rstd, g = static_cast<double>(d[row + j]) * gamma[j];
          g_mean += g / static_cast<double>(n);
          dot += g * u / static_cast<double>(n);
          d_gamma[j] += d[row + j] * u;
          d_beta[j] += d[row + j];
          ASSERT_NEAR(y[row + j], u * gamma[j] + beta[j], 1e-5);
        }
        for (size_t j = 0; j < static_cast<size_t>(n); ++j) {
          const double u = (x[row + j] - mean) * rstd, g = static_cast<double>(d[row + j]) * gamma[j];
          ASSERT_NEAR(all[row + j], rstd * (g - g_mean - u * dot), 1e-5 * rstd);
        }
      }
      for (size_t j = 0; j < static_cast<size_t>(n); ++j) {
        ASSERT_NEAR(all[x.size() + j], d_gamma[j], 1e-5 * static_cast<double>(rows + 1));
        ASSERT_NEAR(all[x.size() + static_cast<size_t>(n) + j], d_beta[j], 1e-6 * static_cast<double>(rows + 1));
      }
    }
  }
}

}  // namespace
}  // namespace gregale::kernels
