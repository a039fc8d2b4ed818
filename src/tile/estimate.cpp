// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/estimate.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "kernels/expression/expression_analysis.hpp"
#include "tile/cut.hpp"
#include "tile/ledger.hpp"
#include "tile/program_walk.hpp"

namespace gregale::tile {
namespace {

using kernels::ExprOp;

/// Instructions of a vector of results; divisions and roots count for the time that they hold their unit.
double cost_of(ExprOp op) {
  switch (op) {
    case ExprOp::sqrt:
    case ExprOp::reciprocal:
    case ExprOp::reciprocal_sqrt:
    case ExprOp::div:
      return 8;
    case ExprOp::multiply_add:
      return 1;
    default:
      return kernels::expression::flops_of(op);
  }
}

double cost_of(const kernels::Expression& e) {
  double cost = 0;
  for (const kernels::Expression::Node& n : e.nodes()) cost += cost_of(n.op);
  return cost;
}

/// What one phase does, of all its calls.
struct Work {
  double compute = 0;  ///< seconds of one core
  double bytes = 0;    ///< that calls touch
  double calls = 0;
  double regions = 0;    ///< parallel ones
  double threads = 1;    ///< that have something to do
  double imbalance = 1;  ///< the longest thread's share over the mean
};

class Estimator {
 public:
  Estimator(const TileProgram& program, const Target& target, const Rates& rates)
      : p_(program), target_(target), rates_(rates) {}

  Estimate run() const {
    const Traffic whole = predict(p_, target_);
    std::vector<double> past;  // bytes of each phase beyond L2
    double sum = 0;
    for (const Phase& phase : p_.phases) {
      TileProgram alone = p_;
      alone.phases = {phase};
      past.push_back(p_.phases.size() == 1 ? whole.bytes : predict(alone, target_).bytes);
      sum += past.back();
    }
    // What phases hand each other may stay in the cache: the whole moves less than its parts.
    const double kept = sum > 0 ? whole.bytes / sum : 1;
    const bool in_l3 = whole.least <= static_cast<double>(target_.l3_bytes) / 2;
    Estimate all;
    for (size_t i = 0; i < p_.phases.size(); ++i) {
      const Work w = of_phase(p_.phases[i]);
      const double rate =
          in_l3 ? rates_.l3_bytes * w.threads : std::min(rates_.memory_bytes, rates_.l3_bytes * w.threads);
      const double compute = w.compute / w.threads, cache = w.bytes / rates_.l2_bytes / w.threads,
                   memory = past[i] * kept / rate,
                   overhead = w.calls * rates_.call_seconds / w.threads + w.regions * rates_.barrier_seconds;
      all.compute += compute;
      all.cache += cache;
      all.memory += memory;
      all.overhead += overhead;
      all.seconds += std::max({compute * w.imbalance, cache * w.imbalance, memory}) + overhead;
    }
    return all;
  }

 private:
  Work of_phase(const Phase& phase) const {
    Work w;
    std::vector<size_t> used(p_.dims.size(), 0);
    const std::vector<Trips> outer = trips_of(p_, phase.schedule, used);
    double times = 1, rounds = 1;    // average and whole steps of the phase's loops
    double steps = 1, fraction = 1;  // of its parallel loops
    size_t at = 0;
    for (const char c : phase.schedule) {
      if (std::isalpha(static_cast<unsigned char>(c)) == 0) continue;
      const double trips = outer[at++].trips;
      times *= trips;
      rounds *= std::ceil(trips);
      if (std::isupper(static_cast<unsigned char>(c)) == 0) continue;
      steps *= std::ceil(trips);
      fraction *= trips;
      w.regions = 1;
    }
    // The loops outside of a region begin one each; none stand there today, and the text form allows them.
    if (w.regions > 0 && steps > 1) {
      w.threads = std::min(static_cast<double>(target_.cores), steps);
      constexpr double kRunsPerThread = 8;  // LoopNest::tasks
      const double runs = std::min(steps, kRunsPerThread * target_.cores);
      const double longest = std::ceil(runs / w.threads) * std::ceil(steps / runs);
      w.imbalance = std::max(1.0, std::min(longest, steps) * w.threads / fraction);
      // Many short runs even out: whoever is done takes the next.
      if (steps >= kRunsPerThread * target_.cores) w.imbalance = 1 + (w.imbalance - 1) / kRunsPerThread;
    } else {
      w.regions = 0;
    }
    for (const Stage& stage : phase.stages) {
      std::vector<size_t> inner_used = used;
      double inner = 1, inner_rounds = 1;
      for (const Trips& t : trips_of(p_, stage.loops, inner_used)) {
        inner *= t.trips;
        inner_rounds *= std::ceil(t.trips);
      }
      for (const Call& call : stage.calls) {
        const double share = share_of(call);
        w.compute += times * inner * compute_of(call, whole_sizes(p_, stage, call, inner_used)) * share;
        w.bytes += times * inner * bytes_of(call, whole_sizes(p_, stage, call, inner_used)) * share;
        w.calls += rounds * inner_rounds * share;
      }
    }
    return w;
  }

