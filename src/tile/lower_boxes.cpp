// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/lower_boxes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "gregale/error.hpp"
#include "tile/box_values.hpp"
#include "tile/cut.hpp"
#include "tile/expression_algebra.hpp"
#include "tile/ledger.hpp"

namespace gregale::tile {
namespace {

using kernels::Broadcast;
using kernels::Expression;
using kernels::ExprOp;
using kernels::LayoutOp;
using Kind = BoxValues::Kind;

// What a block covers is part of the numerical recipe of sums: constants, never the target's.
constexpr int64_t kTileElements = 32768;  ///< of a block
constexpr int64_t kWholeWidth = 8192;     ///< rows up to this length are not cut
constexpr int64_t kCutWidth = 2048;       ///< what longer ones are cut into
constexpr int64_t kLongRow = 64;          ///< rows from this length on are summed by themselves
constexpr int64_t kSummedRows = 64;       ///< rows of a block where columns are kept: f32 sums are no longer than this
constexpr int64_t kKeptStep = 2048;       ///< kept elements of a task of the second phase
constexpr size_t kMostBoxes = 128;

/// What the first phase makes in boxes: the operand of sums, a result, or both.
struct Root {
  Value value;
  int32_t output = -1;
  std::vector<int32_t> sums;  ///< nodes
  std::vector<Box> boxes;     ///< of the region's axes
};

/// Axes of the space that run as one.
struct Axis {
  size_t first = 0, last = 0;
  int64_t extent = 1, inner = 1;  ///< inner: of the axes behind the first
  bool reduced = false;
  int32_t dim = -1;
};

/// Where the sums of one root go on their way.
struct Partials {
  int32_t panel = -1;   ///< f32, a column for each box: both axes of a block are summed away
  int32_t buffer = -1;  ///< [parts, kept]
  int64_t parts = 1;
};

class BoxLowering {
 public:
  BoxLowering(const Graph& region, const Target& target) : g_(region), target_(target), values_(region) {}

  LoweredRegion run() {
    find_roots();
    find_space();
    divide();
    merge_axes();
    declare();
    first_phase();
    if (!sums_.empty()) second_phase();
    program().name = g_.name();
    choose_order();
    return std::move(out_);
  }

 private:
  TileProgram& program() { return out_.program; }
  const Node& node(int32_t n) const { return g_.nodes()[static_cast<size_t>(n)]; }

  // --- what is computed where ---

  Root& root_of(Value v) {
    for (Root& r : roots_)
      if (r.value == v) return r;
    roots_.push_back({v, -1, {}, {}});
    return roots_.back();
  }

  void find_roots() {
    for (int32_t n = 0; n < static_cast<int32_t>(g_.nodes().size()); ++n) {
      if (!BoxValues::is_sum(node(n))) continue;
      root_of(node(n).inputs[0]).sums.push_back(n);
      sums_.push_back(n);
    }
    for (size_t i = 0; i < g_.outputs().size(); ++i) {
      const Value v = g_.outputs()[i];
      require(output_of_.emplace(v.id, static_cast<int32_t>(i)).second, "one result is two outputs");
      const DType dtype = g_.type(v).dtype;
      require(dtype == DType::f32 || dtype == DType::bf16, "an output is no f32 or bf16");
      require(values_.kind(v) != Kind::operand && values_.kind(v) != Kind::scalar, "an output is an input");
      if (values_.kind(v) == Kind::point) root_of(v).output = static_cast<int32_t>(i);
    }
    for (const int32_t n : sums_) {
      const DType dtype = g_.type(node(n).outputs[0]).dtype;
      require(dtype == DType::f32 || dtype == DType::bf16, "a sum of other than f32 or bf16");
    }
  }

