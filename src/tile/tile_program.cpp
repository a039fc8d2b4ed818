// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/tile_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "kernels/expression/expression_analysis.hpp"
#include "tile/cut.hpp"
#include "tile/program_walk.hpp"

namespace gregale::tile {

using kernels::Broadcast;
using kernels::LayoutOp;
using kernels::Packing;

const char* to_string(Scope scope) {
  static constexpr const char* kNames[] = {"argument", "memory", "panel"};
  return kNames[static_cast<size_t>(scope)];
}

int32_t TileProgram::add_dim(std::string dim_name, int64_t extent, std::vector<int64_t> steps, bool reduction) {
  dims.push_back({std::move(dim_name), extent, std::move(steps), reduction});
  return static_cast<int32_t>(dims.size()) - 1;
}

int32_t TileProgram::add_buffer(std::string buffer_name, Scope scope, DType dtype, int64_t elements) {
  buffers.push_back({std::move(buffer_name), scope, dtype, elements});
  return static_cast<int32_t>(buffers.size()) - 1;
}

CallSizes sizes_of(const Call& call, const LoopIndex& at) {
  const auto value = [&](const Size& s) { return s.dim < 0 ? s.constant : at.size[s.dim]; };
  const auto begin = [&](const Size& s) { return s.dim < 0 ? 0 : at.begin[s.dim]; };
  if (const auto* c = std::get_if<Contract>(&call.what)) return {value(c->m), value(c->n), value(c->k)};
  if (const auto* e = std::get_if<Express>(&call.what)) return {value(e->m), value(e->n), 0};
  if (const auto* w = std::get_if<Window>(&call.what))
    return {value(w->rows), value(w->columns), 0,
            begin(w->rows), begin(w->columns), begin(w->slices) * w->stride_d + w->shift_d};
  if (const auto* t = std::get_if<Transform>(&call.what)) return {t->length, t->columns, 0};
  const auto& move = std::get<Move>(call.what);
  return {value(move.m), value(move.n), 0};
}

std::vector<std::pair<int64_t, int64_t>> offsets_of(const Contract& c) {
  std::vector<std::pair<int64_t, int64_t>> offsets{{0, 0}};
  for (const Contract::Batch& b : c.batch) {
    std::vector<std::pair<int64_t, int64_t>> more;
    for (const auto& [a_offset, b_offset] : offsets)
      for (int64_t i = 0; i < b.count; ++i) more.emplace_back(a_offset + i * b.a_stride, b_offset + i * b.b_stride);
    offsets = std::move(more);
  }
  return offsets;
}

bool cut_to_box(const Stage& stage, LoopIndex& at) {
  for (const Range& w : stage.box) {
    const int64_t end = std::min(w.end, at.begin[w.dim] + at.size[w.dim]);
    at.begin[w.dim] = std::max(w.begin, at.begin[w.dim]);
    at.size[w.dim] = end - at.begin[w.dim];
    if (at.size[w.dim] <= 0) return false;
  }
  return true;
}

namespace {

Access tile_of(const std::vector<Operand>& operands, size_t which, int64_t rows, int64_t columns) {
  const Operand& o = operands[which];
  Access access;
  access.operand = static_cast<int32_t>(which);
  access.buffer = o.buffer;
  access.begin = o.offset;
  access.leading = o.leading;
  access.rows = rows;
  access.columns = columns;
  if (o.broadcast == Broadcast::row) access.rows = 1;
  if (o.broadcast == Broadcast::scalar) access.rows = access.columns = 1;
  if (o.broadcast == Broadcast::column) {
    access.columns = rows;  // consecutive elements, one a row
    access.rows = 1;
  }
  return access;
}

Access written(Access access, bool read) {
  access.write = true;
  access.read = read;
  return access;
}

/// Of panels16x3, after the access to the first part.
void push_other_parts(std::vector<Access>& all) {
  for (int part = 1; part < 3; ++part) {
    Access other = all.back();
    other.begin += other.leading / 3;
    all.push_back(other);
  }
}

void accesses_of(const Contract& c, const std::vector<Operand>& operands, const CallSizes& s, bool first_step,
                 std::vector<Access>& all) {
  for (const auto& [a_offset, b_offset] : offsets_of(c)) {
    Access a = c.trans_a ? tile_of(operands, 0, s.k, s.m) : tile_of(operands, 0, s.m, s.k);
    a.begin += a_offset;
    all.push_back(a);
    Access b = c.packing != Packing::plain ? tile_of(operands, 1, ceil_div(s.n, 16), round_up(s.k, 2) * 16)
               : c.trans_b                 ? tile_of(operands, 1, s.n, s.k)
                                           : tile_of(operands, 1, s.k, s.n);
    b.begin += b_offset;
    all.push_back(b);
    if (c.packing == Packing::panels16x3) push_other_parts(all);
  }
  all.push_back(written(tile_of(operands, 2, s.m, s.n), c.accumulate || !first_step));
  for (size_t i = 3; i < operands.size(); ++i) all.push_back(tile_of(operands, i, s.m, s.n));
}

void accesses_of(const Move& move, const std::vector<Operand>& operands, const CallSizes& s, std::vector<Access>& all) {
  if (move.op != LayoutOp::zero) {
    const bool turned = move.trans && move.op != LayoutOp::copy;
    all.push_back(turned ? tile_of(operands, 0, s.n, s.m) : tile_of(operands, 0, s.m, s.n));
  }
  const size_t to = operands.size() - 1;
  switch (move.op) {
    case LayoutOp::transpose:
      all.push_back(written(tile_of(operands, to, s.n, s.m), false));
      break;
    case LayoutOp::panels16:
    case LayoutOp::panels16x3:
      all.push_back(written(tile_of(operands, to, ceil_div(s.n, 16), round_up(s.m, 32) * 16), false));
      if (move.op == LayoutOp::panels16x3) push_other_parts(all);
      break;
    case LayoutOp::column_panels:
      all.push_back(written(tile_of(operands, to, ceil_div(s.n, move.width), s.m * move.width), false));
      break;
    default:
      all.push_back(written(tile_of(operands, to, s.m, s.n), false));
  }
}

void accesses_of(const Window& w, const std::vector<Operand>& operands, const CallSizes& s, std::vector<Access>& all) {
  const Window::Span rows = w.rows_of(s.row, s.m), columns = w.columns_of(s.column, s.n);
  for (int64_t i = rows.first; i < rows.last && w.has_slice(s.slice); ++i) {
    Access pixels = tile_of(operands, 0, columns.last - columns.first, w.channels);
    pixels.begin += ((w.shift_d * w.h + i - w.pad_top) * w.w + columns.first - w.pad_left) * operands[0].leading;
    all.push_back(pixels);
  }
  all.push_back(written(tile_of(operands, 1, 1, w.blocks * w.band_rows * w.band_columns * w.depth), false));
}

void accesses_of(const Transform& t, const std::vector<Operand>& operands, std::vector<Access>& all) {
  const int64_t modes = t.length / 2 + 1;
  const bool from_real = t.kind == kernels::FftKind::real_forward, to_real = t.kind == kernels::FftKind::real_inverse;
  all.push_back(tile_of(operands, 0, to_real ? modes : t.length, from_real ? t.columns : 2 * t.columns));
  all.push_back(
      written(tile_of(operands, 1, from_real ? modes : t.length, to_real ? t.columns : 2 * t.columns), false));
}

}  // namespace

void accesses_of(const Call& call, const CallSizes& s, bool first_step, std::vector<Access>& all) {
  if (const auto* c = std::get_if<Contract>(&call.what)) {
    accesses_of(*c, call.operands, s, first_step, all);
  } else if (const auto* e = std::get_if<Express>(&call.what)) {
    const size_t inputs = call.operands.size() - e->expression.outputs().size();
    for (size_t i = 0; i < call.operands.size(); ++i) {
      const Access access = tile_of(call.operands, i, s.m, s.n);
      all.push_back(i < inputs ? access : written(access, false));
    }
  } else if (const auto* w = std::get_if<Window>(&call.what)) {
    accesses_of(*w, call.operands, s, all);
  } else if (const auto* t = std::get_if<Transform>(&call.what)) {
    accesses_of(*t, call.operands, all);
  } else {
    accesses_of(std::get<Move>(call.what), call.operands, s, all);
  }
}

// --- verification ---

namespace {

class Verifier {
 public:
  explicit Verifier(const TileProgram& program) : p_(program) {}

