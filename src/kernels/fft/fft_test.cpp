// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/fft/fft.hpp"

#include <array>
#include <complex>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::isas;
using testing::on_all_teams;
using testing::randoms;
using testing::Scratch;
using Complex = std::complex<double>;

/// Sum over j of z[j] exp(sign 2 pi i jk / n).
std::vector<Complex> exact(const std::vector<Complex>& z, int sign) {
  const auto n = z.size();
  std::vector<Complex> turns(n), out(n);
  for (size_t j = 0; j < n; ++j)
    turns[j] = std::polar(1.0, sign * 6.283185307179586 * static_cast<double>(j) / static_cast<double>(n));
  for (size_t k = 0; k < n; ++k)
    for (size_t j = 0; j < n; ++j) out[k] += z[j] * turns[j * k % n];
  return out;
}

struct Case {
  int64_t outer, n, inner;
};
const Case kCases[] = {{1, 1, 1},    {3, 1, 20},  {2, 2, 3},   {1, 3, 17}, {5, 4, 1},  {2, 5, 16},  {3, 6, 5},
                       {1, 7, 33},   {2, 8, 2},   {1, 9, 40},  {2, 12, 1}, {1, 13, 4}, {20, 15, 1}, {2, 16, 18},
                       {2, 59, 3},   {1, 67, 19}, {2, 73, 16}, {3, 74, 5}, {2, 90, 8}, {1, 97, 1},  {1, 144, 35},
                       {17, 144, 1}, {1, 134, 2}, {1, 720, 3}, {0, 8, 3},  {3, 8, 0},  {1, 1021, 2}};

TEST(Fft, ComplexBothWays) {
  for (Isa isa : isas()) {
    for (const Case& c : kCases) {
      const FftPlan plan(c.n);
      const auto src = randoms(c.outer * c.n * c.inner * 2, 1);
      for (bool inverse : {false, true}) {
        for (int slots : {1, 3}) {
          const auto got = on_all_teams([&](ThreadTeam& team) {
            auto out = src;  // in place
            Scratch scratch(fft_scratch_bytes(plan, slots));
            fft_c64(isa, team, plan, c.outer, c.inner, inverse, 0.5f, out.data(), out.data(), slots, scratch.get());
            return out;
          });
          for (int64_t o = 0; o < c.outer; ++o)
            for (int64_t i = 0; i < c.inner; ++i) {
              std::vector<Complex> z(static_cast<size_t>(c.n));
              for (int64_t j = 0; j < c.n; ++j) {
                const auto at = static_cast<size_t>(2 * ((o * c.n + j) * c.inner + i));
                z[static_cast<size_t>(j)] = {src[at], src[at + 1]};
              }
              const auto e = exact(z, inverse ? 1 : -1);
              for (int64_t k = 0; k < c.n; ++k) {
                const auto at = static_cast<size_t>(2 * ((o * c.n + k) * c.inner + i));
                ASSERT_NEAR(std::abs(Complex(got[at], got[at + 1]) - 0.5 * e[static_cast<size_t>(k)]), 0,
                            1e-6 * std::sqrt(static_cast<double>(c.n)))
                    << to_string(isa) << " n " << c.n << " inner " << c.inner << " mode " << k;
              }
            }
          if (c.n > 700) break;
        }
      }
    }
  }
}

TEST(Fft, RealBothWays) {
  for (Isa isa : isas()) {
    for (const Case& c : kCases) {
      const FftPlan plan(c.n);
      const int64_t modes = c.n / 2 + 1, slots = 2;
      const auto src = randoms(c.outer * c.n * c.inner, 2);
      const auto got = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> out(static_cast<size_t>(c.outer * modes * c.inner * 2));
        Scratch scratch(fft_scratch_bytes(plan, slots));
        rfft_f32(isa, team, plan, c.outer, c.inner, 2.0f, src.data(), out.data(), slots, scratch.get());
        return out;
      });
      // A spectrum with imaginary parts where they must be ignored.
      const auto z = randoms(c.outer * modes * c.inner * 2, 3);
      const auto back = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> out(static_cast<size_t>(c.outer * c.n * c.inner));
        Scratch scratch(fft_scratch_bytes(plan, slots));
        irfft_f32(isa, team, plan, c.outer, c.inner, 0.5f, z.data(), out.data(), slots, scratch.get());
        return out;
      });
      for (int64_t o = 0; o < c.outer; ++o)
        for (int64_t i = 0; i < c.inner; ++i) {
          std::vector<Complex> x(static_cast<size_t>(c.n)), h(static_cast<size_t>(c.n));
          for (int64_t j = 0; j < c.n; ++j)
            x[static_cast<size_t>(j)] = src[static_cast<size_t>((o * c.n + j) * c.inner + i)];
          for (int64_t k = 0; k < modes; ++k) {
            const auto at = static_cast<size_t>(2 * ((o * modes + k) * c.inner + i));
            const bool real = k == 0 || 2 * k == c.n;
            h[static_cast<size_t>(k)] = {z[at], real ? 0.0 : z[at + 1]};
            if (!real) h[static_cast<size_t>(c.n - k)] = std::conj(h[static_cast<size_t>(k)]);
          }
          const auto e = exact(x, -1), b = exact(h, 1);
          const double tolerance = 2e-6 * std::sqrt(static_cast<double>(c.n));
          for (int64_t k = 0; k < modes; ++k) {
            const auto at = static_cast<size_t>(2 * ((o * modes + k) * c.inner + i));
            ASSERT_NEAR(std::abs(Complex(got[at], got[at + 1]) - 2.0 * e[static_cast<size_t>(k)]), 0, tolerance) << c.n;
          }
          for (int64_t j = 0; j < c.n; ++j)
            ASSERT_NEAR(back[static_cast<size_t>((o * c.n + j) * c.inner + i)], 0.5 * b[static_cast<size_t>(j)].real(),
                        tolerance)
                << c.n;
        }
    }
  }
}

