// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/ledger.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "tile/cut.hpp"
#include "tile/program_walk.hpp"

namespace gregale::tile {
namespace {

/// One operand as the formula sees it: what a part of the program touches of it, and what that moves.
struct Use {
  const Operand* operand = nullptr;
  bool panel = false;
  bool read = false, write = false;
  double touched = 0;  ///< distinct bytes
  double span = 0;     ///< from the first to the last of them
  double threads = 1;  ///< each with a copy, of a panel
  double nearby = 0;   ///< what is touched between meeting it and meeting it again, where an inner loop does; else 0
  double parts = 1;    ///< met so one after another
  double moved = 0;    ///< bytes loaded, if everything else stayed out of the way no more than it does
  int64_t reach = 0;   ///< where the last of the windows begins that are one use
};

/// Operands that walk a buffer in the same way are one.
using Key = std::tuple<int32_t, int64_t, std::vector<int64_t>, int64_t, bool>;
using Uses = std::map<Key, Use>;

/// Distinct bytes of all uses, each times its weight. A panel that is written in one way and read in another is one.
template <class Weight>
double sum_touched(const Uses& uses, const Weight& weight) {
  double total = 0;
  std::map<int32_t, double> panels;
  for (const auto& [key, use] : uses) {
    if (!use.panel) {
      total += use.touched * weight(use);
      continue;
    }
    double& panel = panels[std::get<0>(key)];
    total += std::max(0.0, use.touched - panel);
    panel = std::max(panel, use.touched);
  }
  return total;
}
double sum_touched(const Uses& uses) {
  return sum_touched(uses, [](const Use&) { return 1.0; });
}

class Prediction {
 public:
  Prediction(const TileProgram& program, const Target& target)
      : p_(program), cache_(static_cast<double>(target.l2_bytes)), cores_(target.cores) {}

  Traffic run() {
    Traffic traffic;
    double touched = 0;
    std::map<int32_t, Use> by_buffer;  // of the whole program
    std::vector<Uses> phases;
    for (const Phase& phase : p_.phases) {
      phases.push_back(of_phase(phase));
      touched += sum_touched(phases.back());
    }
    // Where all of it fits, a buffer is loaded once whatever the phases do.
    const bool fits = phases.size() > 1 && touched <= cache_;
    for (const Uses& uses : phases)
      for (const auto& [key, use] : uses) {
        const double bytes = loaded(use) + (use.write ? use.moved : 0);
        if (!fits) {
          traffic.bytes += bytes;
          continue;
        }
        Use& all = by_buffer[std::get<0>(key)];
        all.read |= use.read;
        all.write |= use.write;
        all.moved = std::max(all.moved, use.moved);
      }
    for (const auto& [buffer, use] : by_buffer) {
      const bool made_here = p_.buffers[static_cast<size_t>(buffer)].scope != Scope::argument;
      traffic.bytes += (use.write ? use.moved : 0) + (use.read && !(use.write && made_here) ? use.moved : 0);
    }
    traffic.least = least();
    return traffic;
  }

 private:
  /// What reading loads. A step reads of a panel what it has written: the first time it is there.
  double loaded(const Use& use) const {
    if (!use.read) return 0;
    return use.panel && !use.write ? std::max(0.0, use.moved - use.touched * use.threads) : use.moved;
  }

  using Loop = Trips;

  /// Windows of one buffer, walked in the same way, that lie less than half of `span` apart overlap: the next loads
  /// what lies between, and the share `gone` of the rest.
  static void meet(Uses& uses, int64_t span, double gone) {
    for (auto use = uses.begin(); use != uses.end(); ++use) {
      for (auto other = std::next(use); other != uses.end();) {
        const auto& [buffer, begin, strides, leading, broadcast] = use->first;
        const int64_t apart = std::get<1>(other->first) - use->second.reach;
        const bool same = std::get<0>(other->first) == buffer && std::get<2>(other->first) == strides &&
                          std::get<3>(other->first) == leading && std::get<4>(other->first) == broadcast;
        if (!same || use->second.operand->by_step || apart <= 0 || 2 * apart > span) {
          ++other;
          continue;
        }
        const double share = static_cast<double>(apart) / static_cast<double>(span);
        use->second.touched += other->second.touched * share;
        use->second.moved += other->second.moved * (share + gone * (1 - share));
        use->second.read |= other->second.read;
        use->second.write |= other->second.write;
        use->second.reach = other->second.reach;
        other = uses.erase(other);
      }
    }
  }

