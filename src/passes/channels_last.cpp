// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/log.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/minimum_cut.hpp"
#include "passes/passes.hpp"
#include "tile/node_kinds.hpp"

// Images are [n, c, h, w] where graphs are written and [n, h, w, c] where convolutions are fast. Which operator works
// in which layout is one choice of two for each; what it costs is the slower kernels on one side and a transpose
// wherever a value crosses. The cheapest choice for the whole graph is a minimum cut (where the graph is a chain, a
// shortest path).
namespace gregale::passes {
namespace {

const std::vector<int64_t> kToLast{0, 2, 3, 1}, kToFirst{0, 3, 1, 2}, kWeights{2, 3, 1, 0}, kWeightsBack{3, 2, 0, 1};
constexpr int64_t kAxisOfLast[] = {0, 3, 1, 2};  ///< where an axis of [n, c, h, w] is in [n, h, w, c]

/// A convolution with channels first takes about as much longer as moving a byte takes for so many of its flops:
/// measured shares of peak are 0.55 and 0.9, and a core does some 8 flops while it moves a byte.
constexpr double kFlopsPerByte = 11;
/// One of every channel by itself has nothing to contract: with channels first it runs at some 2 % of peak.
constexpr double kDepthwiseFlopsPerByte = 0.25;

constexpr int64_t kLeastChannels = 4;  ///< below it nothing is contracted within a group

class ChannelsLast {
 public:
  explicit ChannelsLast(const Graph& graph) : g_(graph), kinds_(graph.nodes().size(), Kind::fixed) {}

  Graph run() {
    bool any = false;
    for (size_t n = 0; n < kinds_.size(); ++n) {
      kinds_[n] = kind_of(g_.nodes()[n]);
      any |= is_convolution(n);
    }
    if (!any) return g_;
    choose();
    const auto chosen = std::count(last_.begin(), last_.end(), true);
    if (log_enabled("passes"))
      log_line("passes",
               fmt::format("layouts: {} of {} operators on images with channels last", chosen,
                           std::count_if(kinds_.begin(), kinds_.end(), [](Kind k) { return k != Kind::fixed; })));
    return chosen > 0 ? rebuild() : g_;
  }

 private:
  /// Convolutions: forward, the gradient of the image, that of the weights. The result of the latter is no image.
  enum class Kind : uint8_t {
    fixed,
    convolution,
    input_gradient,
    weights_gradient,
    pooling,
    elementwise,
    concat,
    resampling,
    reduction,
    broadcast
  };

  bool is_convolution(size_t n) const {
    return kinds_[n] == Kind::convolution || kinds_[n] == Kind::input_gradient || kinds_[n] == Kind::weights_gradient;
  }
  /// Whether operand i of a node is an image that it reads in its layout.
  bool reads_image(size_t n, size_t i) const {
    const Node& node = g_.nodes()[n];
    const Value v = node.inputs[i];
    if (!is_image(v)) return false;
    switch (kinds_[n]) {
      case Kind::convolution:
      case Kind::input_gradient:
        return i == 0;
      case Kind::elementwise:
        return type(v).shape == type(node.outputs[0]).shape;
      case Kind::resampling:
      case Kind::reduction:
        return i == 0;
      case Kind::broadcast:
        return false;
      default:
        return true;
    }
  }
  /// Whether a node's result is an image in its layout.
  bool makes_image(size_t n) const {
    return kinds_[n] != Kind::fixed && kinds_[n] != Kind::weights_gradient && kinds_[n] != Kind::reduction;
  }

