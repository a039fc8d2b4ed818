// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "gregale/error.hpp"
#include "kernels/contraction/tile_scope.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {
namespace {

int64_t sign(int64_t x) { return (x > 0) - (x < 0); }

/// A side of a rectangle of cells: as many cells as |x + y| along one of the axes.
struct Side {
  int64_t x = 0, y = 0;
  int64_t length() const { return std::abs(x + y); }
  Side unit() const { return {sign(x), sign(y)}; }
  Side half() const { return {x >= 0 ? x / 2 : -((-x + 1) / 2), y >= 0 ? y / 2 : -((-y + 1) / 2)}; }
  friend Side operator+(Side a, Side b) { return {a.x + b.x, a.y + b.y}; }
  friend Side operator-(Side a, Side b) { return {a.x - b.x, a.y - b.y}; }
  friend Side operator-(Side a) { return {-a.x, -a.y}; }
};

}  // namespace

// The rectangle is walked along `a` first; it is cut into two or three smaller ones that are walked one after another,
// each beginning next to where the one before ends, and only the one that holds `index` is looked into. Even halves
// keep the ends next to each other (the construction of J. Cerveny's generalised Hilbert curve).
CurveCell curve_cell(int64_t width, int64_t height, int64_t index) {
  Side at;
  Side a = width >= height ? Side{width, 0} : Side{0, height};
  Side b = width >= height ? Side{0, height} : Side{width, 0};
  for (;;) {
    const int64_t w = a.length(), h = b.length();
    if (h == 1 || w == 1) {
      const Side u = h == 1 ? a.unit() : b.unit();
      return {at.x + index * u.x, at.y + index * u.y};
    }
    Side a2 = a.half(), b2 = b.half();
    if (2 * w > 3 * h) {
      if (a2.length() % 2 != 0 && w > 2) a2 = a2 + a.unit();
      const int64_t first = a2.length() * h;
      if (index < first) {
        a = a2;
      } else {
        index -= first;
        at = at + a2;
        a = a - a2;
      }
      continue;
    }
    if (b2.length() % 2 != 0 && h > 2) b2 = b2 + b.unit();
    const int64_t first = b2.length() * a2.length(), second = w * (b - b2).length();
    if (index < first) {
      const Side swap = a2;
      a = b2;
      b = swap;
    } else if (index < first + second) {
      index -= first;
      at = at + b2;
      b = b - b2;
    } else {
      index -= first + second;
      at = at + (a - a.unit()) + (b2 - b.unit());
      const Side rest = a - a2;
      a = -b2;
      b = -rest;
    }
  }
}