  Uses of_call(const Stage& stage, const Call& call, const std::vector<size_t>& used) const {
    std::vector<Access> accesses;
    const auto* contract = std::get_if<Contract>(&call.what);
    const bool sums =
        contract != nullptr && contract->sum >= 0 &&
        p_.dims[static_cast<size_t>(contract->sum)].extent > p_.dims[static_cast<size_t>(contract->sum)].steps.back();
    const CallSizes sizes = whole_sizes(p_, stage, call, used);
    accesses_of(call, sizes, !sums, accesses);
    Uses uses;
    for (size_t i = 0; i < call.operands.size(); ++i) {
      const Operand& o = call.operands[i];
      const Buffer& b = p_.buffers[static_cast<size_t>(o.buffer)];
      // What the products of a call, or the rows of a window, touch of an operand may overlap.
      Use part;
      int64_t first = std::numeric_limits<int64_t>::max(), last = 0, elements = 0;
      for (const Access& a : accesses) {
        if (a.operand != static_cast<int32_t>(i) || a.rows * a.columns == 0) continue;
        first = std::min(first, a.begin);
        last = std::max(last, a.begin + (a.rows - 1) * a.leading + a.columns);
        elements += a.rows * a.columns;
        // The first step of a sum does not read, the others find c where they left it.
        part.read |= a.read && !(sums && a.write);
        part.write |= a.write;
      }
      if (elements == 0) continue;
      if (const auto* w = std::get_if<Window>(&call.what); w != nullptr && i == 0) {
        // What the band before has not read yet.
        first = o.offset;
        elements = std::min(w->h, sizes.m * w->stride_h) * std::min(w->w, sizes.n * w->stride_w) * w->channels;
      }
      Key key{o.buffer, first, o.strides, o.leading, o.broadcast != kernels::Broadcast::none};
      std::get<2>(key).resize(p_.dims.size(), 0);
      Use& use = uses[key];
      use.operand = &o;
      use.panel = b.scope == Scope::panel;
      use.read |= part.read;
      use.write |= part.write;
      use.span = static_cast<double>((last - first) * size_of(b.dtype));
      use.touched = use.moved = std::min(use.span, static_cast<double>(elements * size_of(b.dtype)));
      use.reach = first;
    }
    int64_t columns = 0, rows = 0;
    for (const Access& a : accesses) {
      columns = std::max(columns, a.columns);
      rows = std::max(rows, a.rows * a.leading);
    }
    meet(uses, columns, 0);
    meet(uses, rows, 0);
    return uses;
  }

  /// What two parts touch that run one after another.
  void join(Uses& all, const Uses& more) const {
    const double both = sum_touched(all) + sum_touched(more);
    for (const auto& [key, use] : more) {
      const auto [found, fresh] = all.emplace(key, use);
      if (fresh) continue;
      Use& mine = found->second;
      // Made by the first part and still there: the second does not load it. From the middle of one to the middle of
      // the other half of both goes by.
      const bool made = mine.write && !mine.read && (both <= cache_ || (mine.panel && both / 2 <= cache_));
      mine.read |= use.read && !made;
      mine.write |= use.write;
      mine.touched = std::max(mine.touched, use.touched);
      mine.reach = std::max(mine.reach, use.reach);
      mine.moved = made || both <= cache_ ? std::max(mine.moved, use.moved) : mine.moved + use.moved;
    }
  }

