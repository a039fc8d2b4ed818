// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/box_values.hpp"

#include <algorithm>
#include <optional>

#include "gregale/tensor.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "tile/node_kinds.hpp"

namespace gregale::tile {
namespace {

constexpr size_t kMostSteps = 512;  // of looking through a region: shifts of shifts multiply
constexpr int kMostTimes = 2;       // that a transcendental function is computed of one element

bool is_costly(const kernels::Expression& e) {
  using kernels::ExprOp;
  return std::any_of(e.nodes().begin(), e.nodes().end(), [](const auto& n) {
    return n.op == ExprOp::exp || n.op == ExprOp::log || n.op == ExprOp::tanh || n.op == ExprOp::erf ||
           n.op == ExprOp::sigmoid || n.op == ExprOp::sin || n.op == ExprOp::cos;
  });
}

bool moves(const Node& n) { return static_cast<bool>(n.op->result_as_view); }
/// Elements of the operand somewhere in the result, zeros elsewhere.
bool pads(const Node& n) { return !n.op->result_as_view && static_cast<bool>(n.op->operand_as_view); }

/// Along each axis, where `part` begins in `whole`, of which it is a box; nothing where it is none.
std::optional<std::vector<int64_t>> begin_of(const StridedView& part, const StridedView& whole) {
  if (part.extents.size() != whole.extents.size()) return {};
  std::vector<int64_t> begin;
  int64_t rest = part.offset;
  for (size_t a = 0; a < whole.extents.size(); ++a) {
    if (part.extents[a] > 1 && part.strides[a] != whole.strides[a]) return {};
    begin.push_back(whole.extents[a] == 1 ? 0 : rest / whole.strides[a]);
    rest -= begin.back() * whole.strides[a];
    if (begin.back() + part.extents[a] > whole.extents[a]) return {};
  }
  if (rest != 0) return {};
  return begin;
}

/// The result shows the operand along its last axes, repeated elsewhere.
bool broadcasts(const StridedView& view, const StridedView& operand) {
  if (view.offset != 0 || view.extents.size() < operand.extents.size()) return false;
  const size_t lead = view.extents.size() - operand.extents.size();
  for (size_t a = 0; a < view.extents.size(); ++a) {
    const bool own = a >= lead && view.extents[a] == operand.extents[a - lead];
    const bool repeated = a < lead || operand.extents[a - lead] == 1;
    if (!own && !repeated) return false;
    if (own && view.extents[a] > 1 && view.strides[a] != operand.strides[a - lead]) return false;
    if (!own && view.strides[a] != 0) return false;
  }
  return true;
}

}  // namespace

BoxValues::BoxValues(const Graph& region) : g_(region) {
  require(g_.variables().empty() && !g_.outputs().empty(), "it has state or no result");
  places_.resize(static_cast<size_t>(g_.value_count()));
  costly_.resize(static_cast<size_t>(g_.value_count()), false);
  for (size_t i = 0; i < g_.inputs().size(); ++i) {
    const Value v = g_.inputs()[i];
    require(g_.type(v).shape.is_constant(), "an extent is symbolic");
    places_[at(v)] = {Kind::operand, 0, static_cast<int32_t>(i), StridedView::dense(extents(v))};
  }
  for (const Node& node : g_.nodes()) {
    for (const Value v : node.outputs) {
      require(g_.type(v).shape.is_constant(), "an extent is symbolic");
      require(g_.type(v).shape.elements() > 0, "a value is empty");
    }
    place(node);
  }
}

void BoxValues::place(const Node& node) {
  const Value result = node.outputs[0];
  Place& to = places_[at(result)];
  if (node.op->name == kConstantOp) {
    const Tensor& t = std::get<Tensor>(node.attributes.at("value"));
    require(t.size() == 1 && is_real_float(t.dtype()), "a constant inside is no scalar");
    to = {Kind::scalar, RefArray::from(t).real()[0], -1, {}};
    return;
  }
  require(node.outputs.size() == 1, "an operator with several results");
  if (moves(node) || pads(node)) {
    const Place& from = places_[at(node.inputs[0])];
    const NodeView seen = view_of(g_, node);
    if (from.kind == Kind::scalar && moves(node)) {
      to = from;
      return;
    }
    if (from.kind == Kind::operand && moves(node)) {
      const auto view = node.op->result_as_view(seen, from.view);
      require(view.has_value(), "a reshape of strided data");
      to = {Kind::operand, 0, from.input, *view};
      return;
    }
    require(from.kind == Kind::operand || from.kind == Kind::point, "elements of sums are moved inside the group");
    to.kind = Kind::point;
    const StridedView operand = StridedView::dense(extents(node.inputs[0])),
                      whole = StridedView::dense(extents(result));
    const int32_t n = g_.producer(result);
    std::optional<std::vector<int64_t>> begin;
    if (pads(node)) {
      const auto view = node.op->operand_as_view(seen, whole);
      require(view.has_value(), "a padding by other than zeros around");
      begin = begin_of(*view, whole);
      pads_.insert(n);
      if (begin)
        for (int64_t& b : *begin) b = -b;
    } else {
      const auto view = node.op->result_as_view(seen, operand);
      require(view.has_value(), "elements are moved inside the group");
      if (broadcasts(*view, operand)) return;
      begin = begin_of(*view, operand);
    }
    require(begin.has_value(), "elements are moved inside the group");
    shifts_[n] = *begin;
    return;
  }
  bool after = false;
  for (const Value v : node.inputs) after |= kind(v) == Kind::sum || kind(v) == Kind::after;
  if (is_sum(node)) {
    require(!after, "a sum of sums");
    require(kind(node.inputs[0]) != Kind::scalar, "a sum of a constant");
    to.kind = Kind::sum;
    return;
  }
  const std::optional<kernels::Expression> e = expression_of(view_of(g_, node));
  require(e.has_value(), "an operator that is no expression");
  require(acts_on_elements(*e), "whole rows beside neighbours or sums");
  for (const Value v : node.inputs) require(!after || kind(v) != Kind::point, "sums meet what was summed");
  to.kind = after ? Kind::after : Kind::point;
  costly_[at(result)] = is_costly(*e);
}

std::vector<bool> BoxValues::reduced_axes(const Graph& g, const Node& sum) {
  const int64_t rank = g.type(sum.inputs[0]).rank();
  if (sum.op->name == "sum_to") {
    const Shape &from = g.type(sum.inputs[0]).shape, &to = g.type(sum.outputs[0]).shape;
    std::vector<bool> reduced;
    const int64_t lead = rank - to.rank();
    for (int64_t a = 0; a < rank; ++a)
      reduced.push_back(a < lead || (to[a - lead] == gregale::Dim(1) && from[a] != gregale::Dim(1)));
    return reduced;
  }
  const auto& axes = std::get<std::vector<int64_t>>(sum.attributes.at("axes"));
  std::vector<bool> reduced(static_cast<size_t>(rank), axes.empty());
  for (const int64_t a : axes) reduced[static_cast<size_t>(a < 0 ? a + rank : a)] = true;
  return reduced;
}

BoxValues::Walks BoxValues::walks_of(const Node& node, size_t operand, const Walks& walks) const {
  const Extents own = extents(node.outputs[0]), from = extents(node.inputs[operand]);
  Walks result;
  const size_t lead = own.size() - from.size();
  const auto shift = shifts_.find(g_.producer(node.outputs[0]));
  for (size_t a = 0; a < from.size(); ++a) {
    Walk w = walks[lead + a];
    if (shift != shifts_.end()) {
      w.by += shift->second[a];
    } else if (from[a] == 1 && own[lead + a] != 1) {
      w = {true, 0};
    }
    result.push_back(w);
  }
  return result;
}

BoxValues::Leaf BoxValues::leaf(Value v, const Walks& walks, size_t rank) const {
  const StridedView& view = places_[at(v)].view;
  Leaf leaf{input(v), dtype(v), view.offset, std::vector<int64_t>(rank, 0)};
  const size_t lead = rank - view.extents.size();
  for (size_t a = 0; a < view.extents.size(); ++a) {
    if (view.extents[a] == 1) continue;
    leaf.offset += walks[a].by * view.strides[a];
    if (!walks[a].fixed) leaf.strides[lead + a] = view.strides[a];
  }
  return leaf;
}

void BoxValues::look(Value root, std::set<Leaf>& leaves, std::vector<std::set<int64_t>>& cuts) const {
  const Extents whole = extents(root);
  std::set<Key> seen;
  std::map<int32_t, int> times;
  const std::function<void(Value, const Walks&)> visit = [&](Value v, const Walks& walks) {
    if (kind(v) == Kind::scalar || !seen.emplace(v.id, walks).second) return;
    require(seen.size() <= kMostSteps, "shifts of shifts multiply");
    require(!costly_[at(v)] || ++times[v.id] <= kMostTimes, "what is costly is computed for every neighbour again");
    if (kind(v) == Kind::operand) {
      leaves.insert(leaf(v, walks, whole.size()));
      return;
    }
    const Node& node = maker(v);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Walks inner = walks_of(node, i, walks);
      if (pads_.count(g_.producer(v)) > 0) {
        const Extents e = extents(node.inputs[0]);
        const size_t lead = whole.size() - e.size();
        for (size_t a = 0; a < e.size(); ++a) {
          if (inner[a].fixed) continue;
          for (const int64_t cut : {-inner[a].by, e[a] - inner[a].by})
            if (cut > 0 && cut < whole[lead + a]) cuts[lead + a].insert(cut);
        }
      }
      visit(node.inputs[i], inner);
    }
  };
  visit(root, start(whole.size()));
}

