// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Movements of data that meet.
#include <algorithm>
#include <numeric>

#include "gregale/op.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

int64_t resolved(int64_t axis, int64_t rank) { return axis < 0 ? axis + rank : axis; }

std::vector<int64_t> permutation_of(const Node& node) {
  std::vector<int64_t> p = integers(node, "permutation");
  for (int64_t& a : p) a = resolved(a, static_cast<int64_t>(p.size()));
  return p;
}

bool is_identity(const std::vector<int64_t>& p) {
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] != static_cast<int64_t>(i)) return false;
  return true;
}

/// x transposed, or itself where nothing moves, or reshaped where only axes of extent 1 do.
Value transposed(const Match& m, Value x, const std::vector<int64_t>& p) {
  if (is_identity(p)) return x;
  const Shape shape = m.target.type(x).shape;
  Shape result;
  int64_t last = -1;
  bool moves = false;
  for (int64_t axis : p) {
    result.dims().push_back(shape[axis]);
    if (shape[axis] == Dim(1)) continue;
    moves = moves || axis < last;
    last = axis;
  }
  return moves ? ops::transpose(m.target, x, p) : ops::reshape(m.target, x, result);
}

/// outer after inner, as one permutation.
std::vector<int64_t> composed(const std::vector<int64_t>& outer, const std::vector<int64_t>& inner) {
  std::vector<int64_t> p;
  for (int64_t axis : outer) p.push_back(inner[static_cast<size_t>(axis)]);
  return p;
}

Value transpose_of_little(const Match& m) {
  const Value x = transposed(m, m.at(m.in(0)), permutation_of(m.node));
  const int32_t producer = m.target.producer(x);
  const bool same =
      producer >= 0 && m.target.nodes()[static_cast<size_t>(producer)].op->name == "transpose" && x != m.at(m.in(0));
  return same ? Value() : x;
}

Value transpose_of_transpose(const Match& m) {
  const Node* inner = m.made_by(m.in(0), "transpose");
  if (!inner) return {};
  return transposed(m, m.at(inner->inputs[0]), composed(permutation_of(m.node), permutation_of(*inner)));
}

Value reshaped(const Match& m, Value x, const Shape& shape) {
  return m.target.type(x).shape == shape ? x : ops::reshape(m.target, x, shape);
}

Value reshape_of_reshape(const Match& m) {
  const Node* inner = m.made_by(m.in(0), "reshape");
  return inner ? reshaped(m, m.at(inner->inputs[0]), m.result().shape) : Value();
}

/// A layout of elementwise operators of another layout: the two meet below the operators.
Value through_elementwise(const Match& m) {
  const std::string& layout = m.node.op->name;
  const std::optional<ElementwiseChain> chain = chain_above(m, m.in(0), layout);
  if (!chain || chain->operators.empty()) return {};
  const Node* made = chain->below;
  const Value x = m.at(made->inputs[0]);
  const Value y = layout == "transpose" ? transposed(m, x, composed(permutation_of(m.node), permutation_of(*made)))
                                        : reshaped(m, x, m.result().shape);
  return chain->again(m, y);
}

/// f(a', b') = f(a, b)' for elementwise f.
Value transpose_after_binary(const Match& m) {
  const Node *a = m.made_by(m.in(0), "transpose"), *b = m.made_by(m.in(1), "transpose");
  if (!a || !b || permutation_of(*a) != permutation_of(*b)) return {};
  const Value y = m.target.add1(*m.node.op, {m.at(a->inputs[0]), m.at(b->inputs[0])}, m.node.attributes);
  return ops::transpose(m.target, y, permutation_of(*a));
}