  /// All roots have nearly the same extents, and all sums sum over the same axes.
  void find_space() {
    const size_t rank = values_.extents(roots_[0].value).size();
    require(rank > 0, "nothing has axes");
    space_.assign(rank, 1);
    Extents least(rank, INT64_MAX);
    for (const Root& r : roots_) {
      const Extents e = values_.extents(r.value);
      require(e.size() == rank, "values of different ranks");
      for (size_t a = 0; a < rank; ++a) {
        space_[a] = std::max(space_[a], e[a]);
        least[a] = std::min(least[a], e[a]);
      }
    }
    for (size_t a = 0; a < rank; ++a) require(space_[a] - least[a] <= 4 + space_[a] / 8, "values of different extents");
    reduced_.assign(rank, false);
    for (size_t i = 0; i < sums_.size(); ++i) {
      const std::vector<bool> mine = BoxValues::reduced_axes(g_, node(sums_[i]));
      require(i == 0 || mine == reduced_, "sums over different axes");
      reduced_ = mine;
      const Extents e = values_.extents(node(sums_[i]).inputs[0]);
      for (size_t a = 0; a < rank; ++a) require(reduced_[a] || e[a] == space_[a], "sums of different extents");
    }
    kept_ = 1;
    for (size_t a = 0; a < rank; ++a) kept_ *= reduced_[a] ? 1 : space_[a];
  }

  /// Boxes between all cuts of a root, and of those whose sums run over the same columns: what several make of one box
  /// reads it once.
  void divide() {
    cut_.assign(space_.size(), false);
    std::vector<std::vector<std::set<int64_t>>> cuts_of;  // by root, by axis
    for (const Root& r : roots_) {
      const Extents e = values_.extents(r.value);
      std::vector<std::set<int64_t>>& cuts = cuts_of.emplace_back(e.size());
      values_.look(r.value, leaves_, cuts);
      for (size_t a = 0; a < e.size(); ++a) {
        require(r.sums.empty() || reduced_[a] || cuts[a].empty(), "padding of what is kept");
        cuts[a].insert(e[a]);
      }
    }
    size_t total = 0;
    for (size_t i = 0; i < roots_.size(); ++i) {
      Root& r = roots_[i];
      const Extents e = values_.extents(r.value);
      r.boxes = {{}};
      for (size_t a = 0; a < e.size(); ++a) {
        std::set<int64_t> cuts = cuts_of[i][a];
        for (size_t j = 0; j < roots_.size() && may_share(a); ++j)
          if (!r.sums.empty() && !roots_[j].sums.empty() && cuts_of[j].back() == cuts_of[i].back())
            cuts.insert(cuts_of[j][a].begin(), cuts_of[j][a].upper_bound(e[a]));
        cut_[a] = cut_[a] || cuts.size() > 1 || e[a] != space_[a];
        std::vector<Box> more;
        for (const Box& box : r.boxes) {
          int64_t begin = 0;
          for (const int64_t end : cuts) {
            more.push_back(box);
            more.back().push_back({begin, end});
            begin = end;
          }
        }
        r.boxes = std::move(more);
        require(r.boxes.size() <= kMostBoxes, "padding divides it into too many boxes");
      }
      total += r.boxes.size();
    }
    require(total <= kMostBoxes, "padding divides it into too many boxes");
  }

  /// Not along columns: sums of rows of one element take as long as those of many.
  bool may_share(size_t axis) const {
    constexpr int64_t kDeepEnough = 8;
    return axis + 1 < space_.size() && space_[axis] >= kDeepEnough;
  }

  /// Neighbouring axes that lie evenly everywhere are one; only the first of them may be cut.
  void merge_axes() {
    std::vector<std::vector<int64_t>> walks;
    for (const BoxValues::Leaf& leaf : leaves_) walks.push_back(leaf.strides);
    for (const Root& r : roots_)
      if (r.output >= 0) walks.push_back(StridedView::dense(values_.extents(r.value)).strides);
    for (size_t a = 0; a < space_.size(); ++a) {
      if (space_[a] == 1) continue;
      if (!axes_.empty() && !cut_[a] && axes_.back().reduced == reduced_[a]) {
        Axis& before = axes_.back();
        bool even = true;
        for (const auto& walk : walks) even &= walk[before.last] == walk[a] * space_[a];
        // What is summed in f32 stays short.
        if (reduced_[a] && a + 1 == space_.size() && space_[a] >= kLongRow) even = false;
        if (even) {
          before.extent *= space_[a];
          before.inner *= space_[a];
          before.last = a;
          continue;
        }
      }
      axes_.push_back({a, a, space_[a], 1, reduced_[a], -1});
    }
    if (axes_.empty()) axes_.push_back({space_.size() - 1, space_.size() - 1, 1, 1, reduced_.back(), -1});
  }

