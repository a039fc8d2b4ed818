// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"
#include "ops/window.hpp"

namespace gregale::ops {
namespace {

enum class SamplePointsMode { nearest, linear, cubic };
enum class Padding { zeros, border, reflection, center_reflection };

struct Sampling {
  SamplePointsMode mode = SamplePointsMode::linear;
  Padding padding = Padding::zeros;
  Extents spatial;  ///< of the image
  int64_t images = 0, channels = 0, plane = 0, points = 0;
  size_t axes() const { return spatial.size(); }
  size_t taps() const { return mode == SamplePointsMode::nearest ? 1 : mode == SamplePointsMode::linear ? 2 : 4; }
};

constexpr size_t kMostAxes = 3;

template <class Kind, size_t N>
Kind named(const NodeView& node, const char* attribute, const std::array<std::pair<const char*, Kind>, N>& names) {
  for (const auto& [name, kind] : names)
    if (node.string(attribute) == name) return kind;
  throw_error(ErrorCode::invalid_argument,
              fmt::format("[sample_points] there is no {} '{}'", attribute, node.string(attribute)));
}

Sampling sampling_of(const NodeView& node) {
  Sampling s;
  s.mode = named<SamplePointsMode, 3>(node, "mode",
                                      {{{"nearest", SamplePointsMode::nearest},
                                        {"linear", SamplePointsMode::linear},
                                        {"cubic", SamplePointsMode::cubic}}});
  s.padding = named<Padding, 4>(node, "padding",
                                {{{"zeros", Padding::zeros},
                                  {"border", Padding::border},
                                  {"reflection", Padding::reflection},
                                  {"center_reflection", Padding::center_reflection}}});
  const Shape &x = node.input(0).shape, &points = node.input(1).shape;
  GREGALE_CHECK(x.rank() >= 3 && x.rank() <= 2 + static_cast<int64_t>(kMostAxes) && points.rank() >= 2 &&
                    points[0] == x[0] && points[points.rank() - 1] == Dim(x.rank() - 2),
                shape, "[sample_points] points {} in x {}; expected [n, ..., axes] in [n, c, one to three axes]",
                to_string(node.input(1)), to_string(node.input(0)));
  for (int64_t axis = 2; axis < x.rank(); ++axis) {
    s.spatial.push_back(constant_extent(node, x, axis));
    GREGALE_CHECK(s.spatial.back() >= 1, shape, "[sample_points] x is {}, without elements", to_string(node.input(0)));
  }
  s.plane = element_count(s.spatial);
  return s;
}

/// What depends on the batch, which inference leaves open.
Sampling full_sampling_of(const NodeView& node) {
  Sampling s = sampling_of(node);
  const Extents x = node.input(0).shape.extents(), points = node.input(1).shape.extents();
  s.images = x[0];
  s.channels = x[1];
  s.points = element_count({points.begin() + 1, points.end() - 1});
  return s;
}

std::vector<Type> infer_sample_points(const NodeView& node) {
  check_real_float(node, 0);
  check_real_float(node, 1);
  sampling_of(node);
  const auto& points = node.input(1).shape.dims();
  std::vector<Dim> dims{node.input(0).shape[0], node.input(0).shape[1]};
  dims.insert(dims.end(), points.begin() + 1, points.end() - 1);
  return {Type(node.input(0).dtype, Shape(std::move(dims)))};
}

/// v mirrored at low and high until it is between them.
double reflected(double v, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const double d = std::fmod(std::abs(v - low), 2 * range);
  return low + (d > range ? 2 * range - d : d);
}

/// The elements along one axis that a coordinate is made of; -1 where padding is zero.
struct Taps {
  std::array<int64_t, 4> index;
  std::array<double, 4> weight;
};

Taps taps_of(const Sampling& s, int64_t extent, double v) {
  const double last = static_cast<double>(extent - 1);
  const bool centered = s.padding == Padding::center_reflection;
  const double low = centered ? 0 : -0.5, high = centered ? last : last + 0.5;
  if (s.mode == SamplePointsMode::nearest) v = std::nearbyint(v);
  if (!(std::abs(v) < 0x1p52)) v = std::isnan(v) ? -2 : v < 0 ? -0x1p52 : 0x1p52;
  if ((s.padding == Padding::reflection || centered) && (v < low || v > high)) v = reflected(v, low, high);
  Taps taps{};
  const auto at = [&](double i) -> int64_t {
    if (i < 0 || i > last) {
      if (s.padding == Padding::zeros) return -1;
      if (s.padding != Padding::border) i = std::trunc(reflected(i, low, high));
      i = std::clamp(i, 0.0, last);
    }
    return static_cast<int64_t>(i);
  };
  const double floor = std::floor(v), r = v - floor;
  if (s.mode == SamplePointsMode::nearest) {
    taps.index[0] = at(std::trunc(v));
    taps.weight[0] = 1;
  } else if (s.mode == SamplePointsMode::linear) {
    taps.index = {at(floor), at(floor + 1)};
    taps.weight = {1 - r, r};
  } else {
    // Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -3/4.
    constexpr double a = -0.75;
    const auto inner = [](double x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
    const auto outer = [](double x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
    taps.index = {at(floor - 1), at(floor), at(floor + 1), at(floor + 2)};
    taps.weight = {outer(r + 1), inner(r), inner(1 - r), outer(2 - r)};
  }
  return taps;
}

/// Points [begin, end) of all images, each for all channels. The offsets and weights of a point are found once.
template <class T, class P>
void sample_at(const Sampling& s, const T* x, const P* points, T* y, int64_t begin, int64_t end) {
  std::array<int64_t, 64> offsets;
  std::array<T, 64> weights;
  for (int64_t p = begin; p < end; ++p) {
    size_t count = 1;
    offsets[0] = 0;
    weights[0] = 1;
    for (size_t axis = 0; axis < s.axes(); ++axis) {
      const auto v = static_cast<double>(points[p * static_cast<int64_t>(s.axes()) + static_cast<int64_t>(axis)]);
      const Taps taps = taps_of(s, s.spatial[axis], v);
      // From the back, so that what is read is not yet written over.
      size_t to = count * s.taps();
      for (size_t i = count; i-- > 0;)
        for (size_t t = s.taps(); t-- > 0;) {
          --to;
          const bool none = offsets[i] < 0 || taps.index[t] < 0;
          weights[to] = static_cast<T>(static_cast<double>(weights[i]) * taps.weight[t]);
          offsets[to] = none ? -1 : offsets[i] * s.spatial[axis] + taps.index[t];
        }
      count *= s.taps();
    }
    size_t used = 0;
    for (size_t i = 0; i < count; ++i)
      if (offsets[i] >= 0) {
        offsets[used] = offsets[i];
        weights[used++] = weights[i];
      }
    const int64_t image = p / s.points;
    const T* from = x + image * s.channels * s.plane;
    T* to = y + image * s.channels * s.points + p % s.points;
    for (int64_t c = 0; c < s.channels; ++c, from += s.plane, to += s.points) {
      T sum = 0;
      for (size_t i = 0; i < used; ++i) sum += weights[i] * from[offsets[i]];
      *to = sum;
    }
  }
}

void reference_sample_points(ReferenceContext& c) {
  const Sampling s = full_sampling_of(c.node);
  sample_at(s, c.inputs[0].real().data(), c.inputs[1].real().data(), c.outputs[0].real().data(), 0,
            s.images * s.points);
}

Result<Kernel> make_sample_points(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.input(0).dtype != DType::f32 || node.input(1).dtype != DType::f32) return refuse(node, "f32 needed");
  Kernel k;
  k.run = [s = full_sampling_of(node)](const Launch& l) {
    const int64_t work = std::max<int64_t>(1, s.channels * int64_t{16});
    parallel_for(l.team, s.images * s.points, std::max<int64_t>(1, kernels::kElementGrain / work),
                 [&](int64_t begin, int64_t end, int) {
                   sample_at(s, static_cast<const float*>(l.inputs[0]), static_cast<const float*>(l.inputs[1]),
                             static_cast<float*>(l.outputs[0]), begin, end);
                 });
  };
  return k;
}

}  // namespace

const OpDef& sample_points_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "sample_points";
    d.doc =
        "What x is at points between its elements, as ONNX GridSample with coordinates in units of elements: the "
        "nearest element, or the linear or cubic (a = -3/4) interpolation of those around along every axis. Beyond the "
        "image are zeros, its border repeated, or its reflection: about the far sides of its outer elements (-1/2, n - "
        "1/2), or about their centres (0, n - 1). Halves go to the even element.";
    d.inputs = {{"x", "[n, c, ...], one to three axes"},
                {"points", "[n, ..., axes], real floats: coordinates along the axes in their order"}};
    d.outputs = {{"y", "[n, c, ...], the axes of the points"}};
    d.attributes = {
        {"mode", AttributeKind::string, "nearest, linear or cubic", std::string("linear")},
        {"padding", AttributeKind::string, "zeros, border, reflection or center_reflection", std::string("zeros")}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      if (node.input(0).rank() != 4) w.unsupported("but on planes");
      // Set 17 counts from -1 to 1 over the image, columns first.
      const std::string& mode = node.string("mode");
      const std::string& padding = node.string("padding");
      const bool centres = padding == "center_reflection";
      const DType dtype = node.input(1).dtype;
      Tensor scale(DType::f64, {2}), shift(DType::f64, {2});
      for (size_t a = 0; a < 2; ++a) {
        const auto extent = static_cast<double>(node.input(0).shape[3 - static_cast<int64_t>(a)].value());
        scale.as<double>()[a] = centres ? 2 / std::max(extent - 1, 1.0) : 2 / extent;
        shift.as<double>()[a] = centres ? -1 : 1 / extent - 1;
      }
      const std::string columns_first = w.add1("Gather", {w.input(1), w.integers({1, 0})}, {{"axis", int64_t{-1}}});
      const std::string scaled = w.add1("Mul", {columns_first, w.constant(scale.cast(dtype))});
      const std::string grid = w.add1("Add", {scaled, w.constant(shift.cast(dtype))});
      w.set_output(0, w.add1("GridSample", {w.input(0), grid},
                             {{"mode", mode == "linear"  ? std::string("bilinear")
                                       : mode == "cubic" ? std::string("bicubic")
                                                         : mode},
                              {"padding_mode", centres ? std::string("reflection") : padding},
                              {"align_corners", int64_t{centres}}}));
    };
    d.infer = infer_sample_points;
    d.reference = reference_sample_points;
    d.no_gradient = "points are data of inference; what scatters cotangents back to them is not written";
    d.lowerings = {{"f32", make_sample_points}};
    d.cost = [](const NodeView& node) {
      return default_cost(node, 2 * std::pow(static_cast<double>(sampling_of(node).taps()),
                                             static_cast<double>(node.input(0).rank() - 2)));
    };
    d.samples = [] {
      const auto sample = [](Extents x, Extents points, const char* mode, const char* padding, uint32_t stream) {
        return Sample{
            .inputs = {sample_uniform(std::move(x), stream), sample_uniform(std::move(points), stream + 1, -4, 7)},
            .attributes = {{"mode", std::string(mode)}, {"padding", std::string(padding)}},
            .check_gradient = false};
      };
      return std::vector<Sample>{sample({2, 3, 4, 5}, {2, 6, 2}, "linear", "zeros", 1),
                                 sample({1, 2, 4, 3}, {1, 3, 3, 2}, "cubic", "border", 3),
                                 sample({1, 2, 3, 4}, {1, 9, 2}, "cubic", "reflection", 5),
                                 sample({1, 1, 3, 2, 4}, {1, 9, 3}, "linear", "center_reflection", 7),
                                 sample({1, 1, 5}, {1, 9, 1}, "linear", "border", 9),
                                 sample({1, 2, 1, 4}, {1, 9, 2}, "linear", "reflection", 11)};
    };
    d.tolerance_eps = 64;
    return d;
  }();
  return op;
}

Value sample_points(Graph& g, Value x, Value points, const std::string& mode, const std::string& padding) {
  return g.add1(sample_points_op(), {x, points}, {{"mode", mode}, {"padding", padding}});
}

}  // namespace gregale::ops