/// A reduction of what was transposed: the result is transposed, where it needs to be at all.
Value reduction_of_transpose(const Match& m) {
  const Node* inner = m.made_by(m.in(0), "transpose");
  if (!inner) return {};
  const std::vector<int64_t> p = permutation_of(*inner), axes = reduction_axes(m, m.node);
  std::vector<int64_t> reduced, kept;
  for (size_t i = 0; i < p.size(); ++i) {
    const bool gone = std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end();
    (gone ? reduced : kept).push_back(p[i]);
  }
  if (reduced.empty()) return {};
  const Value y = m.target.add1(*m.node.op, {m.at(inner->inputs[0])}, {{"axes", reduced}, {"keep_dims", false}});
  std::vector<int64_t> order;  // of what is kept among itself
  for (int64_t axis : kept)
    order.push_back(std::count_if(kept.begin(), kept.end(), [&](int64_t other) { return other < axis; }));
  return reshaped(m, transposed(m, y, order), m.result().shape);
}

/// A reduction of a reduction of the same kind is one over the axes of both.
Value reduction_of_reduction(const Match& m) {
  const Node* inner = m.made_by(m.in(0), m.node.op->name);
  const DType dtype = m.result().dtype;
  if (!inner || !reassociates(dtype)) return {};
  if (is_integer(dtype) && m.node.op->name == "mean") return {};
  std::vector<int64_t> axes = reduction_axes(m, *inner), left;
  const bool keeps = std::get<bool>(inner->attributes.at("keep_dims"));
  for (int64_t a = 0; a < m.type(inner->inputs[0]).rank(); ++a)
    if (keeps || std::find(axes.begin(), axes.end(), a) == axes.end()) left.push_back(a);
  for (int64_t a : reduction_axes(m, m.node)) axes.push_back(left[static_cast<size_t>(a)]);
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  if (axes.empty()) return {};
  const Value y = m.target.add1(*m.node.op, {m.at(inner->inputs[0])}, {{"axes", axes}, {"keep_dims", false}});
  return reshaped(m, y, m.result().shape);
}

/// A slice with everything resolved: constant extents only.
struct Box {
  std::vector<int64_t> starts, counts, steps;
};

std::optional<Box> box_of(const Match& m, const Node& slice) {
  const Shape &from = m.type(slice.inputs[0]).shape, &to = m.type(slice.outputs[0]).shape;
  if (!from.is_constant()) return {};
  Box box;
  for (int64_t a = 0; a < from.rank(); ++a) {
    const int64_t start = integers(slice, "starts")[static_cast<size_t>(a)], count = to[a].value();
    box.starts.push_back(start < 0 ? start + from[a].value() : start);
    box.counts.push_back(count);
    box.steps.push_back(count > 1 ? integers(slice, "steps")[static_cast<size_t>(a)] : 1);
  }
  return box;
}

Value sliced(const Match& m, Value x, Box box) {
  std::vector<int64_t> stops;
  for (size_t a = 0; a < box.starts.size(); ++a) {
    if (box.counts[a] == 0) box.starts[a] = 0;  // wherever nothing is taken
    stops.push_back(box.counts[a] == 0 ? 0 : box.starts[a] + (box.counts[a] - 1) * box.steps[a] + 1);
  }
  if (box.counts == m.target.type(x).shape.extents()) return x;
  return ops::slice(m.target, x, box.starts, stops, box.steps);
}

Value slice_of_slice(const Match& m) {
  const Node* inner = m.made_by(m.in(0), "slice");
  if (!inner) return {};
  const std::optional<Box> outer = box_of(m, m.node), first = box_of(m, *inner);
  if (!outer || !first) return {};
  Box box = *outer;
  for (size_t a = 0; a < box.starts.size(); ++a) {
    box.starts[a] = first->starts[a] + outer->starts[a] * first->steps[a];
    box.steps[a] = box.counts[a] > 1 ? outer->steps[a] * first->steps[a] : 1;
  }
  return sliced(m, m.at(inner->inputs[0]), box);
}

/// All that is taken lies in one of the pieces.
Value slice_of_concat(const Match& m) {
  const Node* concat = m.made_by(m.in(0), "concat");
  std::optional<Box> box = concat ? box_of(m, m.node) : std::nullopt;
  if (!box) return {};
  const auto axis =
      static_cast<size_t>(resolved(std::get<int64_t>(concat->attributes.at("axis")), m.type(m.in(0)).rank()));
  if (box->counts[axis] == 0) return {};
  const int64_t first = box->starts[axis], last = first + (box->counts[axis] - 1) * box->steps[axis];
  int64_t begin = 0;
  for (Value piece : concat->inputs) {
    const int64_t end = begin + m.type(piece).shape[static_cast<int64_t>(axis)].value();
    if (first >= begin && last < end) {
      box->starts[axis] -= begin;
      return sliced(m, m.at(piece), *box);
    }
    begin = end;
  }
  return {};
}

