// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "onnx/window.hpp"

namespace gregale::onnx {
namespace {

/// How one axis is resized.
struct Axis {
  int64_t axis = 0, in = 0, out = 0;
  double scale = 1;
  double length = 0;          ///< of the result before it was rounded to `out`
  double start = 0, end = 1;  ///< of the region that tf_crop_and_resize takes
};

struct Style {
  std::string mode, coordinates, nearest_mode;
  double cubic_a = -0.75, extrapolation = 0;
  bool antialias = false, exclude_outside = false;
};

/// Where element j of the result is in the operand.
double source_of(const OnnxNode& n, const Style& s, const Axis& a, int64_t j) {
  const auto x = static_cast<double>(j), last = static_cast<double>(a.in - 1);
  if (s.coordinates == "half_pixel") return (x + 0.5) / a.scale - 0.5;
  if (s.coordinates == "pytorch_half_pixel") return a.length == 1 ? -0.5 : (x + 0.5) / a.scale - 0.5;
  if (s.coordinates == "asymmetric") return x / a.scale;
  if (s.coordinates == "align_corners") return a.length == 1 ? 0 : x * last / (a.length - 1);
  if (s.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / a.scale;
  if (s.coordinates == "half_pixel_symmetric") {
    const double shift = static_cast<double>(a.in) / 2 * (1 - static_cast<double>(a.out) / a.length);
    return shift + (x + 0.5) / a.scale - 0.5;
  }
  if (s.coordinates == "tf_crop_and_resize") {
    const double within = a.length == 1 ? last / 2 : x * last / (a.length - 1);
    return within * (a.end - a.start) + a.start * last;
  }
  n.fail(fmt::format("coordinate_transformation_mode is '{}'", s.coordinates));
}

int64_t clamped(double i, const Axis& a) {
  if (!(i > 0)) return 0;
  return i < static_cast<double>(a.in - 1) ? static_cast<int64_t>(i) : a.in - 1;
}

int64_t nearest_of(const OnnxNode& n, const Style& s, const Axis& a, double x) {
  if (s.nearest_mode == "round_prefer_floor") return clamped(std::ceil(x - 0.5), a);
  if (s.nearest_mode == "round_prefer_ceil") return clamped(std::floor(x + 0.5), a);
  if (s.nearest_mode == "floor") return clamped(std::floor(x), a);
  if (s.nearest_mode == "ceil") return clamped(std::ceil(x), a);
  n.fail(fmt::format("nearest_mode is '{}'", s.nearest_mode));
}

/// The weight of what is `d` away. Keys, "Cubic convolution interpolation for digital image processing", 1981.
double weight_of(const Style& s, double d) {
  d = std::abs(d);
  if (s.mode == "linear") return std::max(0.0, 1 - d);
  const double a = s.cubic_a;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/// The elements and weights that every element along the axis is made of.
struct Table {
  std::vector<int64_t> indices;
  std::vector<double> weights;
  int64_t taps = 0;
};

Table table_of(const OnnxNode& n, const Style& s, const Axis& a) {
  // Antialiased, the kernel is stretched over what becomes one element.
  const double stretch = s.antialias ? std::min(a.scale, 1.0) : 1.0, radius = (s.mode == "linear" ? 1 : 2) / stretch;
  Table t;
  t.taps = static_cast<int64_t>(std::ceil(radius)) * 2;
  if (stretch < 1) ++t.taps;
  const int64_t size = element_count({a.out, t.taps});
  t.indices.reserve(static_cast<size_t>(size));
  t.weights.reserve(static_cast<size_t>(size));
  for (int64_t j = 0; j < a.out; ++j) {
    const double x = source_of(n, s, a, j), first = std::floor(x) - std::ceil(radius) + 1;
    double sum = 0;
    for (int64_t k = 0; k < t.taps; ++k) {
      const double i = first + static_cast<double>(k);
      const bool outside = i < 0 || i > static_cast<double>(a.in - 1);
      t.indices.push_back(clamped(i, a));
      t.weights.push_back(outside && s.exclude_outside ? 0 : weight_of(s, (i - x) * stretch));
      sum += t.weights.back();
    }
    double* weights = t.weights.data() + j * t.taps;
    const int64_t* indices = t.indices.data() + j * t.taps;
    for (int64_t k = 0; k < t.taps && (s.antialias || s.exclude_outside) && sum != 0; ++k) weights[k] /= sum;
    // What was clamped to one element has one weight, so that weights which are 1 together are exactly 1.
    for (int64_t k = t.taps - 1; k > 0; --k)
      if (indices[k] == indices[k - 1]) {
        weights[k - 1] += weights[k];
        weights[k] = 0;
      }
  }
  return t;
}

/// Elements that are copied: whole rows by their indices; along the last axis, where a row is one element, f32 goes the
/// way of interpolation, with weights of 1.
Value nearest(OnnxNode& n, const Style& s, const std::vector<Axis>& axes) {
  Graph& g = n.graph();
  Value x = n.input(0);
  for (const Axis& a : axes) {
    std::vector<int64_t> indices;
    for (int64_t j = 0; j < a.out; ++j) indices.push_back(nearest_of(n, s, a, source_of(n, s, a, j)));
    if (n.dtype(0) == DType::f32 && a.axis == n.rank(0) - 1)
      x = ops::resample(g, x, g.constant(Tensor::from(indices, {a.out, 1})),
                        g.constant(Tensor::full(DType::f32, {a.out, 1}, 1)), a.axis);
    else
      x = ops::gather(g, x, g.constant(Tensor::from(indices, {a.out})), a.axis);
  }
  return x;
}

Value interpolated(OnnxNode& n, const Style& s, const std::vector<Axis>& axes) {
  Graph& g = n.graph();
  const DType dtype = n.dtype(0), work = dtype == DType::f64 ? DType::f64 : DType::f32;
  if (is_complex(dtype) || dtype == DType::boolean) n.fail(fmt::format("mode '{}' of {}", s.mode, name_of(dtype)));
  Value x = ops::cast(g, n.input(0), work);
  for (const Axis& a : axes) {
    const Table t = table_of(n, s, a);
    const Extents extents{a.out, t.taps};
    x = ops::resample(g, x, g.constant(Tensor::from(t.indices, extents)),
                      g.constant(Tensor::from(t.weights, extents).cast(work)), a.axis);
  }
  if (dtype == DType::u8 || dtype == DType::i8) {  // cubic weights overshoot
    x = ops::maximum(g, x, ops::scalar(g, work, dtype == DType::u8 ? 0 : -128));
    x = ops::minimum(g, x, ops::scalar(g, work, dtype == DType::u8 ? 255 : 127));
  }
  return ops::cast(g, x, dtype);
}

std::vector<Value> resize_axes(OnnxNode& n, const Style& s, std::vector<Axis> axes) {
  Graph& g = n.graph();
  const bool crops = s.coordinates == "tf_crop_and_resize";
  for (const Axis& a : axes) {
    if (a.out < 0 || a.out > kLargestWindow || a.in > kLargestWindow)
      n.fail(fmt::format("extent {} to {}", a.in, a.out));
    if (a.in == 0 && a.out > 0) n.fail("an empty axis cannot be resized");
    // Below what one element of the result needs, tables would be as long as a hostile file likes.
    if (a.out > 0 && !(a.scale > 0 && a.scale * static_cast<double>(a.in) > 0.49))
      n.fail(fmt::format("a scale of {}", a.scale));
  }
  if (s.mode != "nearest" && s.mode != "linear" && s.mode != "cubic") n.fail(fmt::format("mode is '{}'", s.mode));
  Extents result = n.extents(0);
  for (const Axis& a : axes) result[static_cast<size_t>(a.axis)] = a.out;
  if (element_count(result) == 0) return {ops::broadcast_to(g, ops::scalar(g, n.dtype(0), 0), result)};
  const std::vector<Axis> all = axes;
  if (!crops)
    axes.erase(std::remove_if(axes.begin(), axes.end(), [](const Axis& a) { return a.in == a.out && a.scale == 1; }),
               axes.end());
  // What shrinks first, what grows from the last axis on, so that most of the work is on whole rows.
  std::sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) {
    const bool grows_a = a.out >= a.in, grows_b = b.out >= b.in;
    if (grows_a != grows_b) return grows_b;
    return grows_a ? a.axis > b.axis : a.axis < b.axis;
  });
  Value y = s.mode == "nearest" ? nearest(n, s, axes) : interpolated(n, s, axes);
  for (const Axis& a : all) {
    if (!crops) break;
    Extents along(static_cast<size_t>(n.rank(0) - a.axis), 1);
    along[0] = a.out;
    std::vector<int64_t> outside;
    for (int64_t j = 0; j < a.out; ++j) {
      const double x = source_of(n, s, a, j);
      outside.push_back(x < 0 || x > static_cast<double>(a.in - 1) ? 1 : 0);
    }
    if (std::find(outside.begin(), outside.end(), 1) == outside.end()) continue;
    const Value mask = g.constant(Tensor::from(outside, along).cast(DType::boolean));
    y = ops::select(g, mask, ops::scalar(g, n.dtype(0), s.extrapolation), y);
  }
  return {y};
}

/// The extent as the format's own float arithmetic gives it.
void apply_scale(const OnnxNode& n, Axis& a, double scale) {
  if (!(scale > 0 && std::isfinite(scale))) n.fail(fmt::format("a scale of {}", scale));
  const float length = static_cast<float>(scale) * static_cast<float>(a.in);
  if (!(length <= static_cast<float>(kLargestWindow))) n.fail(fmt::format("extent {} times {}", a.in, scale));
  a.scale = scale;
  a.length = static_cast<double>(length);
  a.out = static_cast<int64_t>(std::floor(length));
}

std::vector<Axis> axes_of(OnnxNode& n, std::vector<int64_t> which) {
  const Extents x = n.extents(0);
  const auto rank = static_cast<int64_t>(x.size());
  if (which.empty())
    for (int64_t i = 0; i < rank; ++i) which.push_back(i);
  std::vector<Axis> axes;
  std::vector<bool> seen(x.size(), false);
  for (int64_t axis : which) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank || seen[static_cast<size_t>(axis)]) n.fail(fmt::format("axes for rank {}", rank));
    seen[static_cast<size_t>(axis)] = true;
    axes.push_back({.axis = axis, .in = x[static_cast<size_t>(axis)]});
  }
  return axes;
}

