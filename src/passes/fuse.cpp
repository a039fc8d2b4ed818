// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/log.hpp"
#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "tile/ledger.hpp"
#include "tile/lower_boxes.hpp"
#include "tile/lower_region.hpp"
#include "tile/node_kinds.hpp"
#include "tile/row_transform.hpp"

// Groups grow as in DNNFusion (Niu et al., PLDI 2021): around operators whose results stay small, as long as the group
// has a tile program, its quotient graph stays acyclic, and the bytes it moves fall. Products join products, which its
// table forbids, where the prediction says so.
namespace gregale::passes {
namespace {

using Group = std::set<int32_t>;

constexpr int64_t kMostElements = int64_t{1} << 40;  // beyond any memory; the plan will say so

/// A weight in f32 rounded to bf16.
bool is_rounding(const Graph& graph, const Node& node) {
  if (node.op->name != "cast") return false;
  const int32_t p = graph.producer(node.inputs[0]);
  const bool weight = p < 0 || graph.nodes()[static_cast<size_t>(p)].op->name == kReadOp;
  return weight && graph.type(node.inputs[0]).dtype == DType::f32 && graph.type(node.outputs[0]).dtype == DType::bf16;
}

class Fuser {
 public:
  Fuser(const Graph& graph, const Target& target, bool in_parts) : g_(graph), target_(target), in_parts_(in_parts) {
    const size_t n = graph.nodes().size();
    group_of_.assign(n, -1);
    users_.resize(static_cast<size_t>(graph.value_count()));
    for (size_t i = 0; i < n; ++i)
      for (const Value v : graph.nodes()[i].inputs)
        users_[static_cast<size_t>(v.id)].push_back(static_cast<int32_t>(i));
    is_output_.assign(static_cast<size_t>(graph.value_count()), false);
    for (const Value v : graph.outputs()) is_output_[static_cast<size_t>(v.id)] = true;
  }

  Graph run() {
    grow_products();
    grow_expressions();
    join_chains();
    absorb_moves();
    return rebuild();
  }

 private:
  const Node& node(int32_t n) const { return g_.nodes()[static_cast<size_t>(n)]; }
  const std::vector<int32_t>& users(Value v) const { return users_[static_cast<size_t>(v.id)]; }
  bool is_product(int32_t n) const { return tile::is_contraction(view_of(g_, node(n))); }
  bool is_transform(int32_t n) const { return tile::row_transform(view_of(g_, node(n))).has_value(); }
  /// A kept value as one reader sees it: part of that reader, not of what made the value.
  bool is_widening(int32_t n) const {
    const Node& nd = node(n);
    return nd.op->name == "cast" && g_.type(nd.inputs[0]).dtype == DType::bf16 &&
           g_.type(nd.outputs[0]).dtype == DType::f32 && users(nd.outputs[0]).size() == 1 &&
           is_expression(users(nd.outputs[0])[0]) && !is_output_[static_cast<size_t>(nd.outputs[0].id)];
  }
  /// What groups grow around.
  bool is_seed(int32_t n) const { return is_product(n) || is_transform(n); }
  bool moves(int32_t n) const { return static_cast<bool>(node(n).op->result_as_view); }
  static bool is_small_float(DType d) { return d == DType::f32 || d == DType::bf16 || d == DType::f16; }

  bool is_expression(int32_t n) const {
    const Node& nd = node(n);
    if (!nd.op->express || nd.outputs.size() != 1) return false;
    const Type& t = g_.type(nd.outputs[0]);
    if (!t.shape.is_constant() || t.shape.elements() == 0) return false;
    for (const Value v : nd.inputs)
      if (g_.type(v).shape.is_constant() && g_.type(v).shape.elements() > kMostElements) return false;
    return is_small_float(t.dtype) || t.dtype == DType::boolean;
  }