  Interval along(const Axis& axis, const Box& box) const {
    if (space_[axis.first] == 1) return {0, axis.extent};
    return {box[axis.first].begin * axis.inner, box[axis.first].end * axis.inner};
  }

  // --- dims and buffers ---

  const Axis& columns() const { return axes_.back(); }
  const Axis* rows() const { return rows_ < 0 ? nullptr : &axes_[static_cast<size_t>(rows_)]; }
  bool looped(const Axis& a) const { return &a != &columns() || column_step_ < a.extent; }
  int64_t step_of(const Axis& a) const { return &a == &columns() ? column_step_ : &a == rows() ? row_step_ : 1; }

  void declare() {
    require(axes_.size() + 2 <= kMaxDims, "it has too many axes");
    const bool sums_columns = sums_.empty() || columns().reduced;
    for (auto a = static_cast<int32_t>(axes_.size()) - 2; a >= 0 && rows_ < 0; --a)
      if (sums_columns || axes_[static_cast<size_t>(a)].reduced) rows_ = a;
    require(sums_columns || rows_ >= 0, "no axis is summed away");
    column_step_ = columns().extent <= kWholeWidth ? columns().extent : kCutWidth;
    if (rows() != nullptr) {
      row_step_ = std::clamp<int64_t>(kTileElements / column_step_, 1, rows()->extent);
      if (!sums_columns) row_step_ = std::min(row_step_, kSummedRows);
    }
    for (size_t i = 0; i < g_.inputs().size(); ++i)
      program().add_buffer(fmt::format("in{}", i), Scope::argument, g_.type(g_.inputs()[i]).dtype,
                           g_.type(g_.inputs()[i]).shape.elements());
    for (size_t i = 0; i < g_.outputs().size(); ++i)
      program().add_buffer(fmt::format("out{}", i), Scope::argument, g_.type(g_.outputs()[i]).dtype,
                           g_.type(g_.outputs()[i]).shape.elements());
    for (Axis& a : axes_) {
      const char* name = &a == &columns() ? "columns" : &a == rows() ? "rows" : "outer";
      a.dim = program().add_dim(name, a.extent, {step_of(a)});
    }
    for (const Axis& a : axes_)
      if (looped(a)) schedule_ += program().letter(a.dim);
  }

  int32_t output_buffer(int32_t output) const { return static_cast<int32_t>(g_.inputs().size()) + output; }

  // --- operands ---

  /// `width`: the longest row that is read or written.
  Operand operand(int32_t buffer, int64_t offset, const std::vector<int64_t>& walk, int64_t width) const {
    Operand o;
    o.buffer = buffer;
    o.offset = offset;
    o.strides.assign(axes_.size(), 0);
    for (const Axis& a : axes_)
      if (a.extent > 1) o.strides[static_cast<size_t>(a.dim)] = walk[a.last];
    const int64_t row_stride = rows() == nullptr ? 0 : o.strides[static_cast<size_t>(rows()->dim)];
    const int64_t column_stride = o.strides[static_cast<size_t>(columns().dim)];
    require(column_stride == 0 || column_stride == 1, "columns that do not follow each other");
    if (column_stride == 1) {
      o.broadcast = row_stride == 0 ? Broadcast::row : Broadcast::none;
      o.leading = row_stride;
      require(row_stride == 0 || row_stride >= std::min(width, column_step_), "rows that overlap");
    } else if (columns().extent == 1 && row_stride > 1) {
      o.leading = row_stride;
    } else {
      require(row_stride <= 1, "a column that is not dense");
      o.broadcast = row_stride == 0 ? Broadcast::scalar : Broadcast::column;
    }
    return o;
  }

