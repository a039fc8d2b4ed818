// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numbers>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

/// A signal without its last axis of 1 (real) or 2 (complex) numbers; `im` is invalid for a real one.
struct Signal {
  Value re, im;
};

Signal signal_of(OnnxNode& n, Value x) {
  Graph& g = n.graph();
  const Type type = g.type(x);
  if (!is_real_float(type.dtype)) n.fail(fmt::format("the signal is {}; floats are needed", to_string(type)));
  if (type.rank() < 2) n.fail(fmt::format("the signal is {}; it needs two axes or more", to_string(type)));
  Extents e = type.shape.extents();
  const int64_t parts = e.back(), last = type.rank() - 1;
  if (parts != 1 && parts != 2) n.fail(fmt::format("the signal is {}; its last axis needs 1 or 2", to_string(type)));
  e.pop_back();
  if (type.dtype != DType::f64) x = cast_to(g, x, DType::f32);
  if (parts == 1) return {ops::reshape(g, x, e), {}};
  const auto part = [&](int64_t i) { return ops::reshape(g, ops::slice_axis(g, x, last, i, i + 1), e); };
  return {part(0), part(1)};
}

/// The first `count` elements along an axis, with zeros after what there is.
Value resized(Graph& g, Value x, int64_t axis, int64_t count) {
  const Extents e = g.type(x).shape.extents();
  const auto a = static_cast<size_t>(axis);
  if (count < e[a]) return ops::slice_axis(g, x, axis, 0, count);
  if (count == e[a]) return x;
  std::vector<int64_t> low(e.size(), 0), high(e.size(), 0);
  high[a] = count - e[a];
  return ops::pad(g, x, low, high);
}

/// Complex numbers as a last axis of two.
Value in_pairs(Graph& g, Value z) {
  Extents e = g.type(z).shape.extents();
  const auto last = static_cast<int64_t>(e.size());
  e.push_back(1);
  return ops::concat(g, {ops::reshape(g, ops::real(g, z), e), ops::reshape(g, ops::imag(g, z), e)}, last);
}

Value complex_of(Graph& g, const Signal& s) {
  const Type type = g.type(s.re);
  const Value im = s.im.valid() ? s.im : g.constant(Tensor::full(type.dtype, type.shape.extents(), 0));
  return ops::complex(g, s.re, im);
}

/// Transforms up to this length are products with a matrix, in f64: no slower where they are that short, and what is
/// 0 by symmetry comes out as 0 to the last bits of f64.
constexpr int64_t kShort = 32;

/// The rows of a transform of `count` points that give `results` of them (pairs where `pairs`, real parts otherwise)
/// from `given` (the same), in parts: all real parts first. Of a half spectrum, the rest of it follows by symmetry.
Tensor transform_matrix(int64_t count, bool inverse, bool half_spectrum, int64_t given, bool given_pairs,
                        int64_t results, bool result_pairs) {
  const int64_t rows = result_pairs ? 2 * results : results, columns = given_pairs ? 2 * given : given;
  std::vector<double> m(static_cast<size_t>(rows * columns));
  for (int64_t j = 0; j < results; ++j)
    for (int64_t k = 0; k < given; ++k) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % count) / static_cast<double>(count);
      const double twice = half_spectrum && k != 0 && 2 * k != count ? 2 : 1;
      const double scale = inverse ? twice / static_cast<double>(count) : 1;
      const double re = scale * std::cos(angle), im = (inverse ? scale : -scale) * std::sin(angle);
      const auto at = [&](int64_t row, int64_t column) -> double& {
        return m[static_cast<size_t>(row * columns + column)];
      };
      at(j, k) = re;
      if (given_pairs) at(j, given + k) = -im;
      if (result_pairs) at(results + j, k) = im;
      if (given_pairs && result_pairs) at(results + j, given + k) = re;
    }
  return Tensor::from(m, {rows, columns});
}

