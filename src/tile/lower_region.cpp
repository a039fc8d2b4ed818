// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/lower_region.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "gregale/error.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "tile/cut.hpp"
#include "tile/ledger.hpp"
#include "tile/lower_boxes.hpp"
#include "tile/lower_convolution.hpp"
#include "tile/matmul.hpp"
#include "tile/row_transform.hpp"

namespace gregale::tile {
namespace {

using kernels::Broadcast;
using kernels::Compute;
using kernels::Expression;
using kernels::LayoutOp;
using kernels::Packing;

/// Thrown inside, a Result outside: why the region has no program.
struct Refusal {
  std::string why;
};
void require(bool holds, const char* why) {
  if (!holds) throw Refusal{why};
}

/// Where a value of the region is.
struct Place {
  enum class Kind : uint8_t {
    none,
    scalar,   ///< a constant of one element
    operand,  ///< an input of the region, walked by `view`
    result,   ///< of a stage, or of the expression at hand
    alias,    ///< a result seen through operators that move elements
  } kind = Kind::none;
  double scalar = 0;
  int32_t input = -1;
  StridedView view;
};

/// Operators that run on a block of rows one after another: a product, a Fourier transform down the rows, or an
/// expression of whole rows.
struct Work {
  bool product = false;
  bool transform = false;
  int32_t node = -1;           ///< of a product or transform
  std::vector<int32_t> nodes;  ///< of an expression, in order
  int level = 0;
  bool folded = false;  ///< an expression that is the epilogue of the product before it
};

class Lowering {
 public:
  Lowering(const Graph& region, const Target& target, const std::vector<bool>& constant, const ScheduleChoice& choice)
      : g_(region), target_(target), constant_(constant), choice_(choice) {}

  LoweredRegion run() {
    place_values();
    collect_work();
    find_outputs();
    fold_epilogues();
    find_rows();
    declare_buffers();
    std::vector<Stage> stages;
    for (size_t i = 0; i < work_.size(); ++i) emit(i, stages);
    finish(std::move(stages));
    return std::move(out_);
  }

 private:
  const Node& node(int32_t n) const { return g_.nodes()[static_cast<size_t>(n)]; }
  Place& place(Value v) { return places_[static_cast<size_t>(v.id)]; }
  const Type& type(Value v) const { return g_.type(v); }
  Extents extents(Value v) const { return type(v).shape.extents(); }
  static bool is_product(const Node& n) { return n.op->name == "matmul"; }
  bool is_transform(const Node& n) const { return row_transform(view_of(g_, n)).has_value(); }
  static bool moves(const Node& n) { return static_cast<bool>(n.op->result_as_view); }

  // --- which operator does what ---

  void place_values() {
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
      } else {
        require(nd.outputs.size() == 1, "an operator with several results");
        require(is_product(nd) || is_transform(nd) || nd.op->express, "an operator that is no expression");
        int level = 0;
        for (const Value v : nd.inputs) {
          require(place(v).kind != Place::Kind::alias, "elements are moved inside the group");
          level = std::max(level, level_[at(v)]);
        }
        level_[at(result)] = is_product(nd) || is_transform(nd) ? level + 1 : level;
        place(result).kind = Place::Kind::result;
      }
    }
  }

  static size_t at(Value v) { return static_cast<size_t>(v.id); }