  const Type& type(Value v) const { return g_.type(v); }
  bool is_image(Value v) const {
    const Type& t = type(v);
    return t.rank() == 4 && t.shape.is_constant() && t.shape.elements() > 0;
  }
  bool is_constant(Value v) const {
    const int32_t p = g_.producer(v);
    return p >= 0 && g_.nodes()[static_cast<size_t>(p)].op->name == kConstantOp;
  }
  /// [n, c, 1, 1]
  static bool is_pixel(const Shape& s, const Shape& image) {
    return s.rank() == 4 && s[0] == image[0] && s[1] == image[1] && s[2] == Dim(1) && s[3] == Dim(1);
  }
  /// An operand that is no image but broadcasts over one: a scalar, or an element a channel, perhaps of every image.
  bool is_small(Value v, const Shape& image) const {
    const Shape& s = type(v).shape;
    if (!s.is_constant()) return false;
    if (s.elements() == 1 || is_pixel(s, image)) return true;
    if (s.rank() < 3 || s.elements() != image[1].value()) return false;
    return s[s.rank() - 3] == image[1];
  }

  /// [c, 1, 1], perhaps with a leading 1.
  static bool is_channels(const Shape& s, const Shape& image) {
    if (!s.is_constant() || (s.rank() != 3 && s.rank() != 4)) return false;
    return s.elements() == image[1].value() && s[s.rank() - 3] == image[1];
  }

  /// A convolution of every channel by itself, of enough channels to fill a vector: a kernel of its own.
  bool is_depthwise(const Node& n) const {
    if (n.op->name != "conv2d") return false;
    const int64_t groups = std::get<int64_t>(n.attributes.at("groups"));
    const Shape& weights = type(n.inputs[1]).shape;
    return groups >= kLeastChannels && weights.is_constant() && weights[0] == Dim(groups) && weights[1] == Dim(1);
  }
  bool turns(const Node& n, Value image, const Shape& weights) const {
    const int64_t groups = std::get<int64_t>(n.attributes.at("groups"));
    const int64_t outputs = weights.is_constant() ? weights[0].value() / groups : 0;
    const bool few = groups > 1 && (weights[1].value() < kLeastChannels || outputs < kLeastChannels);
    if (is_depthwise(n)) return is_image(image) && type(image).dtype == DType::f32;
    return is_image(image) && type(image).dtype == DType::f32 && !few;
  }

  Kind kind_of(const Node& n) const {
    if (n.outputs.size() != 1) return Kind::fixed;
    const std::string& name = n.op->name;
    const Value y = n.outputs[0];
    if (name == "sum" || name == "mean" || name == "max" || name == "min") {
      if (!is_image(n.inputs[0])) return Kind::fixed;
      std::vector<int64_t> axes = std::get<std::vector<int64_t>>(n.attributes.at("axes"));
      for (int64_t& a : axes) a = a < 0 ? a + 4 : a;
      std::sort(axes.begin(), axes.end());
      return axes == std::vector<int64_t>{2, 3} ? Kind::reduction : Kind::fixed;
    }
    // Of a bias: an element a channel, and its adjoint.
    if (name == "sum_to" || name == "sum_to_like") {
      const Value x = n.inputs[0];
      return is_image(x) && type(x).dtype == DType::f32 && is_channels(type(y).shape, type(x).shape) ? Kind::reduction
                                                                                                     : Kind::fixed;
    }
    if (name == "conv2d_d_weights")
      return is_image(y) && turns(n, n.inputs[0], type(y).shape) ? Kind::weights_gradient : Kind::fixed;
    if (!is_image(y)) return Kind::fixed;
    if (name == "conv2d" || name == "conv2d_d_input") {
      if (!turns(n, n.inputs[0], type(n.inputs[1]).shape)) return Kind::fixed;
      return name == "conv2d" ? Kind::convolution : Kind::input_gradient;
    }
    if (name == "max_pool2d" || name == "max_pool2d_gradient")
      return !std::get<bool>(n.attributes.at("channels_last")) && is_image(n.inputs[0]) && type(y).dtype == DType::f32
                 ? Kind::pooling
                 : Kind::fixed;
    if (name == "broadcast_to" || name == "broadcast_like") {
      // An element an image and channel: the gradient of a mean.
      const Shape& s = type(n.inputs[0]).shape;
      return s.is_constant() && s.rank() == 4 && s[2] == Dim(1) && s[3] == Dim(1) ? Kind::broadcast : Kind::fixed;
    }
    if (name == "concat")
      return std::all_of(n.inputs.begin(), n.inputs.end(), [&](Value v) { return is_image(v); }) ? Kind::concat
                                                                                                 : Kind::fixed;
    // Along rows or columns, elements or sums of them.
    if (name == "resample" || (name == "gather" && type(n.inputs[1]).rank() == 1)) {
      const int64_t axis = std::get<int64_t>(n.attributes.at("axis"));
      return is_image(n.inputs[0]) && (axis < 0 ? axis + 4 : axis) >= 2 ? Kind::resampling : Kind::fixed;
    }
    return is_elementwise(n) ? Kind::elementwise : Kind::fixed;
  }