/// Nothing of the padding is taken.
Value slice_of_pad(const Match& m) {
  const Node* pad = m.made_by(m.in(0), "pad");
  std::optional<Box> box = pad ? box_of(m, m.node) : std::nullopt;
  if (!box || !m.type(pad->inputs[0]).shape.is_constant()) return {};
  const Extents inside = m.type(pad->inputs[0]).shape.extents();
  for (size_t a = 0; a < inside.size(); ++a) {
    if (integers(*pad, "interior")[a] != 0) return {};
    box->starts[a] -= integers(*pad, "low")[a];
    if (box->starts[a] < 0 || box->starts[a] + (box->counts[a] - 1) * box->steps[a] >= inside[a]) return {};
  }
  return sliced(m, m.at(pad->inputs[0]), *box);
}

/// Slices of one value that continue each other along the axis.
Value concat_of_slices(const Match& m) {
  const int64_t axis = resolved(std::get<int64_t>(m.node.attributes.at("axis")), m.result().rank());
  const auto a = static_cast<size_t>(axis);
  std::optional<Box> all;
  Value x;
  for (Value piece : m.node.inputs) {
    const Node* slice = m.made_by(piece, "slice");
    std::optional<Box> box = slice ? box_of(m, *slice) : std::nullopt;
    if (!box || box->steps[a] != 1) return {};
    if (!all) {
      x = slice->inputs[0];
      all = box;
      continue;
    }
    const int64_t count = box->counts[a], total = all->counts[a];
    if (slice->inputs[0] != x || box->starts[a] != all->starts[a] + total) return {};
    box->starts[a] = all->starts[a];
    box->counts[a] = all->counts[a];
    if (box->starts != all->starts || box->counts != all->counts || box->steps != all->steps) return {};
    all->counts[a] = total + count;
  }
  return sliced(m, m.at(x), *all);
}

Value concat_of_concat(const Match& m) {
  const auto axis_of = [&](const Node& node) {
    return resolved(std::get<int64_t>(node.attributes.at("axis")), m.result().rank());
  };
  std::vector<Value> pieces;
  for (Value v : m.node.inputs) {
    const Node* inner = m.made_by(v, "concat");
    if (!inner || axis_of(*inner) != axis_of(m.node)) {
      pieces.push_back(m.at(v));
      continue;
    }
    for (Value piece : inner->inputs) pieces.push_back(m.at(piece));
  }
  return pieces.size() == m.node.inputs.size() ? Value() : ops::concat(m.target, pieces, axis_of(m.node));
}

}  // namespace

std::vector<Rule> layout_rules() {
  return {
      {"transpose of nothing", {"transpose"}, transpose_of_little},
      {"transpose of transpose", {"transpose"}, transpose_of_transpose, true},
      {"reshape of reshape", {"reshape"}, reshape_of_reshape, true},
      {"layouts meet through elementwise", {"transpose", "reshape"}, through_elementwise},
      {"transpose after binary",
       {"add", "sub", "mul", "div", "pow", "maximum", "minimum", "equal", "less", "greater"},
       transpose_after_binary},
      {"reduction of transpose", {"sum", "mean", "max", "min"}, reduction_of_transpose},
      {"reduction of reduction", {"sum", "mean", "max", "min"}, reduction_of_reduction},
      {"slice of slice", {"slice"}, slice_of_slice, true},
      {"slice of concat", {"slice"}, slice_of_concat, true},
      {"slice of pad", {"slice"}, slice_of_pad, true},
      {"concat of slices", {"concat"}, concat_of_slices},
      {"concat of concat", {"concat"}, concat_of_concat},
  };
}

}  // namespace gregale::passes
