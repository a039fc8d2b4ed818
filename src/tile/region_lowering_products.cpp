// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/region_lowering.hpp"

#include <algorithm>
#include <cctype>

#include "gregale/error.hpp"
#include "tile/cut.hpp"
#include "tile/ledger.hpp"

namespace gregale::tile {

using kernels::Compute;
using kernels::LayoutOp;
using kernels::Packing;

// --- Fourier transforms ---

void RegionLowering::emit_transform(const Work& w, std::vector<Stage>& stages) {
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

void RegionLowering::emit_product(const Work& w, const Work* epilogue, std::vector<Stage>& stages) {
  TileProgram& p = out_.program;
  const Node& nd = node(w.node);
  const Value result = nd.outputs[0];
  const bool ta = std::get<bool>(nd.attributes.at("transpose_a")), tb = std::get<bool>(nd.attributes.at("transpose_b"));
  const DType dtype = type(nd.inputs[0]).dtype;
  require(dtype == DType::f32 || dtype == DType::bf16, "a product of other than f32 and bf16");
  require(type(nd.inputs[1]).dtype == dtype, "a product of two dtypes");
  MatmulProblem problem;
  problem.a = problem.b = dtype;
  bytes_ = of_bytes(nd);
  const bool parts = in_parts(nd), interleaved = parts || dtype == DType::bf16;
  problem.compute = parts ? Compute::fp32x3 : dtype == DType::bf16 ? Compute::bf16 : Compute::f32;
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
  const int64_t panel_width = interleaved ? 16 : target_.isa >= Isa::avx512 ? 64 : target_.isa == Isa::avx2 ? 16 : 16;
  const bool first = w.pair == Work::Pair::first, second = w.pair == Work::Pair::second;
  int32_t k_dim = -1;
  if (second) {
    k_dim = hidden_dim_;
  } else if (problem.k > blocks.k) {
    k_dim = p.add_dim("k", problem.k, {blocks.k}, true);
  }

  problem_in_steps_ = second;
  Operand b = pack(nd.inputs[1], problem, tb, panel_width, stages);
  const bool packed = !direct_;
  int64_t step = packed ? (interleaved ? 64 : panel_width) : round_up(std::min<int64_t>(problem.n, 256), 64);
  int32_t n_dim = -1;
  int64_t span = alone_ ? round_up(std::min(blocks.n_span, problem.n), step) : step;
  if (first) span = step = hidden_step_;
  if (second || (parts && !alone_)) span = step = problem.n;  // each call splits its rows of a: for all columns
  // A product alone is cut into wider or narrower tasks; in a chain, calls are wider or narrower where b allows it.
  if (!first && !second && (alone_ || !packed || dtype == DType::bf16)) {
    ScheduleFreedom& free = out_.freedom;
    free.columns = std::max(free.columns, problem.n);
    free.made.columns = std::max(free.made.columns, span);
    free.column_unit = alone_ ? step : 64;
    if (choice_.columns > 0) span = round_up(std::min(choice_.columns, problem.n), free.column_unit);
    if (!alone_ || parts) step = span;
  }
  if (first) {
    n_dim = hidden_dim_ = p.add_dim("hidden", problem.n, {step}, true);
  } else if (problem.n > step) {
    n_dim = p.add_dim("n", problem.n, span > step ? std::vector<int64_t>{span, step} : std::vector<int64_t>{step});
  }
  const size_t dims = p.dims.size();
  require(dims <= kMaxDims, "it has too many dims");
  b.strides.resize(dims, 0);
  const int64_t panel_elements = elements_of_panel(problem, panel_width);
  if (packed) {
    if (n_dim >= 0) b.strides[static_cast<size_t>(n_dim)] = panel_elements / panel_width;
    if (k_dim >= 0) b.strides[static_cast<size_t>(k_dim)] = panel_width;
    b.leading = interleaved ? panel_elements : panel_width;
  } else {
    if (n_dim >= 0) b.strides[static_cast<size_t>(n_dim)] = 1;
    if (k_dim >= 0) b.strides[static_cast<size_t>(k_dim)] = b.leading;
  }

  Contract c;
  c.m = axes_.empty() ? Size::of(1) : Size::along(axes_.back().dim);
  c.n = n_dim >= 0 ? Size::along(n_dim) : Size::of(problem.n);
  c.k = k_dim >= 0 ? Size::along(k_dim) : Size::of(problem.k);
  c.compute = problem.compute;
  c.packing = parts ? Packing::panels16x3 : interleaved ? Packing::panels16 : Packing::plain;
  c.sum = k_dim;
  c.own_chain = !multiplies_tiles_;  // as tile::Matmul has it

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
    require(!c.trans_a || dtype == DType::f32 || turns_rows_, "a transposed a in bf16");
    require(row_stride != 0 || rows_ == 1, "rows of a repeat");
    a.buffer = place(nd.inputs[0]).input;
    a.offset = view.offset;
    a.strides.assign(dims, 0);
    for (const Axis& axis : axes_) a.strides[static_cast<size_t>(axis.dim)] = walk[axis.last];
    if (k_dim >= 0) a.strides[static_cast<size_t>(k_dim)] = k_stride;
    a.leading = c.trans_a ? k_stride : std::max(row_stride, problem.k);
    if (c.trans_a && turns_rows_) {
      a = turn(a, dtype, problem.k, k_dim, stages);
      c.trans_a = false;
    }
  } else {
    a = stored_.at(nd.inputs[0].id);
    require(a.broadcast == Broadcast::none, "a column as an operand of a product");
    require(!ta || last_extent(nd.inputs[0]) == rows_, "a transposed part of the rows");
    if (ta) a = turn(a, dtype, problem.k, k_dim, stages);
    a.strides.resize(dims, 0);
    if (k_dim >= 0 && !second) a.strides[static_cast<size_t>(k_dim)] = 1;
  }

  // Sums of several blocks of k are kept in f32 until they are complete.
  Operand target;
  if (first) {
    target.leading = panel_leading(c_dtype, step);
    target.buffer = panel("hidden", c_dtype, target.leading);
    target.strides.assign(dims, 0);
    stored_[results[0].id] = target;
  } else {
    target = store(results[0], Broadcast::none, problem.n);
    target.strides.resize(dims, 0);
    if (n_dim >= 0) target.strides[static_cast<size_t>(n_dim)] = 1;
  }
  std::vector<Operand> extra;
  Expression expression;
  if (epilogue != nullptr) expression = express(epilogue->nodes, result, problem.n, n_dim, extra, results);
  const int64_t sum_columns = n_dim < 0 ? problem.n : span;
  // An epilogue that reads more than rows and columns does so for all columns of the task at once: a call's columns
  // of it would be a line here and a line there, which no prefetcher foresees.
  const bool reads_tiles = std::any_of(
      extra.begin(), extra.end(), [](const Operand& o) { return o.broadcast == Broadcast::none && o.leading != 0; });
  const int64_t sums_leading = panel_leading(DType::f32, sum_columns);
  const bool afterwards = alone_ && reads_tiles && span > step &&
                          row_step_ * sums_leading * 4 <= target_.l2_bytes / (multiplies_tiles_ ? 2 : 4);
  const bool finishes = afterwards || second || (k_dim >= 0 && c_dtype != DType::f32);
  Stage stage;
  // Alone, a product's columns are cut among tasks as its rows are, and a block of a stays in the cache for all
  // columns of the task; in a chain, the sums of a few columns are completed before the next.
  if (!alone_ && n_dim >= 0) stage.loops += p.letter(n_dim);
  if (k_dim >= 0) stage.loops += p.letter(k_dim);
  if (alone_ && n_dim >= 0) {
    columns_dim_ = n_dim;
    if (span > step) stage.loops += p.letter(n_dim);
  }
  if (first) hidden_stage_ = {};
  Operand sums = target;
  if (finishes) {
    sums = {};
    sums.buffer = panel("sums", DType::f32, sums_leading);
    sums.strides.assign(dims, 0);
    if (n_dim >= 0 && alone_) sums.strides[static_cast<size_t>(n_dim)] = 1;
    sums.leading = sums_leading;
  }
  if (std::optional<Call> copy = copy_rows(a, c, problem, alone_ ? span : problem.n)) {
    const bool each_block = k_dim >= 0;
    if (each_block && stage.loops.back() == p.letter(n_dim)) copy->when = {When::Kind::first, n_dim};
    if (each_block) {
      stage.calls.push_back(*copy);
    } else {
      stages.push_back({"", {*copy}});
    }
  }
  Call product;
  product.operands = {a, b, sums};
  if (finishes && epilogue == nullptr) expression.output(expression.input(0));
  if (!finishes && epilogue != nullptr) {
    c.epilogue = expression;
    product.operands.insert(product.operands.end(), extra.begin(), extra.end());
  }
  product.what = c;
  if (first || second) {
    hidden_stage_.loops = p.letter(hidden_dim_);
    hidden_stage_.calls.push_back(product);
    if (first) return;
    stage = std::move(hidden_stage_);
  } else {
    stage.calls.push_back(product);
  }
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
    if (afterwards || second) {
      stages.push_back(std::move(stage));
      stages.push_back({"", {finish}});
      return;
    }
    finish.when = {When::Kind::last, k_dim};
    stage.calls.push_back(finish);
  }
  stages.push_back(std::move(stage));
}