  /// Shows a part of its operand, or its operand and zeros around: a shift, where the operand is computed in the group.
  bool is_shift(int32_t n) const {
    const OpDef& op = *node(n).op;
    if (static_cast<bool>(op.result_as_view) == static_cast<bool>(op.operand_as_view)) return false;
    const Type& t = g_.type(node(n).outputs[0]);
    return t.shape.is_constant() && t.shape.elements() > 0 && is_small_float(t.dtype);
  }

  bool is_sum(int32_t n) const {
    if (node(n).outputs.size() != 1) return false;
    const Type& t = g_.type(node(n).outputs[0]);
    return t.shape.is_constant() && is_small_float(t.dtype) && tile::sums_over_boxes(g_, node(n));
  }

  bool is_scalar_constant(Value v) const {
    const int32_t p = g_.producer(v);
    if (p < 0 || node(p).op->name != kConstantOp) return false;
    const Tensor& t = std::get<Tensor>(node(p).attributes.at("value"));
    return t.size() == 1 && is_real_float(t.dtype());
  }

  // --- what a group is as a graph of its own ---

  struct Region {
    Graph body{"group"};
    std::vector<Value> inputs, outputs;  ///< of the outer graph
    std::vector<tile::Given> given;
  };

  /// The group's body. Operators that only move elements of its operands are taken in where they can be strides.
  Region region_of(const Group& group) const {
    Region r;
    std::map<int32_t, Value> inside;
    r.body = Graph(name_of(group));
    const auto add_input = [&](Value v) {
      if (inside.count(v.id) > 0) return;
      if (is_scalar_constant(v)) {
        inside[v.id] = r.body.constant(std::get<Tensor>(node(g_.producer(v)).attributes.at("value")));
        return;
      }
      inside[v.id] = r.body.add_input(fmt::format("x{}", r.inputs.size()), g_.type(v));
      r.inputs.push_back(v);
      r.given.push_back(given(v));
    };
    for (const int32_t n : group)
      for (const Value v : node(n).inputs) {
        const int32_t p = g_.producer(v);
        if (p < 0 || group.count(p) == 0) add_input(v);
      }
    for (const int32_t n : group) {
      const Node& nd = node(n);
      std::vector<Value> in;
      for (const Value v : nd.inputs) in.push_back(inside.at(v.id));
      const std::vector<Value> out = r.body.add(*nd.op, in, nd.attributes, nd.regions);
      for (size_t i = 0; i < out.size(); ++i) inside[nd.outputs[i].id] = out[i];
    }
    std::vector<Value> outputs;
    for (const int32_t n : group)
      for (const Value v : node(n).outputs) {
        bool outside = is_output_[static_cast<size_t>(v.id)];
        for (const int32_t u : users(v)) outside |= group.count(u) == 0;
        if (!outside) continue;
        outputs.push_back(inside.at(v.id));
        r.outputs.push_back(v);
      }
    r.body.set_outputs(outputs);
    return r;
  }

  std::string name_of(const Group& group) const {
    std::string name;
    int more = 0;
    for (const int32_t n : group) {
      if (moves(n)) continue;
      if (name.size() > 40) {
        ++more;
        continue;
      }
      name += (name.empty() ? "" : " ") + node(n).op->name;
    }
    return more == 0 ? name : fmt::format("{} and {} more", name, more);
  }

  tile::Given given(Value v) const {
    const auto known = given_.find(v.id);
    if (known != given_.end()) return known->second;
    return given_[v.id] = tile::given(constant_of(g_, v), target_, in_parts_);
  }

  /// Predicted bytes between memory and the cache, or nothing where the group has no tile program.
  std::optional<double> bytes_of(const Group& group, std::string* why = nullptr) const {
    const Region r = region_of(group);
    auto lowered = tile::lower_region(r.body, target_, r.given);
    if (!lowered) {
      if (why != nullptr) *why = lowered.error().what();
      return {};
    }
    return tile::predict(lowered.value().program, target_).bytes;
  }

