// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/convolution_channels_last.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/kernels_test_support.hpp"
#include "kernels/testing/amx_emulator_for_tests.hpp"

namespace gregale::tile {
namespace {

using kernels::Broadcast;
using kernels::Compute;
using kernels::ExprOp;
using kernels::KernelCache;
using kernels::testing::on_all_teams;
using kernels::testing::randoms;
using kernels::testing::Scratch;
using kernels::testing::targets;

/// Values of f32 or bf16 in memory; `values` is what they are.
struct Values {
  DType dtype = DType::f32;
  std::vector<float> values;
  std::vector<bf16> narrow;

  Values(DType d, int64_t count, unsigned seed) : dtype(d), values(randoms(count, seed)) {
    for (float& x : values) {
      if (d == DType::f32) break;
      narrow.push_back(to_bf16(x));
      x = to_f32(narrow.back());
    }
  }
  const void* data() const {
    return dtype == DType::f32 ? static_cast<const void*>(values.data()) : static_cast<const void*>(narrow.data());
  }
};

struct Dtypes {
  DType x = DType::f32, weights = DType::f32, y = DType::f32;
  Compute compute = Compute::f32;
};

int64_t inputs_of(const Conv2d& s) { return s.n * s.c * s.h * s.w; }
int64_t weights_of(const Conv2d& s) { return s.k * (s.c / s.groups) * s.r * s.s; }
int64_t outputs_of(const Conv2d& s) { return s.n * s.k * s.out_h() * s.out_w(); }

/// y as f32 of any dtype, the same for all teams.
std::vector<float> run(const ConvChannelsLast& program, const Values& x, const Values& w,
                       const std::vector<const void*>& epilogue_inputs = {}) {
  const int64_t count = outputs_of(program.problem().shape);
  const DType dtype = program.problem().y;
  const auto bytes = on_all_teams([&](ThreadTeam& team) {
    Scratch packed(program.packed_weights_bytes());
    program.pack_weights(team, w.dtype, w.data(), packed.get());
    std::vector<std::byte> y(static_cast<size_t>(count * size_of(dtype)), std::byte{0x7f});
    Scratch scratch(program.scratch_bytes()), own(program.thread_scratch_bytes() * team.size());
    program.run(team, {x.data(), packed.get(), y.data(), epilogue_inputs.data()}, scratch.get(), own.get());
    return y;
  });
  std::vector<float> y;
  for (int64_t i = 0; i < count; ++i) {
    y.push_back(dtype == DType::f32 ? reinterpret_cast<const float*>(bytes.data())[i]
                                    : to_f32(reinterpret_cast<const bf16*>(bytes.data())[i]));
  }
  return y;
}

/// The sums and the sums of magnitudes, in plain loops.
struct Expected {
  std::vector<double> sum, size;
  Expected(const Conv2d& s, const std::vector<float>& x, const std::vector<float>& w)
      : sum(static_cast<size_t>(outputs_of(s))), size(sum) {
    const int64_t cg = s.c / s.groups, kg = s.k / s.groups;
    size_t at = 0;
    for (int64_t n = 0; n < s.n; ++n)
      for (int64_t i = 0; i < s.out_h(); ++i)
        for (int64_t j = 0; j < s.out_w(); ++j)
          for (int64_t k = 0; k < s.k; ++k, ++at)
            for (int64_t r = 0; r < s.r; ++r)
              for (int64_t q = 0; q < s.s; ++q) {
                const int64_t row = i * s.stride_h + r * s.dilation_h - s.pad_top;
                const int64_t column = j * s.stride_w + q * s.dilation_w - s.pad_left;
                if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
                for (int64_t c = 0; c < cg; ++c) {
                  const double product =
                      static_cast<double>(
                          x[static_cast<size_t>(((n * s.h + row) * s.w + column) * s.c + k / kg * cg + c)]) *
                      w[static_cast<size_t>(((k * cg + c) * s.r + r) * s.s + q)];
                  sum[at] += product;
                  size[at] += std::fabs(product);
                }
              }
  }
};

std::string words(const Target& target, const ConvChannelsLast& program) {
  const Conv2d& s = program.problem().shape;
  return fmt::format("{}: {}x{}x{}x{}, {} of {}x{}; {}", gregale::to_string(target.isa), s.n, s.h, s.w, s.c, s.k, s.r,
                     s.s, program.describe());
}

// n, c, h, w, k, r, s; strides; padding top, left, bottom, right; dilation; groups
const Conv2d kShapes[] = {
    {2, 20, 5, 7, 24, 1, 1},                                 // one product
    {2, 16, 6, 13, 24, 1, 1, 2, 2},                          // read where it is
    {1, 9, 6, 5, 7, 1, 1, 2, 1, 1, 1, 1, 1},                 // one tap, padded
    {2, 32, 7, 7, 70, 3, 3, 1, 1, 1, 1, 1, 1},               // narrow rows, a tail of outputs
    {1, 230, 6, 6, 65, 3, 3, 1, 1, 1, 1, 1, 1},              // blocks of channels, the last padded
    {1, 300, 4, 5, 20, 1, 1, 2, 2, 0, 1},                    // many channels, one tap
    {2, 3, 23, 21, 64, 7, 7, 2, 2, 3, 3, 3, 3},              // the stem
    {1, 3, 9, 11, 5, 3, 3, 1, 1, 0, 2, 1, 0},                // odd channels, uneven padding
    {1, 5, 13, 12, 9, 3, 2, 1, 2, 2, 1, 2, 1, 2, 3},         // dilation
    {2, 12, 6, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3},      // groups
    {1, 150, 8, 7, 150, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 150},  // depthwise
    {1, 6, 7, 6, 12, 5, 5, 2, 2, 2, 2, 2, 2, 1, 1, 6},       // depthwise, two outputs a channel
    {2, 5, 9, 12, 5, 5, 4, 1, 1, 2, 1, 2, 2, 1, 2, 5},       // depthwise, more taps than one kernel takes
    {3, 17, 1, 1, 33, 1, 1},                                 // images of a pixel
    {2, 10, 1, 1, 6, 3, 3, 1, 1, 1, 1, 1, 1},                //
    {1, 4, 3, 300, 6, 3, 3, 1, 1, 1, 1, 1, 1},               // wide rows, cut in columns
    {1, 8, 40, 40, 16, 3, 3, 1, 1, 1, 1, 1, 1},              //
    {2, 1, 3, 3, 2, 2, 2, 1, 1, 5, 5, 4, 4},                 // pixels that see no image
    {0, 2, 4, 4, 3, 3, 3},
};
const Dtypes kDtypes[] = {{},
                          {DType::bf16, DType::bf16, DType::bf16, Compute::bf16},
                          {DType::bf16, DType::f32, DType::f32, Compute::bf16},
                          {DType::bf16, DType::bf16, DType::f32, Compute::f32},
                          {DType::f32, DType::bf16, DType::bf16, Compute::f32}};

void check_shape(const Target& target, const Conv2d& shape, const Dtypes& d) {
  KernelCache cache(target);
  ConvChannelsLastProblem p;
  p.shape = shape;
  p.x = d.x;
  p.y = d.y;
  p.compute = d.compute;
  const Values x(d.x, inputs_of(shape), 1), w(d.weights, weights_of(shape), 2);
  // Weights are rounded to what is multiplied.
  std::vector<float> multiplied = w.values;
  if (d.compute == Compute::bf16)
    for (float& v : multiplied) v = to_f32(to_bf16(v));
  const Expected expected(shape, x.values, multiplied);
  const double unit = d.y == DType::bf16 ? 1.0 / 256 : 0;
  const ConvChannelsLast plain(cache, p);
  const auto y = run(plain, x, w);
  for (size_t i = 0; i < y.size(); ++i)
    ASSERT_NEAR(y[i], expected.sum[i], std::fabs(expected.sum[i]) * unit + 1e-6 * expected.size[i] + 1e-37)
        << words(target, plain) << " at " << i;

  const Values bias(DType::f32, shape.k, 3), residual(d.y, outputs_of(shape), 4);
  kernels::Expression& e = p.epilogue;
  const auto sum = e.apply(ExprOp::add, e.input(0), e.input(1));
  e.output(e.apply(ExprOp::relu, e.apply(ExprOp::add, sum, e.input(2))));
  p.epilogue_inputs = {{.broadcast = Broadcast::row}, {.dtype = d.y}};
  const ConvChannelsLast fused(cache, p);
  const auto z = run(fused, x, w, {bias.data(), residual.data()});
  for (size_t i = 0; i < z.size(); ++i) {
    const double value =
        std::max(0.0, expected.sum[i] + bias.values[i % static_cast<size_t>(shape.k)] + residual.values[i]);
    ASSERT_NEAR(z[i], value, value * unit + 1e-6 * (expected.size[i] + 2)) << words(target, fused) << " at " << i;
  }
}

TEST(ConvChannelsLast, AgreesWithLoops) {
  for (const Target& target : targets())
    for (const Conv2d& shape : kShapes)
      for (const Dtypes& d : kDtypes) check_shape(target, shape, d);
}

TEST(ConvChannelsLast, OnTiles) {
  using kernels::testing::AmxEmulator;
  if (const char* why = kernels::testing::amx_untestable()) GTEST_SKIP() << why;
  const AmxEmulator emulator;
  const Target target = kernels::testing::amx_target();
  const Dtypes d{DType::bf16, DType::bf16, DType::bf16, Compute::bf16};
  for (const Conv2d& shape : {kShapes[0], kShapes[3], kShapes[4], kShapes[6], kShapes[9]})
    check_shape(target, shape, d);
}

/// An image's bits are the same alone and among others, and so are those of a pixel in the middle of another image.
TEST(ConvChannelsLast, BitsOfAPixelDependOnWhatItSeesAlone) {
  for (const Target& target : targets()) {
    KernelCache cache(target);
    for (const Conv2d& shape : {Conv2d{7, 40, 9, 8, 70, 3, 3, 1, 1, 1, 1, 1, 1}, Conv2d{5, 40, 6, 7, 70, 1, 1},
                                Conv2d{3, 3, 30, 31, 20, 7, 7, 2, 2, 3, 3, 3, 3}}) {
      ConvChannelsLastProblem p;
      p.shape = shape;
      const Values w(DType::f32, weights_of(shape), 6), x(DType::f32, inputs_of(shape), 5);
      const auto all = run(ConvChannelsLast(cache, p), x, w);
      for (const int64_t image : {int64_t{0}, shape.n - 1}) {
        p.shape.n = 1;
        Values one(DType::f32, 0, 0);
        const int64_t in = inputs_of(p.shape), out = outputs_of(p.shape);
        one.values.assign(x.values.begin() + image * in, x.values.begin() + (image + 1) * in);
        const auto alone = run(ConvChannelsLast(cache, p), one, w);
        ASSERT_EQ(std::memcmp(alone.data(), all.data() + image * out, alone.size() * 4), 0);
      }
    }
  }
}

TEST(ConvChannelsLast, RefusesWhatIsNoConvolution) {
  KernelCache cache(Target::detect());
  const auto refused = [&](auto change) {
    ConvChannelsLastProblem p;
    p.shape = {1, 4, 5, 5, 6, 3, 3};
    change(p);
    EXPECT_THROW(ConvChannelsLast(cache, p), Error);
  };
  refused([](ConvChannelsLastProblem& p) { p.shape.groups = 4; });
  refused([](ConvChannelsLastProblem& p) { p.shape.r = 6; });
  refused([](ConvChannelsLastProblem& p) { p.shape.stride_w = 0; });
  refused([](ConvChannelsLastProblem& p) { p.shape.pad_left = -1; });
  refused([](ConvChannelsLastProblem& p) { p.x = DType::f64; });
  refused([](ConvChannelsLastProblem& p) { p.compute = Compute::bf16; });
  refused([](ConvChannelsLastProblem& p) { p.compute = Compute::fp32x3; });
  refused([](ConvChannelsLastProblem& p) { p.epilogue_inputs = {{.broadcast = Broadcast::row}}; });
}

}  // namespace
}  // namespace gregale::tile
