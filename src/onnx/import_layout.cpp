// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "onnx/operators.hpp"
#include "ops/shapes.hpp"

namespace gregale::onnx {
namespace {

using Integers = std::vector<int64_t>;

int64_t axis_of(OnnxNode& n, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) n.fail(fmt::format("axis {} is out of range for rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

/// The same, each once.
Integers axes_of(OnnxNode& n, const Integers& axes, int64_t rank) {
  Integers result;
  for (int64_t axis : axes) {
    const int64_t a = axis_of(n, axis, rank);
    if (std::find(result.begin(), result.end(), a) != result.end()) n.fail(fmt::format("axis {} is named twice", axis));
    result.push_back(a);
  }
  return result;
}

Integers all_axes(int64_t rank) {
  Integers axes;
  for (int64_t a = 0; a < rank; ++a) axes.push_back(a);
  return axes;
}

int64_t product(const Extents& extents, size_t begin, size_t end) {
  return element_count({extents.begin() + static_cast<int64_t>(begin), extents.begin() + static_cast<int64_t>(end)});
}

// --- constants ---

Tensor constant_value(OnnxNode& n) {
  for (const char* name : {"value", "sparse_value"})
    if (n.has(name)) return n.tensor(name);
  const auto floats = [&](const std::vector<double>& values, Extents extents) {
    return Tensor::from(std::vector<float>(values.begin(), values.end()), std::move(extents));
  };
  if (n.has("value_float")) return floats({n.real("value_float", 0)}, {});
  if (n.has("value_int")) return Tensor::scalar(n.integer("value_int", 0));
  if (n.has("value_floats")) {
    const std::vector<double> values = n.reals("value_floats", {});
    return floats(values, {static_cast<int64_t>(values.size())});
  }
  if (n.has("value_ints")) {
    const Integers values = n.integers("value_ints", {});
    return Tensor::from(values, {static_cast<int64_t>(values.size())});
  }
  n.fail("no attribute has its value");
}

std::vector<Value> import_constant_of_shape(OnnxNode& n) {
  const Extents extents = n.constant_integers(0);
  element_count(extents);
  const Tensor value = n.has("value") ? n.tensor("value") : Tensor::scalar(0.f);
  if (value.size() != 1) n.fail(fmt::format("a value of {} elements, not one", value.size()));
  return {ops::broadcast_to(n.graph(), n.graph().constant(value.reshaped({})), extents)};
}

std::vector<Value> import_shape(OnnxNode& n) {
  const Extents all = n.extents(0);
  const auto rank = static_cast<int64_t>(all.size());
  const auto clamp = [&](int64_t i) { return std::clamp(i < 0 ? i + rank : i, int64_t{0}, rank); };
  const int64_t start = clamp(n.integer("start", 0)), stop = std::max(start, clamp(n.integer("end", rank)));
  return {n.graph().constant(Tensor::from<int64_t>({all.begin() + start, all.begin() + stop}, {stop - start}))};
}

// --- other extents, the same elements ---

std::vector<Value> import_reshape(OnnxNode& n) {
  const Extents from = n.extents(0);
  Integers to = n.opset() >= 5 ? n.constant_integers(1) : n.required_integers("shape");
  const bool keep_zeros = n.integer("allowzero", 0) != 0;
  // Products of what is not 0, so that a -1 beside zeros has an answer, too.
  const auto nonzero = [](const Extents& extents) {
    Extents some;
    for (int64_t e : extents)
      if (e > 0) some.push_back(e);
    return element_count(some);
  };
  int64_t rest = -1;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] == 0 && !keep_zeros) {
      if (i >= from.size()) n.fail(fmt::format("extent {} of rank {} is to be kept", i, from.size()));
      to[i] = from[i];
    } else if (to[i] == -1) {
      if (rest >= 0) n.fail("more than one -1");
      rest = static_cast<int64_t>(i);
    } else if (to[i] < 0) {
      n.fail(fmt::format("extent {}", to[i]));
    }
  }
  if (rest >= 0) {
    const int64_t have = nonzero(from), others = nonzero(to);
    const bool was_empty = element_count(from) == 0;
    const bool stays_empty = std::count(to.begin(), to.end(), 0) > 0;
    if (was_empty != stays_empty && !was_empty) n.fail("elements do not fit an extent of 0");
    to[static_cast<size_t>(rest)] = was_empty && !stays_empty ? 0 : have / others;
  }
  if (element_count(from) != element_count(to))
    n.fail(fmt::format("{} does not fit {}", gregale::to_string(from), gregale::to_string(to)));
  return {ops::reshape(n.graph(), n.input(0), to)};
}

std::vector<Value> import_flatten(OnnxNode& n) {
  const Extents x = n.extents(0);
  const auto rank = static_cast<int64_t>(x.size());
  int64_t axis = n.integer("axis", 1);
  if (axis < -rank || axis > rank) n.fail(fmt::format("axis {} is out of range for rank {}", axis, rank));
  if (axis < 0) axis += rank;
  const auto a = static_cast<size_t>(axis);
  return {ops::reshape(n.graph(), n.input(0), Extents{product(x, 0, a), product(x, a, x.size())})};
}

std::vector<Value> import_squeeze(OnnxNode& n) {
  const Extents x = n.extents(0);
  const bool named = n.has_input(1) || n.has("axes");
  const Integers axes = axes_of(n, n.integers_of(1, "axes", {}), n.rank(0));
  Extents y;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool drop = named ? std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end() : x[i] == 1;
    if (drop && x[i] != 1) n.fail(fmt::format("axis {} of {} is not 1", i, gregale::to_string(x)));
    if (!drop) y.push_back(x[i]);
  }
  return {ops::reshape(n.graph(), n.input(0), y)};
}

