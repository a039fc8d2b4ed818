// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/convolution.hpp"

#include "kernels/kernels_test_support.hpp"

namespace gregale::tile {
namespace {

using kernels::testing::on_all_teams;
using kernels::testing::randoms;
using kernels::testing::Scratch;
using kernels::testing::targets;

/// Calls body(x index, weight index, y index) for every product of the convolution.
template <class Body>
void for_products(const Conv2d& p, Body body) {
  const int64_t cg = p.c / p.groups, kg = p.k / p.groups, oh = p.out_h(), ow = p.out_w();
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t k = 0; k < p.k; ++k)
      for (int64_t i = 0; i < oh; ++i)
        for (int64_t j = 0; j < ow; ++j)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t r = 0; r < p.r; ++r)
              for (int64_t s = 0; s < p.s; ++s) {
                const int64_t y = i * p.stride_h + r * p.dilation_h - p.pad_top,
                              x = j * p.stride_w + s * p.dilation_w - p.pad_left;
                if (y < 0 || y >= p.h || x < 0 || x >= p.w) continue;
                body(static_cast<size_t>(((n * p.c + k / kg * cg + c) * p.h + y) * p.w + x),
                     static_cast<size_t>(((k * cg + c) * p.r + r) * p.s + s),
                     static_cast<size_t>(((n * p.k + k) * oh + i) * ow + j));
              }
}

TEST(Conv2d, ForwardAndBothGradients) {
  const Conv2d problems[] = {{2, 3, 9, 11, 4, 3, 3, 1, 1, 1, 1, 1, 1},
                             {1, 4, 8, 7, 6, 3, 2, 2, 3, 0, 2, 1, 0, 1, 2, 2},
                             {3, 6, 5, 5, 6, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 6},
                             {1, 2, 6, 6, 20, 1, 1},
                             {2, 3, 16, 24, 8, 8, 8, 8, 8},
                             {2, 1, 3, 3, 2, 2, 2, 1, 1, 5, 5, 4, 4},
                             {1, 300, 4, 5, 100, 3, 3, 1, 1, 1, 1, 1, 1},
                             {1, 7, 9, 9, 13, 3, 1, 3, 2, 1, 0, 0, 0, 2, 1},
                             {2, 40, 6, 13, 24, 1, 1, 2, 2},
                             {0, 2, 4, 4, 3, 3, 3}};
  for (const Target& target : targets()) {
    kernels::KernelCache cache(target);
    for (const Conv2d& p : problems) {
      const int64_t xs = p.n * p.c * p.h * p.w, ws = p.k * p.c / p.groups * p.r * p.s,
                    ys = p.n * p.k * p.out_h() * p.out_w();
      const auto x = randoms(xs, 1), w = randoms(ws, 2), d = randoms(ys, 3);
      const auto run = [&](int64_t size, const auto& program, const std::vector<float>& u,
                           const std::vector<float>& v) {
        return on_all_teams([&](ThreadTeam& team) {
          std::vector<float> out(static_cast<size_t>(size), 9.0f);
          Scratch scratch(program.scratch_bytes()), own(program.thread_scratch_bytes() * team.size());
          program.run(team, u.data(), v.data(), out.data(), scratch.get(), own.get());
          return out;
        });
      };
      const auto y = run(ys, Conv2dForward(cache, p), x, w);
      const auto dx = run(xs, Conv2dAdjoint(cache, p, Conv2dAdjoint::Of::input), w, d);
      const auto dw = run(ws, Conv2dAdjoint(cache, p, Conv2dAdjoint::Of::weights), x, d);
      std::vector<double> ey(y.size()), ex(x.size()), ew(w.size());
      const double tolerance = 2e-5 * std::max(1.0, static_cast<double>(p.c / p.groups * p.r * p.s) / 300);
      for_products(p, [&](size_t xi, size_t wi, size_t yi) {
        ey[yi] += static_cast<double>(x[xi]) * w[wi];
        ex[xi] += static_cast<double>(d[yi]) * w[wi];
        ew[wi] += static_cast<double>(x[xi]) * d[yi];
      });
      for (size_t i = 0; i < ey.size(); ++i) ASSERT_NEAR(y[i], ey[i], tolerance);
      for (size_t i = 0; i < ex.size(); ++i) ASSERT_NEAR(dx[i], ex[i], tolerance);
      for (size_t i = 0; i < ew.size(); ++i) ASSERT_NEAR(dw[i], ew[i], tolerance);
    }
  }
}

}  // namespace
}  // namespace gregale::tile
