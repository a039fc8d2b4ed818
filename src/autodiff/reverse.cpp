// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/autodiff.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/inference.hpp"

namespace gregale {
namespace {

class Reverse {
 public:
  Reverse(Graph& graph, const std::vector<Value>& wrt) : graph_(graph), depends_(wrt.begin(), wrt.end()) {
    for (const Node& node : graph.nodes()) mark(node);
  }

  bool depends(Value v) const { return depends_.count(v) > 0; }
  Value cotangent(Value v) const {
    auto at = cotangents_.find(v);
    return at == cotangents_.end() ? Value{} : at->second;
  }

  void accumulate(Value v, Value d) {
    if (!d.valid() || !depends(v)) return;
    GREGALE_CHECK(graph_.type(d) == graph_.type(v), internal, "[gradients] the cotangent of a {} is a {}",
                  to_string(graph_.type(v)), to_string(graph_.type(d)));
    auto [at, fresh] = cotangents_.try_emplace(v, d);
    if (!fresh) at->second = ops::add(graph_, at->second, d);
  }

  /// Pulls cotangents back through nodes [begin, end), which are all there are between loss and wrt.
  void sweep(int64_t begin, int64_t end) {
    for (int64_t n = end - 1; n >= begin; --n) {
      const Node node = graph_.nodes()[static_cast<size_t>(n)];  // a copy: the graph grows below
      std::vector<Value> d_outputs;
      bool reached = false;
      for (Value v : node.outputs) {
        d_outputs.push_back(cotangent(v));
        reached |= d_outputs.back().valid();
      }
      if (reached) pull(node, std::move(d_outputs));
    }
  }

 private:
  void mark(const Node& node) {
    for (Value v : node.inputs) {
      if (!depends(v) || !is_differentiable(graph_.type(v).dtype)) continue;
      for (Value o : node.outputs)
        if (is_differentiable(graph_.type(o).dtype)) depends_.insert(o);
      return;
    }
  }

  void pull(const Node& node, std::vector<Value> d_outputs) {
    bool wanted = false;
    for (Value v : node.inputs) wanted |= depends(v);
    if (!wanted) return;
    const NodeView view = view_of(graph_, node);
    if (node.op->gradient) {
      GradientContext context(graph_, node, std::move(d_outputs));
      context.set_view(&view);
      node.op->gradient(context);
      for (size_t i = 0; i < node.inputs.size(); ++i) accumulate(node.inputs[i], context.d_inputs()[i]);
      return;
    }
    GREGALE_CHECK(static_cast<bool>(node.op->expand), unsupported, "[gradients] '{}' has no gradient: {}",
                  node.op->name, node.op->no_gradient);
    // Differentiate what the operator stands for. The expansion is emitted again; common subexpressions are merged
    // later.
    const auto begin = static_cast<int64_t>(graph_.nodes().size());
    ExpandContext context{graph_, view, node.inputs};
    const std::vector<Value> outputs = node.op->expand(context);
    const auto end = static_cast<int64_t>(graph_.nodes().size());
    for (int64_t n = begin; n < end; ++n) mark(graph_.nodes()[static_cast<size_t>(n)]);
    for (size_t i = 0; i < outputs.size(); ++i) accumulate(outputs[i], d_outputs[i]);
    sweep(begin, end);
  }

  Graph& graph_;
  std::set<Value> depends_;
  std::map<Value, Value> cotangents_;
};

}  // namespace

std::vector<Value> gradients(Graph& graph, Value loss, const std::vector<Value>& wrt, Value d_loss) {
  const Type type = graph.type(loss);
  if (!d_loss.valid()) {
    GREGALE_CHECK(type.rank() == 0 && is_real_float(type.dtype), invalid_argument,
                  "[gradients] a loss is a real scalar, got {}", to_string(type));
    d_loss = ops::scalar(graph, type.dtype, 1.0);
  }
  GREGALE_CHECK(graph.type(d_loss) == type, invalid_argument, "[gradients] the loss is {}, its cotangent {}",
                to_string(type), to_string(graph.type(d_loss)));
  Reverse reverse(graph, wrt);
  const auto end = static_cast<int64_t>(graph.nodes().size());
  reverse.accumulate(loss, d_loss);
  reverse.sweep(0, end);
  std::vector<Value> result;
  for (Value v : wrt) {
    Value d = reverse.cotangent(v);
    if (!d.valid()) {
      const Type& t = graph.type(v);
      d = graph.constant(Tensor(t.dtype, t.shape.extents()));
    }
    result.push_back(d);
  }
  return result;
}

}  // namespace gregale