Operand RegionLowering::turn(const Operand& a, DType dtype, int64_t depth, int32_t k_dim, std::vector<Stage>& stages) {
  require(row_step_ >= rows_ && k_dim < 0, "a transposed part of the rows");
  Operand turned;
  turned.leading = panel_leading(dtype, depth);
  turned.buffer = panel("turned", dtype, turned.leading);
  turned.strides.assign(out_.program.dims.size(), 0);
  Move move;
  move.op = LayoutOp::transpose;
  move.m = Size::of(depth);
  move.n = Size::of(rows_);
  Call call;
  call.what = move;
  call.operands = {a, turned};
  stages.push_back({"", {call}});
  return turned;
}

bool RegionLowering::in_parts(const Node& nd) {
  // Part of the numerical recipe: neither rows count, nor columns, which other products may have been joined to.
  constexpr int64_t kLeastDepth = 128;
  if (place(nd.inputs[1]).kind != Place::Kind::operand || given(nd.inputs[1]) != Given::in_parts) return false;
  return !std::get<bool>(nd.attributes.at("transpose_a")) && extents(nd.inputs[1]).size() == 2 &&
         extents(nd.inputs[0]).back() >= kLeastDepth;
}

bool RegionLowering::of_bytes(const Node& nd) {
  // More rows than one block of tiles would make the same bf16 of them several times, and what stays in cache between
  // runs takes longer to widen than to read.
  constexpr int64_t kMostRows = 32;
  const Value b = nd.inputs[1];
  return place(b).kind == Place::Kind::operand && given(b) == Given::bytes && total_rows() <= kMostRows &&
         extents(b).size() == 2 && type(b).bytes() >= target_.l2_bytes / 8 && uses_of_input(place(b).input) == 1;
}