  void run() {
    check(!p_.dims.empty() && p_.dims.size() <= kMaxDims,
          fmt::format("it has {} dims, not 1 to {}", p_.dims.size(), kMaxDims));
    check(p_.buffers.size() <= kMaxBuffers, fmt::format("more than {} buffers", kMaxBuffers));
    for (const Dim& d : p_.dims) {
      check(d.extent >= 0, fmt::format("dim '{}' has the extent {}", d.name, d.extent));
      for (size_t i = 0; i < d.steps.size(); ++i)
        check(d.steps[i] >= 1 && (i == 0 || d.steps[i - 1] % d.steps[i] == 0),
              fmt::format("dim '{}': each step is a multiple of the next", d.name));
    }
    for (const Buffer& b : p_.buffers)
      check(b.elements >= 0 && b.elements < (int64_t{1} << 48),
            fmt::format("buffer '{}' of {} elements", b.name, b.elements));
    for (size_t i = 0; i < p_.phases.size(); ++i) {
      phase_ = static_cast<int>(i);
      phase(p_.phases[i]);
    }
  }

 private:
  void check(bool holds, const std::string& what) const {
    GREGALE_CHECK(holds, invalid_argument, "[tile program] '{}'{}: {}", p_.name,
                  phase_ < 0 ? "" : fmt::format(", phase {}", phase_), what);
  }

