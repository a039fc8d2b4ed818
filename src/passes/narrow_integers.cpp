// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "passes/rounded_values.hpp"
#include "tile/node_kinds.hpp"

namespace gregale::passes {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kMostOfBf16 = 256;  ///< whole numbers up to here are bf16
constexpr double kMostOfF32 = 0x1p24;

/// Where a value's elements are, but for NaN.
struct Interval {
  double low = -kInfinite, high = kInfinite;
  bool whole = false;  ///< all are integers (or infinite)
  double farthest() const { return std::max(std::abs(low), std::abs(high)); }
};

Interval hull(const Interval& a, const Interval& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high), a.whole && b.whole};
}

/// The interval of every value of a graph, as far as it follows from constants, dtypes and a few operators: those that
/// quantised networks have between their products.
class Intervals {
 public:
  explicit Intervals(const Graph& graph) : g_(graph), of_(static_cast<size_t>(graph.value_count())) {
    for (const Node& n : graph.nodes())
      for (size_t i = 0; i < n.outputs.size(); ++i) at(n.outputs[i]) = i == 0 ? result_of(n) : Interval();
  }
  /// Whether a f32 value is bf16 without being rounded.
  bool is_narrow(Value v) const {
    const Interval& i = of_[static_cast<size_t>(v.id)];
    return g_.type(v).dtype == DType::f32 && i.whole && i.farthest() <= kMostOfBf16;
  }

 private:
  Interval& at(Value v) { return of_[static_cast<size_t>(v.id)]; }
  static Interval of_dtype(DType dtype) {
    switch (dtype) {
      case DType::boolean:
        return {0, 1, true};
      case DType::u8:
        return {0, 255, true};
      case DType::i8:
        return {-128, 127, true};
      default:
        return {-kInfinite, kInfinite, is_integer(dtype)};
    }
  }
  static Interval of_constant(const Tensor& t) {
    if (t.dtype() != DType::f32 && t.dtype() != DType::bf16) return of_dtype(t.dtype());
    Interval i{kInfinite, -kInfinite, true};
    const Tensor wide = t.dtype() == DType::f32 ? t : t.cast(DType::f32);
    for (const float x : wide.as<float>()) {
      if (x != std::nearbyint(x)) return {};
      i = {std::min(i.low, double{x}), std::max(i.high, double{x}), true};
    }
    return i;
  }
  Interval result_of(const Node& n) {
    const std::string& name = n.op->name;
    const DType dtype = g_.type(n.outputs[0]).dtype;
    if (name == kConstantOp) return of_constant(std::get<Tensor>(n.attributes.at("value")));
    if (n.inputs.empty() || (dtype != DType::f32 && dtype != DType::bf16)) return of_dtype(dtype);
    const Interval& a = at(n.inputs[0]);
    if (name == "cast") {
      const double most = dtype == DType::f32 ? kMostOfF32 : kMostOfBf16;
      return {a.low, a.high, a.whole && a.farthest() <= most};
    }
    if (name == "round" || name == "floor" || name == "ceil") return {std::floor(a.low), std::ceil(a.high), true};
    if (name == "relu") return {std::max(a.low, 0.0), std::max(a.high, 0.0), a.whole};
    if (name == "neg") return {-a.high, -a.low, a.whole};
    if (chooses_elements(*n.op)) return a;
    if (name == "pad") return hull(a, {0, 0, true});
    if (name == "concat") {
      Interval all = a;
      for (const Value v : n.inputs) all = hull(all, at(v));
      return all;
    }
    if (n.inputs.size() != 2) return {};
    const Interval& b = at(n.inputs[1]);
    const bool whole = a.whole && b.whole;
    if (name == "maximum") return {std::max(a.low, b.low), std::max(a.high, b.high), whole};
    if (name == "minimum") return {std::min(a.low, b.low), std::min(a.high, b.high), whole};
    // A sum of whole numbers is whole even where it is rounded.
    if (name == "add") return {a.low + b.low, a.high + b.high, whole};
    if (name == "sub") return {a.low - b.high, a.high - b.low, whole};
    return {};
  }

  const Graph& g_;
  std::vector<Interval> of_;
};

}  // namespace

Graph narrow_integers(const Graph& graph) {
  const Intervals intervals(graph);
  RoundedValues narrow;  // of the new graph
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    if (!tile::is_contraction(view_of(graph, node)) ||
        !std::all_of(node.inputs.begin(), node.inputs.end(), [&](Value v) { return intervals.is_narrow(v); }))
      return results;
    std::vector<Value> operands;
    for (const Value v : inputs) operands.push_back(narrow.of(out, v));
    Attributes attributes = node.attributes;
    attributes["f32_result"] = true;
    results = out.add(*node.op, operands, attributes, node.regions);
    return results;
  });
}

}  // namespace gregale::passes
