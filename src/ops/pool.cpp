// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"
#include "ops/window.hpp"

namespace gregale::ops {

std::vector<AttributeDef> pool_attributes() {
  return {
      {"kernel", AttributeKind::integers, "extents of a window, one an axis behind batch and channels", {}},
      {"strides", AttributeKind::integers, "from window to window, one an axis", {}},
      {"pads", AttributeKind::integers, "around the image: before every axis, then after every axis", {}},
      {"dilations", AttributeKind::integers, "distance between the elements of a window, one an axis", {}},
      {"ceil_mode", AttributeKind::boolean,
       "where the stride leaves elements over, one more window, if it begins before the padding at the end", false}};
}

Attributes to_attributes(const PoolOptions& o) {
  const size_t rank = o.kernel.size();
  const auto filled = [&](const std::vector<int64_t>& list, size_t count, int64_t value) {
    return list.empty() ? std::vector<int64_t>(count, value) : list;
  };
  return {{"kernel", o.kernel},
          {"strides", filled(o.strides, rank, 1)},
          {"pads", filled(o.pads, 2 * rank, 0)},
          {"dilations", filled(o.dilations, rank, 1)},
          {"ceil_mode", o.ceil_mode}};
}

std::vector<PoolAxis> pool_axes(const NodeView& node) {
  const std::string& who = node.op().name;
  const Shape& x = node.input(0).shape;
  GREGALE_CHECK(x.rank() >= 3, shape, "[{}] x is {}, without an axis behind batch and channels", who,
                to_string(node.input(0)));
  const auto rank = static_cast<size_t>(x.rank() - 2);
  const auto &kernel = check_entries(node, "kernel", rank, 1), &strides = check_entries(node, "strides", rank, 1),
             &pads = check_entries(node, "pads", 2 * rank, 0), &dilations = check_entries(node, "dilations", rank, 1);
  std::vector<PoolAxis> axes;
  for (size_t i = 0; i < rank; ++i) {
    PoolAxis a{.in = constant_extent(node, x, static_cast<int64_t>(i) + 2),
               .taps = kernel[i],
               .stride = strides[i],
               .dilation = dilations[i],
               .before = pads[i],
               .after = pads[rank + i]};
    const int64_t reach = a.dilation * (a.taps - 1) + 1, room = a.in + a.before + a.after - reach;
    GREGALE_CHECK(a.in >= 1 && room >= 0, shape,
                  "[{}] the kernel's reach {} exceeds axis {} of {}, padded by {} and {}", who, reach, i + 2,
                  to_string(node.input(0)), a.before, a.after);
    a.out = room / a.stride + 1;
    if (node.boolean("ceil_mode") && room % a.stride != 0 && a.out * a.stride < a.in + a.before) ++a.out;
    axes.push_back(a);
  }
  return axes;
}

Shape pooled_shape(const NodeView& node) {
  Shape shape{node.input(0).shape[0], node.input(0).shape[1]};
  for (const PoolAxis& a : pool_axes(node)) shape.dims().push_back(a.out);
  return shape;
}

int64_t plane_of(const std::vector<PoolAxis>& axes) {
  Extents e;
  for (const PoolAxis& a : axes) e.push_back(a.in);
  return element_count(e);
}

int64_t pooled_plane_of(const std::vector<PoolAxis>& axes) {
  Extents e;
  for (const PoolAxis& a : axes) e.push_back(a.out);
  return element_count(e);
}

namespace {

enum class Kind { max, sum, average };

Kind kind_of(const NodeView& node) {
  const std::string& kind = node.string("kind");
  if (kind == "max") return Kind::max;
  if (kind == "sum") return Kind::sum;
  GREGALE_CHECK(kind == "average", invalid_argument, "[pool] kind '{}' is none of max, sum, average", kind);
  return Kind::average;
}

std::vector<Type> infer_pool(const NodeView& node) {
  const DType dtype = node.input(0).dtype;
  if (kind_of(node) != Kind::max) check_real_float(node, 0);
  GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype), dtype, "[pool] x has dtype {}; expected a real number",
                name_of(dtype));
  return {Type(dtype, pooled_shape(node))};
}

/// The number of elements every average is over, as a constant [spatial...]; row-major.
std::vector<double> counts_of(const NodeView& node) {
  const auto axes = pool_axes(node);
  const bool with_padding = node.boolean("count_include_pad");
  std::vector<double> counts(static_cast<size_t>(pooled_plane_of(axes)));
  for (size_t o = 0; o < counts.size(); ++o) {
    auto rest = static_cast<int64_t>(o);
    counts[o] = 1;
    for (size_t i = axes.size(); i-- > 0; rest /= axes[i].out)
      counts[o] *= static_cast<double>(axes[i].count(rest % axes[i].out, with_padding));
  }
  return counts;
}