  /// The share of what a step touches that the next finds gone. Sets of lines fill unevenly, so the cache begins to
  /// lose lines before it is full, and keeps some a little beyond.
  double lost(double touched) const {
    constexpr double kBegin = 0.8, kEnd = 1.1;
    return std::clamp((touched / cache_ - kBegin) / (kEnd - kBegin), 0.0, 1.0);
  }

  /// The share of what one step touched that is gone when the next needs it. What inner loops met again and again is
  /// the youngest when its step ends, whatever else has passed by; where that was one part after another, the first has
  /// had to wait for the others.
  double gone(const Use& use, double once) const {
    if (use.nearby == 0) return lost(once);
    return lost(use.panel ? use.nearby : std::max(use.nearby, once * (1 - 1 / use.parts)));
  }

  /// What is touched between one step of a loop and the next. Of what moves with the loop and was met again until the
  /// step's end, both the old and the new: the old is younger than what stays.
  static double between(const Uses& uses, const Loop& loop) {
    return sum_touched(
        uses, [&](const Use& use) { return use.operand->stride(loop.dim) != 0 && use.nearby > 0 ? 2.0 : 1.0; });
  }

  void around(Uses& uses, const Loop& loop, bool phase) const {
    const double once = between(uses, loop);
    for (auto& [key, use] : uses) {
      const bool moves = use.operand->stride(loop.dim) != 0 && !(phase && use.panel);
      if (moves) {
        // Steps shorter than what one of them touches meet again what the one before has read.
        const double element = size_of(p_.buffers[static_cast<size_t>(std::get<0>(key))].dtype);
        const double advance = static_cast<double>(use.operand->stride(loop.dim)) * loop.step * element;
        const bool overlaps = advance < use.span && use.touched > 0.9 * use.span;
        const double fresh = overlaps ? 1 + (loop.trips - 1) * advance / use.span : loop.trips;
        use.touched *= fresh;
        use.moved *= fresh + lost(once) * (loop.trips - fresh);
        use.span += (loop.trips - 1) * advance;
        if (use.nearby > 0) use.parts *= loop.trips;
      } else {
        if (!phase) use.nearby = use.nearby > 0 ? std::min(use.nearby, once) : once;
        use.moved *= 1 + gone(use, once) * (std::ceil(loop.trips) - 1);
      }
    }
    meet_along(uses, loop, once);
  }

  /// Windows apart by steps of the loop: a later step finds what an earlier one loaded.
  void meet_along(Uses& uses, const Loop& loop, double once) const {
    std::set<int64_t> strides;
    for (const auto& [key, use] : uses) strides.insert(use.operand->stride(loop.dim));
    for (const int64_t s : strides)
      if (s > 0) meet(uses, s * p_.dims[static_cast<size_t>(loop.dim)].extent, lost(once));
  }

  /// The loop whose steps are shared by `threads`, each with a cache of its own; `inner`: steps of the loops inside it.
  void across(Uses& uses, const Loop& loop, double threads, double inner, const std::vector<Loop>& inside) const {
    const double once = between(uses, loop), trips = std::ceil(loop.trips), share = trips * inner / threads;
    const bool cut = std::fmod(share, inner) != 0;  // a share ends within a step of this loop
    for (auto& [key, use] : uses) {
      if (use.panel) use.threads = threads;
      const double body = use.moved;
      if (use.operand->stride(loop.dim) != 0 && !use.panel) {
        use.touched *= loop.trips / threads;
        use.moved *= loop.trips;
        bool inside_moves = false;
        for (const Loop& l : inside) inside_moves |= use.operand->stride(l.dim) != 0;
        if (cut && !inside_moves) use.moved += (threads - 1) * body;  // both neighbours load it
      } else {
        use.moved *= threads + gone(use, once) * (trips - threads);
      }
    }
    meet_along(uses, loop, once);
  }

  /// A stage that works on a part of what the phase's loops cover.
  void cut(Uses& uses, const Stage& stage, const std::vector<size_t>& used) const {
    for (const Range& w : stage.box) {
      if (used[static_cast<size_t>(w.dim)] == 0) continue;
      const double share =
          static_cast<double>(w.end - w.begin) / static_cast<double>(p_.dims[static_cast<size_t>(w.dim)].extent);
      for (auto& [key, use] : uses) {
        if (use.operand->stride(w.dim) == 0 || use.panel || use.operand->by_step) continue;
        use.touched *= share;
        use.moved *= share;
      }
    }
  }