  void phase(const Phase& phase) {
    const std::vector<int> outer = letters(phase.schedule, true);
    for (const Stage& stage : phase.stages) {
      std::vector<int> loops = outer;
      const std::vector<int> inner = letters(stage.loops, false);
      loops.insert(loops.end(), inner.begin(), inner.end());
      for (size_t d = 0; d < p_.dims.size(); ++d) {
        const auto times = static_cast<size_t>(std::count(loops.begin(), loops.end(), static_cast<int>(d)));
        check(times <= p_.dims[d].steps.size(),
              fmt::format("dim '{}' has {} steps and {} loops", p_.dims[d].name, p_.dims[d].steps.size(), times));
      }
      ranges(stage, loops);
      for (const Call& c : stage.calls) call(c, stage, phase.schedule, loops);
    }
  }

  const Range* range_of(const Stage& stage, int dim) const {
    for (const Range& w : stage.box)
      if (w.dim == dim) return &w;
    return nullptr;
  }

  void ranges(const Stage& stage, const std::vector<int>& loops) const {
    for (const Range& w : stage.box) {
      check(w.dim >= 0 && w.dim < static_cast<int>(p_.dims.size()), "a range of no dim");
      const Dim& d = p_.dims[static_cast<size_t>(w.dim)];
      check(range_of(stage, w.dim) == &w, fmt::format("two ranges of dim '{}'", d.name));
      check(0 <= w.begin && w.begin < w.end && w.end <= d.extent,
            fmt::format("the range {} to {} of dim '{}', which has {}", w.begin, w.end, d.name, d.extent));
      check(!d.reduction, "a range of a dim that is summed over");
      check(std::count(loops.begin(), loops.end(), w.dim) <= 1, "a range of a dim with several loops");
      for (const Call& c : stage.calls) {
        const auto* t = std::get_if<Contract>(&c.what);
        check(t == nullptr || (t->m.dim != w.dim && t->n.dim != w.dim && t->k.dim != w.dim && t->sum != w.dim),
              "a contraction of a part of a dim");
        const auto* window = std::get_if<Window>(&c.what);
        check(window == nullptr ||
                  (window->rows.dim != w.dim && window->columns.dim != w.dim && window->slices.dim != w.dim),
              "a window of a part of a dim");
        check(c.when.kind == When::Kind::always || c.when.dim != w.dim, "a condition on where a range stands");
      }
    }
  }

  std::vector<int> letters(const std::string& text, bool schedule) const {
    std::vector<int> found;
    for (const char c : text) {
      if (schedule && (c == '<' || c == '>' || c == '{' || c == '}' || std::isdigit(static_cast<unsigned char>(c))))
        continue;
      check(std::isalpha(static_cast<unsigned char>(c)) != 0, fmt::format("'{}' in the loops \"{}\"", c, text));
      check(schedule || std::islower(static_cast<unsigned char>(c)) != 0,
            "the loops of a stage are sequential: small letters");
      const int dim = std::tolower(static_cast<unsigned char>(c)) - 'a';
      check(dim < static_cast<int>(p_.dims.size()), fmt::format("no dim '{}'", c));
      found.push_back(dim);
    }
    return found;
  }

  void size(const Size& s) const {
    check(s.dim < static_cast<int>(p_.dims.size()) && (s.dim >= 0 || s.constant >= 0), "a call's extent names no dim");
  }