std::vector<Value> scaled(OnnxNode& n, const std::vector<double>& scales, const Style& s, std::vector<Axis> axes) {
  if (scales.size() != axes.size()) n.fail(fmt::format("{} scales for {} axes", scales.size(), axes.size()));
  for (size_t i = 0; i < axes.size(); ++i) apply_scale(n, axes[i], scales[i]);
  return resize_axes(n, s, std::move(axes));
}

/// Upsample, and Resize as it first was.
Style first_style(const OnnxNode& n) {
  Style s{.mode = n.string("mode", "nearest"), .coordinates = "asymmetric", .nearest_mode = "floor"};
  if (s.mode == "bilinear") s.mode = "linear";
  return s;
}

std::vector<Value> upsample_1(OnnxNode& n) {
  if (n.rank(0) != 4) n.fail(fmt::format("the image is {}", to_string(n.type(0))));
  return scaled(n, {1, 1, n.real("height_scale", 1), n.real("width_scale", 1)}, first_style(n), axes_of(n, {}));
}
std::vector<Value> upsample_7(OnnxNode& n) { return scaled(n, n.reals("scales", {}), first_style(n), axes_of(n, {})); }
std::vector<Value> upsample_9(OnnxNode& n) { return scaled(n, n.constant_reals(1), first_style(n), axes_of(n, {})); }