  bool is_elementwise(const Node& n) const {
    if (!n.regions.empty()) return false;
    const Shape& shape = type(n.outputs[0]).shape;
    bool image = false;
    for (const Value v : n.inputs) {
      if (!type(v).shape.is_constant()) return false;
      if (type(v).shape != shape && !is_small(v, shape)) return false;
      image |= type(v).shape == shape;
    }
    return image && tile::acts_on_elements(view_of(g_, n));
  }

  // --- the choice ---

  /// Read and written once.
  double bytes_to_transpose(Value v) const {
    const Shape& s = type(v).shape;
    if (is_constant(v) || s[1] == Dim(1) || (s[2] == Dim(1) && s[3] == Dim(1))) return 0;
    return 2.0 * static_cast<double>(s.elements() * size_of(type(v).dtype));
  }

  void choose() {
    MinimumCut cut;  // the source's side has channels last
    std::vector<int32_t> vertex(kinds_.size(), MinimumCut::kSink);
    for (size_t n = 0; n < kinds_.size(); ++n)
      if (kinds_[n] != Kind::fixed) vertex[n] = cut.add_vertex();
    std::map<int32_t, std::set<int32_t>> readers;  // image -> vertices
    for (size_t n = 0; n < kinds_.size(); ++n)
      for (size_t i = 0; i < g_.nodes()[n].inputs.size(); ++i)
        if (reads_image(n, i)) readers[g_.nodes()[n].inputs[i].id].insert(vertex[n]);
    for (const Value v : g_.outputs())
      if (is_image(v)) readers[v.id].insert(MinimumCut::kSink);
    for (const auto& [id, vertices] : readers) {
      const Value v{id};
      const int32_t p = g_.producer(v);
      const int32_t producer =
          p < 0 || !makes_image(static_cast<size_t>(p)) ? MinimumCut::kSink : vertex[static_cast<size_t>(p)];
      const double bytes = bytes_to_transpose(v);
      if (bytes == 0) continue;
      // One transpose serves all readers of the other layout.
      const int32_t to_first = cut.add_vertex(), to_last = cut.add_vertex();
      cut.add_edge(producer, to_first, bytes);
      cut.add_edge(to_last, producer, bytes);
      for (const int32_t reader : vertices) {
        cut.add_edge(to_first, reader, MinimumCut::kInfinite);
        cut.add_edge(reader, to_last, MinimumCut::kInfinite);
      }
    }
    for (size_t n = 0; n < kinds_.size(); ++n) {
      if (!is_convolution(n)) continue;
      const Node& node = g_.nodes()[n];
      cut.add_edge(
          MinimumCut::kSource, vertex[n],
          node.op->cost(view_of(g_, node)).flops / (is_depthwise(node) ? kDepthwiseFlopsPerByte : kFlopsPerByte));
      // Transposing weights that are no constants does not count: a sample's share of it falls as the batch grows, and
      // its bits would depend on that.
    }
    // What stands behind a convolution joins its program only in its layout; alone it writes and reads the image again.
    for (size_t n = 0; n < kinds_.size(); ++n) {
      if (kinds_[n] != Kind::elementwise) continue;
      const Node& node = g_.nodes()[n];
      const bool behind = std::any_of(node.inputs.begin(), node.inputs.end(), [&](Value v) {
        const int32_t p = g_.producer(v);
        return p >= 0 && is_image(v) && makes_image(static_cast<size_t>(p));
      });
      const Type& t = type(node.outputs[0]);
      if (behind)
        cut.add_edge(MinimumCut::kSource, vertex[n], 2.0 * static_cast<double>(t.shape.elements() * size_of(t.dtype)));
    }
    const std::vector<bool> side = cut.solve();
    last_.resize(kinds_.size());
    for (size_t n = 0; n < kinds_.size(); ++n)
      last_[n] = kinds_[n] != Kind::fixed && side[static_cast<size_t>(vertex[n])];
  }