  void call(const Call& c, const Stage& stage, const std::string& schedule, const std::vector<int>& loops) const {
    size_t operands = 0;
    if (const auto* t = std::get_if<Contract>(&c.what)) {
      size(t->m);
      size(t->n);
      size(t->k);
      operands = 3;
      for (const auto& n : t->epilogue.nodes())
        if (n.op == kernels::ExprOp::input) operands = std::max(operands, static_cast<size_t>(n.index) + 3);
      check(t->packing != Packing::vnni2, "a contraction's b is plain, in panels16 or in panels16x3");
      int64_t products = 1;
      for (const Contract::Batch& b : t->batch) {
        constexpr int64_t kMostProducts = 1 << 12, kFurthest = int64_t{1} << 36;
        check(b.count >= 1 && b.count <= kMostProducts && (products *= b.count) <= kMostProducts,
              fmt::format("a contraction sums 1 to {} products", kMostProducts));
        check(std::min(b.a_stride, b.b_stride) >= 0 && std::max(b.a_stride, b.b_stride) < kFurthest,
              "a stride of a contraction's products is negative or absurd");
      }
      check(t->sum < static_cast<int>(p_.dims.size()), "a sum over no dim");
      if (t->sum >= 0 && !t->epilogue.empty()) {
        const Dim& d = p_.dims[static_cast<size_t>(t->sum)];
        const bool several = !d.steps.empty() && d.extent > d.steps.back();
        check(!several ||
                  (c.operands.size() > 2 && p_.buffers[static_cast<size_t>(c.operands[2].buffer)].dtype == DType::f32),
              "parts of sums are kept in f32");
      }
    } else if (const auto* e = std::get_if<Express>(&c.what)) {
      size(e->m);
      size(e->n);
      size_t inputs = 0;
      for (const auto& n : e->expression.nodes())
        if (n.op == kernels::ExprOp::input) inputs = std::max(inputs, static_cast<size_t>(n.index) + 1);
      operands = inputs + e->expression.outputs().size();
    } else if (const auto* w = std::get_if<Window>(&c.what)) {
      window(*w, c);
      operands = 2;
    } else if (const auto* f = std::get_if<Transform>(&c.what)) {
      check(f->length >= 1 && f->length < (int64_t{1} << 28) && f->columns >= 1 && f->columns < (int64_t{1} << 40),
            "a transform of no rows or columns, or too many");
      operands = 2;
      for (const Operand& o : c.operands)
        check(o.buffer >= 0 && o.buffer < static_cast<int32_t>(p_.buffers.size()) &&
                  p_.buffers[static_cast<size_t>(o.buffer)].dtype == DType::f32 &&
                  o.broadcast == kernels::Broadcast::none,
              "a transform reads and writes tiles of f32");
    } else {
      const auto& move = std::get<Move>(c.what);
      size(move.m);
      size(move.n);
      using Op = LayoutOp;
      check(move.op == Op::copy || move.op == Op::zero || move.op == Op::transpose || move.op == Op::panels16 ||
                move.op == Op::panels16x3 || (move.op == Op::column_panels && move.width >= 1 && move.width <= 64),
            "programs copy, zero, transpose and pack into panels16, panels16x3 and column_panels");
      operands = move.op == Op::zero ? 1 : 2;
    }
    check(operands <= kMaxOperands, fmt::format("a call with {} operands, above {}", operands, kMaxOperands));
    check(c.operands.size() == operands, fmt::format("a call with {} operands needs {}", c.operands.size(), operands));
    check(c.when.kind == When::Kind::always || (c.when.dim >= 0 && c.when.dim < static_cast<int>(p_.dims.size())),
          "a condition on no dim");
    for (const Operand& o : c.operands) {
      check(o.buffer >= 0 && o.buffer < static_cast<int32_t>(p_.buffers.size()), "an operand in no buffer");
      check(o.leading >= 0 && o.strides.size() <= p_.dims.size(), "an operand's rows or strides");
      for (const int64_t s : o.strides)
        check(s >= 0 && s < (int64_t{1} << 48), "an operand's stride is negative or absurd");
    }
    for (const Operand& o : c.operands)
      for (size_t d = 0; o.by_step && d < o.strides.size(); ++d)
        check(o.strides[d] == 0 || (p_.dims[d].steps.size() == 1 && has_loop(schedule, static_cast<int>(d))),
              fmt::format("a place for every step of '{}', over which the phase has no single loop", p_.dims[d].name));
    // At the corners of the iteration space every access must be inside its buffer; being affine, all others are too.
    LoopIndex at, outer;
    for (size_t d = 0; d < p_.dims.size(); ++d) at.size[d] = outer.size[d] = p_.dims[d].extent;
    corners(c, stage, schedule, loops, 0, at, outer);
    races(c, schedule);
  }