  Size m() const { return rows() == nullptr ? Size::of(1) : Size::along(rows()->dim); }
  Size n() const { return Size::along(columns().dim); }

  std::vector<Range> ranges_of(const Box& box) const {
    std::vector<Range> ranges;
    for (const Axis& a : axes_) {
      const Interval i = along(a, box);
      if (i.begin != 0 || i.end != a.extent) ranges.push_back({a.dim, i.begin, i.end});
    }
    return ranges;
  }

  /// One place a step of the phase: [parts of this box, kept].
  Operand partial(int32_t buffer, int64_t offset) const {
    Operand o;
    o.buffer = buffer;
    o.offset = offset;
    o.by_step = true;
    o.strides.assign(axes_.size(), 0);
    int64_t kept = 1, parts = kept_;
    for (auto a = axes_.rbegin(); a != axes_.rend(); ++a) {
      const int64_t steps = ceil_div(a->extent, step_of(*a));
      if (a->reduced) {
        if (looped(*a) && steps > 1) o.strides[static_cast<size_t>(a->dim)] = parts;
        parts *= looped(*a) ? steps : 1;
      } else {
        if (looped(*a) && steps > 1) o.strides[static_cast<size_t>(a->dim)] = kept * step_of(*a);
        kept *= a->extent;
      }
    }
    return o;
  }

  int64_t parts() const {
    int64_t parts = 1;
    for (const Axis& a : axes_)
      if (a.reduced && looped(a)) parts *= ceil_div(a.extent, step_of(a));
    return parts;
  }

  // --- the first phase ---

  bool through_panel() const { return columns().reduced && (rows() == nullptr || rows()->reduced); }

  void first_phase() {
    std::vector<Stage> before, stages, behind;
    for (Root& r : roots_) {
      if (!r.sums.empty()) begin_sums(r, before);
      const int32_t kept_panel = r.output >= 0 ? output_panel(r, behind) : -1;
      for (size_t b = 0; b < r.boxes.size(); ++b) {
        const Box& box = r.boxes[b];
        auto piece = std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& p) { return p.box == box; });
        if (piece == pieces_.end()) piece = pieces_.insert(pieces_.end(), Piece{box, {}, {}, {}, {}});
        add(*piece, r, b, kept_panel);
      }
      if (!r.sums.empty()) end_sums(r, behind);
    }
    widen_rows();
    for (Piece& piece : pieces_) {
      Call call;
      Express e;
      e.m = m();
      e.n = n();
      e.expression = without_scales(piece.expression);
      call.what = e;
      call.operands = piece.inputs;
      call.operands.insert(call.operands.end(), piece.outputs.begin(), piece.outputs.end());
      require(call.operands.size() <= kMaxOperands, "an expression of too many operands");
      stages.push_back({"", {call}, ranges_of(piece.box)});
    }
    std::vector<Stage> all = std::move(before);
    for (auto* more : {&stages, &behind}) std::move(more->begin(), more->end(), std::back_inserter(all));
    double elements = 1;
    for (const int64_t e : space_) elements *= static_cast<double>(e);
    constexpr double kParallelElements = 1 << 15;
    parallel_ = target_.cores > 1 && elements >= kParallelElements;
    program().phases.push_back({schedule_, std::move(all)});
  }

  struct Piece {
    Box box;
    Expression expression;
    std::map<BoxValues::Leaf, int32_t> input_of;
    std::vector<Operand> inputs, outputs;
  };