  // --- the new graph ---

  Graph rebuild() const {
    size_t n = 0;
    std::map<int32_t, Value> made;  // value of the old graph -> of the new one, channels last
    const auto transposed = [](Graph& out, Value v, const std::vector<int64_t>& permutation) {
      const Shape& s = out.type(v).shape;
      Shape moved;
      int64_t before = -1;
      bool moves = false;
      for (const int64_t axis : permutation) {
        moved.dims().push_back(s[axis]);
        if (s[axis] == Dim(1)) continue;
        moves |= axis < before;
        before = axis;
      }
      return moves ? ops::transpose(out, v, permutation) : ops::reshape(out, v, moved);
    };
    return rewrite(g_, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
      std::optional<std::vector<Value>> results;
      const size_t at = n++;
      // What `inputs` hold for a value made with channels last is its form with channels first, transposed only where
      // somebody wants it: dead nodes are dropped afterwards.
      const auto last = [&](size_t i) {
        const Value v = node.inputs[i];
        if (const auto found = made.find(v.id); found != made.end()) return found->second;
        return made[v.id] = transposed(out, inputs[i], kToLast);
      };
      if (!last_[at]) return results;
      const Value y = emit(out, node, kinds_[at], inputs, last);
      if (!makes_image(at)) {
        results.emplace().push_back(y);
        return results;
      }
      made[node.outputs[0].id] = y;
      carry_name(out, y, g_, node.outputs[0]);
      results.emplace().push_back(transposed(out, y, kToFirst));
      return results;
    });
  }

  template <class Last>
  Value emit(Graph& out, const Node& node, Kind kind, const std::vector<Value>& inputs, const Last& last) const {
    Attributes attributes = node.attributes;
    switch (kind) {
      case Kind::convolution:
        return convolution(out, node, last(0), node.inputs[1], inputs[1]);
      case Kind::input_gradient:
        return input_gradient(out, node, last(0), node.inputs[1], inputs[1]);
      case Kind::weights_gradient:
        return weights_gradient(out, node, last(0), last(1));
      case Kind::pooling: {
        attributes["channels_last"] = true;
        std::vector<Value> operands;
        for (size_t i = 0; i < inputs.size(); ++i) operands.push_back(last(i));
        return out.add1(*node.op, operands, attributes);
      }
      case Kind::concat: {
        int64_t axis = std::get<int64_t>(attributes.at("axis"));
        attributes["axis"] = kAxisOfLast[axis < 0 ? axis + 4 : axis];
        std::vector<Value> operands;
        for (size_t i = 0; i < inputs.size(); ++i) operands.push_back(last(i));
        return out.add1(*node.op, operands, attributes);
      }
      case Kind::resampling: {
        const int64_t axis = std::get<int64_t>(attributes.at("axis"));
        attributes["axis"] = kAxisOfLast[axis < 0 ? axis + 4 : axis];
        std::vector<Value> operands = inputs;
        operands[0] = last(0);
        return out.add1(*node.op, operands, attributes);
      }
      case Kind::reduction: {
        const Shape& shape = type(node.outputs[0]).shape;
        if (attributes.count("axes") == 0) return ops::reshape(out, ops::sum(out, last(0), {0, 1, 2}), shape);
        attributes["axes"] = std::vector<int64_t>{1, 2};
        const bool keeps = std::get<bool>(std::exchange(attributes["keep_dims"], false));
        const Value y = out.add1(*node.op, {last(0)}, attributes);
        return keeps ? ops::reshape(out, y, shape) : y;  // a pixel has the same layout either way
      }
      case Kind::broadcast: {
        const Shape &s = type(node.inputs[0]).shape, &y = type(node.outputs[0]).shape;
        return ops::broadcast_to(out, ops::reshape(out, inputs[0], Shape{s[0], 1, 1, s[1]}),
                                 Shape{y[0], y[2], y[3], y[1]});
      }
      default: {
        const Shape& shape = type(node.outputs[0]).shape;
        std::vector<Value> operands;
        for (size_t i = 0; i < inputs.size(); ++i) {
          const Shape& s = type(node.inputs[i]).shape;
          if (s == shape) {
            operands.push_back(last(i));
          } else if (s.elements() == 1) {
            operands.push_back(inputs[i]);
          } else if (is_pixel(s, shape)) {
            operands.push_back(ops::reshape(out, inputs[i], Shape{s[0], 1, 1, s[1]}));
          } else {
            operands.push_back(ops::reshape(out, inputs[i], Shape{shape[1]}));
          }
        }
        return out.add1(*node.op, operands, attributes);
      }
    }
  }