int32_t BoxValues::express_node(kernels::Expression& e, const Node& node, const std::vector<int32_t>& operands) const {
  const int32_t id = node.op->express(e, view_of(g_, node), operands);
  require(id >= 0, "an operator that is no expression");
  return id;
}

struct BoxValues::Expressing {
  kernels::Expression& e;
  const Box& box;
  const InputOf& input_of;
  std::map<Key, int32_t> ids;
};

int32_t BoxValues::express(kernels::Expression& e, Value root, const Box& box, const InputOf& input_of) const {
  Expressing to{e, box, input_of, {}};
  return express(root, start(box.size()), to);
}

int32_t BoxValues::express(Value v, const Walks& walks, Expressing& to) const {
  if (const auto found = to.ids.find({v.id, walks}); found != to.ids.end()) return found->second;
  int32_t id = -1;
  if (kind(v) == Kind::scalar) {
    id = to.e.constant(scalar(v));
  } else if (kind(v) == Kind::operand) {
    require(dtype(v) == DType::f32 || dtype(v) == DType::bf16 || dtype(v) == DType::f16,
            "an operand is no f32, bf16 or f16");
    id = to.input_of(leaf(v, walks, to.box.size()));
  } else {
    const Node& node = maker(v);
    const DType result = dtype(v);
    require(result == DType::f32 || result == DType::boolean || result == DType::bf16 || result == DType::f16,
            "arithmetic in other than f32, bf16 and f16");
    const bool shifted = moves(node) || pads(node);
    if (shifted) {
      const Walks inner = walks_of(node, 0, walks);
      bool outside = false;
      if (pads(node)) {
        const Extents e = extents(node.inputs[0]);
        const size_t lead = to.box.size() - e.size();
        for (size_t a = 0; a < e.size(); ++a) {
          const int64_t first = inner[a].by + (inner[a].fixed ? 0 : to.box[lead + a].begin);
          outside |= first < 0 || first >= e[a];
        }
      }
      id = outside ? to.e.constant(0) : express(node.inputs[0], inner, to);
    } else {
      std::vector<int32_t> in;
      for (size_t i = 0; i < node.inputs.size(); ++i)
        in.push_back(express(node.inputs[i], walks_of(node, i, walks), to));
      constexpr size_t kMostNodes = 256;
      id = express_node(to.e, node, in);
      require(to.e.nodes().size() <= kMostNodes, "an expression that is too long");
    }
  }
  to.ids[{v.id, walks}] = id;
  return id;
}

}  // namespace gregale::tile
