// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/region_lowering.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "gregale/error.hpp"
#include "ir/core_ops.hpp"
#include "tile/cut.hpp"
#include "tile/lower_boxes.hpp"
#include "tile/node_kinds.hpp"

namespace gregale::tile {

// --- which operator does what ---

void RegionLowering::place_values() {
  require(g_.variables().empty() && !g_.outputs().empty(), "it has state or no result");
  places_.resize(static_cast<size_t>(g_.value_count()));
  level_.assign(static_cast<size_t>(g_.value_count()), 0);
  for (size_t i = 0; i < g_.inputs().size(); ++i) {
    const Value v = g_.inputs()[i];
    require(type(v).shape.is_constant(), "an extent is symbolic");
    place(v) = {Place::Kind::operand, 0, static_cast<int32_t>(i), StridedView::dense(extents(v))};
  }
  for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
    const Node& nd = node(n);
    for (const Value v : nd.outputs) {
      require(type(v).shape.is_constant(), "an extent is symbolic");
      require(type(v).shape.elements() > 0, "a value is empty");
    }
    const Value result = nd.outputs[0];
    if (nd.op->name == kConstantOp) {
      const Tensor& t = std::get<Tensor>(nd.attributes.at("value"));
      require(t.size() == 1 && is_real_float(t.dtype()), "a constant inside is no scalar");
      place(result) = {Place::Kind::scalar, RefArray::from(t).real()[0], -1, {}};
    } else if (moves(nd)) {
      Place& from = place(nd.inputs[0]);
      level_[at(result)] = level_[at(nd.inputs[0])];
      if (from.kind == Place::Kind::scalar) {
        place(result) = from;
      } else if (from.kind == Place::Kind::operand) {
        const auto view = nd.op->result_as_view(view_of(g_, nd), from.view);
        require(view.has_value(), "a reshape of strided data");
        place(result) = {Place::Kind::operand, 0, from.input, *view};
      } else {
        place(result).kind = Place::Kind::alias;
      }
    } else if (is_rounding_of_right(n)) {  // weights are rounded as they are packed
      place(result) = place(nd.inputs[0]);
    } else if (sums_over_boxes(g_, nd)) {
      const Extents of = extents(nd.inputs[0]);
      require(place(nd.inputs[0]).kind == Place::Kind::result && nd.op->name != "mean", "a sum of other than a result");
      require(
          type(result).rank() > 0 && type(result).shape.elements() == of.back() && extents(result).back() == of.back(),
          "a sum of part of the rows");
      require(type(result).dtype == DType::f32, "a sum of other than f32");
      place(result).kind = Place::Kind::sum;
      level_[at(result)] = level_[at(nd.inputs[0])];
      sums_.push_back({n, nd.inputs[0]});
    } else {
      require(nd.outputs.size() == 1, "an operator with several results");
      require(is_product(nd) || is_transform(nd) || nd.op->express, "an operator that is no expression");
      int level = 0;
      for (const Value v : nd.inputs) {
        require(place(v).kind != Place::Kind::alias, "elements are moved inside the group");
        require(place(v).kind != Place::Kind::sum, "a sum that the group goes on with");
        level = std::max(level, level_[at(v)]);
      }
      level_[at(result)] = is_product(nd) || is_transform(nd) ? level + 1 : level;
      place(result).kind = Place::Kind::result;
    }
  }
}

bool RegionLowering::is_rounding_of_right(int32_t n) {
  const Node& nd = node(n);
  if (nd.op->name != "cast" || type(nd.outputs[0]).dtype != DType::bf16 || type(nd.inputs[0]).dtype != DType::f32 ||
      place(nd.inputs[0]).kind != Place::Kind::operand)
    return false;
  const Value v = nd.outputs[0];
  const auto outputs = g_.outputs();
  bool used = false;
  for (const Node& reader : g_.nodes())
    for (size_t i = 0; i < reader.inputs.size(); ++i) {
      if (reader.inputs[i] != v) continue;
      if (!is_product(reader) || i != 1) return false;
      used = true;
    }
  return used && std::find(outputs.begin(), outputs.end(), v) == outputs.end();
}