LoopNest::LoopNest(std::vector<LoopDim> dims, const std::string& schedule)
    : dims_(std::move(dims)), schedule_(schedule) {
  size_t place = 0;
  const auto check = [&](bool holds, const std::string& what) {
    GREGALE_CHECK(holds, invalid_argument, "[schedule] \"{}\", place {}: {}", schedule_, place, what);
  };
  check(!dims_.empty() && dims_.size() <= kMaxDims, fmt::format("a nest has 1 to {} dims", kMaxDims));
  for (const LoopDim& d : dims_) {
    check(d.extent >= 0 && d.step >= 1, fmt::format("dim '{}' needs an extent >= 0 and a step >= 1", d.name));
    for (size_t i = 0; i < d.blocks.size(); ++i) {
      const int64_t inner = i + 1 < d.blocks.size() ? d.blocks[i + 1] : d.step;
      check(d.blocks[i] >= inner && d.blocks[i] % inner == 0,
            fmt::format("dim '{}': block {} is no multiple of {}", d.name, d.blocks[i], inner));
    }
  }
  std::vector<size_t> seen(dims_.size(), 0);
  const auto add = [&](char letter) -> Loop& {
    check(std::isalpha(static_cast<unsigned char>(letter)) != 0, "expected a letter");
    check(loops_.size() < kMaxLoops, fmt::format("more than {} loops", kMaxLoops));
    const auto dim = static_cast<size_t>(std::tolower(static_cast<unsigned char>(letter)) - 'a');
    check(dim < dims_.size(), fmt::format("there are only {} dims", dims_.size()));
    const LoopDim& d = dims_[dim];
    check(seen[dim] <= d.blocks.size(), fmt::format("dim '{}' has steps for {} loops", d.name, d.blocks.size() + 1));
    Loop loop;
    loop.dim = static_cast<int>(dim);
    loop.step = seen[dim] < d.blocks.size() ? d.blocks[seen[dim]] : d.step;
    loop.parallel = std::isupper(static_cast<unsigned char>(letter)) != 0;
    check(!(loop.parallel && d.reduction), fmt::format("dim '{}' is summed over and cannot be parallel", d.name));
    ++seen[dim];
    loops_.push_back(loop);
    return loops_.back();
  };
  while (place < schedule_.size()) {
    const char c = schedule_[place];
    if (c == '<') {
      check(schedule_.size() - place >= 4 && schedule_[place + 3] == '>', "expected <ab>");
      Loop& first = add(schedule_[place + 1]);
      first.curve = true;
      const Loop copy = first;
      const Loop second = add(schedule_[place + 2]);
      check(copy.dim != second.dim && copy.parallel == second.parallel,
            "the loops of a curve are two dims, both parallel or both not");
      check(!dims_[static_cast<size_t>(copy.dim)].reduction && !dims_[static_cast<size_t>(second.dim)].reduction,
            "a dim that is summed over cannot be on a curve");
      place += 4;
      continue;
    }
    Loop& loop = add(c);
    ++place;
    if (place < schedule_.size() && schedule_[place] == '{') {
      check(loop.parallel, "only parallel loops have a grid");
      const size_t close = schedule_.find('}', place);
      check(close != std::string::npos && close > place + 1 && close - place <= 5, "expected {count}");
      for (size_t i = place + 1; i < close; ++i) {
        check(std::isdigit(static_cast<unsigned char>(schedule_[i])) != 0, "expected {count}");
        loop.grid = loop.grid * 10 + (schedule_[i] - '0');
      }
      check(loop.grid >= 1, "a grid has at least one part");
      place = close + 1;
    }
  }
  for (size_t d = 0; d < dims_.size(); ++d)
    check(seen[d] == dims_[d].blocks.size() + 1, fmt::format("dim '{}' has {} loops, its steps are for {}",
                                                             dims_[d].name, seen[d], dims_[d].blocks.size() + 1));
  const auto is_parallel = [](const Loop& l) { return l.parallel; };
  const auto first = std::find_if(loops_.begin(), loops_.end(), is_parallel);
  const auto end = std::find_if_not(first, loops_.end(), is_parallel);
  check(std::none_of(end, loops_.end(), is_parallel), "parallel loops must stand next to each other");
  first_parallel_ = static_cast<int>(first - loops_.begin());
  end_parallel_ = static_cast<int>(end - loops_.begin());
  if (first == loops_.end()) first_parallel_ = end_parallel_ = 0;
  bool grids = false, curves = false;
  for (auto i = first; i != end; ++i) {
    grids |= i->grid > 0;
    curves |= i->curve;
    for (auto j = first; j != i; ++j) check(i->dim != j->dim, "a dim has one loop in a parallel region");
  }
  check(!(grids && curves), "a parallel region has a grid or a curve, not both");
  for (auto i = first; i != end; ++i)
    if (grids) i->grid = std::max<int64_t>(i->grid, 1);
}

/// One run of a parallel region: how many steps each of its loops has, and how they are shared.
struct LoopNest::Region {
  int64_t counts[kMaxLoops] = {};
  int64_t steps = 1, cells = 0;
};

int64_t LoopNest::steps() const {
  int64_t steps = 1;
  for (const LoopDim& d : dims_) {
    // Blocks are multiples of the steps inside, so no step is cut by a block's end but the last.
    steps *= ceil_div(d.extent, d.step);
  }
  return steps;
}

int64_t LoopNest::tasks(int threads) const {
  int64_t steps = 1, cells = 1;
  bool grid = false;
  for (int i = first_parallel_; i < end_parallel_; ++i) {
    const Loop& l = loops_[static_cast<size_t>(i)];
    int64_t span = dims_[static_cast<size_t>(l.dim)].extent;
    for (int j = 0; j < i; ++j)
      if (loops_[static_cast<size_t>(j)].dim == l.dim) span = std::min(span, loops_[static_cast<size_t>(j)].step);
    steps *= ceil_div(span, l.step);
    cells *= l.grid;
    grid |= l.grid > 0;
  }
  constexpr int64_t kRunsPerThread = 8;
  return grid ? cells : std::min(steps, threads == 1 ? int64_t{1} : kRunsPerThread * threads);
}