  void collect_work() {
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
      if (!expression.nodes.empty()) work_.push_back(expression);
    }
    require(!work_.empty(), "nothing is computed");
  }

  /// For every result: who uses it, and where in memory it goes if it is an output of the region.
  void find_outputs() {
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
      require(place(v).kind == Place::Kind::result, "an output is an input");
      require(outputs_.emplace(v.id, std::pair{static_cast<int32_t>(i), view}).second, "one result is two outputs");
      require(is_real_float(type(v).dtype) && type(v).dtype != DType::f16, "an output is no f32, bf16 or f64");
    }
  }

  bool is_output(Value v) const { return outputs_.count(v.id) > 0; }

  /// The result of an expression's nodes that others need: outputs of the region, operands of later products and
  /// expressions.
  std::vector<Value> results_of(const Work& w) const {
    std::vector<Value> results;
    for (const int32_t n : w.nodes) {
      const Value v = node(n).outputs[0];
      if (is_output(v) || used_after(v, w)) results.push_back(v);
    }
    return results;
  }

  bool used_after(Value v, const Work& w) const {
    for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
      const Node& nd = node(n);
      if (std::find(nd.inputs.begin(), nd.inputs.end(), v) == nd.inputs.end()) continue;
      if (moves(nd)) continue;  // an alias: an output
      if (std::find(w.nodes.begin(), w.nodes.end(), n) == w.nodes.end()) return true;
    }
    return false;
  }

  /// An expression right behind its level's only product, without whole rows and with one result, is its epilogue.
  void fold_epilogues() {
    for (size_t i = 1; i < work_.size(); ++i) {
      Work& w = work_[i];
      const Work& before = work_[i - 1];
      if (w.product || !before.product || before.level != w.level) continue;
      if (i >= 2 && work_[i - 2].node >= 0 && work_[i - 2].level == w.level) continue;
      const Value sums = node(before.node).outputs[0];
      if (is_output(sums) || results_of(w).size() != 1) continue;
      bool folds = true;
      for (const int32_t n : w.nodes) {
        Expression e;
        std::vector<int32_t> ids;
        for (size_t k = 0; k < node(n).inputs.size(); ++k) ids.push_back(e.input(static_cast<int>(k)));
        if (node(n).op->express(e, view_of(g_, node(n)), ids) < 0) folds = false;
        for (const Expression::Node& x : e.nodes()) folds &= x.op < kernels::ExprOp::row_sum;
        folds &= extents(node(n).outputs[0]) == extents(sums);
      }
      if (used_after(sums, w) || extents(results_of(w)[0]) != extents(sums)) folds = false;
      w.folded = folds;
    }
  }

  // --- rows ---

  /// The strides of a view along the axes of the rows and the last axis of the space: broadcast, aligned on the right.
  /// `reduced`: a result without its last axis.
  std::vector<int64_t> aligned(const StridedView& view, bool reduced = false) const {
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

  /// A reduced result without its axis (keep_dims unset) is one rank lower than the rows it belongs to.
  bool drops_axis(Value v) const {
    const Node& nd = node(g_.producer(v));
    if (is_product(nd) || nd.inputs.empty()) return false;
    return type(v).rank() + 1 == type(nd.inputs[0]).rank() && nd.attributes.count("keep_dims") > 0;
  }

  StridedView dense_result(Value v) const { return StridedView::dense(extents(v)); }

  /// Rows are the axes of results but the last, equal for all; axes that lie evenly in all operands are merged.
  void find_rows() {
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
    whole_rows_ = has_product_ || has_transform_;
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
        require(place(nd.inputs[1]).kind == Place::Kind::operand,
                "what is multiplied from the right is computed inside");
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
        Expression e;
        std::vector<int32_t> ids;
        for (size_t k = 0; k < node(n).inputs.size(); ++k) ids.push_back(e.input(static_cast<int>(k)));
        require(node(n).op->express(e, view_of(g_, node(n)), ids) >= 0, "an operator that is no expression");
        for (const Expression::Node& x : e.nodes()) whole_rows_ |= x.op >= kernels::ExprOp::row_sum;
        whole_rows_ |= drops_axis(v);
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

  /// A transform's operand from outside, said to have the rows of the result: for modes of real numbers, it has others.
  StridedView transformed(const Work& w) {
    StridedView view = place(node(w.node).inputs[0]).view;
    const Extents e = extents(node(w.node).outputs[0]);
    view.extents[view.extents.size() - 2] = e[e.size() - 2];
    return view;
  }

  struct Axis {
    int64_t extent = 1;
    size_t first = 0, last = 0;  ///< of the space
    int32_t dim = -1;
  };

  int64_t total_rows() const {
    int64_t n = 1;
    for (const Axis& a : axes_) n *= a.extent;
    return n;
  }

  // --- buffers ---

  void declare_buffers() {
    for (size_t i = 0; i < g_.inputs().size(); ++i)
      out_.program.add_buffer(fmt::format("in{}", i), Scope::argument, type(g_.inputs()[i]).dtype,
                              type(g_.inputs()[i]).shape.elements());
    for (size_t i = 0; i < g_.outputs().size(); ++i)
      out_.program.add_buffer(fmt::format("out{}", i), Scope::argument, type(g_.outputs()[i]).dtype,
                              type(g_.outputs()[i]).shape.elements());
    choose_row_step();
  }

  /// Rows of a block: panels of all stages should take a quarter of L2 at most, and every core should have several
  /// blocks.
  void choose_row_step() {
    int64_t row_bytes = 0;
    for (const Work& w : work_) {
      const auto add = [&](Value v) { row_bytes += last_extent(v) * size_of(type(v).dtype); };
      if (w.node >= 0) add(node(w.node).outputs[0]);
      if (!w.product && !w.folded)
        for (const Value v : results_of(w)) add(v);
    }
    const auto products = std::count_if(work_.begin(), work_.end(), [](const Work& w) { return w.product; });
    const auto passes = std::count_if(work_.begin(), work_.end(), [](const Work& w) { return !w.folded; });
    alone_ = products == 1 && passes == 1;
    if (has_transform_) {
      row_step_ = rows_;
      require(row_bytes * rows_ <= target_.l2_bytes, "whole columns do not fit in the cache");
    } else if (alone_) {
      row_step_ = blocks_of(node(work_[0].node)).m;
    } else if (has_product_) {
      const int64_t most = std::clamp<int64_t>(target_.l2_bytes / 4 / std::max<int64_t>(1, row_bytes), 12, 192);
      row_step_ = balanced_block(rows_, most, 12);
      int64_t batches = total_rows() / std::max<int64_t>(1, rows_);
      constexpr int64_t kCellsPerCore = 4, kLeast = 24;
      while (target_.cores > 1 && row_step_ > kLeast &&
             batches * ceil_div(rows_, row_step_) < kCellsPerCore * target_.cores)
        row_step_ = round_up(ceil_div(row_step_, 2), 12);
    } else {
      constexpr int64_t kTileElements = 8192;
      column_step_ = whole_rows_ ? width_ : std::min(width_, kTileElements);
      row_step_ =
          std::clamp<int64_t>(kTileElements / std::max<int64_t>(1, column_step_), 1, std::max<int64_t>(1, rows_));
    }
    ScheduleFreedom& free = out_.freedom;
    free.rows = rows_;
    if (rows_ > 1) free.made.rows = row_step_;
    if (has_product_) free.row_unit = 12;
    if (choice_.rows > 0) row_step_ = std::min(choice_.rows, std::max<int64_t>(1, rows_));
    if (!has_product_ && !whole_rows_) {
      free.columns = width_;
      free.made.columns = column_step_;
      free.column_unit = 64;
      if (choice_.columns > 0) column_step_ = std::min(choice_.columns, width_);
    }
    if (!axes_.empty()) out_.program.dims[static_cast<size_t>(axes_.back().dim)].steps = {row_step_};
  }

  /// How tile::Matmul would cut this product.
  MatmulBlocks blocks_of(const Node& nd) {
    const bool ta = std::get<bool>(nd.attributes.at("transpose_a"));
    const bool tb = std::get<bool>(nd.attributes.at("transpose_b"));
    const Extents a = extents(nd.inputs[0]);
    const int64_t n = extents(nd.outputs[0]).back(), k = ta ? a[a.size() - 2] : a.back();
    MatmulProblem p = dense_matmul(rows_, n, k, ta, tb);
    p.a = p.b = type(nd.inputs[0]).dtype;
    p.compute = p.a == DType::bf16 ? Compute::bf16 : Compute::f32;
    p.packed_b = true;
    if (rows_ > 0 && total_rows() > rows_) {
      p.batch.rank = 1;
      p.batch.extents[0] = total_rows() / rows_;
      p.batch.a_strides[0] = p.batch.b_strides[0] = p.batch.c_strides[0] = 1;
    }
    // Sums are kept apart from the result where there is more to do with them.
    p.c = work_.size() > 1 ? DType::bf16 : type(nd.outputs[0]).dtype;
    return Matmul::default_blocks(target_, p);
  }

  int32_t panel(const char* name, DType dtype, int64_t columns) {
    return out_.program.add_buffer(fmt::format("{}{}", name, panels_++), Scope::panel, dtype, row_step_ * columns);
  }

  // --- operands ---

  /// An operand from strides along the space: dims, leading and how it broadcasts over a tile of rows and columns.
  Operand operand_of(int32_t buffer, int64_t offset, const std::vector<int64_t>& walk, int64_t columns,
                     int32_t column_dim) const {
    Operand o;
    o.buffer = buffer;
    o.offset = offset;
    o.strides.assign(out_.program.dims.size(), 0);
    for (const Axis& a : axes_) o.strides[static_cast<size_t>(a.dim)] = walk[a.last];
    const int64_t row_stride = axes_.empty() ? 0 : walk[axes_.back().last];
    const int64_t column_stride = walk[column_axis_];
    if (column_dim >= 0) o.strides[static_cast<size_t>(column_dim)] = column_stride;
    const bool along_rows = row_stride != 0 && rows_ > 1;
    if (columns == 1 && column_stride == 0) {
      // One column: a column of results, or one element for all rows.
      o.broadcast = !along_rows ? Broadcast::scalar : row_stride == 1 ? Broadcast::column : Broadcast::none;
      o.leading = o.broadcast == Broadcast::none ? row_stride : 0;
      return o;
    }
    require(column_stride == 0 || column_stride == 1, "columns that do not follow each other");
    if (column_stride == 1) {
      o.broadcast = along_rows ? Broadcast::none : Broadcast::row;
      o.leading = along_rows ? row_stride : 0;
    } else {
      require(!along_rows || row_stride == 1, "a column that is not dense");
      o.broadcast = along_rows ? Broadcast::column : Broadcast::scalar;
    }
    return o;
  }

  /// A value that an earlier stage made, or an operand from outside.
  Operand read(Value v, int64_t columns, int32_t column_dim) {
    if (place(v).kind == Place::Kind::operand)
      return operand_of(place(v).input, place(v).view.offset, aligned(place(v).view), columns, column_dim);
    const auto found = stored_.find(v.id);
    GREGALE_ASSERT(found != stored_.end());
    Operand o = found->second;
    o.strides.resize(out_.program.dims.size(), 0);
    const bool along_columns = o.broadcast == Broadcast::none || o.broadcast == Broadcast::row;
    if (column_dim >= 0 && along_columns) o.strides[static_cast<size_t>(column_dim)] = 1;
    return o;
  }

  /// Where a result of this shape is to be written: its output, or a panel for later stages.
  Operand store(Value v, Broadcast shape, int64_t columns) {
    // A value may be written to a tile that is larger than its shape: a row to every row.
    const int64_t own_columns = drops_axis(v) || extents(v).empty() ? 1 : whole_rows_ ? last_extent(v) : columns;
    require(own_columns == columns || own_columns == 1, "a result that is narrower than its tile");
    const bool along_columns = own_columns == columns && !(columns == 1 && shape != Broadcast::none);
    require(along_columns || shape == Broadcast::column || shape == Broadcast::scalar,
            "a result that is narrower than its tile");
    shape = along_columns ? Broadcast::none : Broadcast::column;
    Operand o;
    if (const auto found = outputs_.find(v.id); found != outputs_.end()) {
      const auto& [index, view] = found->second;
      const std::vector<int64_t> walk = aligned(view, drops_axis(v));
      const int64_t row_stride = axes_.empty() || rows_ == 1 ? 0 : walk[axes_.back().last];
      require(!along_columns || columns == 1 || walk[column_axis_] == 1, "columns that do not follow each other");
      require(shape != Broadcast::column || rows_ == 1 || row_stride == 1, "a column that is not dense");
      o.buffer = static_cast<int32_t>(g_.inputs().size()) + index;
      o.offset = view.offset;
      o.strides.assign(out_.program.dims.size(), 0);
      for (const Axis& a : axes_) o.strides[static_cast<size_t>(a.dim)] = walk[a.last];
      if (shape == Broadcast::none) o.leading = std::max(row_stride, columns);
    } else {
      o.buffer = panel(along_columns ? "panel" : "column", type(v).dtype, along_columns ? columns : 1);
      o.strides.assign(out_.program.dims.size(), 0);
      if (shape == Broadcast::none) o.leading = columns;
    }
    o.broadcast = shape;
    stored_[v.id] = o;
    return o;
  }

  /// What an expression's outputs are over a tile, from what its inputs are.
  static std::vector<Broadcast> shapes_of(const Expression& e, const std::vector<Operand>& inputs, bool sums) {
    struct Along {
      bool rows = false, columns = false;
    };
    std::vector<Along> along(e.nodes().size());
    for (size_t i = 0; i < e.nodes().size(); ++i) {
      const Expression::Node& n = e.nodes()[i];
      if (n.op == kernels::ExprOp::input) {
        const Broadcast b =
            sums && n.index == 0 ? Broadcast::none : inputs[static_cast<size_t>(n.index - (sums ? 1 : 0))].broadcast;
        along[i] = {b == Broadcast::none || b == Broadcast::column, b == Broadcast::none || b == Broadcast::row};
        continue;
      }
      for (const Expression::Id id : {n.a, n.b, n.c}) {
        if (id < 0) continue;
        along[i].rows |= along[static_cast<size_t>(id)].rows;
        along[i].columns |= along[static_cast<size_t>(id)].columns;
      }
      if (n.op >= kernels::ExprOp::row_sum && n.op <= kernels::ExprOp::row_sum_squares) along[i] = {true, false};
    }
    std::vector<Broadcast> shapes;
    for (const Expression::Id id : e.outputs()) {
      const Along a = along[static_cast<size_t>(id)];
      shapes.push_back(a.rows ? (a.columns ? Broadcast::none : Broadcast::column)
                              : (a.columns ? Broadcast::row : Broadcast::scalar));
    }
    return shapes;
  }

  // --- expressions ---

  /// The expression of `nodes`; `given` is what is known already (a product's sums as input 0). Operands are added in
  /// the order they are met.
  Expression express(const std::vector<int32_t>& nodes, std::optional<Value> sums, int64_t columns, int32_t column_dim,
                     std::vector<Operand>& operands, const std::vector<Value>& results) {
    Expression e;
    std::map<int32_t, int32_t> ids;  // value -> id
    if (sums) ids[sums->id] = e.input(0);
    const int first = sums ? 1 : 0;
    for (const int32_t n : nodes) {
      std::vector<int32_t> in;
      for (const Value v : node(n).inputs) {
        if (const auto found = ids.find(v.id); found != ids.end()) {
          in.push_back(found->second);
          continue;
        }
        int32_t id = 0;
        if (place(v).kind == Place::Kind::scalar) {
          id = e.constant(place(v).scalar);
        } else {
          require(type(v).dtype == DType::f32 || type(v).dtype == DType::bf16 || type(v).dtype == DType::f16,
                  "an operand is no f32, bf16 or f16");
          operands.push_back(read(v, columns, column_dim));
          id = e.input(first + static_cast<int>(operands.size()) - 1);
        }
        ids[v.id] = id;
        in.push_back(id);
      }
      const size_t before = e.nodes().size();
      const int32_t id = node(n).op->express(e, view_of(g_, node(n)), in);
      require(id >= 0, "an operator that is no expression");
      for (size_t i = before; i < e.nodes().size(); ++i)
        require(e.nodes()[i].op < kernels::ExprOp::row_sum || last_extent(node(n).inputs[0]) == columns,
                "whole rows that are narrower than the tile");
      ids[node(n).outputs[0].id] = id;
      // Arithmetic in less than f32 rounds after every operator.
      const DType dtype = type(node(n).outputs[0]).dtype;
      require(dtype == DType::f32 || dtype == DType::boolean || dtype == DType::bf16 || dtype == DType::f16,
              "arithmetic in other than f32, bf16 and f16");
    }
    for (const Value v : results) {
      require(type(v).dtype != DType::boolean, "a boolean leaves the expression");
      e.output(ids.at(v.id));
    }
    return e;
  }

  void emit(size_t index, std::vector<Stage>& stages) {
    const Work& w = work_[index];
    if (w.product) {
      const Work* epilogue = index + 1 < work_.size() && work_[index + 1].folded ? &work_[index + 1] : nullptr;
      emit_product(w, epilogue, stages);
      return;
    }
    if (w.transform) {
      emit_transform(w, stages);
      return;
    }
    if (w.folded) return;
    const std::vector<Value> results = results_of(w);
    int64_t columns = has_product_ || whole_rows_ ? 1 : column_step_;
    if (has_product_ || whole_rows_)
      for (const int32_t n : w.nodes) {
        for (const Value v : node(n).inputs)
          if (place(v).kind != Place::Kind::scalar && type(v).rank() > 0) columns = std::max(columns, last_extent(v));
        if (!drops_axis(node(n).outputs[0])) columns = std::max(columns, last_extent(node(n).outputs[0]));
      }
    int32_t column_dim = -1;
    if (!whole_rows_ && width_ > column_step_) {
      column_dim = out_.program.add_dim("columns", width_, {column_step_});
      columns_dim_ = column_dim;
    } else if (!whole_rows_) {
      columns = width_;
    }
    Call call;
    Express express_call;
    express_call.m = axes_.empty() ? Size::of(1) : Size::along(axes_.back().dim);
    express_call.n = column_dim >= 0 ? Size::along(column_dim) : Size::of(columns);
    express_call.expression = express(w.nodes, {}, columns, column_dim, call.operands, results);
    const std::vector<Broadcast> shapes = shapes_of(express_call.expression, call.operands, false);
    for (size_t i = 0; i < results.size(); ++i) {
      Operand o = store(results[i], shapes[i], columns);
      o.strides.resize(out_.program.dims.size(), 0);
      if (column_dim >= 0) o.strides[static_cast<size_t>(column_dim)] = 1;
      call.operands.push_back(o);
    }
    call.what = express_call;
    stages.push_back({"", {call}});
  }

  int64_t last_extent(Value v) const {
    const Extents e = extents(v);
    return e.empty() ? 1 : e.back();
  }

  // --- Fourier transforms ---

  void emit_transform(const Work& w, std::vector<Stage>& stages) {
    const Node& nd = node(w.node);
    const Value from = nd.inputs[0], to = nd.outputs[0];
    const RowTransform spec = *row_transform(view_of(g_, nd));
    require(type(from).dtype == DType::f32, "a transform of other than f32");
    require(!axes_.empty() && axes_.back().last + 2 == space_.size() && axes_.back().extent == rows_ && rows_ > 1,
            "a transform of a single row");
    Transform t;
    t.length = spec.length;
    t.columns = spec.columns;
    t.kind = spec.from_real ? kernels::FftKind::real_forward
             : spec.to_real ? kernels::FftKind::real_inverse
             : spec.inverse ? kernels::FftKind::inverse
                            : kernels::FftKind::forward;
    t.scale = spec.scale;
    Operand a;
    if (place(from).kind == Place::Kind::operand) {
      const StridedView view = transformed(w);
      const std::vector<int64_t> walk = aligned(view);
      require(last_extent(from) == 1 || view.strides.back() == 1, "columns that do not follow each other");
      a.buffer = place(from).input;
      a.offset = view.offset;
      a.strides.assign(out_.program.dims.size(), 0);
      for (size_t i = 0; i + 1 < axes_.size(); ++i) a.strides[static_cast<size_t>(axes_[i].dim)] = walk[axes_[i].last];
      a.leading = walk[axes_.back().last];
    } else {
      require(!spec.from_real && !spec.to_real, "a transform of real numbers inside the group");
      a = stored_.at(from.id);
      require(a.broadcast == Broadcast::none, "a column as an operand of a transform");
    }
    const auto length = static_cast<double>(spec.length);
    out_.flops += 5 * length * std::log2(length) * (spec.from_real || spec.to_real ? 0.5 : 1) *
                  static_cast<double>(spec.columns) * static_cast<double>(total_rows()) / static_cast<double>(rows_);
    Call call;
    call.what = t;
    const Operand b = store(to, Broadcast::none, last_extent(to));
    require(b.broadcast == Broadcast::none, "a transform into a column");
    call.operands = {a, b};
    stages.push_back({"", {call}});
  }

  // --- products ---

  void emit_product(const Work& w, const Work* epilogue, std::vector<Stage>& stages) {
    TileProgram& p = out_.program;
    const Node& nd = node(w.node);
    const Value result = nd.outputs[0];
    const bool ta = std::get<bool>(nd.attributes.at("transpose_a")),
               tb = std::get<bool>(nd.attributes.at("transpose_b"));
    const DType dtype = type(nd.inputs[0]).dtype;
    require(dtype == DType::f32 || dtype == DType::bf16, "a product of other than f32 and bf16");
    require(type(nd.inputs[1]).dtype == dtype, "a product of two dtypes");
    MatmulProblem problem;
    problem.a = problem.b = dtype;
    problem.compute = dtype == DType::bf16 ? Compute::bf16 : Compute::f32;
    problem.n = extents(result).back();
    const Extents a_extents = extents(nd.inputs[0]);
    problem.k = ta ? a_extents[a_extents.size() - 2] : a_extents.back();
    problem.m = rows_;
    require(problem.k > 0, "an empty sum");
    out_.flops +=
        2.0 * static_cast<double>(total_rows()) * static_cast<double>(problem.n) * static_cast<double>(problem.k);
    const std::vector<Value> results = epilogue != nullptr ? results_of(*epilogue) : std::vector<Value>{result};
    const DType c_dtype = type(results[0]).dtype;

    // k in the blocks of the numerical recipe, n in panels of b.
    const MatmulBlocks blocks = blocks_of(nd);
    const int64_t panel_width = dtype == DType::bf16         ? 16
                                : target_.isa >= Isa::avx512 ? 64
                                : target_.isa == Isa::avx2   ? 16
                                                             : 16;
    int32_t k_dim = -1;
    if (problem.k > blocks.k) k_dim = p.add_dim("k", problem.k, {blocks.k}, true);

    Operand b = pack(nd.inputs[1], problem, tb, panel_width);
    const bool packed = !direct_;
    int64_t step = packed ? (dtype == DType::bf16 ? 64 : panel_width) : round_up(std::min<int64_t>(problem.n, 256), 64);
    int32_t n_dim = -1;
    int64_t span = alone_ ? round_up(std::min(blocks.n_span, problem.n), step) : step;
    // A product alone is cut into wider or narrower tasks; in a chain, calls are wider or narrower where b allows it.
    if (alone_ || !packed || dtype == DType::bf16) {
      ScheduleFreedom& free = out_.freedom;
      free.columns = std::max(free.columns, problem.n);
      free.made.columns = std::max(free.made.columns, span);
      free.column_unit = alone_ ? step : 64;
      if (choice_.columns > 0) span = round_up(std::min(choice_.columns, problem.n), free.column_unit);
      if (!alone_) step = span;
    }
    if (problem.n > step)
      n_dim = p.add_dim("n", problem.n, span > step ? std::vector<int64_t>{span, step} : std::vector<int64_t>{step});
    const size_t dims = p.dims.size();
    require(dims <= kMaxDims, "it has too many dims");
    b.strides.resize(dims, 0);
    const int64_t panel_elements = panel_width * (dtype == DType::bf16 ? round_up(problem.k, 32) : problem.k);
    if (packed) {
      if (n_dim >= 0) b.strides[static_cast<size_t>(n_dim)] = panel_elements / panel_width;
      if (k_dim >= 0) b.strides[static_cast<size_t>(k_dim)] = panel_width;
      b.leading = dtype == DType::bf16 ? panel_elements : panel_width;
    } else {
      if (n_dim >= 0) b.strides[static_cast<size_t>(n_dim)] = 1;
      if (k_dim >= 0) b.strides[static_cast<size_t>(k_dim)] = b.leading;
    }

    Contract c;
    c.m = axes_.empty() ? Size::of(1) : Size::along(axes_.back().dim);
    c.n = n_dim >= 0 ? Size::along(n_dim) : Size::of(problem.n);
    c.k = k_dim >= 0 ? Size::along(k_dim) : Size::of(problem.k);
    c.compute = problem.compute;
    c.packing = dtype == DType::bf16 ? Packing::panels16 : Packing::plain;
    c.sum = k_dim;

    Operand a;
    if (place(nd.inputs[0]).kind == Place::Kind::operand) {
      StridedView view = place(nd.inputs[0]).view;
      const size_t r = view.extents.size();
      if (ta) {
        std::swap(view.extents[r - 1], view.extents[r - 2]);
        std::swap(view.strides[r - 1], view.strides[r - 2]);
      }
      const std::vector<int64_t> walk = aligned(view);
      const int64_t row_stride = axes_.empty() ? 0 : walk[axes_.back().last], k_stride = view.strides[r - 1];
      c.trans_a = k_stride != 1 && problem.k > 1;
      require(!c.trans_a || row_stride == 1, "rows of a that are not dense");
      require(!c.trans_a || dtype == DType::f32, "a transposed a in bf16");
      require(row_stride != 0 || rows_ == 1, "rows of a repeat");
      a.buffer = place(nd.inputs[0]).input;
      a.offset = view.offset;
      a.strides.assign(dims, 0);
      for (const Axis& axis : axes_) a.strides[static_cast<size_t>(axis.dim)] = walk[axis.last];
      if (k_dim >= 0) a.strides[static_cast<size_t>(k_dim)] = k_stride;
      a.leading = c.trans_a ? k_stride : std::max(row_stride, problem.k);
    } else {
      require(!ta, "a transposed intermediate result");
      a = stored_.at(nd.inputs[0].id);
      require(a.broadcast == Broadcast::none, "a column as an operand of a product");
      a.strides.resize(dims, 0);
      if (k_dim >= 0) a.strides[static_cast<size_t>(k_dim)] = 1;
    }

    // Sums of several blocks of k are kept in f32 until they are complete.
    Operand target = store(results[0], Broadcast::none, problem.n);
    target.strides.resize(dims, 0);
    if (n_dim >= 0) target.strides[static_cast<size_t>(n_dim)] = 1;
    std::vector<Operand> extra;
    Expression expression;
    if (epilogue != nullptr) expression = express(epilogue->nodes, result, problem.n, n_dim, extra, results);
    const int64_t sum_columns = n_dim < 0 ? problem.n : span;
    // An epilogue that reads more than rows and columns does so for all columns of the task at once: a call's columns
    // of it would be a line here and a line there, which no prefetcher foresees.
    const bool reads_tiles = std::any_of(
        extra.begin(), extra.end(), [](const Operand& o) { return o.broadcast == Broadcast::none && o.leading != 0; });
    const bool afterwards = alone_ && reads_tiles && span > step && row_step_ * sum_columns * 4 <= target_.l2_bytes / 4;
    const bool finishes = afterwards || (k_dim >= 0 && c_dtype != DType::f32);
    Stage stage;
    // Alone, a product's columns are cut among tasks as its rows are, and a block of a stays in the cache for all
    // columns of the task; in a chain, the sums of a few columns are completed before the next.
    if (!alone_ && n_dim >= 0) stage.loops += p.letter(n_dim);
    if (k_dim >= 0) stage.loops += p.letter(k_dim);
    if (alone_ && n_dim >= 0) {
      columns_dim_ = n_dim;
      if (span > step) stage.loops += p.letter(n_dim);
    }
    Operand sums = target;
    if (finishes) {
      sums = {};
      sums.buffer = panel("sums", DType::f32, sum_columns);
      sums.strides.assign(dims, 0);
      if (n_dim >= 0 && alone_) sums.strides[static_cast<size_t>(n_dim)] = 1;
      sums.leading = sum_columns;
    }
    Call product;
    product.operands = {a, b, sums};
    if (finishes && epilogue == nullptr) expression.output(expression.input(0));
    if (!finishes && epilogue != nullptr) {
      c.epilogue = expression;
      product.operands.insert(product.operands.end(), extra.begin(), extra.end());
    }
    product.what = c;
    stage.calls.push_back(product);
    if (finishes) {
      Call finish;
      Express express_call;
      express_call.m = c.m;
      express_call.n = c.n;
      express_call.expression = expression;
      finish.what = express_call;
      finish.operands = {sums};
      finish.operands.insert(finish.operands.end(), extra.begin(), extra.end());
      finish.operands.push_back(target);
      if (afterwards) {
        stages.push_back(std::move(stage));
        stages.push_back({"", {finish}});
        return;
      }
      finish.when = {When::Kind::last, k_dim};
      stage.calls.push_back(finish);
    }
    stages.push_back(std::move(stage));
  }

  /// b as the kernels read it: where it is, packed beforehand, or packed by a phase of its own. Sets direct_.
  Operand pack(Value value, const MatmulProblem& problem, bool trans, int64_t panel_width) {
    const StridedView& view = place(value).view;
    const int32_t input = place(value).input;
    const size_t r = view.extents.size();
    const int64_t k_stride = view.strides[r - (trans ? 1 : 2)], n_stride = view.strides[r - (trans ? 2 : 1)];
    const bool interleaved = problem.b == DType::bf16;
    const bool is_constant = static_cast<size_t>(input) < constant_.size() && constant_[static_cast<size_t>(input)];
    const bool stored_trans = problem.n > 1 && n_stride != 1;
    require(!stored_trans || k_stride == 1 || problem.k == 1, "columns of b that do not follow each other");
    const int64_t leading = stored_trans ? n_stride : k_stride;
    StridedView matrices = view;
    matrices.extents[r - 2] = matrices.extents[r - 1] = 1;
    const std::vector<int64_t> walk = aligned(matrices);
    Operand b;
    b.strides.assign(out_.program.dims.size(), 0);
    std::vector<const Axis*> own;  // axes along which b changes
    for (const Axis& axis : axes_)
      if (walk[axis.last] != 0) own.push_back(&axis);
    constexpr int64_t kPackRows = 24;
    direct_ = !interleaved && !stored_trans && !is_constant &&
              ((own.empty() ? total_rows() : rows_) < kPackRows || problem.k * problem.n * 4 <= target_.l2_bytes / 8);
    if (!interleaved && !stored_trans && !is_constant) {
      using Right = ScheduleChoice::Right;
      out_.freedom.made.right = direct_ ? Right::direct : Right::packed;
      if (choice_.right != Right::formula) direct_ = choice_.right == Right::direct;
    }
    if (direct_) {
      b.buffer = input;
      b.offset = view.offset;
      for (const Axis* axis : own) b.strides[static_cast<size_t>(axis->dim)] = walk[axis->last];
      b.leading = std::max(leading, problem.n);
      return b;
    }
    const int64_t panel_elements = panel_width * (interleaved ? round_up(problem.k, 32) : problem.k);
    const int64_t matrix = ceil_div(problem.n, panel_width) * panel_elements;
    int64_t elements = matrix;
    for (auto axis = own.rbegin(); axis != own.rend(); ++axis) {
      b.strides[static_cast<size_t>((*axis)->dim)] = elements;
      elements *= (*axis)->extent;
    }
    require(own.empty() || own.back()->dim != axes_.back().dim || rows_ == 1, "b changes from row to row");
    // Strips wide enough for whole pages of a row, short enough for the cache.
    const bool before = is_constant && uses_of_input(input) == 1;
    TileProgram own_program;
    TileProgram& p = before ? own_program : out_.program;
    std::map<int32_t, int32_t> dim_of;
    std::string schedule;
    if (before) {
      p.name = fmt::format("pack in{}", input);
      for (const Axis* axis : own) dim_of[axis->dim] = p.add_dim("batch", axis->extent, {1});
    } else {
      for (const Axis* axis : own) dim_of[axis->dim] = axis->dim;
    }
    for (const Axis* axis : own) schedule += static_cast<char>(p.letter(dim_of[axis->dim]) - 'a' + 'A');
    const int64_t n_strip = round_up(std::min<int64_t>(problem.n, 512), panel_width),
                  k_strip = std::min<int64_t>(problem.k, 256);
    Move move;
    move.op = interleaved ? LayoutOp::panels16 : LayoutOp::column_panels;
    move.width = interleaved ? 0 : panel_width;
    move.trans = stored_trans;
    move.m = Size::of(problem.k);
    move.n = Size::of(problem.n);
    Operand from, to;
    int32_t n_dim = -1, k_dim = -1;
    if (problem.n > n_strip) n_dim = p.add_dim("pack n", problem.n, {n_strip});
    if (problem.k > k_strip) k_dim = p.add_dim("pack k", problem.k, {k_strip});
    require(p.dims.size() <= kMaxDims, "it has too many dims");
    from.strides.assign(p.dims.size(), 0);
    to.strides.assign(p.dims.size(), 0);
    if (n_dim >= 0) {
      schedule += static_cast<char>(p.letter(n_dim) - 'a' + 'A');
      move.n = Size::along(n_dim);
      from.strides[static_cast<size_t>(n_dim)] = n_stride;
      to.strides[static_cast<size_t>(n_dim)] = panel_elements / panel_width;
    }
    if (k_dim >= 0) {
      schedule += static_cast<char>(p.letter(k_dim) - 'a' + 'A');
      move.m = Size::along(k_dim);
      from.strides[static_cast<size_t>(k_dim)] = k_stride;
      to.strides[static_cast<size_t>(k_dim)] = panel_width;
    }
    for (const Axis* axis : own) {
      from.strides[static_cast<size_t>(dim_of[axis->dim])] = walk[axis->last];
      to.strides[static_cast<size_t>(dim_of[axis->dim])] = b.strides[static_cast<size_t>(axis->dim)];
    }
    from.offset = view.offset;
    from.leading = std::max(leading, stored_trans ? problem.k : problem.n);
    to.leading = panel_elements;
    if (before) {
      from.buffer = p.add_buffer("plain", Scope::argument, problem.b,
                                 type(g_.inputs()[static_cast<size_t>(input)]).shape.elements());
      to.buffer = p.add_buffer("packed", Scope::argument, problem.b, elements);
    } else {
      from.buffer = input;
      to.buffer = p.add_buffer(fmt::format("packed{}", panels_++), Scope::memory, problem.b, elements);
    }
    Call call;
    call.what = move;
    call.operands = {from, to};
    p.phases.push_back({schedule, {{"", {call}}}});
    if (p.dims.empty()) p.add_dim("one", 1, {1});
    if (before) {
      out_.packed.push_back({input, own_program});
      b.buffer = input;
      out_.program.buffers[static_cast<size_t>(input)].elements = elements;
    } else {
      b.buffer = to.buffer;
    }
    b.strides.resize(out_.program.dims.size(), 0);
    return b;
  }

  int uses_of_input(int32_t input) const {
    int uses = 0;
    for (const Node& nd : g_.nodes()) {
      if (moves(nd)) continue;
      for (const Value v : nd.inputs) {
        const Place& p = places_[static_cast<size_t>(v.id)];
        uses += p.kind == Place::Kind::operand && p.input == input;
      }
    }
    return uses;
  }

  void finish(std::vector<Stage> stages) {
    TileProgram& p = out_.program;
    // Enough work for several threads: one parallel region over all rows.
    double elements = static_cast<double>(total_rows()) * static_cast<double>(width_);
    constexpr double kParallelElements = 1 << 15, kParallelFlops = 1 << 20;
    const bool parallel = target_.cores > 1 && (elements >= kParallelElements || out_.flops >= kParallelFlops);
    std::string schedule;
    for (const Axis& a : axes_) schedule += p.letter(a.dim);
    if (columns_dim_ >= 0) schedule += p.letter(columns_dim_);
    if (parallel)
      for (char& c : schedule) c = static_cast<char>(c - 'a' + 'A');
    if (p.dims.empty()) p.add_dim("one", 1, {1});
    p.name = g_.name();
    p.phases.push_back({schedule, std::move(stages)});
    // Tasks that follow each other share rows of a or columns of b, whichever moves less.
    if (alone_ && !axes_.empty() && columns_dim_ >= 0) {
      using Order = ScheduleChoice::Order;
      TileProgram turned = p;
      std::string& other = turned.phases.back().schedule;
      std::swap(other[other.size() - 1], other[other.size() - 2]);
      const bool turns =
          choice_.order == Order::columns ||
          (choice_.order == Order::formula && predict(turned, target_).bytes < predict(p, target_).bytes);
      out_.freedom.made.order = turns ? Order::columns : Order::rows;
      if (turns) p = std::move(turned);
      std::string& last = p.phases.back().schedule;
      if (choice_.order == Order::curve)
        last = last.substr(0, last.size() - 2) + '<' + last.substr(last.size() - 2) + '>';
    }
  }

  const Graph& g_;
  const Target& target_;
  const std::vector<bool>& constant_;
  const ScheduleChoice& choice_;
  LoweredRegion out_;
  std::vector<Place> places_;
  std::vector<int> level_, uses_;
  std::vector<Work> work_;
  std::map<int32_t, std::pair<int32_t, StridedView>> outputs_;  // result -> output and where it lies
  std::map<int32_t, Operand> stored_;                           // result -> where later stages find it
  Extents space_;
  std::vector<Axis> axes_;
  size_t column_axis_ = 0;
  int64_t rows_ = 1, width_ = 1, row_step_ = 1, column_step_ = 1;
  bool has_product_ = false, has_transform_ = false, whole_rows_ = false, direct_ = false, alone_ = false;
  int32_t columns_dim_ = -1;
  int panels_ = 0;
};

}  // namespace

Result<LoweredRegion> lower_region(const Graph& region, const Target& target, const std::vector<bool>& constant,
                                   const ScheduleChoice& choice) {
  if (has_convolution(region)) return lower_convolution(region, target, constant);
  if (wants_boxes(region))
    if (auto lowered = lower_boxes(region, target)) return lowered;
  try {
    LoweredRegion lowered = Lowering(region, target, constant, choice).run();
    verify(lowered.program);
    return lowered;
  } catch (const Refusal& refusal) {
    return Error(ErrorCode::unsupported, refusal.why);
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace gregale::tile