void RegionLowering::delay_expressions() {
  // The lowest level of what uses a value, or -1 where it must be there earlier: as an operand of a product or a
  // result.
  std::vector<int> wanted(static_cast<size_t>(g_.value_count()), std::numeric_limits<int>::max());
  for (const Value v : g_.outputs()) wanted[at(v)] = -1;
  std::vector<bool> from_outside(static_cast<size_t>(g_.value_count()), false);
  for (const Node& nd : g_.nodes()) {
    const Value result = nd.outputs[0];
    from_outside[at(result)] =
        place(result).kind == Place::Kind::result && !is_product(nd) && !is_transform(nd) &&
        acts_on_elements(view_of(g_, nd)) && std::all_of(nd.inputs.begin(), nd.inputs.end(), [&](Value v) {
          return place(v).kind == Place::Kind::scalar || place(v).kind == Place::Kind::operand || from_outside[at(v)];
        });
  }
  for (int32_t n = static_cast<int32_t>(g_.nodes().size()) - 1; n >= 0; --n) {
    const Node& nd = node(n);
    const Value result = nd.outputs[0];
    const bool expression = place(result).kind == Place::Kind::result && !is_product(nd) && !is_transform(nd);
    if (expression && wanted[at(result)] > level_[at(result)] && wanted[at(result)] < std::numeric_limits<int>::max() &&
        from_outside[at(result)])
      level_[at(result)] = wanted[at(result)];
    for (const Value v : nd.inputs) {
      const bool same = expression && extents(v) == extents(result);
      wanted[at(v)] = std::min(wanted[at(v)], same ? level_[at(result)] : -1);
    }
  }
}

std::vector<std::vector<int32_t>> RegionLowering::parts_by_width(const std::vector<int32_t>& nodes) {
  if (std::none_of(g_.nodes().begin(), g_.nodes().end(), is_product)) return {nodes};
  // Nodes that know nothing of each other, by the columns of their tiles.
  std::vector<size_t> part(nodes.size());
  std::iota(part.begin(), part.end(), size_t{0});
  for (size_t i = 0; i < nodes.size(); ++i)
    for (size_t k = 0; k < i; ++k) {
      const std::vector<Value>& inputs = node(nodes[i]).inputs;
      if (std::find(inputs.begin(), inputs.end(), node(nodes[k]).outputs[0]) == inputs.end()) continue;
      const size_t from = part[k], to = part[i];
      std::replace(part.begin(), part.end(), from, to);
    }
  std::map<size_t, int64_t> width;
  for (size_t i = 0; i < nodes.size(); ++i) {
    int64_t& widest = width[part[i]];
    widest = std::max(widest, last_extent(node(nodes[i]).outputs[0]));
    for (const Value v : node(nodes[i]).inputs) widest = std::max(widest, last_extent(v));
  }
  std::map<int64_t, std::vector<int32_t>> by_width;
  for (size_t i = 0; i < nodes.size(); ++i) by_width[width[part[i]]].push_back(nodes[i]);
  std::vector<std::vector<int32_t>> parts;
  for (auto& [columns, members] : by_width) parts.push_back(std::move(members));
  return parts;
}

void RegionLowering::collect_work() {
  std::map<int, size_t> expressions;  // level -> work
  std::vector<Work> products;
  int levels = 0;
  for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
    const Node& nd = node(n);
    if (place(nd.outputs[0]).kind != Place::Kind::result) continue;
    levels = std::max(levels, level_[at(nd.outputs[0])]);
  }
  for (int level = 0; level <= levels; ++level) {
    Work expression;
    expression.level = level;
    for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
      const Node& nd = node(n);
      if (place(nd.outputs[0]).kind != Place::Kind::result || level_[at(nd.outputs[0])] != level) continue;
      if (is_product(nd) || is_transform(nd)) {
        Work w;
        w.product = is_product(nd);
        w.transform = !w.product;
        w.node = n;
        w.level = level;
        work_.push_back(w);
      } else {
        expression.nodes.push_back(n);
      }
    }
    if (expression.nodes.empty()) continue;
    for (std::vector<int32_t>& nodes : parts_by_width(expression.nodes)) {
      Work part = expression;
      part.nodes = std::move(nodes);
      work_.push_back(part);
    }
  }
  require(!work_.empty(), "nothing is computed");
}

void RegionLowering::find_outputs() {
  uses_.assign(static_cast<size_t>(g_.value_count()), 0);
  for (const Node& nd : g_.nodes())
    for (const Value v : nd.inputs) ++uses_[at(v)];
  for (size_t i = 0; i < g_.outputs().size(); ++i) {
    Value v = g_.outputs()[i];
    ++uses_[at(v)];
    StridedView view = StridedView::dense(extents(v));
    while (place(v).kind == Place::Kind::alias) {
      const Node& nd = node(g_.producer(v));
      require(static_cast<bool>(nd.op->operand_as_view), "a result is only seen in part");
      const auto before = nd.op->operand_as_view(view_of(g_, nd), view);
      require(before.has_value(), "a reshape of strided data");
      view = *before;
      v = nd.inputs[0];
    }
    if (place(v).kind == Place::Kind::sum) {
      require(v == g_.outputs()[i], "a sum that is moved");
      for (RowSum& sum : sums_)
        if (node(sum.node).outputs[0] == v) sum.output = static_cast<int32_t>(i);
      continue;
    }
    require(place(v).kind == Place::Kind::result, "an output is an input");
    require(outputs_.emplace(v.id, std::pair{static_cast<int32_t>(i), view}).second, "one result is two outputs");
    require(is_real_float(type(v).dtype) && type(v).dtype != DType::f16, "an output is no f32, bf16 or f64");
  }
}