/// A short transform along an axis: pairs, but real numbers of a half spectrum transformed back.
Value short_transform(Graph& g, Signal s, int64_t axis, int64_t count, bool inverse, bool onesided) {
  const bool back = inverse && onesided;
  const int64_t given = back ? count / 2 + 1 : count, results = onesided && !inverse ? count / 2 + 1 : count;
  Extents e = g.type(s.re).shape.extents();
  const auto middle = e.begin() + axis;
  const int64_t outer = element_count(Extents(e.begin(), middle)), inner = element_count(Extents(middle + 1, e.end()));
  const auto rows = [&](Value part) {
    part = ops::reshape(g, resized(g, part, axis, given), Extents{outer, given, inner});
    return cast_to(g, part, DType::f64);
  };
  const Value x = s.im.valid() ? ops::concat(g, {rows(s.re), rows(s.im)}, 1) : rows(s.re);
  const Value m = g.constant(transform_matrix(count, inverse, back, given, s.im.valid(), results, !back));
  Value y = cast_to(g, ops::matmul(g, m, x), g.type(s.re).dtype);
  *middle = results;
  if (back) {
    e.push_back(1);
    return ops::reshape(g, y, e);
  }
  e.push_back(2);
  y = ops::transpose(g, ops::reshape(g, y, Extents{outer, 2, results, inner}), {0, 2, 3, 1});
  return ops::reshape(g, y, e);
}

/// The transform of `count` points along an axis, as pairs; `onesided` keeps count/2 + 1 of them.
Value forward(Graph& g, Signal s, int64_t axis, int64_t count, bool onesided) {
  if (count <= kShort) return short_transform(g, s, axis, count, false, onesided);
  s.re = resized(g, s.re, axis, count);
  if (s.im.valid()) s.im = resized(g, s.im, axis, count);
  if (onesided && !s.im.valid()) return in_pairs(g, ops::rfft(g, s.re, {axis}, "backward"));
  const Value pairs = in_pairs(g, ops::fft(g, complex_of(g, s), {axis}, false, "backward"));
  return onesided ? ops::slice_axis(g, pairs, axis, 0, count / 2 + 1) : pairs;
}

std::vector<Value> dft(OnnxNode& n) {
  Graph& g = n.graph();
  const Type type = n.type(0);
  const Signal s = signal_of(n, n.input(0));
  // The last axis is no axis of the signal.
  const int64_t rank = type.rank();
  int64_t axis = n.opset() >= 20 ? n.has_input(2) ? n.constant_integer(2) : -2 : n.integer("axis", 1);
  if (axis < -rank || axis >= rank - 1 || axis == -1)
    n.fail(fmt::format("axis {} is none of the signal's, {}", axis, to_string(type)));
  if (axis < 0) axis += rank;
  const bool inverse = n.integer("inverse", 0) != 0, onesided = n.integer("onesided", 0) != 0;
  const int64_t extent = type.shape[axis].value();
  int64_t count = inverse && onesided ? 2 * (extent - 1) : extent;
  if (n.has_input(1)) count = n.constant_integer(1);
  if (count < 1) n.fail(fmt::format("the transform has {} points; it needs one or more", count));
  Value y;
  if (!inverse) {
    y = forward(g, s, axis, count, onesided);
  } else if (count <= kShort) {
    y = short_transform(g, s, axis, count, true, onesided);
  } else {
    const int64_t modes = onesided ? count / 2 + 1 : count;
    Signal spectrum{resized(g, s.re, axis, modes), s.im.valid() ? resized(g, s.im, axis, modes) : Value()};
    const Value z = complex_of(g, spectrum);
    if (onesided) {
      Extents e = type.shape.extents();
      e[static_cast<size_t>(axis)] = count;
      e.back() = 1;
      y = ops::reshape(g, ops::irfft(g, z, {axis}, count, "backward"), e);
    } else {
      y = in_pairs(g, ops::fft(g, z, {axis}, true, "backward"));
    }
  }
  return {cast_to(g, y, type.dtype)};
}

std::vector<Value> stft(OnnxNode& n) {
  Graph& g = n.graph();
  const Type type = n.type(0);
  if (type.rank() != 3) n.fail(fmt::format("the signal is {}; it needs three axes", to_string(type)));
  Signal s = signal_of(n, n.input(0));
  const DType dtype = g.type(s.re).dtype;
  const int64_t length = type.shape[1].value(), step = n.constant_integer(1);
  if (n.has_input(2) && n.rank(2) != 1) n.fail(fmt::format("the window is {}", to_string(n.type(2))));
  int64_t frame = n.has_input(2) ? n.extents(2)[0] : length;
  if (n.has_input(3)) frame = n.constant_integer(3);
  if (step < 1) n.fail(fmt::format("frame_step is {}; it must be at least 1", step));
  if (frame < 1 || frame > length) n.fail(fmt::format("a frame has {} elements, the signal {}", frame, length));
  const int64_t frames = (length - frame) / step + 1;
  std::vector<int64_t> indices(static_cast<size_t>(element_count({frames, frame})));
  for (int64_t f = 0; f < frames; ++f)
    for (int64_t i = 0; i < frame; ++i) indices[static_cast<size_t>(f * frame + i)] = f * step + i;
  const Value at = g.constant(Tensor::from(indices, {frames, frame}));
  Value window;
  if (n.has_input(2)) {
    if (n.extents(2)[0] != frame) n.fail(fmt::format("the window is {} for frames of {}", to_string(n.type(2)), frame));
    window = cast_to(g, n.input(2), dtype);
  }
  for (Value* part : {&s.re, &s.im}) {
    if (!part->valid()) continue;
    *part = ops::gather(g, *part, at, 1);
    if (window.valid()) *part = ops::mul(g, *part, window);
  }
  return {cast_to(g, forward(g, s, 2, frame, n.integer("onesided", 1) != 0), type.dtype)};
}