std::vector<Value> resize(OnnxNode& n) {
  Style s{.mode = n.string("mode", "nearest"),
          .coordinates = n.string("coordinate_transformation_mode", "half_pixel"),
          .nearest_mode = n.string("nearest_mode", "round_prefer_floor"),
          .cubic_a = n.real("cubic_coeff_a", -0.75),
          .extrapolation = n.real("extrapolation_value", 0),
          .antialias = n.integer("antialias", 0) != 0,
          .exclude_outside = n.integer("exclude_outside", 0) != 0};
  std::vector<Axis> axes = axes_of(n, n.integers("axes", {}));
  const auto given = [&](int64_t i) { return n.has_input(i) && n.type(i).shape.elements() > 0; };
  if (s.coordinates == "tf_crop_and_resize") {
    const std::vector<double> roi = n.constant_reals(1);
    if (roi.size() != 2 * axes.size()) n.fail(fmt::format("roi has {} numbers for {} axes", roi.size(), axes.size()));
    for (size_t i = 0; i < axes.size(); ++i) {
      axes[i].start = roi[i];
      axes[i].end = roi[axes.size() + i];
    }
  }
  if (!given(3) && !given(2) && !axes.empty()) n.fail("neither scales nor sizes are given");
  if (!given(3)) return scaled(n, given(2) ? n.constant_reals(2) : std::vector<double>{}, s, std::move(axes));
  const std::vector<int64_t> sizes = n.constant_integers(3);
  if (sizes.size() != axes.size()) n.fail(fmt::format("{} sizes for {} axes", sizes.size(), axes.size()));
  const std::string policy = n.string("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller")
    n.fail(fmt::format("keep_aspect_ratio_policy is '{}'", policy));
  double common = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    Axis& a = axes[i];
    if (sizes[i] < 0 || sizes[i] > kLargestWindow || a.in < 1) n.fail(fmt::format("extent {} to {}", a.in, sizes[i]));
    a.out = sizes[i];
    a.scale = static_cast<double>(a.out) / static_cast<double>(a.in);
    a.length = static_cast<double>(a.out);
    common = i == 0 ? a.scale : policy == "not_larger" ? std::min(common, a.scale) : std::max(common, a.scale);
  }
  for (Axis& a : axes) {
    if (policy == "stretch") break;
    a.scale = common;
    a.length = common * static_cast<double>(a.in);
    if (!(a.length <= static_cast<double>(kLargestWindow))) n.fail(fmt::format("extent {} times {}", a.in, common));
    a.out = static_cast<int64_t>(std::floor(a.length + 0.5));
  }
  return resize_axes(n, s, std::move(axes));
}

}  // namespace

std::vector<OnnxMapping> resize_mappings() {
  return {{"Upsample", 1, upsample_1},
          {"Upsample", 7, upsample_7},
          {"Upsample", 9, upsample_9},
          {"Resize", 10, upsample_9},
          {"Resize", 11, resize}};
}

}  // namespace gregale::onnx