std::vector<Value> import_unsqueeze(OnnxNode& n) {
  const Extents x = n.extents(0);
  const Integers given = n.has_input(1) ? n.constant_integers(1) : n.required_integers("axes");
  const auto rank = static_cast<int64_t>(x.size() + given.size());
  const Integers axes = axes_of(n, given, rank);
  Extents y;
  size_t next = 0;
  for (int64_t i = 0; i < rank; ++i) y.push_back(std::find(axes.begin(), axes.end(), i) != axes.end() ? 1 : x[next++]);
  return {ops::reshape(n.graph(), n.input(0), y)};
}

/// [n, c, h, w] whose channels are blocks of pixels, and back.
std::vector<Value> import_depth_to_space(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t b = n.required_integer("blocksize");
  if (n.rank(0) != 4) n.fail(fmt::format("rank {}, not 4", n.rank(0)));
  const Extents x = n.extents(0);
  if (b < 1 || b > INT32_MAX || x[1] % (b * b) != 0) n.fail(fmt::format("{} channels, blocks of {}", x[1], b));
  const std::string mode = n.string("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") n.fail("mode '" + mode + "'");
  const bool depth_first = mode == "DCR";
  const int64_t c = x[1] / (b * b);
  const Value parts = ops::reshape(
      g, n.input(0), depth_first ? Extents{x[0], b, b, c, x[2], x[3]} : Extents{x[0], c, b, b, x[2], x[3]});
  const Value turned = ops::transpose(g, parts, depth_first ? Integers{0, 3, 4, 1, 5, 2} : Integers{0, 1, 4, 2, 5, 3});
  return {ops::reshape(g, turned, Extents{x[0], c, x[2] * b, x[3] * b})};
}

std::vector<Value> import_space_to_depth(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t b = n.required_integer("blocksize");
  if (n.rank(0) != 4) n.fail(fmt::format("rank {}, not 4", n.rank(0)));
  const Extents x = n.extents(0);
  if (b < 1 || b > INT32_MAX || x[2] % b != 0 || x[3] % b != 0)
    n.fail(fmt::format("{} rows and {} columns, blocks of {}", x[2], x[3], b));
  const Value parts = ops::reshape(g, n.input(0), Extents{x[0], x[1], x[2] / b, b, x[3] / b, b});
  return {
      ops::reshape(g, ops::transpose(g, parts, {0, 3, 5, 1, 2, 4}), Extents{x[0], x[1] * b * b, x[2] / b, x[3] / b})};
}

// --- parts ---