  /// What a product without a program moves: it packs its operands first.
  double bytes_alone(int32_t n) const {
    double bytes = 0;
    for (const Value v : node(n).inputs) bytes += 3 * static_cast<double>(g_.type(v).bytes());
    for (const Value v : node(n).outputs) bytes += static_cast<double>(g_.type(v).bytes());
    return bytes;
  }

  /// No path leaves the group and comes back, groups taken as one node each.
  bool is_acyclic(const Group& group) const {
    const int32_t last = *group.rbegin();
    std::set<int32_t> seen;
    std::vector<int32_t> open;
    const auto leave = [&](int32_t n, bool from_group) {
      for (const Value v : node(n).outputs)
        for (const int32_t u : users(v)) {
          if (group.count(u) > 0) {
            if (!from_group) return false;
            continue;
          }
          if (seen.insert(u).second) open.push_back(u);
          const int32_t other = group_of_[static_cast<size_t>(u)];
          if (other >= 0)
            for (const int32_t m : groups_[static_cast<size_t>(other)])
              if (group.count(m) == 0 && seen.insert(m).second) open.push_back(m);
        }
      return true;
    };
    for (const int32_t n : group)
      if (!leave(n, true)) return false;
    while (!open.empty()) {
      const int32_t n = open.back();
      open.pop_back();
      if (n > last && group_of_[static_cast<size_t>(n)] < 0) continue;  // what comes later leads nowhere back
      if (!leave(n, false)) return false;
    }
    return true;
  }

  int32_t make_group(Group group) {
    for (const int32_t n : group) {
      const int32_t old = group_of_[static_cast<size_t>(n)];
      if (old >= 0) groups_[static_cast<size_t>(old)].erase(n);
      group_of_[static_cast<size_t>(n)] = static_cast<int32_t>(groups_.size());
    }
    groups_.push_back(std::move(group));
    return static_cast<int32_t>(groups_.size()) - 1;
  }

  // --- growing ---

  bool has_whole_rows(int32_t n) const { return !tile::acts_on_elements(view_of(g_, node(n))); }

  /// Other operands are made where they are read, by elementwise operators that nobody else needs: a residual that is
  /// widened, the derivative of an activation, a mask of what one passed.
  void take_makers(int32_t reader, Group& group) const {
    Group makers;
    std::vector<int32_t> open{reader};
    while (!open.empty()) {
      const int32_t m = open.back();
      open.pop_back();
      for (const Value v : node(m).inputs) {
        const int32_t p = g_.producer(v);
        if (p < 0 || group.count(p) > 0 || group_of_[static_cast<size_t>(p)] >= 0 || !is_expression(p) ||
            has_whole_rows(p) || is_output_[static_cast<size_t>(v.id)])
          continue;
        if (makers.insert(p).second) open.push_back(p);
      }
    }
    const auto needed_elsewhere = [&](int32_t m) {
      const std::vector<int32_t>& readers = users(node(m).outputs[0]);
      return std::any_of(readers.begin(), readers.end(),
                         [&](int32_t r) { return makers.count(r) == 0 && group.count(r) == 0; });
    };
    for (bool changed = true; changed;) {
      changed = false;
      for (const int32_t m : makers)
        if (needed_elsewhere(m)) {
          makers.erase(m);
          changed = true;
          break;
        }
    }
    group.insert(makers.begin(), makers.end());
  }

  /// The rounding of what a product multiplies from the right, where it is this product's own (part_roundings): -1
  /// where there is none.
  int32_t rounding_of_right(int32_t n) const {
    if (node(n).op->name != "matmul") return -1;
    const Value b = node(n).inputs[1];
    const int32_t p = g_.producer(b);
    const bool own = p >= 0 && is_rounding(g_, node(p)) && users(b).size() == 1 &&
                     group_of_[static_cast<size_t>(p)] < 0 && !is_output_[static_cast<size_t>(b.id)] &&
                     b != node(n).inputs[0];
    return own ? p : -1;
  }

