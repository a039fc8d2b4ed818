// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/fourier.hpp"

#include <numbers>

#include "ops/graphs_for_tests.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

using Complex = std::complex<double>;
using Values = std::vector<Value>;
using Axes = std::vector<int64_t>;
const std::string kNorms[] = {"ortho", "backward", "forward"};
constexpr int64_t kLengths[] = {1, 2, 3, 4, 5, 8, 9, 12, 36, 37, 144};

Tensor run_fft(const Tensor& z, Axes axes, bool inverse, const std::string& norm) {
  return evaluate({z}, [&](Graph& g, const Values& v) { return fft(g, v[0], axes, inverse, norm); });
}
Tensor run_rfft(const Tensor& x, Axes axes, const std::string& norm) {
  return evaluate({x}, [&](Graph& g, const Values& v) { return rfft(g, v[0], axes, norm); });
}
Tensor run_irfft(const Tensor& z, Axes axes, int64_t size, const std::string& norm) {
  return evaluate({z}, [&](Graph& g, const Values& v) { return irfft(g, v[0], axes, size, norm); });
}

void expect_near(const Tensor& given, const std::vector<Complex>& expected, double tolerance) {
  const auto values = given.as<Complex>();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_LT(std::abs(values[i] - expected[i]), tolerance) << i;
}
void expect_near(const Tensor& given, const std::vector<double>& expected, double tolerance) {
  const auto values = given.as<double>();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << i;
}

TEST(Fourier, RootsOfUnityAreExactWhereTheyCanBe) {
  for (int64_t n : kLengths) {
    const auto roots = roots_of_unity(n, true);
    EXPECT_EQ(roots[0], Complex(1, 0));
    if (n % 4 == 0) {
      EXPECT_EQ(roots[static_cast<size_t>(n / 4)], Complex(0, 1));
      EXPECT_EQ(roots[static_cast<size_t>(3 * n / 4)], Complex(0, -1));
    }
    if (n % 2 == 0) {
      EXPECT_EQ(roots[static_cast<size_t>(n / 2)], Complex(-1, 0));
    }
    for (int64_t r = 0; r < n; ++r) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(r) / static_cast<double>(n);
      EXPECT_LT(std::abs(roots[static_cast<size_t>(r)] - std::polar(1.0, angle)), 4e-15);
    }
  }
}

TEST(Fft, OfADeltaIsAWave) {
  for (int64_t n : kLengths) {
    const int64_t at = n / 3;
    Tensor delta(DType::c128, {n});
    delta.as<Complex>()[static_cast<size_t>(at)] = 1;
    std::vector<Complex> wave;
    for (int64_t k = 0; k < n; ++k)
      wave.push_back(std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k * at % n) / static_cast<double>(n)));
    expect_near(run_fft(delta, {0}, false, "backward"), wave, 1e-13);
  }
}

TEST(Fft, OfASingleModeIsADelta) {
  for (int64_t n : kLengths)
    for (const std::string& norm : kNorms) {
      const int64_t mode = n / 2;
      std::vector<Complex> wave;
      for (int64_t j = 0; j < n; ++j)
        wave.push_back(
            std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(mode * j % n) / static_cast<double>(n)));
      const auto size = static_cast<double>(n);
      std::vector<Complex> delta(wave.size(), 0);
      delta[static_cast<size_t>(mode)] = norm == "ortho" ? std::sqrt(size) : norm == "backward" ? size : 1;
      expect_near(run_fft(Tensor::from(wave, {n}), {0}, false, norm), delta, 1e-12 * size);
    }
}

TEST(Fft, OrthoKeepsTheEnergy) {
  for (int64_t n : kLengths) {
    const Tensor z = sample_complex({2, n, 3}, 5);
    const Tensor y = run_fft(z, {1, 0}, false, "ortho");
    EXPECT_NEAR(dot(y, y), dot(z, z), 1e-12 * dot(z, z));
  }
}

TEST(Fft, InverseUndoesItUnderEveryNorm) {
  for (const std::string& norm : kNorms)
    for (const Axes& axes : {Axes{0}, Axes{2}, Axes{1, 2}, Axes{-1, 0}, Axes{0, 1, 2}}) {
      const Tensor z = sample_complex({3, 4, 5}, 6);
      expect_near(run_fft(run_fft(z, axes, false, norm), axes, true, norm), values_of<Complex>(z), 1e-13);
    }
}