std::vector<Value> import_split(OnnxNode& n) {
  const Extents x = n.extents(0);
  const int64_t axis = axis_of(n, n.integer("axis", 0), n.rank(0)), extent = x[static_cast<size_t>(axis)];
  Integers parts = n.integers_of(1, "split", {});
  const bool given = n.has_input(1) || n.has("split");
  if (!given) {
    const int64_t count = n.integer("num_outputs", n.output_count());
    if (count < 1 || count > INT32_MAX) n.fail(fmt::format("{} parts", count));
    if (n.opset() < 18 && extent % count != 0) n.fail(fmt::format("extent {} in {} equal parts", extent, count));
    const int64_t part = (extent + count - 1) / count;
    for (int64_t i = 0; i < std::min(count, n.output_count()); ++i)
      parts.push_back(std::clamp<int64_t>(extent - i * part, 0, part));
  }
  std::vector<Value> results;
  int64_t at = 0;
  for (int64_t part : parts) {
    if (part < 0 || part > extent - at) n.fail(fmt::format("parts above the extent {}", extent));
    results.push_back(ops::slice_axis(n.graph(), n.input(0), axis, at, at + part));
    at += part;
  }
  if (given && at != extent) n.fail(fmt::format("parts of {} in all, extent {}", at, extent));
  return results;
}

std::vector<Value> import_slice(OnnxNode& n) {
  Graph& g = n.graph();
  const bool as_inputs = n.opset() >= 10;
  const int64_t rank = n.rank(0);
  const Extents x = n.extents(0);
  const Integers from = as_inputs ? n.constant_integers(1) : n.required_integers("starts"),
                 to = as_inputs ? n.constant_integers(2) : n.required_integers("ends");
  const bool has_axes = as_inputs ? n.has_input(3) : n.has("axes");
  const auto count = static_cast<int64_t>(from.size());
  if (!has_axes && count > rank) n.fail(fmt::format("{} starts for rank {}", count, rank));
  const Integers axes =
      axes_of(n, has_axes ? (as_inputs ? n.constant_integers(3) : n.integers("axes", {})) : all_axes(count), rank);
  const Integers by = as_inputs && n.has_input(4) ? n.constant_integers(4) : Integers(from.size(), 1);
  if (to.size() != from.size() || axes.size() != from.size() || by.size() != from.size())
    n.fail(fmt::format("{} starts, {} ends, {} axes, {} steps", from.size(), to.size(), axes.size(), by.size()));
  Integers starts(x.size(), 0), stops(x.begin(), x.end()), steps(x.size(), 1), reversed;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<size_t>(axes[i]);
    const int64_t extent = x[a], step = by[i];
    if (step == 0) n.fail("a step of 0");
    const auto place = [&](int64_t at, int64_t low, int64_t high) {
      return std::clamp(at < 0 ? at + extent : at, low, high);
    };
    if (step > 0) {
      starts[a] = place(from[i], 0, extent);
      stops[a] = std::max(starts[a], place(to[i], 0, extent));
      steps[a] = step;
      continue;
    }
    // Backwards: the same elements forwards, then reversed.
    const int64_t start = std::min(place(from[i], -1, extent), extent - 1), stop = place(to[i], -1, extent - 1);
    const int64_t stride = step == INT64_MIN ? INT64_MAX : -step;
    const int64_t elements = start > stop ? (start - stop - 1) / stride + 1 : 0;
    starts[a] = elements > 0 ? start - (elements - 1) * stride : 0;
    stops[a] = elements > 0 ? start + 1 : 0;
    steps[a] = elements > 1 ? stride : 1;
    if (elements > 1) reversed.push_back(axes[i]);
  }
  const Value part = ops::slice(g, n.input(0), starts, stops, steps);
  return {reversed.empty() ? part : ops::reverse(g, part, reversed)};
}

/// x as if it went on for ever, from -low[a] to extent + high[a] of every axis.
class Padding {
 public:
  Padding(OnnxNode& n, Integers low, Integers high) : n_(n), low_(std::move(low)), high_(std::move(high)) {
    const Extents x = n.extents(0);
    for (size_t a = 0; a < x.size(); ++a) {
      const int64_t extent = ops::extent_sum(ops::extent_sum(x[a], 1, low_[a], "onnx"), 1, high_[a], "onnx");
      if (extent < 0) n.fail(fmt::format("axis {} of extent {} is cut by {} and {}", a, x[a], low_[a], high_[a]));
      to_.push_back(extent);
    }
    element_count(to_);
  }

