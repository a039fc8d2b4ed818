// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/fft/fft_tile.hpp"

#include <array>
#include <cstring>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::isas;
using testing::randoms;
using testing::Scratch;

/// Both methods compute the same transform; rows keep their distance.
TEST(FftTile, ProductsAreRadices) {
  for (const Isa isa : isas()) {
    const Target target = Target::detect().capped(isa);
    for (const auto& [n, columns] : {std::array<int64_t, 2>{2, 5}, {9, 16}, {16, 40}, {73, 24}, {90, 8}})
      for (const FftKind kind : {FftKind::forward, FftKind::inverse, FftKind::real_forward, FftKind::real_inverse}) {
        const int64_t modes = n / 2 + 1;
        const bool from_real = kind == FftKind::real_forward, to_real = kind == FftKind::real_inverse;
        const int64_t read = to_real ? modes : n, made = from_real ? modes : n;
        const int64_t width = to_real ? columns : 2 * columns, leading = 2 * columns + 3;
        const auto src = randoms(read * leading, 1);
        const FftTile::Desc desc{n, columns, kind, 0.5, leading, leading};
        std::vector<float> got[2];
        for (const FftMethod method : {FftMethod::radices, FftMethod::product}) {
          const FftTile tile(target, desc, method);
          EXPECT_EQ(tile.method(), method);
          Scratch scratch(tile.scratch_bytes() + 64);
          auto& out = got[static_cast<size_t>(method)];
          out.assign(static_cast<size_t>(made * leading), 7.0f);
          tile(src.data(), out.data(), scratch.get());
        }
        for (int64_t k = 0; k < made; ++k)
          for (int64_t c = 0; c < leading; ++c) {
            const auto at = static_cast<size_t>(k * leading + c);
            if (c < width)
              ASSERT_NEAR(got[0][at], got[1][at], 2e-6 * static_cast<double>(n)) << to_string(isa) << " n " << n;
            else
              ASSERT_EQ(got[1][at], 7.0f);
          }
      }
  }
}

/// An array by products, in place, has the bits of its tiles.
TEST(FftTile, ArraysAreTheirTiles) {
  for (const Isa isa : isas()) {
    Target target = Target::detect().capped(isa);
    target.cores = 3;
    for (const int64_t n : {12, 73}) {
      const int64_t outer = 2, groups = 3, columns = 5, row = groups * 2 * columns;
      const auto src = randoms(outer * n * row, 2);
      const FftArray array(target, {outer, groups, columns}, n, FftKind::forward, 0.5);
      const auto got = testing::on_all_teams([&](ThreadTeam& team) {
        auto out = src;
        Scratch scratch(array.scratch_bytes());
        array.run(team, out.data(), out.data(), scratch.get());
        return out;
      });
      const FftTile tile(target, {n, columns, FftKind::forward, 0.5, row, row});
      auto expected = src;
      Scratch scratch(tile.scratch_bytes() + 64);
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t g = 0; g < groups; ++g) {
          const int64_t at = o * n * row + g * 2 * columns;
          tile(src.data() + at, expected.data() + at, scratch.get());
        }
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << to_string(isa) << " " << n;
    }
  }
}

TEST(FftTile, MethodIsChosenByCost) {
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    EXPECT_EQ(fft_method(isa, 90, FftKind::forward), FftMethod::radices);
    EXPECT_EQ(fft_method(isa, 180, FftKind::real_forward), FftMethod::radices);
    EXPECT_EQ(fft_method(isa, 73, FftKind::forward), FftMethod::product);  // Bluestein otherwise
    EXPECT_EQ(fft_method(isa, 181, FftKind::real_inverse), FftMethod::product);
    EXPECT_EQ(fft_method(isa, 12, FftKind::real_forward), FftMethod::product);  // little else than loads and stores
    EXPECT_EQ(fft_method(isa, 37, FftKind::inverse), FftMethod::product);       // one stage of radix 37 otherwise
  }
  EXPECT_EQ(fft_method(Isa::reference, 73, FftKind::forward), FftMethod::radices);
}

}  // namespace
}  // namespace gregale::kernels
