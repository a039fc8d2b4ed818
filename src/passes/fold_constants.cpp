// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "ir/inference.hpp"
#include "ir/interpret.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

// Larger operands take the slow references too long.
constexpr int64_t kMaxElements = 1 << 20;
// Of operators that only move elements.
constexpr int64_t kMaxMoved = 1 << 25;
// Results above this that are larger than their operands cost more memory than computing them again.
constexpr int64_t kMaxGrown = 1 << 16;

int64_t elements_of(const Graph& graph, const std::vector<Value>& values, int64_t most) {
  int64_t total = 0;
  for (const Value v : values) {
    const Shape& shape = graph.type(v).shape;
    if (!shape.is_constant() || shape.elements() > most) return -1;
    total += shape.elements();
  }
  return total;
}

template <class Element>
void copy_view(const StridedView& view, size_t axis, const Element* from, Element*& to) {
  for (int64_t i = 0; i < view.extents[axis]; ++i, from += view.strides[axis]) {
    if (axis + 1 == view.extents.size()) {
      *to++ = *from;
    } else {
      copy_view(view, axis + 1, from, to);
    }
  }
}

/// A constant whose elements an operator only moves, without a detour through f64; nothing where strides cannot say it.
std::optional<Tensor> moved(const NodeView& node, const Tensor& from) {
  if (!node.op().result_as_view || from.rank() == 0) return {};
  const std::optional<StridedView> view = node.op().result_as_view(node, StridedView::dense(from.extents()));
  if (!view || view->extents.empty()) return {};
  Tensor to(from.dtype(), view->extents);
  const auto copy = [&](auto element) {
    using Element = decltype(element);
    auto* at = static_cast<Element*>(to.data());
    copy_view(*view, 0, static_cast<const Element*>(from.data()) + view->offset, at);
    return to;
  };
  switch (size_of(from.dtype())) {
    case 1:
      return copy(uint8_t{});
    case 2:
      return copy(uint16_t{});
    case 4:
      return copy(uint32_t{});
    case 8:
      return copy(uint64_t{});
    default:
      return {};
  }
}

}  // namespace

bool is_foldable(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || node.op->has_side_effect || !node.op->reference || !node.regions.empty()) return false;
  const int64_t most = node.op->result_as_view ? kMaxMoved : kMaxElements;
  const int64_t in = elements_of(graph, node.inputs, most), out = elements_of(graph, node.outputs, most);
  return in >= 0 && out >= 0 && (out <= kMaxGrown || out <= in);
}

Graph fold_constants(const Graph& graph) {
  return rewrite(graph, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (!is_foldable(graph, node)) return outputs;
    std::vector<const Tensor*> constants;
    for (Value v : inputs) {
      constants.push_back(constant_of(target, v));
      if (constants.back() == nullptr) return outputs;
    }
    const NodeView view = view_of(graph, node);
    if (const std::optional<Tensor> result = moved(view, *constants[0])) {
      outputs.emplace().push_back(target.constant(*result));
      return outputs;
    }
    std::vector<RefArray> operands;
    for (const Tensor* constant : constants) operands.push_back(RefArray::from(*constant));
    outputs.emplace();
    for (const RefArray& result : run_reference(view, operands))
      outputs->push_back(target.constant(result.to_tensor()));
    return outputs;
  });
}

}  // namespace gregale::passes