  /// `value`: a scalar, or invalid for zeros.
  Value constant(Value value) {
    Graph& g = n_.graph();
    const Extents x = n_.extents(0);
    Integers starts, stops, low, high;
    for (size_t a = 0; a < x.size(); ++a) {
      starts.push_back(std::clamp<int64_t>(-low_[a], 0, x[a]));
      stops.push_back(std::clamp<int64_t>(to_[a] - low_[a], starts[a], x[a]));
      low.push_back(std::clamp<int64_t>(low_[a], 0, to_[a]));
      high.push_back(to_[a] - low[a] - (stops[a] - starts[a]));
    }
    Value part = n_.input(0);
    if (starts != Integers(x.size(), 0) || stops != x) part = ops::slice(g, part, starts, stops);
    if (!value.valid()) return ops::pad(g, part, low, high);
    return ops::update_slice(g, ops::broadcast_to(g, value, to_), part, low);
  }

  /// `mode` of ONNX; where a copy of the operand is not enough, by what each element shows.
  Value mirrored(const std::string& mode) {
    Graph& g = n_.graph();
    const Extents x = n_.extents(0);
    Integers low(x.size(), 0), high(x.size(), 0);
    Value y = n_.input(0);
    for (size_t a = 0; a < x.size(); ++a) {
      const int64_t most = mode == "edge" ? INT64_MAX : mode == "wrap" ? x[a] : x[a] - 1;
      if (to_[a] > 0 && x[a] == 0) n_.fail(fmt::format("axis {} is empty: it has nothing to show", a));
      if (low_[a] >= 0 && low_[a] <= most && high_[a] >= 0 && high_[a] <= most) {
        low[a] = low_[a];
        high[a] = high_[a];
        continue;
      }
      Integers indices;
      for (int64_t i = 0; i < to_[a]; ++i) indices.push_back(shown(mode, i - low_[a], x[a]));
      y = ops::gather(g, y, g.constant(Tensor::from(indices, {to_[a]})), static_cast<int64_t>(a));
    }
    if (low == high && high == Integers(x.size(), 0)) return y;
    return ops::pad(g, y, low, high, mode == "wrap" ? "periodic" : mode);
  }

 private:
  static int64_t shown(const std::string& mode, int64_t at, int64_t extent) {
    if (mode == "edge") return std::clamp<int64_t>(at, 0, extent - 1);
    const int64_t period = mode == "wrap" ? extent : std::max<int64_t>(1, 2 * (extent - 1));
    const int64_t i = (at % period + period) % period;
    return i < extent ? i : period - i;
  }
  OnnxNode& n_;
  Integers low_, high_;
  Extents to_;
};

bool is_zero_scalar(const Tensor& t) {
  const auto* bytes = static_cast<const char*>(t.data());
  return std::all_of(bytes, bytes + t.bytes(), [](char c) { return c == 0; });
}

std::vector<Value> import_pad(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t rank = n.rank(0);
  const Integers pads = n.opset() >= 11 ? n.constant_integers(1)
                        : n.has("pads") ? n.required_integers("pads")
                                        : n.required_integers("paddings");
  const Integers axes = axes_of(n, n.has_input(3) ? n.constant_integers(3) : all_axes(rank), rank);
  if (pads.size() != 2 * axes.size()) n.fail(fmt::format("{} pads for {} axes", pads.size(), axes.size()));
  Integers low(static_cast<size_t>(rank), 0), high(static_cast<size_t>(rank), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    low[static_cast<size_t>(axes[i])] = pads[i];
    high[static_cast<size_t>(axes[i])] = pads[i + axes.size()];
  }
  Padding padding(n, low, high);
  const std::string mode = n.string("mode", "constant");
  if (mode == "reflect" || mode == "edge" || mode == "wrap") return {padding.mirrored(mode)};
  if (mode != "constant") n.fail("mode '" + mode + "'");
  Value value;
  if (n.opset() >= 11 && n.has_input(2)) {
    if (n.dtype(2) != n.dtype(0)) n.fail("the value is of another type");
    if (n.type(2).shape.elements() != 1) n.fail(fmt::format("a value of {} elements", n.type(2).shape.elements()));
    if (!n.is_constant(2) || !is_zero_scalar(n.constant(2))) value = ops::reshape(g, n.input(2), Extents{});
  } else if (n.opset() < 11 && n.real("value", 0) != 0) {
    value = ops::scalar(g, n.dtype(0), n.real("value", 0));
  }
  return {padding.constant(value)};
}