  /// Elementwise operators behind v that one value alone leaves, `last`: the one reader, or as many as it takes for
  /// several to meet again, as x and sigmoid(x) do in their product. Empty where they do not.
  Group closed_readers(Value v, const Shape& shape, Value& last) const {
    constexpr size_t kMost = 24;
    Group all;
    std::vector<Value> open{v};
    while (all.size() <= kMost) {
      for (const Value w : open) {
        if (is_output_[static_cast<size_t>(w.id)]) return {};
        for (const int32_t u : users(w)) {
          if (!is_expression(u) || has_whole_rows(u) || group_of_[static_cast<size_t>(u)] >= 0 ||
              g_.type(node(u).outputs[0]).shape != shape)
            return {};
          all.insert(u);
        }
      }
      open.clear();
      for (const int32_t n : all) {
        const Value w = node(n).outputs[0];
        bool leaves = is_output_[static_cast<size_t>(w.id)] || users(w).empty();
        for (const int32_t u : users(w)) leaves = leaves || all.count(u) == 0;
        if (leaves) open.push_back(w);
      }
      if (open.size() == 1) {
        last = open[0];
        return all;
      }
      if (open.empty()) return {};
    }
    return {};
  }

  /// A product, or a Fourier transform, takes the elementwise operators behind it as its epilogue, as long as nobody
  /// else wants the values between.
  void grow_products() {
    for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
      if (!is_seed(n) || !is_small_float(g_.type(node(n).outputs[0]).dtype)) continue;
      Group group{n};
      if (const int32_t rounding = rounding_of_right(n); rounding >= 0) {
        group.insert(rounding);
        if (!bytes_of(group)) group = {n};
      }
      if (!bytes_of(group)) continue;
      Value v = node(n).outputs[0];
      const Shape shape = g_.type(v).shape;
      for (;;) {
        Value next;
        const Group readers = closed_readers(v, shape, next);
        if (readers.empty()) break;
        Group larger = group;
        larger.insert(readers.begin(), readers.end());
        const Group plain = larger;
        for (const int32_t u : readers) take_makers(u, larger);
        const auto possible = [&](const Group& g) { return is_acyclic(g) && bytes_of(g).has_value(); };
        if (!possible(larger)) {
          if (larger == plain || !possible(plain)) break;
          larger = plain;
        }
        group = std::move(larger);
        v = next;
      }
      make_group(std::move(group));
    }
  }

  /// Shifts between operators of a group: a difference's gradient leaves it through two of them, and both come back.
  void take_shifts(Group& group) const {
    std::vector<int32_t> open(group.begin(), group.end());
    while (!open.empty()) {
      const int32_t m = open.back();
      open.pop_back();
      for (const Value v : node(m).outputs)
        for (const int32_t u : users(v)) {
          if (!is_shift(u) || group.count(u) > 0 || group_of_[static_cast<size_t>(u)] >= 0) continue;
          const std::vector<int32_t>& readers = users(node(u).outputs[0]);
          const bool inside =
              std::all_of(readers.begin(), readers.end(), [&](int32_t r) { return group.count(r) > 0; });
          if (!inside || readers.empty() || is_output_[static_cast<size_t>(node(u).outputs[0].id)]) continue;
          group.insert(u);
          open.push_back(u);
        }
    }
  }