void reference_pool(ReferenceContext& c) {
  const auto axes = pool_axes(c.node);
  const Kind kind = kind_of(c.node);
  const int64_t from = plane_of(axes), to = pooled_plane_of(axes), planes = c.inputs[0].size() / from;
  const int64_t bits = c.inputs[0].type.dtype == DType::u64 ? INT64_MIN : 0;  // u64 stands as i64 by its bits
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& x, auto& y) {
    using T = typename std::decay_t<decltype(y)>::value_type;
    if constexpr (!std::is_same_v<T, RefArray::Complex>) {
      if (kind == Kind::max) {
        T least{};
        if constexpr (std::is_same_v<T, double>)
          least = -std::numeric_limits<double>::infinity();
        else
          least = least_of(c.inputs[0].type.dtype);
        std::fill(y.begin(), y.end(), least);
      }
      for (int64_t p = 0; p < planes; ++p)
        for_each_tap(axes, [&](int64_t o, int64_t i) {
          const T v = x[static_cast<size_t>(p * from + i)];
          T& sum = y[static_cast<size_t>(p * to + o)];
          if constexpr (std::is_same_v<T, double>) {
            if (kind != Kind::max)
              sum += v;
            else if (v > sum || std::isnan(v))
              sum = v;
          } else {
            if ((v ^ bits) > (sum ^ bits)) sum = v;
          }
        });
      if constexpr (std::is_same_v<T, double>)
        if (kind == Kind::average) {
          const auto counts = counts_of(c.node);
          for (size_t i = 0; i < y.size(); ++i) y[i] /= counts[i % counts.size()];
        }
    }
  });
}

/// Every element gets what the windows it is in got: the windows' strides filled with zeros, and the same window slid
/// over that by single steps.
Value adjoint_of_sum(Graph& g, Value d, const std::vector<PoolAxis>& axes) {
  const size_t rank = axes.size();
  std::vector<int64_t> low{0, 0}, high{0, 0}, interior{0, 0}, starts{0, 0}, stops{INT64_MAX, INT64_MAX};
  PoolOptions options;
  for (const PoolAxis& a : axes) {
    const int64_t reach = a.dilation * (a.taps - 1) + 1, filled = (a.out - 1) * a.stride + 1;
    const int64_t before = reach - 1 - a.before, after = a.in + a.before - filled;
    low.push_back(std::max<int64_t>(before, 0));
    high.push_back(std::max<int64_t>(after, 0));
    interior.push_back(a.stride - 1);
    starts.push_back(std::max<int64_t>(-before, 0));
    stops.push_back(filled + low.back() + high.back() - std::max<int64_t>(-after, 0));
    options.kernel.push_back(a.taps);
    options.dilations.push_back(a.dilation);
  }
  const Value spread = slice(g, pad(g, d, low, high, "zero", interior), starts, stops);
  options.strides.assign(rank, 1);
  return pool(g, spread, "sum", options);
}

void gradient_pool(GradientContext& c) {
  Graph& g = c.graph();
  const Kind kind = kind_of(c.view());
  const auto axes = pool_axes(c.view());
  Value d = c.d_output();
  if (kind == Kind::max) {
    const PoolOptions options{c.view().integers("kernel"), c.view().integers("strides"), c.view().integers("pads"),
                              c.view().integers("dilations"), c.view().boolean("ceil_mode")};
    const Value x = c.input(0);
    const Shape shape = c.type(x).shape;
    const auto flat = [&](Value v) { return reshape(g, v, Shape{g.type(v).shape.elements()}); };
    const Value indices = flat(pool_argmax(g, x, options));
    c.set_d_input(0, reshape(g, scatter_add(g, flat(zeros_like(g, x)), indices, flat(d), 0), shape));
    return;
  }
  if (kind == Kind::average) {
    std::vector<double> shares = counts_of(c.view());
    for (double& v : shares) v = 1 / v;
    Extents extents;
    for (const PoolAxis& a : axes) extents.push_back(a.out);
    d = mul(g, d, g.constant(Tensor::from(shares, extents).cast(c.type(d).dtype)));
  }
  c.set_d_input(0, adjoint_of_sum(g, d, axes));
}

template <class T>
struct PoolGreatest {
  static constexpr T start =
      std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  static T apply(T m, T v) { return static_cast<int>(v > m) | static_cast<int>(v != v) ? v : m; }
};
struct Sum {
  static constexpr float start = 0;
  static float apply(float s, float v) { return s + v; }
};

/// dst[j] takes row[j stride], j in [0, n). A constant stride becomes shuffles of vectors.
template <class Op, class T, class Stride>
void take_row(Stride stride, const T* row, int64_t n, T* dst) {
  for (int64_t j = 0; j < n; ++j) dst[j] = Op::apply(dst[j], row[j * stride]);
}