TEST(Rfft, IsTheFirstHalfOfFft) {
  for (int64_t n : kLengths)
    for (const std::string& norm : kNorms) {
      const Tensor x = sample_uniform({2, n, 2}, 7);
      const auto full = values_of<Complex>(run_fft(x.cast(DType::c128), {0, 1}, false, norm));
      const Tensor half = run_rfft(x, {0, 1}, norm);
      ASSERT_EQ(half.extents(), (Extents{2, n / 2 + 1, 2}));
      std::vector<Complex> expected;
      for (int64_t o = 0; o < 2; ++o)
        for (int64_t i = 0; i < (n / 2 + 1) * 2; ++i) expected.push_back(full[static_cast<size_t>(o * n * 2 + i)]);
      expect_near(half, expected, 1e-12 * static_cast<double>(n));
    }
}

TEST(Irfft, UndoesRfft) {
  for (int64_t n : kLengths)
    for (const std::string& norm : kNorms) {
      const Tensor x = sample_uniform({n}, 8), y = sample_uniform({3, n, 2}, 9);
      expect_near(run_irfft(run_rfft(x, {0}, norm), {0}, n, norm), values_of<double>(x), 1e-13);
      expect_near(run_irfft(run_rfft(y, {2, 0, 1}, norm), {2, 0, 1}, n, norm), values_of<double>(y), 1e-13);
    }
}

TEST(Irfft, IgnoresImaginaryPartsOfTheEnds) {
  for (int64_t n : {1, 4, 5}) {
    const Tensor z = sample_complex({n / 2 + 1}, 10);
    Tensor changed = z.clone();
    changed.as<Complex>()[0] += Complex(0, 3);
    if (n % 2 == 0) changed.as<Complex>()[static_cast<size_t>(n / 2)] -= Complex(0, 2);
    EXPECT_TRUE(run_irfft(z, {0}, n, "ortho").identical(run_irfft(changed, {0}, n, "ortho")));
  }
}

// Computed with numpy.fft of NumPy 1.24: rfft2(a, norm="ortho"), rfftn(a, axes=(1, 0)),
// irfftn(z, s=(3, 4), norm="forward"), irfftn(z, s=(3, 5), axes=(1, 0)), ifft2(z).
TEST(Fourier, AgreesWithNumpy) {
  const Tensor a = Tensor::from<double>({1, -2, 0.5, 3, 0, 4, -1, 2, 2.5, 1, 1, -3}, {3, 4});
  const Tensor z =
      Tensor::from<Complex>({{1, 2}, {-1, 1}, {3, -1}, {2, -2}, {0.5, 0.5}, {0, -1}, {-1, 0}, {1, 3}, {2, 1}}, {3, 3});
  expect_near(run_rfft(a, {0, 1}, "ortho"),
              std::vector<Complex>{{2.5980762113533165, 0},
                                   {0.8660254037844388, -0.2886751345948129},
                                   {-0.2886751345948129, 0},
                                   {-0.2165063509461097, -0.8750000000000001},
                                   {0.28349364905389035, 2.4344010767585034},
                                   {0.36084391824351614, 3.1250000000000004},
                                   {-0.2165063509461097, 0.8750000000000001},
                                   {-0.7165063509461097, 2.1844010767585034},
                                   {0.36084391824351614, -3.1250000000000004}},
              1e-14);
  expect_near(run_rfft(a, {1, 0}, "backward"),
              std::vector<Complex>{{9, 0},
                                   {3, -1},
                                   {-1, 0},
                                   {3, 1},
                                   {-0.75, -3.031088913245535},
                                   {0.9820508075688767, 8.433012701892219},
                                   {1.25, 10.825317547305483},
                                   {-2.4820508075688767, -7.566987298107781}},
              1e-14);
  expect_near(
      run_irfft(z, {0, 1}, 4, "forward"),
      std::vector<double>{8, -12, 6, 6, 6.794228634059947, 0.8660254037844384, 5.133974596215562, -3.8660254037844384,
                          -8.794228634059948, -0.8660254037844386, 6.866025403784438, -2.1339745962155616},
      1e-13);
  expect_near(run_irfft(z, {1, 0}, 5, "backward"),
              std::vector<double>{0.8, -0.6196152422706631, 0.4196152422706632, 0.09080117050072865, 0.7512356435389148,
                                  0.6896287922464162, 0.7158907598299098, -0.5987044380742559, -0.21777851317161226,
                                  -0.6904263590799027, -0.07826539144695613, -0.27235684455705667, 0.08373442874926429,
                                  -0.03200084093666544, -0.041758407598784734},
              1e-14);
  expect_near(run_fft(z, {0, 1}, true, "backward"),
              std::vector<Complex>{{0.8333333333333333, 0.38888888888888884},
                                   {-0.6125710800904901, -0.6274571463366636},
                                   {0.4459044134238236, 0.23856825744777482},
                                   {0.7087961249554278, 0.18700141132135767},
                                   {-0.13144585576580212, 0.5203347446546909},
                                   {0.16666666666666663, 1.1586892478083897},
                                   {-0.5421294582887611, 0.09077636645642007},
                                   {0.16666666666666652, -0.38091147003061204},
                                   {-0.03522081090086452, 0.4241096997897533}},
              1e-14);
}