  /// Of one tap, without strides and padding, a convolution is a matrix product.
  static bool is_product(const Node& node, const Dim& r, const Dim& s) {
    const auto all = [&](const char* name, int64_t value) {
      const auto& entries = std::get<std::vector<int64_t>>(node.attributes.at(name));
      return std::all_of(entries.begin(), entries.end(), [&](int64_t e) { return e == value; });
    };
    return r == Dim(1) && s == Dim(1) && std::get<int64_t>(node.attributes.at("groups")) == 1 && all("strides", 1) &&
           all("pads", 0);
  }
  static ops::Conv2dOptions options_of(const Node& node) {
    return {std::get<std::vector<int64_t>>(node.attributes.at("strides")),
            std::get<std::vector<int64_t>>(node.attributes.at("pads")),
            std::get<std::vector<int64_t>>(node.attributes.at("dilations")),
            std::get<int64_t>(node.attributes.at("groups"))};
  }
  /// The same transposed weights for a convolution and its gradient.
  Value transposed_weights(Graph& out, Value old, Value weights) const {
    const auto found = weights_.find(old.id);
    if (found != weights_.end()) return found->second;
    return weights_[old.id] = ops::transpose(out, weights, kWeights);
  }

  Value convolution(Graph& out, const Node& node, Value x, Value old, Value weights) const {
    const Value w = transposed_weights(out, old, weights);
    const Shape s = out.type(w).shape;
    if (is_product(node, s[0], s[1])) return ops::matmul(out, x, ops::reshape(out, w, Shape{s[2], s[3]}));
    return ops::conv2d_nhwc(out, x, w, options_of(node));
  }

  Value input_gradient(Graph& out, const Node& node, Value d_y, Value old, Value weights) const {
    const Shape s = out.type(weights).shape;
    if (is_product(node, s[2], s[3])) return ops::matmul(out, d_y, ops::reshape(out, weights, Shape{s[0], s[1]}));
    const auto& image = std::get<std::vector<int64_t>>(node.attributes.at("image"));
    return ops::conv2d_nhwc_d_input(out, d_y, transposed_weights(out, old, weights), image[0], image[1],
                                    options_of(node));
  }

  Value weights_gradient(Graph& out, const Node& node, Value x, Value d_y) const {
    const Shape& shape = type(node.outputs[0]).shape;  // [k, c/groups, r, s]
    // Of one tap it is a product of rows, so that either may be the image: here the one whose channels come first.
    if (is_product(node, shape[2], shape[3]))
      return ops::reshape(out, ops::conv2d_nhwc_d_weights(out, d_y, x, 1, 1), shape);
    const Value d = ops::conv2d_nhwc_d_weights(out, x, d_y, shape[2].value(), shape[3].value(), options_of(node));
    return ops::transpose(out, d, kWeightsBack);
  }

  const Graph& g_;
  std::vector<Kind> kinds_;
  std::vector<bool> last_;
  mutable std::map<int32_t, Value> weights_;  ///< value of the old graph -> transposed, of the new one
};

}  // namespace

Graph channels_last(const Graph& graph) { return ChannelsLast(graph).run(); }

}  // namespace gregale::passes
