// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gregale/graph.hpp"
#include "gregale/op.hpp"
#include "kernels/expression/expression_kernel.hpp"
#include "tile/refusal.hpp"

namespace gregale::tile {

struct Interval {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  auto operator<=>(const Interval&) const = default;
};
using Box = std::vector<Interval>;

/// The values of a region whose operators act on single elements, look at a neighbour (slices and pads of what is
/// computed), or sum over axes. Where an element comes from is told from a *root*: the operand of a sum, or a result;
/// so differences of neighbours, and the adjoints of them, are expressions over shifted operands inside a box.
class BoxValues {
 public:
  enum class Kind : uint8_t {
    scalar,   ///< a constant of one element
    operand,  ///< an input of the region, walked by a view
    point,    ///< computed element by element
    sum,      ///< over axes
    after,    ///< computed from sums
  };

  /// Throws Refusal where an operator is none of these.
  explicit BoxValues(const Graph& region);

  Kind kind(Value v) const { return places_[at(v)].kind; }
  double scalar(Value v) const { return places_[at(v)].scalar; }
  const Graph& graph() const { return g_; }
  const Node& maker(Value v) const { return g_.nodes()[static_cast<size_t>(g_.producer(v))]; }
  Extents extents(Value v) const { return g_.type(v).shape.extents(); }
  DType dtype(Value v) const { return g_.type(v).dtype; }
  int32_t input(Value v) const { return places_[at(v)].input; }
  const StridedView& view(Value v) const { return places_[at(v)].view; }
  /// Which axes a sum sums away.
  static std::vector<bool> reduced_axes(const Graph& g, const Node& sum);
  static bool is_sum(const Node& node) {
    return node.op->name == "sum" || node.op->name == "mean" || node.op->name == "sum_to";
  }

  /// An operand as a root sees it: elements along the root's axes.
  struct Leaf {
    int32_t input = 0;
    DType dtype = DType::f32;
    int64_t offset = 0;
    std::vector<int64_t> strides;
    auto operator<=>(const Leaf&) const = default;
  };
  /// What making a root reads, and where along its axes padding begins or ends.
  void look(Value root, std::set<Leaf>& leaves, std::vector<std::set<int64_t>>& cuts) const;

  /// Appends what makes `root` inside a box that no cut divides; leaves become inputs, numbered by `input_of`.
  using InputOf = std::function<int32_t(const Leaf&)>;
  int32_t express(kernels::Expression& e, Value root, const Box& box, const InputOf& input_of) const;
  /// Appends one operator's own arithmetic.
  int32_t express_node(kernels::Expression& e, const Node& node, const std::vector<int32_t>& operands) const;

 private:
  struct Place {
    Kind kind = Kind::operand;
    double scalar = 0;
    int32_t input = -1;
    StridedView view;
  };
  /// Where an axis of a value stands: the root's position plus `by`, or always at `by`.
  struct Walk {
    bool fixed = false;
    int64_t by = 0;
    auto operator<=>(const Walk&) const = default;
  };
  using Walks = std::vector<Walk>;
  using Key = std::pair<int32_t, Walks>;
  struct Expressing;

  static size_t at(Value v) { return static_cast<size_t>(v.id); }
  void place(const Node& node);
  Walks walks_of(const Node& node, size_t operand, const Walks& walks) const;
  static Walks start(size_t rank) { return Walks(rank); }
  Leaf leaf(Value v, const Walks& walks, size_t rank) const;
  int32_t express(Value v, const Walks& walks, Expressing& to) const;

  const Graph& g_;
  std::vector<Place> places_;
  std::vector<bool> costly_;                        ///< of a value's own operator
  std::map<int32_t, std::vector<int64_t>> shifts_;  ///< node -> what its result's positions gain on its operand's
  std::set<int32_t> pads_;                          ///< of these, those that are zero beyond the operand
};

}  // namespace gregale::tile