  /// The piece that makes most of the results makes whole rows, where all that it reads is there: its rows then begin
  /// with lines. What is wrong at their ends is made again, by the pieces there, which come behind it.
  void widen_rows() {
    constexpr int64_t kMostColumns = 16;
    const auto size = [](const Piece& piece) {
      int64_t elements = 1;
      for (const Interval& i : piece.box) elements *= i.size();
      return elements;
    };
    const auto largest = std::max_element(pieces_.begin(), pieces_.end(),
                                          [&](const Piece& a, const Piece& b) { return size(a) < size(b); });
    if (largest == pieces_.end() || looped(columns())) return;
    const Interval made = along(columns(), largest->box);
    const bool whole = made.size() == columns().extent;
    if (whole || columns().inner != 1 || columns().extent - made.size() > kMostColumns) return;
    for (const Root& r : roots_)
      if (!r.sums.empty() || values_.extents(r.value) != space_) return;
    Box box = largest->box;
    box[columns().first] = {0, columns().extent};
    for (const auto& [leaf, input] : largest->input_of) {
      int64_t first = leaf.offset, last = leaf.offset;
      for (size_t a = 0; a < box.size(); ++a) {
        first += box[a].begin * leaf.strides[a];
        last += (box[a].end - 1) * leaf.strides[a];
      }
      const Shape& shape = g_.type(g_.inputs()[static_cast<size_t>(leaf.input)]).shape;
      if (std::min(first, last) < 0 || std::max(first, last) >= shape.elements()) return;
    }
    largest->box = box;
    std::rotate(pieces_.begin(), largest, largest + 1);
  }

  void add(Piece& piece, const Root& r, size_t box, int32_t panel) {
    const auto input_of = [&](const BoxValues::Leaf& leaf) {
      const auto found = piece.input_of.find(leaf);
      if (found != piece.input_of.end()) return found->second;
      piece.inputs.push_back(operand(leaf.input, leaf.offset, leaf.strides, along(columns(), piece.box).size()));
      return piece.input_of[leaf] = piece.expression.input(static_cast<int>(piece.inputs.size()) - 1);
    };
    const int32_t id = values_.express(piece.expression, r.value, piece.box, input_of);
    if (r.output >= 0) {
      Operand to = panel >= 0
                       ? panel_operand(panel)
                       : operand(output_buffer(r.output), 0, StridedView::dense(values_.extents(r.value)).strides, 1);
      if (to.broadcast != Broadcast::none) {  // a tile of one row
        require(rows() == nullptr || rows()->extent == 1 || columns().extent == 1, "a result that is narrower");
        to.broadcast = Broadcast::none;
        to.leading = columns().extent > 1 ? column_step_ : std::max<int64_t>(1, to.leading);
      }
      piece.expression.output(id);
      piece.outputs.push_back(to);
    }
    if (r.sums.empty()) return;
    const Partials& p = partials_.at(r.value.id);
    piece.expression.output(piece.expression.apply(columns().reduced ? ExprOp::row_sum : ExprOp::column_sum, id));
    Operand to;
    if (p.panel >= 0) {
      to.buffer = p.panel;
      to.offset = static_cast<int64_t>(box) * row_step_;
      to.strides.assign(axes_.size(), 0);
      if (rows() != nullptr) to.strides[static_cast<size_t>(rows()->dim)] = 1;
    } else {
      to = partial(p.buffer, static_cast<int64_t>(box) * parts() * kept_);
    }
    to.broadcast = columns().reduced ? Broadcast::column : Broadcast::row;
    piece.outputs.push_back(to);
  }

  /// Where a box leaves steps out, or rows of a block, zeros stand for its sums.
  bool sums_have_gaps(const Root& r) const {
    for (const Box& box : r.boxes)
      for (const Range& w : ranges_of(box)) {
        const Axis& a = axes_[static_cast<size_t>(w.dim)];
        if (looped(a)) return true;
      }
    return rows() != nullptr && through_panel() && rows()->extent % row_step_ != 0;
  }

