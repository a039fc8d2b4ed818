// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/region_lowering.hpp"

#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {

using kernels::Broadcast;
using kernels::Compute;
using kernels::Expression;

// --- buffers ---

void RegionLowering::declare_buffers() {
  for (size_t i = 0; i < g_.inputs().size(); ++i)
    out_.program.add_buffer(fmt::format("in{}", i), Scope::argument, type(g_.inputs()[i]).dtype,
                            type(g_.inputs()[i]).shape.elements());
  for (size_t i = 0; i < g_.outputs().size(); ++i)
    out_.program.add_buffer(fmt::format("out{}", i), Scope::argument, type(g_.outputs()[i]).dtype,
                            type(g_.outputs()[i]).shape.elements());
  choose_row_step();
}

void RegionLowering::choose_row_step() {
  int64_t row_bytes = 0, hidden_bytes = 0;  // of a row; of the weights of one step between a pair of products
  for (const Work& w : work_) {
    const auto add = [&](Value v) { row_bytes += last_extent(v) * size_of(type(v).dtype); };
    if (w.pair == Work::Pair::first) {
      const Extents a = extents(node(w.node).inputs[0]);
      row_bytes += (hidden_step_ + a.back()) * size_of(DType::bf16);
      hidden_bytes += hidden_step_ * a.back() * size_of(DType::bf16);
    } else if (w.pair == Work::Pair::second) {
      row_bytes += last_extent(node(w.node).outputs[0]) * size_of(DType::f32);
      hidden_bytes += hidden_step_ * last_extent(node(w.node).outputs[0]) * size_of(DType::bf16);
    } else if (w.node >= 0) {
      add(node(w.node).outputs[0]);
    }
    if (!w.product && !w.folded && hidden_step_ == 0)
      for (const Value v : results_of(w)) add(v);
  }
  const auto products = std::count_if(work_.begin(), work_.end(), [](const Work& w) { return w.product; });
  const auto passes = std::count_if(work_.begin(), work_.end(), [](const Work& w) { return !w.folded; });
  alone_ = products == 1 && passes == 1;
  for (const Work& w : work_)
    if (w.product)
      multiplies_tiles_ |= kernels::has_tiles(target_) && type(node(w.node).inputs[0]).dtype == DType::bf16;
  // Products of bf16, or of what the group computes, that sum over the rows.
  turns_rows_ = products > 1 && std::any_of(work_.begin(), work_.end(), [&](const Work& w) {
                  return w.product && std::get<bool>(node(w.node).attributes.at("transpose_a")) &&
                         (place(node(w.node).inputs[0]).kind != Place::Kind::operand ||
                          type(node(w.node).inputs[0]).dtype == DType::bf16);
                });
  if (turns_rows_) {
    constexpr int64_t kMostRows = 512;  // panels of so many rows and columns are in the next cache, if not in L2
    require(rows_ <= kMostRows, "too many rows for one block");
    row_step_ = rows_;
  } else if (has_transform_) {
    row_step_ = rows_;
    require(row_bytes * rows_ <= target_.l2_bytes, "whole columns do not fit in the cache");
  } else if (alone_) {
    row_step_ = blocks_of(node(work_[0].node)).m;
  } else if (has_product_) {
    // A pair's weights stream by: the more rows they are used for, the better. Half of a step's are in L2 at a time.
    const int64_t cache = hidden_step_ > 0 ? target_.l2_bytes / 10 * 9 - hidden_bytes / 2 : target_.l2_bytes / 4;
    const int64_t most_rows = hidden_step_ > 0 ? 256 : 192;
    const int64_t most = std::clamp<int64_t>(cache / std::max<int64_t>(1, row_bytes), row_unit(), most_rows);
    row_step_ = balanced_block(rows_, most, row_unit());
    int64_t batches = total_rows() / std::max<int64_t>(1, rows_);
    // The tile unit would wait for b's columns if they were used for few rows.
    const int64_t cells_per_core = multiplies_tiles_ ? 2 : 4, least = multiplies_tiles_ ? 64 : 24;
    while (target_.cores > 1 && row_step_ > least &&
           batches * ceil_div(rows_, row_step_) < cells_per_core * target_.cores)
      row_step_ = round_up(ceil_div(row_step_, 2), row_unit());
    if (multiplies_tiles_) row_step_ = ceil_div(rows_, ceil_div(rows_, row_step_));
    if (hidden_step_ > 0) row_step_ = std::min(rows_, round_up(row_step_, row_unit()));
  } else {
    // Where rows are summed, a block is part of the numerical recipe: constants, never the target's, nor tuned.
    constexpr int64_t kTileElements = 8192, kSummedRows = 32;
    column_step_ = whole_rows_ ? width_ : std::min(width_, kTileElements);
    row_step_ = std::clamp<int64_t>(kTileElements / std::max<int64_t>(1, column_step_), 1, std::max<int64_t>(1, rows_));
    if (!sums_.empty()) row_step_ = std::min(rows_, kSummedRows);
  }
  if (!sums_.empty()) {
    if (!axes_.empty()) out_.program.dims[static_cast<size_t>(axes_.back().dim)].steps = {row_step_};
    add_partials();
    return;
  }
  ScheduleFreedom& free = out_.freedom;
  free.rows = rows_;
  if (rows_ > 1) free.made.rows = row_step_;
  if (has_product_) free.row_unit = row_unit();
  if (choice_.rows > 0) row_step_ = std::min(choice_.rows, std::max<int64_t>(1, rows_));
  if (!has_product_ && !whole_rows_) {
    free.columns = width_;
    free.made.columns = column_step_;
    free.column_unit = 64;
    if (choice_.columns > 0) column_step_ = std::min(choice_.columns, width_);
  }
  if (!axes_.empty()) out_.program.dims[static_cast<size_t>(axes_.back().dim)].steps = {row_step_};
}