  /// Of the steps of its stage, those in which the call is made.
  double share_of(const Call& call) const {
    if (call.when.kind == When::Kind::always) return 1;
    const Dim& d = p_.dims[static_cast<size_t>(call.when.dim)];
    return 1 / std::max(1.0, std::ceil(static_cast<double>(d.extent) / static_cast<double>(d.steps.back())));
  }

  /// Seconds of one core.
  double compute_of(const Call& call, const CallSizes& s) const {
    const auto m = static_cast<double>(s.m), n = static_cast<double>(s.n), k = static_cast<double>(s.k);
    // Results that share a vector: the last of a row takes as long as a whole one.
    const int64_t lanes = target_.isa >= Isa::avx512 ? 16 : target_.isa == Isa::avx2 ? 8 : 4;
    const double width = static_cast<double>(round_up(s.n, lanes));
    const double vector_rate = rates_.f32_flops / 2;  // results of one instruction each
    if (const auto* c = std::get_if<Contract>(&call.what)) {
      // What kernels reach of the peak where data are near (docs/kernels.md).
      constexpr double kReach = 0.92;
      // As long again for splitting a and adding up as for the products of parts.
      const double rate =
          kReach * (c->compute == kernels::Compute::bf16     ? rates_.bf16_flops
                    : c->compute == kernels::Compute::fp32x3 ? rates_.bf16_flops / (2 * kernels::kFp32x3Products)
                                                             : rates_.f32_flops);
      double seconds = 2 * m * width * k * static_cast<double>(offsets_of(*c).size()) / rate;
      if (!c->epilogue.empty()) {
        const double steps = c->sum < 0
                                 ? 1
                                 : std::ceil(static_cast<double>(p_.dims[static_cast<size_t>(c->sum)].extent) /
                                             static_cast<double>(p_.dims[static_cast<size_t>(c->sum)].steps.back()));
        seconds += m * width * cost_of(c->epilogue) / vector_rate / steps;
      }
      return seconds;
    }
    if (const auto* e = std::get_if<Express>(&call.what)) return m * width * cost_of(e->expression) / vector_rate;
    if (const auto* w = std::get_if<Window>(&call.what))
      return static_cast<double>(w->rows_of(0, s.m).size * w->columns_of(0, s.n).size * w->channels) / vector_rate;
    if (std::get_if<Transform>(&call.what) != nullptr)  // radices: 5 n log2 n flops of a complex column
      return 5 * m * std::log2(std::max(m, 2.0)) * width / rates_.f32_flops;
    const auto& move = std::get<Move>(call.what);
    return m * n * (move.trans ? 2 : 1) / vector_rate;
  }