  /// Expressions and sums join the expressions that make their operands, through shifts where there are any.
  void grow_expressions() {
    for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
      if ((!is_expression(n) && !is_sum(n)) || group_of_[static_cast<size_t>(n)] >= 0 || is_widening(n)) continue;
      Group group{n};
      bool possible = !is_sum(n) && bytes_of(group).has_value();  // a sum alone has a kernel of its own
      for (const Value v : node(n).inputs) {
        Group larger = group;
        int32_t p = g_.producer(v);
        bool pads = false;
        while (p >= 0 && is_shift(p) && group_of_[static_cast<size_t>(p)] < 0) {
          larger.insert(p);
          pads |= !moves(p);
          p = g_.producer(node(p).inputs[0]);
        }
        const bool made =
            p >= 0 && (is_expression(p) || is_sum(p) || (is_shift(p) && group_of_[static_cast<size_t>(p)] >= 0));
        if (!made && !pads) continue;
        const int32_t other = made ? group_of_[static_cast<size_t>(p)] : -1;
        if (other >= 0) {
          const Group& joined = groups_[static_cast<size_t>(other)];
          if (std::any_of(joined.begin(), joined.end(), [&](int32_t m) { return is_seed(m); })) continue;
          larger.insert(joined.begin(), joined.end());
        } else if (made) {
          larger.insert(p);  // a comparison alone has no program, with its user it has
        }
        take_shifts(larger);
        constexpr size_t kMostNodes = 48;
        if (larger.size() > kMostNodes || !is_acyclic(larger) || !bytes_of(larger)) continue;
        group = std::move(larger);
        possible = true;
      }
      if (possible) make_group(std::move(group));
    }
  }

  /// The groups whose results a group reads as rows: an expression in front of a product, a product in front of an
  /// expression or of another product. They are joined where that saves bytes.
  void join_chains() {
    const auto count = static_cast<int32_t>(g_.nodes().size());
    for (int32_t n = 0; n < count; ++n)
      if (is_seed(n)) join_maker(n);
    for (int32_t n = 0; n < count; ++n)
      if (is_product(n)) join_reader(n);
    for (int32_t n = 0; n < count; ++n)
      if (is_product(n)) join_follower(n);
  }

  /// What a joined product is rounded to behind it, if nobody else wants the sums.
  void join_follower(int32_t n) {
    const Value v = node(n).outputs[0];
    const int32_t mine = group_of_[static_cast<size_t>(n)];
    if (mine < 0 || is_output_[static_cast<size_t>(v.id)] || users(v).size() != 1) return;
    const int32_t u = users(v)[0];
    const int32_t other = group_of_[static_cast<size_t>(u)];
    if (other < 0 || other == mine) return;
    const Group chain = groups_[static_cast<size_t>(other)];
    const bool elementwise =
        std::all_of(chain.begin(), chain.end(), [&](int32_t m) { return is_expression(m) && !has_whole_rows(m); });
    if (elementwise) consider(n, chain, bytes_of(chain).value_or(0));
  }

  /// A product's group, or the product alone: one of rows that are summed over (transposed) may have no program of its
  /// own.
  Group own_group(int32_t n) const {
    const int32_t mine = group_of_[static_cast<size_t>(n)];
    return mine >= 0 ? groups_[static_cast<size_t>(mine)] : Group{n};
  }

  /// Joins a product's group with others where that saves bytes.
  bool consider(int32_t n, const Group& chain, double chain_bytes) {
    Group larger = own_group(n);
    const double apart = bytes_of(larger).value_or(larger.size() == 1 ? bytes_alone(n) : 0) + chain_bytes;
    larger.insert(chain.begin(), chain.end());
    if (!is_acyclic(larger)) return false;
    std::string why;
    const auto together = bytes_of(larger, &why);
    if (log_enabled("passes"))
      log_line("passes", fmt::format("chain '{}': {}", name_of(larger),
                                     together ? fmt::format("{:.4g} bytes together, {:.4g} apart: {}", *together, apart,
                                                            *together < apart ? "joined" : "left")
                                              : why));
    if (!together || *together >= apart) return false;
    make_group(std::move(larger));
    return true;
  }