/// Runs loops [loop, end) in order and calls next(index) for each step of the last.
template <class Next>
void LoopNest::walk(int loop, int end, LoopIndex& index, const Next& next) const {
  if (loop == end) {
    next(index);
    return;
  }
  const Loop& l = loops_[static_cast<size_t>(loop)];
  int64_t &begin = index.begin[l.dim], &size = index.size[l.dim];
  const int64_t begin0 = begin, size0 = size;
  if (l.curve) {
    const Loop& r = loops_[static_cast<size_t>(loop) + 1];
    int64_t &begin_r = index.begin[r.dim], &size_r = index.size[r.dim];
    const int64_t begin_r0 = begin_r, size_r0 = size_r;
    const int64_t width = ceil_div(size0, l.step), height = ceil_div(size_r0, r.step);
    for (int64_t i = 0; i < width * height; ++i) {
      const CurveCell cell = curve_cell(width, height, i);
      begin = begin0 + cell.x * l.step;
      size = std::min(l.step, begin0 + size0 - begin);
      begin_r = begin_r0 + cell.y * r.step;
      size_r = std::min(r.step, begin_r0 + size_r0 - begin_r);
      walk(loop + 2, end, index, next);
    }
    begin_r = begin_r0;
    size_r = size_r0;
  } else {
    for (int64_t x = begin0; x < begin0 + size0; x += l.step) {
      begin = x;
      size = std::min(l.step, begin0 + size0 - x);
      walk(loop + 1, end, index, next);
    }
  }
  begin = begin0;
  size = size0;
}

void LoopNest::region(ThreadTeam& team, const LoopIndex& index, Call call, const void* body) const {
  Region region;
  const int first = first_parallel_, end = end_parallel_, last = static_cast<int>(loops_.size());
  bool grid = false;
  for (int i = first; i < end; ++i) {
    const Loop& l = loops_[static_cast<size_t>(i)];
    region.counts[i] = ceil_div(index.size[l.dim], l.step);
    region.steps *= region.counts[i];
    region.cells = (grid ? region.cells : 1) * std::max<int64_t>(l.grid, 1);
    grid |= l.grid > 0;
  }
  const auto place = [&](LoopIndex& at, int loop, int64_t step) {
    const Loop& l = loops_[static_cast<size_t>(loop)];
    at.begin[l.dim] = index.begin[l.dim] + step * l.step;
    at.size[l.dim] = std::min(l.step, index.begin[l.dim] + index.size[l.dim] - at.begin[l.dim]);
  };
  if (grid) {
    parallel_for(team, region.cells, 1, [&](int64_t cell, int64_t, int thread) {
      const kernels::TileScope scope;  // tiles stay configured from call to call
      LoopIndex at = index;
      for (int i = end - 1; i >= first; --i) {
        const Loop& l = loops_[static_cast<size_t>(i)];
        const int64_t part = cell % l.grid;
        cell /= l.grid;
        const int64_t from = region.counts[i] * part / l.grid, to = region.counts[i] * (part + 1) / l.grid;
        const int64_t end_of_dim = index.begin[l.dim] + index.size[l.dim];
        at.begin[l.dim] = index.begin[l.dim] + from * l.step;
        at.size[l.dim] = std::max<int64_t>(0, std::min(end_of_dim, index.begin[l.dim] + to * l.step) - at.begin[l.dim]);
      }
      walk(first, last, at, [&](const LoopIndex& step) { call(body, step, thread); });
    });
    return;
  }
  const int64_t runs = std::min(region.steps, tasks(team.size()));
  parallel_for(team, runs, 1, [&](int64_t run, int64_t, int thread) {
    const int64_t from = region.steps * run / runs, to = region.steps * (run + 1) / runs;
    const kernels::TileScope scope;
    LoopIndex at = index;
    for (int64_t s = from; s < to; ++s) {
      int64_t rest = s;
      for (int i = end - 1; i >= first; --i) {
        const bool curve = i > first && loops_[static_cast<size_t>(i) - 1].curve;
        if (!curve) {
          place(at, i, rest % region.counts[i]);
          rest /= region.counts[i];
          continue;
        }
        const int64_t cells = region.counts[i - 1] * region.counts[i];
        const CurveCell cell = curve_cell(region.counts[i - 1], region.counts[i], rest % cells);
        rest /= cells;
        place(at, i - 1, cell.x);
        place(at, i, cell.y);
        --i;
      }
      walk(end, last, at, [&](const LoopIndex& step) { call(body, step, thread); });
    }
  });
}

void LoopNest::run_erased(ThreadTeam& team, Call call, const void* body) const {
  LoopIndex index;
  for (size_t d = 0; d < dims_.size(); ++d) {
    index.size[d] = dims_[d].extent;
    if (dims_[d].extent == 0) return;
  }
  const int last = static_cast<int>(loops_.size());
  if (first_parallel_ == end_parallel_) {
    const kernels::TileScope scope;
    walk(0, last, index, [&](const LoopIndex& step) { call(body, step, 0); });
    return;
  }
  walk(0, first_parallel_, index, [&](const LoopIndex& outer) { region(team, outer, call, body); });
}

}  // namespace gregale::tile