bool RegionLowering::used_after(Value v, const Work& w) const {
  for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
    const Node& nd = node(n);
    if (std::find(nd.inputs.begin(), nd.inputs.end(), v) == nd.inputs.end()) continue;
    if (moves(nd) || place_of(nd.outputs[0]) == Place::Kind::sum) continue;  // an output
    if (std::find(w.nodes.begin(), w.nodes.end(), n) == w.nodes.end()) return true;
  }
  return false;
}

void RegionLowering::fold_epilogues() {
  for (size_t i = 1; i < work_.size(); ++i) {
    Work& w = work_[i];
    const Work& before = work_[i - 1];
    if (w.product || !before.product || before.level != w.level) continue;
    if (i >= 2 && work_[i - 2].node >= 0 && work_[i - 2].level == w.level) continue;
    const Value sums = node(before.node).outputs[0];
    if (is_output(sums) || results_of(w).size() != 1) continue;
    bool folds = true;
    for (const int32_t n : w.nodes) {
      folds &= acts_on_elements(view_of(g_, node(n)));
      folds &= extents(node(n).outputs[0]) == extents(sums);
    }
    if (used_after(sums, w) || extents(results_of(w)[0]) != extents(sums) || !sums_of(w).empty()) folds = false;
    w.folded = folds;
  }
}

void RegionLowering::find_pairs() {
  for (const Work& w : work_)
    if (w.product)
      multiplies_tiles_ |= kernels::has_tiles(target_) && type(node(w.node).inputs[0]).dtype == DType::bf16;
  const auto products = std::count_if(work_.begin(), work_.end(), [](const Work& w) { return w.product; });
  if (!multiplies_tiles_ || products != 2) return;
  for (size_t i = 0; i + 1 < work_.size(); ++i) {
    Work& first = work_[i];
    const bool epilogue = work_[i + 1].folded;
    if (!first.product || i + (epilogue ? 2 : 1) >= work_.size()) continue;
    Work& second = work_[i + (epilogue ? 2 : 1)];
    const Value between = epilogue ? results_of(work_[i + 1])[0] : node(first.node).outputs[0];
    if (!second.product || node(second.node).inputs[0] != between || is_output(between) || uses_[at(between)] != 1 ||
        type(between).dtype != DType::bf16)
      continue;
    constexpr int64_t kStep = 256, kDeepest = 4096, kWidest = 1024;
    const bool ta = std::get<bool>(node(first.node).attributes.at("transpose_a"));
    const Extents a = extents(node(first.node).inputs[0]);
    const int64_t depth = ta ? a[a.size() - 2] : a.back();
    if (last_extent(between) < 2 * kStep || depth > kDeepest || last_extent(node(second.node).outputs[0]) > kWidest)
      continue;
    hidden_step_ = balanced_block(last_extent(between), kStep, 64);
    first.pair = Work::Pair::first;
    second.pair = Work::Pair::second;
  }
}

// --- rows ---

std::vector<int64_t> RegionLowering::aligned(const StridedView& view, bool reduced) const {
  const size_t rank = space_.size();
  std::vector<int64_t> strides(rank, 0);
  const size_t own = view.extents.size() + (reduced ? 1 : 0);
  require(own <= rank, "a value has more axes than the rows");
  for (size_t i = 0; i < view.extents.size(); ++i) {
    const size_t to = rank - own + i;
    if (view.extents[i] == 1) continue;
    // The last axis is the value's own.
    require(to + 1 == rank || view.extents[i] == space_[to], "rows do not fit together");
    strides[to] = view.strides[i];
  }
  return strides;
}