  /// Rows that are summed over are turned; what reads the same rows has them at hand.
  void join_reader(int32_t n) {
    if (node(n).op->name != "matmul" || !std::get<bool>(node(n).attributes.at("transpose_a")) ||
        g_.type(node(n).inputs[1]).rank() < 3)
      return;
    for (const int32_t u : users(node(n).inputs[0])) {
      const int32_t other = group_of_[static_cast<size_t>(u)];
      if (other < 0 || other == group_of_[static_cast<size_t>(n)]) continue;
      const Group chain = groups_[static_cast<size_t>(other)];
      if (consider(n, chain, bytes_of(chain).value_or(0))) return;
    }
  }

  /// Joins a product's group with what makes its rows: the longest chain first, through an expression to the products
  /// in front of it.
  void join_maker(int32_t n) {
    const int32_t mine = group_of_[static_cast<size_t>(n)];
    const int32_t maker = g_.producer(node(n).inputs[0]);
    const int32_t first = maker >= 0 ? group_of_[static_cast<size_t>(maker)] : -1;
    if (first < 0 || first == mine || (mine < 0 && node(n).op->name != "matmul")) return;
    const Group group = own_group(n);
    const Group chain = groups_[static_cast<size_t>(first)];
    const double chain_bytes = bytes_of(chain).value_or(0);
    Group longer = chain;
    double longer_bytes = chain_bytes;
    if (std::none_of(chain.begin(), chain.end(), [&](int32_t m) { return is_seed(m); })) {
      for (const int32_t m : chain)
        for (const Value v : node(m).inputs) {
          const int32_t p = g_.producer(v);
          const int32_t other = p >= 0 && chain.count(p) == 0 ? group_of_[static_cast<size_t>(p)] : -1;
          if (other < 0 || other == mine || other == first) continue;
          const Group& before = groups_[static_cast<size_t>(other)];
          if (before.empty() || longer.count(*before.begin()) > 0) continue;
          if (std::none_of(before.begin(), before.end(), [&](int32_t k) { return is_seed(k); })) continue;
          Group all = group;
          all.insert(longer.begin(), longer.end());
          all.insert(before.begin(), before.end());
          if (!is_acyclic(all)) continue;
          longer.insert(before.begin(), before.end());
          longer_bytes += bytes_of(before).value_or(0);
        }
    }
    if (longer.size() > chain.size() && consider(n, longer, longer_bytes)) return;
    consider(n, chain, chain_bytes);
  }