TEST(Fourier, GradientsAreAdjointsAtEveryLengthAndNorm) {
  for (int64_t n : kLengths)
    for (const std::string& norm : kNorms) {
      SCOPED_TRACE(fmt::format("n {} norm {}", n, norm));
      for (bool inverse : {false, true})
        expect_adjoint({sample_complex({n}, 11)}, 0,
                       [&](Graph& g, const Values& v) { return fft(g, v[0], {0}, inverse, norm); });
      expect_adjoint({sample_uniform({n}, 12)}, 0, [&](Graph& g, const Values& v) { return rfft(g, v[0], {0}, norm); });
      expect_adjoint({sample_complex({n / 2 + 1}, 13)}, 0,
                     [&](Graph& g, const Values& v) { return irfft(g, v[0], {0}, n, norm); });
      for (const Axes& axes : {Axes{0, 1}, Axes{2, 1}, Axes{0, -1, 1}}) {
        expect_adjoint({sample_complex({2, n, 3}, 14)}, 0,
                       [&](Graph& g, const Values& v) { return fft(g, v[0], axes, false, norm); });
        expect_adjoint({sample_uniform({2, n, 3}, 15)}, 0,
                       [&](Graph& g, const Values& v) { return rfft(g, v[0], axes, norm); });
        expect_adjoint({sample_complex({2, n / 2 + 1, 3}, 16)}, 0,
                       [&](Graph& g, const Values& v) { return irfft(g, v[0], axes, n, norm); });
      }
    }
}

TEST(Irfft, GradientHasNoImaginaryPartWhereNoneIsRead) {
  for (int64_t n : {1, 2, 4, 5}) {
    const Tensor d =
        evaluate({sample_complex({n / 2 + 1}, 17), sample_uniform({n}, 18)},
                 [&](Graph& g, const Values& v) { return pull_back(g, irfft(g, v[0], {0}, n, "ortho"), v[1], 0); });
    const auto values = d.as<Complex>();
    EXPECT_EQ(values[0].imag(), 0);
    if (n % 2 == 0) {
      EXPECT_NEAR(values[static_cast<size_t>(n / 2)].imag(), 0, 1e-15);
    }
  }
}

TEST(Fourier, KeepsSymbolsAndRefuses) {
  const Dim batch = Dim::symbol("n", 64);
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{batch, 8})),
              z = g.add_input("z", Type(DType::c64, Shape{batch, 5}));
  EXPECT_EQ(g.type(rfft(g, x, {1})), Type(DType::c64, (Shape{batch, 5})));
  EXPECT_EQ(g.type(irfft(g, z, {1}, 9)), Type(DType::f32, (Shape{batch, 9})));
  EXPECT_ERROR(rfft(g, x, {0}), "[rfft] axis 0 of f32[n<=64,8] is symbolic: it cannot be transformed");
  EXPECT_ERROR(rfft(g, x, {2}), "[rfft] axis 2 is out of range for rank 2");
  EXPECT_ERROR(rfft(g, x, {1, -1}), "[rfft] axis -1 is named twice");
  EXPECT_ERROR(rfft(g, x, {}), "[rfft] needs at least one axis");
  EXPECT_ERROR(rfft(g, z, {1}), "[rfft] x has dtype c64; expected f32 or f64");
  EXPECT_ERROR(fft(g, x, {1}), "[fft] z has dtype f32; expected c64 or c128");
  EXPECT_ERROR(fft(g, z, {1}, false, "unitary"), "[fft] norm 'unitary' is none of ortho, backward, forward");
  EXPECT_ERROR(irfft(g, z, {1}, 10), "[irfft] size 10 needs 6 modes along axis 1, not 5");
  EXPECT_ERROR(irfft(g, z, {1}, 0), "[irfft] size 0 needs 1 modes along axis 1, not 5");
}

}  // namespace
}  // namespace gregale::ops