void RegionLowering::find_rows() {
  for (const Work& w : work_) {
    const auto take = [&](Value v) {
      const Extents e = extents(v);
      Extents mine(e.begin(), e.end());
      if (drops_axis(v)) mine.push_back(1);
      if (mine.size() < space_.size()) return;
      if (mine.size() > space_.size()) space_.assign(mine.size(), 1);
      for (size_t i = 0; i < mine.size(); ++i) space_[i] = std::max(space_[i], mine[i]);
    };
    if (w.node >= 0) take(node(w.node).outputs[0]);
    for (const int32_t n : w.nodes) take(node(n).outputs[0]);
  }
  if (space_.empty()) space_ = {1};
  has_product_ = has_transform_ = false;
  for (const Work& w : work_) {
    has_product_ |= w.product;
    has_transform_ |= w.transform;
  }
  whole_rows_ = has_product_ || has_transform_ || !sums_.empty();
  require(sums_.empty() || (!has_product_ && !has_transform_), "sums over the rows of a product");
  for (const RowSum& s : sums_) require(s.output >= 0, "a sum that nobody reads");
  std::vector<std::vector<int64_t>> walks;  // strides along the space
  std::vector<size_t> right;                // those of what is multiplied from the right
  const auto result = [&](Value v) {
    const Extents e = extents(v);
    const bool drops = drops_axis(v);
    for (size_t i = 0; i + 1 < space_.size(); ++i) {
      const size_t own = e.size() + (drops ? 1 : 0);
      require(own == space_.size() && e[i] == space_[i], "the results' rows differ");
    }
    if (const auto found = outputs_.find(v.id); found != outputs_.end())
      walks.push_back(aligned(found->second.second, drops));
  };
  for (const Work& w : work_) {
    if (w.transform) {
      result(node(w.node).outputs[0]);
      if (place(node(w.node).inputs[0]).kind == Place::Kind::operand) walks.push_back(aligned(transformed(w)));
    }
    if (w.product) {
      const Node& nd = node(w.node);
      result(nd.outputs[0]);
      if (place(nd.inputs[0]).kind == Place::Kind::operand) {
        StridedView a = place(nd.inputs[0]).view;
        if (std::get<bool>(nd.attributes.at("transpose_a"))) {
          const size_t r = a.extents.size();
          std::swap(a.extents[r - 1], a.extents[r - 2]);
          std::swap(a.strides[r - 1], a.strides[r - 2]);
        }
        walks.push_back(aligned(a));
      }
      require(place(nd.inputs[1]).kind == Place::Kind::operand, "what is multiplied from the right is computed inside");
      StridedView b = place(nd.inputs[1]).view;
      b.extents[b.extents.size() - 2] = 1;  // not along the rows
      right.push_back(walks.size());
      walks.push_back(aligned(b));
    }
    for (const int32_t n : w.nodes) {
      if (w.product) break;
      const Value v = node(n).outputs[0];
      if (is_output(v) || used_after(v, w)) result(v);
      for (const Value in : node(n).inputs)
        if (place(in).kind == Place::Kind::operand) walks.push_back(aligned(place(in).view));
      const std::optional<Expression> e = expression_of(view_of(g_, node(n)));
      require(e.has_value(), "an operator that is no expression");
      whole_rows_ |= !acts_on_elements(*e) || drops_axis(v);
    }
  }
  // Merge, beginning with single axes; the last axis joins where every operator is elementwise.
  const size_t rows = space_.size() - (whole_rows_ ? 1 : 0);
  axes_.clear();
  for (size_t i = 0; i < rows; ++i) {
    if (space_[i] == 1) continue;
    Axis axis{space_[i], i, i};
    if (!axes_.empty()) {
      bool even = !(has_transform_ && i + 1 == rows);  // a transform's rows are those of one matrix
      for (const auto& walk : walks) even &= walk[axes_.back().last] == walk[i] * space_[i];
      if (even) {
        axes_.back().extent *= space_[i];
        axes_.back().last = i;
        continue;
      }
    }
    axes_.push_back(axis);
  }
  // Matrices of one row, each with a b of its own: the row stays an axis.
  if (has_product_ && !axes_.empty() && axes_.back().last + 1 != rows &&
      std::any_of(right.begin(), right.end(), [&](size_t w) { return walks[w][axes_.back().last] != 0; }))
    axes_.push_back({1, rows - 1, rows - 1});
  if (!whole_rows_) {
    // The last merged axis is the columns of a tile, the one before its rows.
    width_ = axes_.empty() ? 1 : axes_.back().extent;
    column_axis_ = axes_.empty() ? space_.size() - 1 : axes_.back().last;
    if (!axes_.empty()) axes_.pop_back();
  } else {
    width_ = space_.back();
    column_axis_ = space_.size() - 1;
  }
  require(axes_.size() + 6 <= kMaxDims, "the rows have too many axes");
  for (size_t i = 0; i < axes_.size(); ++i) {
    const bool last = i + 1 == axes_.size();
    axes_[i].dim = out_.program.add_dim(last ? "rows" : fmt::format("batch{}", i), axes_[i].extent, {1});
  }
  rows_ = axes_.empty() ? 1 : axes_.back().extent;
}

}  // namespace gregale::tile