/// Rows of results, one tap of the window after another, each for all windows that have it inside the image.
template <class Op, class T>
void pool_plane(const std::array<PoolAxis, 3>& axes, const T* x, T* y) {
  const auto& [depth, height, width] = axes;
  for (int64_t o = 0; o < depth.out; ++o)
    for (int64_t i = 0; i < height.out; ++i, y += width.out) {
      std::fill_n(y, width.out, Op::start);
      for (int64_t t = depth.first_tap(o); t < depth.end_tap(o); ++t)
        for (int64_t r = height.first_tap(i); r < height.end_tap(i); ++r) {
          const int64_t slice = depth.begin(o) + t * depth.dilation, line = height.begin(i) + r * height.dilation;
          const T* row = x + (slice * height.in + line) * width.in;
          for (int64_t s = 0; s < width.taps; ++s) {
            const int64_t at = s * width.dilation - width.before;
            const int64_t first = at >= 0 ? 0 : (-at - 1) / width.stride + 1;
            const int64_t end = at >= width.in ? 0 : std::min((width.in - 1 - at) / width.stride + 1, width.out);
            if (first >= end) continue;
            const T* from = row + first * width.stride + at;
            if (width.stride == 1)
              take_row<Op>(std::integral_constant<int64_t, 1>{}, from, end - first, y + first);
            else if (width.stride == 2)
              take_row<Op>(std::integral_constant<int64_t, 2>{}, from, end - first, y + first);
            else
              take_row<Op>(width.stride, from, end - first, y + first);
          }
        }
    }
}

std::array<PoolAxis, 3> three_axes(const std::vector<PoolAxis>& axes) {
  std::array<PoolAxis, 3> three;
  std::copy(axes.begin(), axes.end(), three.end() - static_cast<int64_t>(axes.size()));
  return three;
}

template <class Op, class T>
Kernel kernel_of_pool(const NodeView& node) {
  const auto axes = pool_axes(node);
  const int64_t from = plane_of(axes), to = pooled_plane_of(axes);
  std::vector<float> rows, columns;  // what averages of a row, and of a column, are divided by
  const auto three = three_axes(axes);
  if (kind_of(node) == Kind::average) {
    const bool with_padding = node.boolean("count_include_pad");
    for (int64_t o = 0; o < three[0].out; ++o)
      for (int64_t i = 0; i < three[1].out; ++i)
        rows.push_back(static_cast<float>(three[0].count(o, with_padding) * three[1].count(i, with_padding)));
    for (int64_t j = 0; j < three[2].out; ++j) columns.push_back(static_cast<float>(three[2].count(j, with_padding)));
  }
  int64_t taps = 1;
  for (const PoolAxis& a : axes) taps *= std::min(a.taps, a.in);
  Kernel k;
  k.run = [three, from, to, taps, rows, columns, planes = node.input(0).shape.elements() / from](const Launch& l) {
    const auto* x = static_cast<const T*>(l.inputs[0]);
    auto* y = static_cast<T*>(l.outputs[0]);
    const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max(from, to * taps));
    parallel_for(l.team, planes, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        pool_plane<Op>(three, x + p * from, y + p * to);
        if constexpr (std::is_same_v<T, float>)
          for (size_t i = 0; i < rows.size(); ++i) {
            float* row = y + p * to + static_cast<int64_t>(i * columns.size());
            for (size_t j = 0; j < columns.size(); ++j) row[j] /= rows[i] * columns[j];
          }
      }
    });
  };
  return k;
}

Result<Kernel> make_pool(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.input(0).rank() > 5) return refuse(node, "more than 3 axes behind batch and channels");
  const DType dtype = node.input(0).dtype;
  const Kind kind = kind_of(node);
  if (dtype == DType::f32)
    return kind == Kind::max ? kernel_of_pool<PoolGreatest<float>, float>(node) : kernel_of_pool<Sum, float>(node);
  if (dtype == DType::u8) return kernel_of_pool<PoolGreatest<uint8_t>, uint8_t>(node);
  if (dtype == DType::i8) return kernel_of_pool<PoolGreatest<int8_t>, int8_t>(node);
  return refuse(node, fmt::format("f32, u8 or i8 needed, not {}", name_of(dtype)));
}

}  // namespace

int64_t least_of(DType dtype) {
  switch (dtype) {
    case DType::i8:
      return INT8_MIN;
    case DType::i16:
      return INT16_MIN;
    case DType::i32:
      return INT32_MIN;
    case DType::i64:
      return INT64_MIN;
    default:
      return 0;
  }
}