int64_t RegionLowering::elements_of_panel(const MatmulProblem& problem, int64_t panel_width) const {
  const int64_t tiles = ceil_div(problem.k, 32);
  if (problem.compute == Compute::fp32x3) return panel_width * 32 * 3 * tiles;
  if (problem.b != DType::bf16) return panel_width * problem.k;
  // Where a few rows of all panels are used at a time, an odd number of KB from panel to panel keeps them from sharing
  // cache sets.
  return panel_width * 32 * (problem_in_steps_ && tiles % 2 == 0 ? tiles + 1 : tiles);
}

std::optional<Call> RegionLowering::copy_rows(Operand& a, Contract& product, const MatmulProblem& problem,
                                              int64_t columns) {
  const TileProgram& p = out_.program;
  const bool turns = product.trans_a;
  if (p.buffers[static_cast<size_t>(a.buffer)].scope != Scope::argument) return std::nullopt;
  // Columns of a are a page apart where k is long: once they are rows, many columns of b use them.
  constexpr int64_t kManyColumns = 192;
  if (turns ? !alone_ || columns < kManyColumns || rows_ < kManyColumns
            : !multiplies_tiles_ || !copies_rows(target_, std::min(rows_, row_step_), columns, a.leading) ||
                  (product.sum >= 0 && !alone_))
    return std::nullopt;
  const int64_t depth = product.sum >= 0 ? p.dims[static_cast<size_t>(product.sum)].steps.back() : problem.k;
  Operand rows;
  rows.leading = odd_lines(depth, size_of(problem.a));
  rows.buffer = panel("rows", problem.a, rows.leading);
  rows.strides.assign(p.dims.size(), 0);
  Move move;
  move.op = turns ? LayoutOp::transpose : LayoutOp::copy;
  move.m = turns ? product.k : product.m;
  move.n = turns ? product.m : product.k;
  product.trans_a = false;
  Call copy;
  copy.what = move;
  copy.operands = {a, rows};
  a = rows;
  return copy;
}