  /// Operators that move elements become strides: of what a group reads (each reader takes its own), or of what it
  /// writes.
  void absorb_moves() {
    for (auto n = static_cast<int32_t>(g_.nodes().size()); n-- > 0;) {
      if (!moves(n) || group_of_[static_cast<size_t>(n)] >= 0) continue;
      const Value v = node(n).outputs[0];
      if (is_output_[static_cast<size_t>(v.id)] || users(v).empty()) continue;
      // All readers must take it, or it is done all the same.
      const std::vector<int32_t> readers = users(v);
      std::set<int32_t> into;
      bool all = true;
      for (const int32_t u : readers) {
        const int32_t other = group_of_[static_cast<size_t>(u)];
        all &= other >= 0;
        if (other >= 0) into.insert(other);
      }
      if (!all || into.size() != 1) continue;
      Group larger = groups_[static_cast<size_t>(*into.begin())];
      larger.insert(n);
      if (!is_acyclic(larger) || !bytes_of(larger)) continue;
      groups_[static_cast<size_t>(*into.begin())] = larger;
      group_of_[static_cast<size_t>(n)] = *into.begin();
    }
    for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
      if (!moves(n) || group_of_[static_cast<size_t>(n)] >= 0 || !node(n).op->operand_as_view) continue;
      const Value v = node(n).inputs[0];
      const int32_t maker = g_.producer(v);
      if (maker < 0 || is_output_[static_cast<size_t>(v.id)] || users(v).size() != 1) continue;
      const int32_t other = group_of_[static_cast<size_t>(maker)];
      if (other < 0) continue;
      Group larger = groups_[static_cast<size_t>(other)];
      larger.insert(n);
      if (!is_acyclic(larger) || !bytes_of(larger)) continue;
      groups_[static_cast<size_t>(other)] = larger;
      group_of_[static_cast<size_t>(n)] = other;
    }
  }

  // --- the new graph ---

  Graph rebuild() const {
    // Units (groups, and nodes that are in none) in an order in which operands precede uses.
    const auto count = static_cast<int32_t>(g_.nodes().size());
    std::vector<int32_t> unit(static_cast<size_t>(count));
    for (int32_t n = 0; n < count; ++n) {
      const int32_t group = group_of_[static_cast<size_t>(n)];
      unit[static_cast<size_t>(n)] = group >= 0 ? count + group : n;
    }
    std::map<int32_t, std::vector<int32_t>> members;
    for (int32_t n = 0; n < count; ++n) members[unit[static_cast<size_t>(n)]].push_back(n);
    std::vector<int32_t> order;
    std::set<int32_t> done;
    const std::function<void(int32_t)> visit = [&](int32_t u) {
      if (!done.insert(u).second) return;
      for (const int32_t n : members.at(u))
        for (const Value v : node(n).inputs) {
          const int32_t p = g_.producer(v);
          if (p >= 0 && unit[static_cast<size_t>(p)] != u) visit(unit[static_cast<size_t>(p)]);
        }
      order.push_back(u);
    };
    // State must stay in order: nodes that are in no group are visited in theirs. A group waits for its last member: an
    // early one may be a small part of the forward pass that the backward pass does again.
    for (int32_t n = 0; n < count; ++n)
      if (members.at(unit[static_cast<size_t>(n)]).back() == n) visit(unit[static_cast<size_t>(n)]);

    Graph out(g_.name());
    std::vector<Value> copy(static_cast<size_t>(g_.value_count()));
    for (const Value v : g_.inputs()) copy[static_cast<size_t>(v.id)] = out.add_input(g_.name_of(v), g_.type(v));
    for (const Variable& v : g_.variables()) out.add_variable(v.name, v.type);
    const OpDef& fused = ops::standard_ops().at("fused");
    for (const int32_t u : order) {
      const auto mapped = [&](const std::vector<Value>& values) {
        std::vector<Value> to;
        for (const Value v : values) to.push_back(copy[static_cast<size_t>(v.id)]);
        return to;
      };
      if (u >= count) {
        const Group group(members.at(u).begin(), members.at(u).end());
        const Region r = region_of(group);
        const std::vector<Value> results = out.add(fused, mapped(r.inputs), {{"in_parts", in_parts_}}, {r.body});
        for (size_t i = 0; i < results.size(); ++i) {
          copy[static_cast<size_t>(r.outputs[i].id)] = results[i];
          carry_name(out, results[i], g_, r.outputs[i]);
        }
        continue;
      }
      const Node& nd = node(u);
      const std::vector<Value> results = out.add(*nd.op, mapped(nd.inputs), nd.attributes, nd.regions);
      for (size_t i = 0; i < results.size(); ++i) {
        copy[static_cast<size_t>(nd.outputs[i].id)] = results[i];
        carry_name(out, results[i], g_, nd.outputs[i]);
      }
    }
    std::vector<Value> outputs;
    for (const Value v : g_.outputs()) outputs.push_back(copy[static_cast<size_t>(v.id)]);
    out.set_outputs(outputs, g_.output_names());
    return out;
  }

  const Graph& g_;
  const Target& target_;
  const bool in_parts_;
  mutable std::map<int32_t, tile::Given> given_;  // by value
  std::vector<int32_t> group_of_;
  std::vector<Group> groups_;
  std::vector<std::vector<int32_t>> users_;
  std::vector<bool> is_output_;
};

}  // namespace