  /// A window is not affine where it is clipped, so it is checked whole: image, band, and that the source moves with
  /// it.
  void window(const Window& w, const Call& c) const {
    size(w.rows);
    size(w.columns);
    size(w.slices);
    check(c.operands.size() == 2, "a window has a source and a destination");
    const Operand& from = c.operands[0];
    check(from.offset >= 0 && !from.by_step && !c.operands[1].by_step, "a window's operand begins outside");
    constexpr int64_t kMost = int64_t{1} << 20;
    for (const int64_t extent : {w.h, w.w, w.channels, w.stride_h, w.stride_w, w.reach_h, w.reach_w, w.band_rows,
                                 w.band_columns, w.depth, w.blocks, w.d, w.stride_d})
      check(extent >= 1 && extent <= kMost, "an extent of a window is not positive or absurd");
    check(std::min(w.pad_top, w.pad_left) >= 0 && std::max(w.pad_top, w.pad_left) <= kMost,
          "the padding of a window is negative or absurd");
    check(std::abs(w.shift_d) <= kMost, "a window sees slices absurdly far away");
    constexpr int64_t kMostPixels = int64_t{1} << 30;  // of a volume, and between slices that are seen
    check(std::max(w.d, w.stride_d) * w.h * w.w <= kMostPixels && w.stride_h * w.w <= kMostPixels,
          "the volume of a window is absurd");
    check(w.depth * w.blocks >= w.channels && (w.blocks - 1) * w.depth < w.channels,
          "the blocks of a window hold its channels");
    check(from.leading >= w.channels && from.leading < (int64_t{1} << 32), "pixels of a window overlap");
    int64_t last = from.offset + (w.d * w.h * w.w - 1) * from.leading + w.channels;
    for (size_t d = 0; d < p_.dims.size(); ++d) {
      const auto dim = static_cast<int32_t>(d);
      const int64_t moved = dim == w.rows.dim      ? w.stride_h * w.w * from.leading
                            : dim == w.columns.dim ? w.stride_w * from.leading
                            : dim == w.slices.dim  ? w.stride_d * w.h * w.w * from.leading
                                                   : -1;
      check(moved < 0 || from.stride(static_cast<int>(d)) == moved, "a window's source does not move with its pixels");
      if (moved >= 0) continue;
      const int64_t steps = std::max<int64_t>(0, p_.dims[d].extent - 1), stride = from.stride(static_cast<int>(d));
      constexpr int64_t kFurthest = int64_t{1} << 48;
      check(stride == 0 || steps <= kFurthest / stride, "a window's image is larger than its buffer");
      last += steps * stride;
    }
    check(from.buffer >= 0 && from.buffer < static_cast<int32_t>(p_.buffers.size()) &&
              last <= p_.buffers[static_cast<size_t>(from.buffer)].elements,
          "a window's image is larger than its buffer");
    const auto most = [&](const Size& s) {
      if (s.dim < 0) return s.constant;
      const Dim& d = p_.dims[static_cast<size_t>(s.dim)];
      return d.steps.empty() ? d.extent : std::min(d.extent, d.steps.front());
    };
    check((most(w.rows) - 1) * w.stride_h + w.reach_h <= w.band_rows &&
              (most(w.columns) - 1) * w.stride_w + w.reach_w <= w.band_columns,
          "a window is larger than its band");
  }

  static bool has_loop(const std::string& schedule, int dim) {
    return std::any_of(schedule.begin(), schedule.end(),
                       [&](char l) { return std::tolower(static_cast<unsigned char>(l)) - 'a' == dim; });
  }