Operand RegionLowering::pack(Value value, const MatmulProblem& problem, bool trans, int64_t panel_width,
                             std::vector<Stage>& stages) {
  const StridedView& view = place(value).view;
  const int32_t input = place(value).input;
  const size_t r = view.extents.size();
  const int64_t k_stride = view.strides[r - (trans ? 1 : 2)], n_stride = view.strides[r - (trans ? 2 : 1)];
  const bool parts = problem.compute == Compute::fp32x3, interleaved = parts || problem.b == DType::bf16;
  const DType packed = parts ? DType::bf16 : bytes_ ? DType::i8 : problem.b;
  const bool is_constant = given(value) != Given::later;
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
  const int64_t panel_elements = elements_of_panel(problem, panel_width);
  const int64_t matrix = ceil_div(problem.n, panel_width) * panel_elements;
  int64_t elements = matrix;
  for (auto axis = own.rbegin(); axis != own.rend(); ++axis) {
    b.strides[static_cast<size_t>((*axis)->dim)] = elements;
    elements *= (*axis)->extent;
  }
  require(own.empty() || own.back()->dim != axes_.back().dim || rows_ == 1, "b changes from row to row");
  Move move;
  move.op = parts ? LayoutOp::panels16x3 : interleaved ? LayoutOp::panels16 : LayoutOp::column_panels;
  move.width = interleaved ? 0 : panel_width;
  move.trans = stored_trans;
  move.m = Size::of(problem.k);
  move.n = Size::of(problem.n);
  Operand from, to;
  from.offset = view.offset;
  from.leading = std::max(leading, stored_trans ? problem.k : problem.n);
  to.leading = panel_elements;
  // A small matrix that one step of the phase alone multiplies is packed there and stays in the cache.
  if (!alone_ && !is_constant && own.size() + 1 == axes_.size() && rows_ <= row_step_ &&
      matrix * size_of(problem.b) <= target_.l2_bytes / 8) {
    from.buffer = input;
    from.strides.assign(out_.program.dims.size(), 0);
    for (const Axis* axis : own) from.strides[static_cast<size_t>(axis->dim)] = walk[axis->last];
    to.buffer = out_.program.add_buffer(fmt::format("packed{}", panels_++), Scope::panel, problem.b, matrix);
    Call call;
    call.what = move;
    call.operands = {from, to};
    stages.push_back({"", {call}});
    b.buffer = to.buffer;
    b.strides.assign(out_.program.dims.size(), 0);
    return b;
  }
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
  if (before) {
    from.buffer = p.add_buffer("plain", Scope::argument, type(g_.inputs()[static_cast<size_t>(input)]).dtype,
                               type(g_.inputs()[static_cast<size_t>(input)]).shape.elements());
    to.buffer = p.add_buffer("packed", Scope::argument, packed, elements);
  } else {
    from.buffer = input;
    to.buffer = p.add_buffer(fmt::format("packed{}", panels_++), Scope::memory, packed, elements);
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
    out_.program.buffers[static_cast<size_t>(input)].dtype = packed;
  } else {
    b.buffer = to.buffer;
  }
  b.strides.resize(out_.program.dims.size(), 0);
  return b;
}

int RegionLowering::uses_of_input(int32_t input) const {
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

void RegionLowering::finish(std::vector<Stage> stages) {
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
  if (!sums_.empty()) add_second_phase();
  // Tasks that follow each other share rows of a or columns of b, whichever moves less.
  if (alone_ && !axes_.empty() && columns_dim_ >= 0) {
    using Order = ScheduleChoice::Order;
    TileProgram turned = p;
    std::string& other = turned.phases.back().schedule;
    std::swap(other[other.size() - 1], other[other.size() - 2]);
    const bool turns = choice_.order == Order::columns ||
                       (choice_.order == Order::formula && predict(turned, target_).bytes < predict(p, target_).bytes);
    out_.freedom.made.order = turns ? Order::columns : Order::rows;
    if (turns) p = std::move(turned);
    std::string& last = p.phases.back().schedule;
    if (choice_.order == Order::curve)
      last = last.substr(0, last.size() - 2) + '<' + last.substr(last.size() - 2) + '>';
  }
}

void RegionLowering::add_second_phase() {
  TileProgram& p = out_.program;
  const int64_t columns = last_extent(sums_[0].of), count = parts();
  constexpr int64_t kStep = 256, kParallelElements = 1 << 15;
  const int32_t dim = p.add_dim("summed", columns, {kStep});
  const bool parallel = target_.cores > 1 && columns > kStep && count * columns >= kParallelElements;
  Phase phase{std::string(1, static_cast<char>(parallel ? p.letter(dim) - 'a' + 'A' : p.letter(dim))), {}};
  for (const RowSum& s : sums_) {
    require(last_extent(s.of) == columns, "sums of several widths");
    Express e;
    e.m = Size::of(count);
    e.n = Size::along(dim);
    e.compute = DType::f64;
    e.expression.output(e.expression.apply(kernels::ExprOp::column_sum, e.expression.input(0)));
    Operand from, to;
    from.buffer = s.partials;
    from.leading = columns;
    to.buffer = static_cast<int32_t>(g_.inputs().size()) + s.output;
    to.broadcast = Broadcast::row;
    for (Operand* o : {&from, &to}) {
      o->strides.assign(p.dims.size(), 0);
      o->strides[static_cast<size_t>(dim)] = 1;
    }
    Call call;
    call.what = e;
    call.operands = {from, to};
    phase.stages.push_back({"", {call}});
  }
  p.phases.push_back(std::move(phase));
}

}  // namespace gregale::tile