TEST(Fft, BitsOfAColumnDependOnItAlone) {
  auto team = make_thread_team(1, TeamKind::caller);
  for (Isa isa : isas()) {
    for (int64_t n : {12, 73}) {
      const FftPlan plan(n);
      const auto src = randoms(19 * n * 2, 4);
      std::vector<float> rows(src.size()), one(static_cast<size_t>(2 * n));
      Scratch scratch(fft_scratch_bytes(plan, 1));
      fft_c64(isa, *team, plan, 19, 1, false, 1, src.data(), rows.data(), 1, scratch.get());
      for (int64_t r = 0; r < 19; ++r) {
        fft_c64(isa, *team, plan, 1, 1, false, 1, src.data() + r * 2 * n, one.data(), 1, scratch.get());
        EXPECT_EQ(std::memcmp(one.data(), rows.data() + r * 2 * n, one.size() * 4), 0);
      }
    }
  }
}

/// Complex numbers in parts are the same numbers in other places: arrays of pairs, arrays in parts and tiles give the
/// same bits.
TEST(Fft, InPartsAsInPairs) {
  for (Isa isa : isas()) {
    for (const auto& [n, groups, columns] : {std::array<int64_t, 3>{6, 3, 5}, {12, 2, 16}, {73, 1, 20}, {90, 2, 48}}) {
      const FftPlan plan(n);
      const int64_t modes = n / 2 + 1, outer = 2, slots = 2;
      Scratch scratch(fft_scratch_bytes(plan, slots));
      for (const FftKind kind : {FftKind::forward, FftKind::inverse, FftKind::real_forward, FftKind::real_inverse}) {
        const bool from_real = kind == FftKind::real_forward, to_real = kind == FftKind::real_inverse;
        const int64_t rows = to_real ? modes : n, made = from_real ? modes : n;
        const int64_t read = from_real ? columns : 2 * columns, written = to_real ? columns : 2 * columns;
        const auto src = randoms(outer * rows * groups * read, 5);
        const auto got = on_all_teams([&](ThreadTeam& team) {
          std::vector<float> out(static_cast<size_t>(outer * made * groups * written));
          fft_parts_f32(isa, team, plan, kind, {outer, groups, columns}, 0.5f, src.data(), out.data(), slots,
                        scratch.get());
          return out;
        });
        // One group after another: as pairs [outer, rows, columns], and as tiles.
        auto team = make_thread_team(1, TeamKind::caller);
        for (int64_t g = 0; g < groups; ++g) {
          std::vector<float> pairs(static_cast<size_t>(outer * rows * read)),
              result(static_cast<size_t>(outer * made * written)), tile(static_cast<size_t>(made * written));
          const auto at = [&](int64_t row, int64_t c, int64_t width) {
            return static_cast<size_t>((row * groups + g) * width + c);
          };
          for (int64_t r = 0; r < outer * rows; ++r)
            for (int64_t c = 0; c < columns; ++c) {
              if (from_real) {
                pairs[static_cast<size_t>(r * columns + c)] = src[at(r, c, read)];
              } else {
                pairs[static_cast<size_t>(2 * (r * columns + c))] = src[at(r, c, read)];
                pairs[static_cast<size_t>(2 * (r * columns + c) + 1)] = src[at(r, c + columns, read)];
              }
            }
          if (from_real) {
            rfft_f32(isa, *team, plan, outer, columns, 0.5f, pairs.data(), result.data(), slots, scratch.get());
          } else if (to_real) {
            irfft_f32(isa, *team, plan, outer, columns, 0.5f, pairs.data(), result.data(), slots, scratch.get());
          } else {
            fft_c64(isa, *team, plan, outer, columns, kind == FftKind::inverse, 0.5f, pairs.data(), result.data(),
                    slots, scratch.get());
          }
          for (int64_t o = 0; o < outer; ++o) {
            fft_tile_f32(isa, plan, kind, columns, 0.5f, src.data() + at(o * rows, 0, read), groups * read, tile.data(),
                         written, scratch.get());
            for (int64_t k = 0; k < made; ++k)
              for (int64_t c = 0; c < columns; ++c) {
                const int64_t row = o * made + k;
                const auto pair = static_cast<size_t>(row * columns + c);
                const auto in_tile = static_cast<size_t>(k * written + c);
                ASSERT_EQ(got[at(row, c, written)], result[to_real ? pair : 2 * pair]) << to_string(isa) << " n " << n;
                ASSERT_EQ(tile[in_tile], got[at(row, c, written)]);
                if (to_real) continue;
                ASSERT_EQ(got[at(row, c + columns, written)], result[2 * pair + 1]);
                ASSERT_EQ(tile[in_tile + static_cast<size_t>(columns)], result[2 * pair + 1]);
              }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace gregale::kernels