std::vector<Value> import_center_crop_pad(OnnxNode& n) {
  const int64_t rank = n.rank(0);
  const Integers shape = n.constant_integers(1);
  const Integers axes = axes_of(n, n.integers("axes", all_axes(rank)), rank);
  if (shape.size() != axes.size()) n.fail(fmt::format("{} extents for {} axes", shape.size(), axes.size()));
  Integers low(static_cast<size_t>(rank), 0), high(static_cast<size_t>(rank), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<size_t>(axes[i]);
    const int64_t have = n.extents(0)[a];
    if (shape[i] < 0) n.fail(fmt::format("extent {}", shape[i]));
    low[a] = shape[i] > have ? (shape[i] - have) / 2 : -((have - shape[i]) / 2);
    high[a] = shape[i] - have - low[a];
  }
  return {Padding(n, low, high).constant(Value())};
}

// --- copies ---

std::vector<Value> import_expand(OnnxNode& n) {
  const Extents shape = n.constant_integers(1);
  element_count(shape);
  return {ops::broadcast_to(n.graph(), n.input(0), broadcast(n.type(0).shape, shape, "onnx"))};
}

std::vector<Value> import_tile(OnnxNode& n) {
  Graph& g = n.graph();
  Extents x = n.extents(0);
  Integers repeats;
  if (n.opset() >= 6) {
    repeats = n.constant_integers(1);
  } else {
    repeats.assign(x.size(), 1);
    repeats[static_cast<size_t>(axis_of(n, n.constant_integer(2), n.rank(0)))] = n.constant_integer(1);
  }
  if (repeats.size() != x.size()) n.fail(fmt::format("{} repeats for rank {}", repeats.size(), x.size()));
  Extents apart, wide, result;  // with an axis of copies before each that is repeated
  for (size_t a = 0; a < x.size(); ++a) {
    if (repeats[a] < 0) n.fail(fmt::format("{} copies", repeats[a]));
    result.push_back(ops::extent_sum(0, x[a], repeats[a], "onnx"));
    if (repeats[a] != 1) {
      apart.push_back(1);
      wide.push_back(repeats[a]);
    }
    apart.push_back(x[a]);
    wide.push_back(x[a]);
  }
  element_count(result);
  return {ops::reshape(g, ops::broadcast_to(g, ops::reshape(g, n.input(0), apart), wide), result)};
}

}  // namespace

std::vector<OnnxMapping> layout_mappings() {
  return {
      {"Constant", 1, [](OnnxNode& n) { return std::vector{n.graph().constant(constant_value(n))}; }},
      {"ConstantOfShape", 9, import_constant_of_shape},
      {"Shape", 1, import_shape},
      {"Size", 1,
       [](OnnxNode& n) { return std::vector{n.graph().constant(Tensor::scalar(n.type(0).shape.elements()))}; }},
      {"Reshape", 1, import_reshape},
      {"Flatten", 1, import_flatten},
      {"Squeeze", 1, import_squeeze},
      {"Unsqueeze", 1, import_unsqueeze},
      {"DepthToSpace", 1, import_depth_to_space},
      {"SpaceToDepth", 1, import_space_to_depth},
      {"Split", 1, import_split},
      {"Slice", 1, import_slice},
      {"Pad", 1, import_pad},
      {"CenterCropPad", 18, import_center_crop_pad},
      {"Expand", 8, import_expand},
      {"Tile", 1, import_tile},
  };
}

}  // namespace gregale::onnx