  void corners(const Call& c, const Stage& stage, const std::string& schedule, const std::vector<int>& loops,
               size_t dim, LoopIndex& at, LoopIndex& outer) const {
    if (dim == p_.dims.size()) {
      bounds(c, at, outer);
      return;
    }
    const Dim& d = p_.dims[dim];
    const auto times = std::count(loops.begin(), loops.end(), static_cast<int>(dim));
    const Range* range = range_of(stage, static_cast<int>(dim));
    if (range != nullptr) {
      // The first two steps and the last two. The phase's steps are cut to the range, the stage's begin with it.
      const bool of_phase = has_loop(schedule, static_cast<int>(dim));
      const int64_t step = times == 0 ? d.extent : d.steps.back(), zero = of_phase ? 0 : range->begin;
      const int64_t first = (range->begin - zero) / step, last = (range->end - 1 - zero) / step;
      int64_t seen = -1;
      for (const int64_t s : {first, first + 1, last - 1, last}) {
        if (s < first || s > last || s <= seen) continue;
        seen = s;
        at.begin[dim] = std::max(range->begin, zero + s * step);
        at.size[dim] = std::min(range->end, zero + (s + 1) * step) - at.begin[dim];
        outer.begin[dim] = of_phase ? s * step : 0;
        outer.size[dim] = of_phase ? std::min(step, d.extent - outer.begin[dim]) : d.extent;
        corners(c, stage, schedule, loops, dim + 1, at, outer);
      }
      at.begin[dim] = outer.begin[dim] = 0;
      at.size[dim] = outer.size[dim] = d.extent;
      return;
    }
    if (times == 0 || d.extent == 0) {
      corners(c, stage, schedule, loops, dim + 1, at, outer);
      return;
    }
    const int64_t step = d.steps[static_cast<size_t>(times) - 1];
    const int64_t whole = d.extent / step, tail = d.extent % step;
    int64_t outer_times = 0;
    for (const char l : schedule)
      outer_times += std::tolower(static_cast<unsigned char>(l)) - 'a' == static_cast<int>(dim);
    const int64_t block = outer_times > 0 ? d.steps[static_cast<size_t>(outer_times) - 1] : d.extent;
    const auto visit = [&](int64_t begin, int64_t size) {
      at.begin[dim] = begin;
      at.size[dim] = size;
      outer.begin[dim] = begin / block * block;
      outer.size[dim] = std::min(block, d.extent - outer.begin[dim]);
      corners(c, stage, schedule, loops, dim + 1, at, outer);
    };
    visit(0, std::min(step, d.extent));  // offsets may be negative
    if (whole > 0) visit((whole - 1) * step, step);
    if (tail > 0) visit(whole * step, tail);
    // The last step of a whole block reaches furthest into a panel.
    if (outer_times > 0 && d.extent > block && block > step) visit(block - step, step);
  }

  void bounds(const Call& c, const LoopIndex& at, const LoopIndex& outer) const {
    std::vector<Access> all;
    tile::accesses_of(c, sizes_of(c, at), true, all);
    for (const Access& a : all) {
      const Buffer& b = p_.buffers[static_cast<size_t>(a.buffer)];
      const int64_t begin = a.begin + relative_offset(p_, c.operands[static_cast<size_t>(a.operand)], at, outer);
      if (a.rows <= 0 || a.columns <= 0) continue;
      const int64_t end = begin + (a.rows - 1) * a.leading + a.columns;
      check(begin >= 0 && end <= b.elements,
            fmt::format("a call reaches element {} of buffer '{}', which has {}", end, b.name, b.elements));
    }
  }

  /// Tasks of one parallel region must not write the same place: what is written moves with every parallel dim.
  void races(const Call& c, const std::string& schedule) const {
    const auto* contract = std::get_if<Contract>(&c.what);
    const auto* express = std::get_if<Express>(&c.what);
    for (size_t i = 0; i < c.operands.size(); ++i) {
      const bool writes = contract != nullptr  ? i == 2
                          : express != nullptr ? i + express->expression.outputs().size() >= c.operands.size()
                                               : i + 1 == c.operands.size();
      if (!writes || p_.buffers[static_cast<size_t>(c.operands[i].buffer)].scope == Scope::panel) continue;
      for (const char l : schedule) {
        if (std::isupper(static_cast<unsigned char>(l)) == 0) continue;
        const int dim = l - 'A';
        const Dim& d = p_.dims[static_cast<size_t>(dim)];
        check(d.extent <= d.steps.front() || c.operands[i].stride(dim) != 0,
              fmt::format("all tasks along '{}' write the same part of '{}'", d.name,
                          p_.buffers[static_cast<size_t>(c.operands[i].buffer)].name));
      }
    }
  }

  const TileProgram& p_;
  int phase_ = -1;
};

}  // namespace

void verify(const TileProgram& program) { Verifier(program).run(); }

}  // namespace gregale::tile