namespace {

/// Whether elementwise operators behind a Fourier transform make it: their group can write it moved.
bool follows_transform(const Graph& graph, Value v, int depth = 8) {
  const int32_t p = graph.producer(v);
  if (p < 0 || depth == 0) return false;
  const Node& node = graph.nodes()[static_cast<size_t>(p)];
  if (tile::row_transform(view_of(graph, node))) return true;
  if (!tile::acts_on_elements(view_of(graph, node))) return false;
  return std::any_of(node.inputs.begin(), node.inputs.end(), [&](Value in) {
    return graph.type(in).shape == graph.type(v).shape && follows_transform(graph, in, depth - 1);
  });
}

/// Every reader of an operator that moves elements gets one of its own, so that each group can walk its operand as it
/// likes; only where there are Fourier transforms, whose groups read their operands across the rows of all others. What
/// is made behind a transform is moved once, by its maker.
Graph part_moves(const Graph& graph) {
  const auto moves = [&](int32_t n) {
    return n >= 0 && static_cast<bool>(graph.nodes()[static_cast<size_t>(n)].op->result_as_view);
  };
  const auto source_of = [&](Value v) {
    for (int32_t p = graph.producer(v); moves(p); p = graph.producer(v))
      v = graph.nodes()[static_cast<size_t>(p)].inputs[0];
    return v;
  };
  std::map<int32_t, Value> copied;  // value of `graph` -> of the copy
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    for (size_t i = 0; i < inputs.size(); ++i) copied[node.inputs[i].id] = inputs[i];
    if (node.op->result_as_view) return results;
    const std::function<Value(Value)> own = [&](Value v) -> Value {
      const int32_t p = graph.producer(v);
      if (!moves(p) || follows_transform(graph, source_of(v))) return copied.at(v.id);
      const Node& mover = graph.nodes()[static_cast<size_t>(p)];
      std::vector<Value> operands;
      for (const Value in : mover.inputs) operands.push_back(operands.empty() ? own(in) : copied.at(in.id));
      return out.add(*mover.op, operands, mover.attributes, mover.regions)[0];
    };
    std::vector<Value> operands;
    bool changed = false;
    for (size_t i = 0; i < inputs.size(); ++i) {
      changed |= moves(graph.producer(node.inputs[i]));
      operands.push_back(own(node.inputs[i]));
    }
    if (changed) results = out.add(*node.op, operands, node.attributes, node.regions);
    return results;
  });
}

/// Every product gets a rounding of its own of the weight it multiplies with: it becomes part of the packing, and both
/// directions read the weight instead of one that writes what both read.
Graph part_roundings(const Graph& graph) {
  std::map<int32_t, Value> copied;
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    for (size_t i = 0; i < inputs.size(); ++i) copied[node.inputs[i].id] = inputs[i];
    if (node.op->name != "matmul" || node.inputs[0] == node.inputs[1]) return results;
    const int32_t p = graph.producer(node.inputs[1]);
    if (p < 0 || !is_rounding(graph, graph.nodes()[static_cast<size_t>(p)])) return results;
    const Node& rounding = graph.nodes()[static_cast<size_t>(p)];
    const Value own = out.add(*rounding.op, {copied.at(rounding.inputs[0].id)}, rounding.attributes)[0];
    results = out.add(*node.op, {inputs[0], own}, node.attributes);
    return results;
  });
}

}  // namespace

Graph fuse(const Graph& given, const Target& target, Precision precision) {
  const bool in_parts = precision == Precision::fp32x3;
  for (const Value v : given.inputs())
    if (!given.type(v).shape.is_constant()) return given;
  const Graph graph = drop_dead_nodes(part_roundings(given));
  const bool transforms = std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& n) {
    return tile::row_transform(view_of(graph, n)).has_value();
  });
  if (!transforms) return Fuser(graph, target, in_parts).run();
  // What no group took of its own copies is one again.
  return drop_dead_nodes(merge_common_moves(Fuser(drop_dead_nodes(part_moves(graph)), target, in_parts).run()));
}

}  // namespace gregale::passes
