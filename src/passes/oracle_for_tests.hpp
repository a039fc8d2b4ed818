// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "ir/core_ops.hpp"
#include "ir/rewrite.hpp"

/// The measure of random programs: the same graph in f64, and how far from it rounding may lead.
namespace gregale::passes {

inline DType in_f64(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::bf16:
      return DType::f64;
    case DType::c64:
      return DType::c128;
    default:
      return dtype;
  }
}

/// A relative error of one size everywhere, in directions that the key draws.
inline Tensor off_by(double relative, const Extents& extents, RandomKey key) {
  Tensor t(DType::f64, extents);
  for (uint64_t i = 0; double& x : t.as<double>()) x = random_below(key, i++, 2) == 0 ? 1 - relative : 1 + relative;
  return t;
}

/// The graph with everything floating in f64: what it means, before any rounding but that of its constants. With
/// `off`, what the graph rounds to bf16 is off by that much of itself.
inline Graph in_f64(const Graph& graph, double off = 0, uint32_t draw = 0) {
  const auto wide = [](Type type) {
    type.dtype = in_f64(type.dtype);
    return type;
  };
  Graph out(graph.name());
  std::vector<Value> where(static_cast<size_t>(graph.value_count()));
  for (const Value v : graph.inputs())
    where[static_cast<size_t>(v.id)] = out.add_input(graph.name_of(v), wide(graph.type(v)));
  for (const Variable& v : graph.variables()) out.add_variable(v.name, wide(v.type));
  for (const Node& node : graph.nodes()) {
    std::vector<Value> operands;
    for (const Value v : node.inputs) operands.push_back(where[static_cast<size_t>(v.id)]);
    Attributes attributes = node.attributes;
    for (auto& [name, attribute] : attributes) {
      if (auto* dtype = std::get_if<DType>(&attribute)) *dtype = in_f64(*dtype);
      if (auto* tensor = std::get_if<Tensor>(&attribute)) *tensor = tensor->cast(in_f64(tensor->dtype()));
      if (name == "f32_result") attribute = false;
    }
    std::vector<Graph> regions;
    for (const Graph& region : node.regions) regions.push_back(in_f64(region));
    const std::vector<Value> results = out.add(*node.op, operands, std::move(attributes), std::move(regions));
    for (size_t i = 0; i < results.size(); ++i) {
      const bool rounds = off != 0 && graph.type(node.outputs[i]).dtype == DType::bf16 && !node.op->result_as_view;
      const auto at = static_cast<size_t>(node.outputs[i].id);
      where[at] = results[i];
      if (!rounds) continue;
      const RandomKey key{draw, 3, static_cast<uint32_t>(at)};
      const Extents extents = out.type(results[i]).shape.extents();
      where[at] = ops::mul(out, results[i], out.constant(off_by(off, extents, key)));
    }
  }
  std::vector<Value> outputs;
  for (const Value v : graph.outputs()) outputs.push_back(where[static_cast<size_t>(v.id)]);
  out.set_outputs(outputs, graph.output_names());
  return out;
}

inline std::vector<Tensor> in_f64(std::vector<Tensor> tensors) {
  for (Tensor& t : tensors) t = t.cast(in_f64(t.dtype()));
  return tensors;
}

/// A graph's text for messages and comparisons: long constants by a digest of their values.
inline std::string text_of(const Graph& graph) {
  Blobs blobs;
  std::string text = print(graph, &blobs);
  for (size_t i = 0; i < blobs.size(); ++i) {
    uint64_t digest = 1469598103934665603u;  // FNV-1a
    const auto* bytes = static_cast<const unsigned char*>(blobs[i].data());
    for (int64_t k = 0; k < blobs[i].bytes(); ++k) digest = (digest ^ bytes[k]) * 1099511628211u;
    text += fmt::format("blob({}): {:016x}\n", i, digest);
  }
  return text;
}

inline double largest_of(const Tensor& f64) {
  double largest = 0;
  for (const double x : f64.as<double>()) largest = std::max(largest, std::abs(x));
  return largest;
}

/// The greatest difference of two tensors; 1e300 where only one is finite, or there is nothing to compare.
inline double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.cast(DType::f64), y = b.cast(DType::f64);
  if (x.extents() != y.extents()) return 1e300;
  double worst = 0;
  for (size_t i = 0; i < x.as<double>().size(); ++i) {
    const double error = std::abs(x.as<double>()[i] - y.as<double>()[i]);
    worst = std::isfinite(error) ? std::max(worst, error) : 1e300;
  }
  return worst;
}

/// The graph with the sums of its products taken in f32, term by term (of convolutions: channel by channel), as the
/// interpreter rounds what every node gives.
inline Graph summed_in_f32(const Graph& graph) {
  return rewrite(graph, [](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    const bool product = node.op->name == "matmul";
    const auto flag = [&](const char* name) { return std::get<bool>(node.attributes.at(name)); };
    if (!product && (node.op->name != "conv2d" || std::get<int64_t>(node.attributes.at("groups")) != 1)) return results;
    const int64_t rank_a = out.type(inputs[0]).rank(), rank_b = out.type(inputs[1]).rank();
    const int64_t axis_a = product ? rank_a - (flag("transpose_a") ? 2 : 1) : 1;
    const int64_t axis_b = product ? rank_b - (flag("transpose_b") ? 1 : 2) : 1;
    Value sum;
    for (int64_t l = 0; l < out.type(inputs[0]).shape[axis_a].value(); ++l) {
      const Value term = out.add1(
          *node.op,
          {ops::slice_axis(out, inputs[0], axis_a, l, l + 1), ops::slice_axis(out, inputs[1], axis_b, l, l + 1)},
          node.attributes);
      sum = sum.valid() ? ops::add(out, sum, term) : term;
    }
    if (sum.valid()) results.emplace({sum});
    return results;
  });
}

/// What a graph's results are in f64, and what the interpreter makes of them in f32.
class Oracle {
 public:
  std::vector<Tensor> exact, rounded;
  std::vector<double> own;      ///< error of the interpreter in f32
  std::vector<double> largest;  ///< magnitude of a result

  Oracle(const Graph& graph, const std::vector<Tensor>& inputs)
      : exact(interpret(in_f64(graph), in_f64(inputs))),
        rounded(interpret(graph, inputs)),
        graph_(graph),
        inputs_(inputs) {
    for (size_t i = 0; i < exact.size(); ++i) {
      own.push_back(distance(rounded[i], exact[i]));
      largest.push_back(largest_of(exact[i]));
    }
  }
  /// 4 times the interpreter's own error, and 1e-6 of the greatest magnitude.
  double bound(size_t i) const { return 4 * own[i] + 1e-6 * largest[i]; }
  /// The same for what sums in f32. The interpreter sums in f64: where terms cancel, or what follows takes nearly all
  /// of a sum away (softshrink next to its threshold), its result is far closer than any sum in f32 can be. So where
  /// the first bound does not hold, the interpreter has to sum in f32 as well, in the plainest order.
  double bound_in_f32(size_t i, double error) const {
    if (error <= bound(i)) return bound(i);
    const std::vector<Tensor> summed = interpret(summed_in_f32(graph_), inputs_);
    return bound(i) + 4 * distance(summed[i], exact[i]);
  }

 private:
  const Graph graph_;
  const std::vector<Tensor> inputs_;
};

}  // namespace gregale::passes