  Uses of_phase(const Phase& phase) const {
    std::vector<size_t> used(p_.dims.size(), 0);
    std::vector<Loop> outer = trips_of(p_, phase.schedule, used);
    Uses all;
    for (const Stage& stage : phase.stages) {
      std::vector<size_t> inner_used = used;
      const std::vector<Loop> inner = trips_of(p_, stage.loops, inner_used);
      Uses uses;
      for (const Call& call : stage.calls) join(uses, of_call(stage, call, inner_used));
      for (auto loop = inner.rbegin(); loop != inner.rend(); ++loop) around(uses, *loop, false);
      cut(uses, stage, used);
      const double together = sum_touched(uses);
      for (auto& [key, use] : uses)
        if (use.panel && use.nearby == 0) use.nearby = together;
      join(all, uses);
    }
    std::map<int32_t, double> nearby;  // of a buffer
    for (const auto& [key, use] : all)
      if (double& least = nearby[std::get<0>(key)]; use.nearby > 0)
        least = least > 0 ? std::min(least, use.nearby) : use.nearby;
    for (auto& [key, use] : all) use.nearby = nearby[std::get<0>(key)];
    // Each thread has its share of the outermost loops and a cache of its own.
    const bool parallel = std::any_of(phase.schedule.begin(), phase.schedule.end(),
                                      [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; });
    // The steps of all loops together are cut into shares; that is felt in the outermost loop with enough of them.
    size_t shared = 0;
    double threads = parallel ? cores_ : 1;
    while (shared + 1 < outer.size() && std::ceil(outer[shared].trips) < threads) ++shared;
    double inner = 1;
    for (size_t i = outer.size(); i-- > 0;) {
      if (i == shared && parallel) {
        threads = std::min(threads, std::ceil(outer[i].trips));
        across(all, outer[i], threads, inner, {outer.begin() + static_cast<std::ptrdiff_t>(i) + 1, outer.end()});
      } else {
        around(all, outer[i], true);
      }
      inner *= std::ceil(outer[i].trips);
    }
    return all;
  }

  /// Each argument once, by what its operands touch of it at most.
  double least() const {
    std::map<int32_t, std::pair<double, double>> buffers;  // read, written
    for (const Phase& phase : p_.phases) {
      std::vector<size_t> used(p_.dims.size(), 0);
      const std::vector<Loop> outer = trips_of(p_, phase.schedule, used);
      for (const Stage& stage : phase.stages) {
        std::vector<size_t> inner_used = used;
        const std::vector<Loop> inner = trips_of(p_, stage.loops, inner_used);
        for (const Call& call : stage.calls) {
          Uses uses = of_call(stage, call, inner_used);
          cut(uses, stage, used);
          for (const auto& [key, use] : uses) {
            const Buffer& b = p_.buffers[static_cast<size_t>(std::get<0>(key))];
            if (b.scope != Scope::argument) continue;
            double bytes = use.touched;
            for (const auto& loops : {outer, inner})
              for (const Loop& loop : loops)
                if (use.operand->stride(loop.dim) != 0) bytes *= loop.trips;
            bytes = std::min(bytes, static_cast<double>(b.elements * size_of(b.dtype)));
            auto& [read, written] = buffers[std::get<0>(key)];
            if (use.read) read = std::max(read, bytes);
            // Boxes of a result are apart.
            if (use.write) written = stage.box.empty() ? std::max(written, bytes) : written + bytes;
            written = std::min(written, static_cast<double>(b.elements * size_of(b.dtype)));
          }
        }
      }
    }
    double total = 0;
    // What the program itself writes it need not load.
    for (const auto& [buffer, bytes] : buffers) total += bytes.second > 0 ? bytes.second : bytes.first;
    return total;
  }