  void begin_sums(const Root& r, std::vector<Stage>& before) {
    Partials p;
    const auto boxes = static_cast<int64_t>(r.boxes.size());
    const std::string name = std::to_string(partials_.size());
    Call zero;
    Move move;
    move.op = LayoutOp::zero;
    move.m = Size::of(1);
    if (through_panel()) {
      p.parts = parts();
      p.panel = program().add_buffer("sums" + name, Scope::panel, DType::f32, boxes * row_step_);
      p.buffer = program().add_buffer("partials" + name, Scope::memory, DType::f64, p.parts * kept_);
      move.n = Size::of(boxes * row_step_);
      zero.operands.push_back({p.panel, 0, std::vector<int64_t>(axes_.size(), 0), 0, Broadcast::none, false});
      zero.what = move;
      if (sums_have_gaps(r)) before.push_back({"", {zero}, {}});
    } else {
      p.parts = parts() * boxes;
      p.buffer = program().add_buffer("partials" + name, Scope::memory, DType::f32, p.parts * kept_);
      move.n = columns().reduced ? m() : n();
      zero.what = move;
      Stage stage;
      for (int64_t b = 0; b < boxes; ++b) {
        zero.operands = {partial(p.buffer, b * parts() * kept_)};
        stage.calls.push_back(zero);
      }
      if (sums_have_gaps(r)) before.push_back(stage);
    }
    partials_[r.value.id] = p;
  }

  void end_sums(const Root& r, std::vector<Stage>& behind) {
    const Partials& p = partials_.at(r.value.id);
    if (p.panel < 0) return;
    const int64_t count = static_cast<int64_t>(r.boxes.size()) * row_step_;
    Call call;
    Express e;
    e.m = Size::of(1);
    e.n = Size::of(count);
    e.compute = DType::f64;
    e.expression.output(e.expression.apply(ExprOp::row_sum, e.expression.input(0)));
    Operand from{p.panel, 0, std::vector<int64_t>(axes_.size(), 0), count, Broadcast::none, false};
    Operand to = partial(p.buffer, 0);
    to.broadcast = Broadcast::column;
    call.what = e;
    call.operands = {from, to};
    behind.push_back({"", {call}, {}});
  }

  // --- results ---

  Operand panel_operand(int32_t panel) const {
    Operand o;
    o.buffer = panel;
    o.strides.assign(axes_.size(), 0);
    o.strides[static_cast<size_t>(columns().dim)] = 1;
    if (rows() != nullptr) o.strides[static_cast<size_t>(rows()->dim)] = column_step_;
    o.leading = column_step_;
    return o;
  }

  /// A result of many boxes that is larger than the caches is put together in a panel, so that it goes to memory in
  /// whole lines, past the caches. -1: it is written where it belongs.
  int32_t output_panel(const Root& r, std::vector<Stage>& behind) {
    const int64_t bytes = g_.type(r.value).shape.elements() * size_of(values_.dtype(r.value));
    if (r.boxes.size() == 1 || bytes <= target_.l2_bytes * target_.cores + target_.l3_bytes) return -1;
    const int32_t panel = program().add_buffer(fmt::format("panel{}", r.output), Scope::panel, values_.dtype(r.value),
                                               row_step_ * column_step_);
    Call call;
    Move move;
    move.m = m();
    move.n = n();
    move.stream = true;
    call.what = move;
    Operand to = operand(output_buffer(r.output), 0, StridedView::dense(values_.extents(r.value)).strides, 1);
    to.broadcast = Broadcast::none;
    call.operands = {panel_operand(panel), to};
    Box whole;
    for (const int64_t e : values_.extents(r.value)) whole.push_back({0, e});
    behind.push_back({"", {call}, ranges_of(whole)});
    return panel;
  }

  // --- the second phase ---