const OpDef& pool_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "pool";
    d.doc =
        "The greatest element (NaN where there is one), the sum or the average of every window over the axes behind "
        "batch and channels, as ONNX MaxPool and AveragePool. Padding is never chosen and adds nothing; averages are "
        "over the elements in the image, or with count_include_pad over those in the padded image. A window without "
        "elements gives the least value of the dtype, or 0. The cotangent of a maximum goes to the first element that "
        "has it. Batch and channels may be symbolic.";
    d.inputs = {{"x", "[n, c, ...], real floats; for max integers, too"}};
    d.outputs = {{"y", "[n, c, ...], extents floor((in + pads - dilation (kernel - 1) - 1) / stride) + 1"}};
    d.attributes = pool_attributes();
    d.attributes.push_back({"kind", AttributeKind::string, "max, sum or average", {}});
    d.attributes.push_back({"count_include_pad", AttributeKind::boolean, "whether averages count padding", false});
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const std::string& kind = node.string("kind");
      const auto& dilations = node.integers("dilations");
      OnnxWriter::OnnxAttributeList list = {{"kernel_shape", node.integers("kernel")},
                                            {"strides", node.integers("strides")},
                                            {"pads", node.integers("pads")},
                                            {"ceil_mode", int64_t{node.boolean("ceil_mode")}}};
      if (kind == "max") {
        list.emplace_back("dilations", dilations);
        return w.same("MaxPool", list);
      }
      for (int64_t d : dilations)
        if (d != 1) w.unsupported("averages of dilated windows");
      if (kind == "average") {
        list.emplace_back("count_include_pad", int64_t{node.boolean("count_include_pad")});
        return w.same("AveragePool", list);
      }
      if (node.boolean("ceil_mode")) w.unsupported("sums with ceil_mode");
      list.emplace_back("count_include_pad", int64_t{1});
      double taps = 1;
      for (int64_t k : node.integers("kernel")) taps *= static_cast<double>(k);
      const std::string mean = w.add1("AveragePool", {w.input(0)}, list);
      w.set_output(0, w.add1("Mul", {mean, w.scalar(node.input(0).dtype, taps)}));
    };
    d.infer = infer_pool;
    d.reference = reference_pool;
    d.gradient = gradient_pool;
    d.lowerings = {{"planes", make_pool}};
    d.cost = [](const NodeView& node) {
      double taps = 1;
      for (int64_t k : node.integers("kernel")) taps *= static_cast<double>(k);
      return default_cost(node, taps);
    };
    d.samples = [] {
      const auto sample = [](Tensor x, const char* kind, const PoolOptions& options, bool include = false) {
        Attributes attributes = to_attributes(options);
        attributes["kind"] = std::string(kind);
        attributes["count_include_pad"] = include;
        const bool real = is_real_float(x.dtype());
        return Sample{.inputs = {std::move(x)}, .attributes = attributes, .check_gradient = real};
      };
      return std::vector<Sample>{
          sample(sample_distinct({2, 1, 7}, 1), "max", {.kernel = {3}, .strides = {2}, .pads = {1, 1}}),
          sample(sample_distinct({1, 2, 6, 5}, 2), "max", {.kernel = {2, 3}, .dilations = {2, 1}}),
          sample(sample_distinct({1, 2, 3, 4, 5}, 3), "max",
                 {.kernel = {2, 2, 2}, .strides = {1, 2, 3}, .pads = {1, 0, 0, 0, 1, 0}, .ceil_mode = true}),
          sample(sample_uniform({1, 1, 5, 6}, 4), "sum", {.kernel = {3, 2}, .strides = {2, 3}, .pads = {1, 0, 0, 1}}),
          sample(sample_uniform({2, 1, 4, 5}, 5), "average",
                 {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .ceil_mode = true}),
          sample(sample_uniform({1, 2, 4, 4}, 6), "average",
                 {.kernel = {3, 2}, .strides = {2, 1}, .pads = {1, 1, 1, 0}, .ceil_mode = true}, true),
          sample(sample_uniform({1, 1, 4, 3, 6}, 7), "average",
                 {.kernel = {2, 2, 2}, .strides = {1, 1, 2}, .dilations = {2, 1, 3}}),
          sample(sample_uniform({1, 1, 2, 3, 2, 3}, 8), "average", {.kernel = {2, 2, 1, 2}}),
          sample(sample_integers({1, 2, 5, 5}, 9), "max", {.kernel = {2, 2}, .pads = {1, 1, 0, 0}}),
          sample(sample_integers({1, 2, 5, 5}, 9, 0, 100).cast(DType::u8), "max",
                 {.kernel = {3, 2}, .strides = {2, 1}})};
    };
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value pool(Graph& g, Value x, const std::string& kind, const PoolOptions& options, bool count_include_pad) {
  Attributes attributes = to_attributes(options);
  attributes["kind"] = kind;
  attributes["count_include_pad"] = count_include_pad;
  return g.add1(pool_op(), {x}, std::move(attributes));
}

}  // namespace gregale::ops