  const TileProgram& p_;
  const double cache_;
  const double cores_;
};

}  // namespace

Traffic predict(const TileProgram& program, const Target& target) { return Prediction(program, target).run(); }

// --- counting ---

CacheSimulator::CacheSimulator(int64_t bytes, int ways)
    : ways_(ways),
      sets_(static_cast<uint64_t>(std::max<int64_t>(1, bytes / 64 / ways))),
      table_(sets_ * static_cast<uint64_t>(ways)) {}

void CacheSimulator::touch(uint64_t line, bool write, bool load) {
  Way* set = &table_[line % sets_ * static_cast<uint64_t>(ways_)];
  Way* oldest = set;
  for (int i = 0; i < ways_; ++i) {
    Way& way = set[i];
    if (way.line == line) {
      way.used = ++clock_;
      way.dirty |= write;
      return;
    }
    if (way.used < oldest->used) oldest = &way;
  }
  if (oldest->dirty) written_back_ += 64;
  if (load) loaded_ += 64;
  *oldest = {line, ++clock_, write};
}

void CacheSimulator::access(uint64_t address, int64_t bytes, bool write, bool read) {
  if (bytes <= 0) return;
  const uint64_t first = address / 64, last = (address + static_cast<uint64_t>(bytes) - 1) / 64;
  for (uint64_t line = first; line <= last; ++line) touch(line, write, read);
}

void CacheSimulator::flush() {
  for (Way& way : table_) {
    if (way.dirty) written_back_ += 64;
    way = {};
  }
}

namespace {

class Counter : public CallObserver {
 public:
  Counter(const TileProgram& program, int64_t cache_bytes, int threads) : program_(program) {
    for (int i = 0; i < threads; ++i) caches_.emplace_back(cache_bytes);
  }
  void call(const Call& call, const CallSizes& sizes, const std::byte* const* operands, bool first_step,
            int thread) override {
    accesses_.clear();
    accesses_of(call, sizes, first_step, accesses_);
    for (const Access& a : accesses_) {
      const Operand& o = call.operands[static_cast<size_t>(a.operand)];
      const int64_t size = size_of(program_.buffers[static_cast<size_t>(o.buffer)].dtype);
      const auto base =
          reinterpret_cast<uint64_t>(operands[a.operand]) + static_cast<uint64_t>((a.begin - o.offset) * size);
      for (int64_t row = 0; row < a.rows; ++row)
        caches_[static_cast<size_t>(thread)].access(base + static_cast<uint64_t>(row * a.leading * size),
                                                    a.columns * size, a.write, a.read);
    }
  }
  Traffic result() {
    Traffic t;
    for (CacheSimulator& cache : caches_) {
      cache.flush();
      t.bytes += static_cast<double>(cache.loaded() + cache.written_back());
    }
    return t;
  }

 private:
  const TileProgram& program_;
  std::vector<CacheSimulator> caches_;
  std::vector<Access> accesses_;
};

}  // namespace

Traffic simulate(const CompiledProgram& program, const Target& target, int threads) {
  Counter counter(program.program(), target.l2_bytes, threads);
  // Addresses that nothing is at: observed programs touch no memory. An odd number of pages apart, as allocations are.
  const auto fake = [](uint64_t address) { return reinterpret_cast<std::byte*>(address); };  // NOLINT
  std::vector<const void*> arguments;
  uint64_t address = uint64_t{1} << 32;
  for (const Buffer& b : program.program().buffers) {
    if (b.scope != Scope::argument) continue;
    arguments.push_back(fake(address));
    address += static_cast<uint64_t>(round_up(b.elements * size_of(b.dtype), 4096) + 4096 * 3 + 64);
  }
  const uint64_t memory = address;
  address += static_cast<uint64_t>(round_up(program.memory_bytes(), 4096) + 4096);
  program.observe(threads, arguments.data(), fake(memory), fake(address), counter);
  Traffic traffic = counter.result();
  traffic.least = predict(program.program(), target).least;
  return traffic;
}

}  // namespace gregale::tile