  void second_phase() {
    Phase phase;
    Size n = Size::of(kept_);
    int32_t dim = -1;
    if (kept_ > kKeptStep) {
      dim = program().add_dim("kept", kept_, {kKeptStep});
      n = Size::along(dim);
      constexpr int64_t kParallelElements = 1 << 15;
      const bool several = target_.cores > 1 && kept_ * parts() >= kParallelElements;
      phase.schedule = std::string(1, static_cast<char>(program().letter(dim) + (several ? 'A' - 'a' : 0)));
    }
    const size_t dims = program().dims.size();
    const auto kept_operand = [&](int32_t buffer, int64_t leading, Broadcast broadcast) {
      Operand o{buffer, 0, std::vector<int64_t>(dims, 0), leading, broadcast, false};
      if (dim >= 0) o.strides[static_cast<size_t>(dim)] = 1;
      return o;
    };
    // The sums.
    std::map<int32_t, Operand> made;  // value -> where it is
    const Broadcast shape = kept_ == 1 ? Broadcast::column : Broadcast::row;
    for (const int32_t s : sums_) {
      const Node& sum = node(s);
      const Value v = sum.outputs[0];
      const Partials& p = partials_.at(sum.inputs[0].id);
      const auto output = output_of_.find(v.id);
      const bool direct = output != output_of_.end() && values_.dtype(v) == DType::f32;
      const int32_t buffer =
          direct ? output_buffer(output->second)
                 : program().add_buffer(fmt::format("sum{}", s), Scope::panel, DType::f32, std::min(kept_, kKeptStep));
      double scale = 1;
      if (sum.op->name == "mean") {
        const double count = static_cast<double>(g_.type(sum.inputs[0]).shape.elements()) / static_cast<double>(kept_);
        scale = 1 / count;
      }
      Express e;
      e.compute = DType::f64;
      Expression& x = e.expression;
      int32_t id = x.input(0);
      if (scale != 1) id = x.apply(ExprOp::mul, id, x.constant(scale));
      x.output(x.apply(kept_ == 1 ? ExprOp::row_sum : ExprOp::column_sum, id));
      e.m = Size::of(kept_ == 1 ? 1 : p.parts);
      e.n = kept_ == 1 ? Size::of(p.parts) : n;
      Call call;
      call.what = e;
      call.operands = {kept_operand(p.buffer, kept_ == 1 ? p.parts : kept_, Broadcast::none),
                       kept_operand(buffer, 0, shape)};
      made[v.id] = call.operands.back();
      phase.stages.push_back({"", {call}, {}});
    }
    after(n, kept_operand, made, phase);
    program().phases.push_back(std::move(phase));
  }

  /// What is computed from sums, all in one expression.
  template <class KeptOperand>
  void after(Size n, const KeptOperand& kept_operand, const std::map<int32_t, Operand>& made, Phase& phase) {
    std::vector<std::pair<Value, int32_t>> outputs;
    for (const auto& [id, output] : output_of_) {
      const Value v{id};
      const bool small_sum = values_.kind(v) == Kind::sum && values_.dtype(v) != DType::f32;
      if (values_.kind(v) == Kind::after || small_sum) outputs.emplace_back(v, output);
    }
    if (outputs.empty()) return;
    Express e;
    e.m = Size::of(1);
    e.n = n;
    Call call;
    std::map<int32_t, int32_t> ids;
    const std::function<int32_t(Value)> visit = [&](Value v) -> int32_t {
      if (const auto found = ids.find(v.id); found != ids.end()) return found->second;
      const int64_t elements = g_.type(v).shape.elements();
      int32_t id = -1;
      if (values_.kind(v) == Kind::scalar) {
        id = e.expression.constant(values_.scalar(v));
      } else if (values_.kind(v) == Kind::operand || values_.kind(v) == Kind::sum) {
        Operand o;
        if (values_.kind(v) == Kind::sum) {
          o = made.at(v.id);
          o.leading = 0;
        } else {
          const StridedView& view = values_.view(v);
          const DType dtype = values_.dtype(v);
          require(dtype == DType::f32 || dtype == DType::bf16, "an operand is no f32 or bf16");
          require(elements == kept_ || elements == 1, "sums meet what is larger");
          require(elements == 1 || StridedView::dense(view.extents).strides == view.strides, "an operand is not dense");
          o = kept_operand(values_.input(v), 0, Broadcast::row);
          o.offset = view.offset;
          if (elements == 1) o.strides.clear();
        }
        o.broadcast = elements == 1 ? Broadcast::scalar : Broadcast::row;
        call.operands.push_back(o);
        id = e.expression.input(static_cast<int>(call.operands.size()) - 1);
      } else {
        const Node& made_by = values_.maker(v);
        require(elements == kept_, "sums are repeated");
        const DType dtype = values_.dtype(v);
        require(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::boolean, "sums in other than f32");
        std::vector<int32_t> in;
        for (const Value operand : made_by.inputs) in.push_back(visit(operand));
        id = values_.express_node(e.expression, made_by, in);
      }
      return ids[v.id] = id;
    };
    std::vector<Operand> to;
    for (const auto& [v, output] : outputs) {
      e.expression.output(visit(v));
      to.push_back(kept_operand(output_buffer(output), kept_ == 1 ? 1 : std::min(kept_, kKeptStep), Broadcast::none));
    }
    call.operands.insert(call.operands.end(), to.begin(), to.end());
    require(call.operands.size() <= kMaxOperands, "an expression of too many operands");
    call.what = e;
    phase.stages.push_back({"", {call}, {}});
  }