  /// What a call reads and writes, and what of b it reads again because a strip of it is larger than L1.
  double bytes_of(const Call& call, const CallSizes& s) const {
    std::vector<Access> accesses;
    accesses_of(call, s, true, accesses);
    const auto* contract = std::get_if<Contract>(&call.what);
    double bytes = 0;
    for (const Access& a : accesses) {
      const DType dtype = p_.buffers[static_cast<size_t>(call.operands[static_cast<size_t>(a.operand)].buffer)].dtype;
      double own = static_cast<double>(a.rows * a.columns * size_of(dtype));
      if (contract != nullptr && a.operand == 1) {
        constexpr int64_t kBlockRows = 12, kStripColumns = 64;
        const int64_t strip = std::min(s.n, kStripColumns) * s.k * size_of(dtype);
        if (strip > target_.l1_bytes) own *= static_cast<double>(ceil_div(s.m, kBlockRows));
      }
      bytes += own;
    }
    return bytes;
  }

  const TileProgram& p_;
  const Target& target_;
  const Rates& rates_;
};

}  // namespace

Rates rates_of(const Target& target) {
  constexpr double kClock = 3e9;
  const auto cores = static_cast<double>(std::max(1, target.cores));
  Rates r;
  const bool avx512 = target.isa >= Isa::avx512;
  r.f32_flops = kClock * (avx512 ? 64 : target.isa == Isa::avx2 ? 32 : 2);
  r.bf16_flops = target.features.amx_bf16        ? kClock * 1024
                 : target.features.fast_bf16_dot ? 2 * r.f32_flops
                                                 : r.f32_flops / 2;
  r.l2_bytes = kClock * (avx512 ? 32 : target.isa == Isa::avx2 ? 24 : 8);
  r.memory_bytes = std::min(10e9 * cores, 40e9 + 2e9 * cores);
  r.l3_bytes = std::sqrt(r.l2_bytes * r.memory_bytes / cores);
  return r;
}

Rates rates_of(const Target& target, const kernels::Machine& machine) {
  Rates r = rates_of(target);
  const double threads = std::max(1, machine.threads);
  r.f32_flops = 1e9 * machine.fp32.all_threads / threads;
  r.bf16_flops = machine.bf16 ? 1e9 * machine.bf16->all_threads / threads : r.f32_flops / 2;
  r.l2_bytes = 1e9 * machine.read_l2.all_threads / threads;
  r.memory_bytes = 1e9 * machine.read_memory.all_threads;
  r.l3_bytes = std::sqrt(r.l2_bytes * r.memory_bytes / threads);
  r.measured = true;
  return r;
}

Estimate estimate(const TileProgram& program, const Target& target, const Rates& rates) {
  return Estimator(program, target, rates).run();
}

std::vector<ScheduleCandidate> schedule_candidates(const Graph& region, const Target& target,
                                                   const std::vector<Given>& given, const Rates& rates, size_t most) {
  std::vector<ScheduleCandidate> candidates;
  Result<LoweredRegion> own = lower_region(region, target, given);
  if (!own || most == 0) return candidates;
  const std::vector<ScheduleChoice> choices = schedules_around(own.value().freedom);
  const auto add = [&](const ScheduleChoice& choice, LoweredRegion lowered) {
    for (const ScheduleCandidate& c : candidates)
      if (c.region.program == lowered.program) return;
    const double seconds = estimate(lowered.program, target, rates).seconds;
    candidates.push_back({choice, std::move(lowered), seconds});
  };
  add({}, std::move(own).value());
  for (size_t i = 1; i < choices.size(); ++i)
    if (auto lowered = lower_region(region, target, given, choices[i])) add(choices[i], std::move(lowered).value());
  double best = candidates[0].seconds;
  for (const ScheduleCandidate& c : candidates) best = std::min(best, c.seconds);
  // The formula is no better than this at telling schedules apart.
  constexpr double kDoubt = 1.25;
  candidates.erase(std::remove_if(candidates.begin() + 1, candidates.end(),
                                  [&](const ScheduleCandidate& c) { return c.seconds > kDoubt * best; }),
                   candidates.end());
  std::stable_sort(candidates.begin() + 1, candidates.end(),
                   [](const ScheduleCandidate& a, const ScheduleCandidate& b) { return a.seconds < b.seconds; });
  if (candidates.size() > most)
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(most), candidates.end());
  return candidates;
}

}  // namespace gregale::tile