int64_t RegionLowering::parts() const {
  int64_t parts = 1;
  for (const Axis& a : axes_) parts *= a.dim == axes_.back().dim ? ceil_div(a.extent, row_step_) : a.extent;
  return parts;
}

void RegionLowering::add_partials() {
  for (RowSum& s : sums_)
    s.partials = out_.program.add_buffer(fmt::format("partials{}", &s - sums_.data()), Scope::memory, DType::f32,
                                         parts() * last_extent(s.of));
}

MatmulBlocks RegionLowering::blocks_of(const Node& nd) {
  const bool ta = std::get<bool>(nd.attributes.at("transpose_a"));
  const bool tb = std::get<bool>(nd.attributes.at("transpose_b"));
  const Extents a = extents(nd.inputs[0]);
  const int64_t n = extents(nd.outputs[0]).back(), k = ta ? a[a.size() - 2] : a.back();
  MatmulProblem p = dense_matmul(rows_, n, k, ta, tb);
  p.a = p.b = type(nd.inputs[0]).dtype;
  const bool parts = in_parts(nd);
  p.compute = parts ? Compute::fp32x3 : p.a == DType::bf16 ? Compute::bf16 : Compute::f32;
  p.packed_b = true;
  if (rows_ > 0 && total_rows() > rows_) {
    p.batch.rank = 1;
    p.batch.extents[0] = total_rows() / rows_;
    p.batch.a_strides[0] = p.batch.b_strides[0] = p.batch.c_strides[0] = 1;
  }
  // Sums are kept apart from the result where there is more to do with them.
  p.c = parts ? DType::f32 : work_.size() > 1 ? DType::bf16 : type(nd.outputs[0]).dtype;
  return Matmul::default_blocks(target_, p);
}

// --- operands ---

Operand RegionLowering::operand_of(int32_t buffer, int64_t offset, const std::vector<int64_t>& walk, int64_t columns,
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

Operand RegionLowering::read(Value v, int64_t columns, int32_t column_dim) {
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

Operand RegionLowering::store(Value v, Broadcast shape, int64_t columns) {
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
    const int64_t leading = along_columns ? panel_leading(type(v).dtype, columns) : 1;
    o.buffer = panel(along_columns ? "panel" : "column", type(v).dtype, leading);
    o.strides.assign(out_.program.dims.size(), 0);
    if (shape == Broadcast::none) o.leading = leading;
  }
  o.broadcast = shape;
  stored_[v.id] = o;
  return o;
}

std::vector<Broadcast> RegionLowering::shapes_of(const Expression& e, const std::vector<Operand>& inputs, bool sums) {
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

Expression RegionLowering::express(const std::vector<int32_t>& nodes, std::optional<Value> sums, int64_t columns,
                                   int32_t column_dim, std::vector<Operand>& operands,
                                   const std::vector<Value>& results) {
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
  for (const RowSum& s : sums_)
    if (const auto found = ids.find(s.of.id);
        found != ids.end() &&
        std::any_of(nodes.begin(), nodes.end(), [&](int32_t n) { return node(n).outputs[0] == s.of; }))
      e.output(e.apply(kernels::ExprOp::column_sum, found->second));
  return e;
}

void RegionLowering::emit(size_t index, std::vector<Stage>& stages) {
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
  for (const RowSum* s : sums_of(w)) {
    require(last_extent(s->of) == columns, "a sum that is narrower than its tile");
    Operand o;
    o.buffer = s->partials;
    o.by_step = true;
    o.broadcast = Broadcast::row;
    o.strides.assign(out_.program.dims.size(), 0);
    int64_t stride = columns;
    for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
      o.strides[static_cast<size_t>(axis->dim)] = stride;
      stride *= axis == axes_.rbegin() ? ceil_div(axis->extent, row_step_) : axis->extent;
    }
    call.operands.push_back(o);
  }
  call.what = express_call;
  stages.push_back({"", {call}});
}

}  // namespace gregale::tile