/// c[0] + c[1] cos(x) + c[2] cos(2 x), one period or (symmetric) up to its last element.
std::vector<Value> window(OnnxNode& n, const std::vector<double>& coefficients) {
  const int64_t size = n.constant_integer(0);
  if (size < 0) n.fail(fmt::format("a window of {} elements", size));
  const DType dtype = dtype_of_onnx(n.integer("output_datatype", 1));
  const int64_t period = n.integer("periodic", 1) != 0 ? size : size - 1;
  std::vector<double> values(static_cast<size_t>(element_count({size})), 1);
  for (int64_t i = 0; i < size && period > 0; ++i) {
    double sum = 0;
    for (size_t k = 0; k < coefficients.size(); ++k)
      sum += coefficients[k] * std::cos(2 * std::numbers::pi * static_cast<double>(k) * static_cast<double>(i) /
                                        static_cast<double>(period));
    values[static_cast<size_t>(i)] = sum;
  }
  return {n.graph().constant(Tensor::from(values, {size}).cast(dtype))};
}

std::vector<Value> mel_weight_matrix(OnnxNode& n) {
  const int64_t bands = n.constant_integer(0), points = n.constant_integer(1), rate = n.constant_integer(2);
  const double lower = n.constant_real(3), upper = n.constant_real(4);
  if (bands < 0 || points < 0 || rate < 1)
    n.fail(fmt::format("{} bands of {} points at a rate of {}", bands, points, rate));
  if (!(lower >= 0) || !(upper >= lower) || !std::isfinite(upper))
    n.fail(fmt::format("edges of {} and {} Hz", lower, upper));
  const DType dtype = dtype_of_onnx(n.integer("output_datatype", 1));
  const int64_t bins = points / 2 + 1;
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double low = mel(lower), step = (mel(upper) - low) / static_cast<double>(bands + 2);
  // Edges of the triangles, as bins of the spectrum.
  const auto edge = [&](int64_t i) {
    const double hertz = 700 * (std::pow(10, (low + static_cast<double>(i) * step) / 2595) - 1);
    const double bin = std::floor((static_cast<double>(points) + 1) * hertz / static_cast<double>(rate));
    if (!(bin < static_cast<double>(bins))) n.fail("the upper edge is above half the sample rate");
    return std::max<int64_t>(0, static_cast<int64_t>(bin));
  };
  std::vector<double> weights(static_cast<size_t>(element_count({bins, bands})));
  for (int64_t band = 0; band < bands; ++band) {
    const auto at = [&](int64_t bin) -> double& { return weights[static_cast<size_t>(bin * bands + band)]; };
    const int64_t first = edge(band), centre = edge(band + 1), last = edge(band + 2);
    for (int64_t bin = first; bin < centre; ++bin)
      at(bin) = static_cast<double>(bin - first) / static_cast<double>(centre - first);
    at(centre) = 1;
    for (int64_t bin = centre + 1; bin < last; ++bin)
      at(bin) = static_cast<double>(last - bin) / static_cast<double>(last - centre);
  }
  return {n.graph().constant(Tensor::from(weights, {bins, bands}).cast(dtype))};
}

}  // namespace

std::vector<OnnxMapping> signal_mappings() {
  return {
      {"DFT", 17, dft},
      {"STFT", 17, stft},
      {"HannWindow", 17,
       [](OnnxNode& n) {
         return window(n, {0.5, -0.5});
       }},
      {"HammingWindow", 17,
       [](OnnxNode& n) {
         return window(n, {25.0 / 46, -21.0 / 46});
       }},
      {"BlackmanWindow", 17,
       [](OnnxNode& n) {
         return window(n, {0.42, -0.5, 0.08});
       }},
      {"MelWeightMatrix", 17, mel_weight_matrix},
  };
}

}  // namespace gregale::onnx