  // --- the order of blocks ---

  /// Blocks in the order of memory, or rows outermost, so that neighbours along the other axes meet in the cache:
  /// whichever moves less. That never changes bits.
  void choose_order() {
    std::string& schedule = program().phases[0].schedule;
    const auto written = [&](std::string loops) {
      if (parallel_)
        for (char& c : loops) c = static_cast<char>(c - 'a' + 'A');
      return loops;
    };
    schedule = written(schedule_);
    if (rows() == nullptr || rows_ == 0) return;
    const char row = program().letter(rows()->dim);
    std::string turned = schedule_;
    turned.erase(turned.find(row), 1);
    turned.insert(turned.begin(), row);
    TileProgram other = program();
    other.phases[0].schedule = written(turned);
    if (predict(other, target_).bytes < 0.99 * predict(program(), target_).bytes) program() = std::move(other);
  }

  const Graph& g_;
  const Target& target_;
  BoxValues values_;
  LoweredRegion out_;
  std::vector<Root> roots_;
  std::vector<int32_t> sums_;
  std::map<int32_t, int32_t> output_of_;  // value -> output
  Extents space_;
  std::vector<bool> reduced_, cut_;
  std::set<BoxValues::Leaf> leaves_;
  int64_t kept_ = 1;
  std::vector<Axis> axes_;
  int32_t rows_ = -1;
  int64_t row_step_ = 1, column_step_ = 1;
  std::string schedule_;
  bool parallel_ = false;
  std::vector<Piece> pieces_;
  std::map<int32_t, Partials> partials_;  // root -> where its sums go
};

}  // namespace

bool sums_over_boxes(const Graph& graph, const Node& node) {
  if (!BoxValues::is_sum(node) || !graph.type(node.inputs[0]).shape.is_constant()) return false;
  const std::vector<bool> reduced = BoxValues::reduced_axes(graph, node);
  if (std::none_of(reduced.begin(), reduced.end(), [](bool r) { return r; })) return false;
  // One row that is not long is summed at once.
  if (reduced.size() == 1) return graph.type(node.inputs[0]).shape[0].value() > kWholeWidth;
  return !reduced.back() || std::count(reduced.begin(), reduced.end(), true) > 1;
}

bool wants_boxes(const Graph& region) {
  bool wants = false;
  std::vector<bool> computed(static_cast<size_t>(region.value_count()), false);
  for (const Node& node : region.nodes()) {
    const bool view = static_cast<bool>(node.op->result_as_view), whole = static_cast<bool>(node.op->operand_as_view);
    if (node.op->name == "matmul") return false;
    wants |= sums_over_boxes(region, node) || (!view && whole);
    if (view && !whole) wants |= computed[static_cast<size_t>(node.inputs[0].id)];
    for (const Value v : node.outputs)
      computed[static_cast<size_t>(v.id)] =
          !node.inputs.empty() && (!view || computed[static_cast<size_t>(node.inputs[0].id)]);
  }
  return wants;
}

Result<LoweredRegion> lower_boxes(const Graph& region, const Target& target) {
  return lowered_or_refused([&] { return BoxLowering(region, target).run(); });
}

}  // namespace gregale::tile
