// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <memory>

#include "codec/multilevel.hpp"

// What is chosen for a block before it is coded: an order of dimensions, steps of levels, weights of predictors.
namespace gregale::codec {
namespace {

constexpr int64_t kOne = int64_t{1} << kWeightBits;

/// Samples of a pass: points and what stands at their taps, in steps of the bound.
struct Samples {
  size_t taps = 0;
  std::vector<double> values;  ///< of a sample: differences of taps 1, 2, ... to tap 0, and of the target to it
  std::vector<double> gram;    ///< products of these, summed: row t has columns 0 to t
  double points = 0;           ///< of the pass, of which these are some
  mutable std::vector<std::pair<double, Estimate>> known;  ///< by step
  size_t count() const { return values.size() / taps; }

  /// Of the whole pass, quantised with a step that is that of the bound times `step`.
  const Estimate& estimate(double step) const;

  void sum() {
    gram.assign(taps * taps, 0);
    for (size_t i = 0; i < values.size(); i += taps)
      for (size_t t = 0; t < taps; ++t) {
        const double v = values[i + t];
        for (size_t u = 0; u <= t; ++u) gram[t * taps + u] += v * values[i + u];
      }
  }
};

/// Least squares for differences to the first tap, so that weights add up to one. `noise`: the variance of each tap's
/// error, which is what keeps the weights small. Gives those of taps 1, 2, ...
std::vector<double> solve(const Samples& samples, double noise) {
  const size_t n = samples.taps - 1, stride = samples.taps;
  const double count = static_cast<double>(samples.count());
  std::vector<double> l(n * n), x(n);
  for (size_t t = 0; t < n; ++t) {
    for (size_t u = 0; u <= t; ++u) l[t * n + u] = samples.gram[t * stride + u] + count * noise * (t == u ? 2 : 1);
    l[t * n + t] += 1e-9 * (samples.gram[t * stride + t] + 1e-30);
    x[t] = samples.gram[n * stride + t] + count * noise;
  }
  for (size_t j = 0; j < n; ++j) {  // Cholesky
    for (size_t k = 0; k < j; ++k)
      for (size_t i = j; i < n; ++i) l[i * n + j] -= l[i * n + k] * l[j * n + k];
    const double root = std::sqrt(std::max(l[j * n + j], 1e-300));
    for (size_t i = j; i < n; ++i) l[i * n + j] /= root;
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) x[i] -= l[i * n + k] * x[k];
    x[i] /= l[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) x[i] -= l[k * n + i] * x[k];
    x[i] /= l[i * n + i];
  }
  return x;
}

const Estimate& Samples::estimate(double step) const {
  for (const auto& [s, e] : known)
    if (s == step) return e;
  const double noise = step * step / 12;
  const std::vector<double> weights = solve(*this, noise);
  double first = 1, sizes = 0;
  for (const double w : weights) {
    first -= w;
    sizes += w * w;
  }
  const double carried = noise * (sizes + first * first);
  double squares = 0;
  BitSum bits, finer;
  constexpr double kFiner = 1.3;
  for (size_t i = 0; i < values.size(); i += taps) {
    double r = values[i + taps - 1];
    for (size_t t = 0; t + 1 < taps; ++t) r -= weights[t] * values[i + t];
    const double left = r * r + carried, t = left / (step * step);
    bits.add(t);
    finer.add(t * kFiner);
    squares += noise * t / (t + 1.0 / 12);
  }
  const double scale = points / static_cast<double>(count());
  const double slope = (finer.get() - bits.get()) * (2 / std::log2(kFiner));
  known.emplace_back(step, Estimate{bits.get() * scale, slope * scale, squares * scale, points});
  return known.back().second;
}

/// Where there is nothing to fit: the cubic through four points.
std::vector<int32_t> cubic(const Pass& pass) {
  std::vector<int32_t> w(pass.taps.size(), 0);
  constexpr int32_t kFar = static_cast<int32_t>(kOne / 16);
  w[0] = w[1] = static_cast<int32_t>(kOne / 2) + kFar;
  w[2] = w[3] = -kFar;
  return w;
}

/// Weights as integers that add up to one, none so large that predictions could overflow.
std::vector<int32_t> rounded(const std::vector<double>& weights, const Pass& pass) {
  std::vector<int32_t> w{static_cast<int32_t>(kOne)};
  double sizes = 0;
  for (const double x : weights) {
    sizes += std::abs(x);
    if (!(sizes < 1.9)) return cubic(pass);
    w.push_back(static_cast<int32_t>(std::nearbyint(x * static_cast<double>(kOne))));
    w[0] -= w.back();
  }
  return w;
}

/// How rough the block is along each dimension: mean size of second differences.
template <class T>
std::array<double, 4> roughness(const BlockInput<T>& in) {
  std::array<double, 4> rough{};
  int64_t stride = 1;
  const int64_t total = count_of(in.extents);
  for (size_t d = 4; d-- > 0;) {
    const int64_t n = in.extents[d];
    if (n > 2) {
      double sum = 0;
      int64_t count = 0;
      const int64_t every = std::max<int64_t>(1, total / 8192) | 1;
      for (int64_t place = 0; place < total; place += every) {
        const int64_t c = place / stride % n;
        if (c == 0 || c == n - 1) continue;
        if (in.valid != nullptr && !(in.valid[place] && in.valid[place - stride] && in.valid[place + stride])) continue;
        sum += std::abs(static_cast<double>(in.values[place - stride]) +
                        static_cast<double>(in.values[place + stride]) - 2 * static_cast<double>(in.values[place]));
        ++count;
      }
      rough[d] = count > 0 ? sum / static_cast<double>(count) : 0;
    }
    stride *= n;
  }
  return rough;
}

template <class T>
class Planner {
 public:
  Planner(const BlockInput<T>& in, const Grid& grid)
      : in_(in),
        grid_(grid),
        scale_(1 / (grid.unit * static_cast<double>(int64_t{1} << grid.fraction_bits))),
        most_(std::clamp<int64_t>(count_of(in.extents) / 256, 250, 1500)) {}

  /// The best of a few orders, with the ratio between the steps of levels that suits it best.
  MultilevelPlan run() {
    std::vector<int> order;
    const std::array<double, 4> rough = roughness(in_);
    for (int d = 0; d < 4; ++d)
      if (in_.extents[static_cast<size_t>(d)] > 1) order.push_back(d);
    if (order.empty()) order.push_back(3);
    // The smoothest last, which half of all points are predicted along, but rows always: dense rows would be a chain.
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return (b == 3) != (a == 3) ? b == 3 : rough[static_cast<size_t>(a)] > rough[static_cast<size_t>(b)];
    });
    Candidate best = sampled(order);
    while (order.size() > 2) {  // the roughest dimensions dense; with one left rows would be short, and slow
      order.erase(order.begin());
      Candidate next = sampled(order);
      if (next.estimate.above(best.estimate) < 0) best = std::move(next);
    }
    return finished(best);
  }

 private:
  static constexpr int64_t kFewPoints = 8192;
  static constexpr size_t kAhead = 6;  // samples that are on their way from memory
  static constexpr std::array<double, 5> kDecays{1, 0.8, 0.65, 0.5, 0.35};
  struct Candidate {
    std::vector<int> order;
    std::vector<Pass> passes;
    std::vector<std::shared_ptr<const Samples>> samples;  ///< of the finest passes, from the last
    double decay = 1;
    Estimate estimate;
  };

  double step_of(int level, double decay) const {  // over the finest one
    return std::max(std::pow(decay, level), decay * decay * decay);
  }
  int32_t quantum_of(int level, double decay) const {
    return std::max(1, static_cast<int32_t>(std::nearbyint(step_of(level, decay) * (1 << grid_.fraction_bits))));
  }

  /// Samples the passes that make most of all points, and tries the ratios on them.
  Candidate sampled(std::vector<int> order) {
    Candidate c;
    const Lattice lattice(in_.extents, order);
    c.order = std::move(order);
    c.passes = lattice.passes();
    double points = 0;
    for (size_t p = c.passes.size(); p-- > 0 && points < 0.9 * static_cast<double>(count_of(in_.extents));) {
      c.samples.push_back(sample(lattice, c.passes[p]));
      points += c.samples.back()->points;
    }
    for (const double decay : kDecays) {
      Estimate e;
      for (size_t i = 0; i < c.samples.size(); ++i) {
        const Samples& s = *c.samples[i];
        const double step = step_of(c.passes[c.passes.size() - 1 - i].level, decay);
        if (s.count() > 2 * s.taps) e.add(s.estimate(step));
      }
      if (e.points == 0) e.points = 1;
      if (decay != kDecays[0] && e.above(c.estimate) >= 0) break;
      c.estimate = e;
      c.decay = decay;
    }
    return c;
  }

  MultilevelPlan finished(const Candidate& c) {
    const Lattice lattice(in_.extents, c.order);
    MultilevelPlan plan;
    plan.order = c.order;
    plan.estimate = c.estimate;
    for (int level = 0; level < lattice.levels(); ++level) plan.steps.push_back(quantum_of(level, c.decay));
    plan.weights.resize(c.passes.size());
    for (size_t p = c.passes.size(); p-- > 0;) {  // from the finest
      const Pass& pass = c.passes[p];
      if (const size_t like = finer_one(c, p); like < c.passes.size()) {
        plan.weights[p] = plan.weights[like];
        continue;
      }
      const size_t from_last = c.passes.size() - 1 - p;
      const std::shared_ptr<const Samples> samples =
          from_last < c.samples.size() ? c.samples[from_last] : sample(lattice, pass);
      const Samples& s = *samples;
      const double step = step_of(pass.level, c.decay);
      plan.weights[p] = s.count() > 8 * s.taps ? rounded(solve(s, step * step / 12), pass) : cubic(pass);
    }
    return plan;
  }

  /// The pass of the next finer level whose weights serve a coarse one too: so few points are not worth a fit.
  size_t finer_one(const Candidate& c, size_t p) const {
    const Pass& pass = c.passes[p];
    const Lattice lattice(in_.extents, c.order);
    if (pass.level < 2 || count_of(lattice.extents_at(pass.level)) >= kFewPoints) return c.passes.size();
    for (size_t q = p + 1; q < c.passes.size(); ++q)
      if (c.passes[q].level == pass.level - 1 && c.passes[q].place == pass.place &&
          c.passes[q].taps.size() == pass.taps.size())
        return q;
    return c.passes.size();
  }

  /// What of a pass is looked at: points whose taps are all inside, where the block has some.
  struct Region {
    std::array<int64_t, 4> first{}, count{}, strides{}, extents{};
    std::array<bool, 4> inner{};
    int64_t total = 1, all = 1;
  };
  Region region_of(const Lattice& lattice, const Pass& pass) const {
    Region r;
    r.extents = lattice.extents_at(pass.level);
    for (size_t d = 0; d < 4; ++d) {
      int64_t left = 0, right = 0;
      for (const Tap& tap : pass.taps) {
        left = std::max(left, -tap.offset[d]);
        right = std::max(right, tap.offset[d]);
      }
      const int64_t start = pass.start[d], step = pass.step[d], whole = (r.extents[d] - start + step - 1) / step;
      const int64_t first = left > start ? (left - start + step - 1) / step : 0,
                    room = r.extents[d] - 1 - right - start;
      const int64_t count = room < 0 ? 0 : room / step + 1 - first;
      r.inner[d] = count > 0;
      r.first[d] = r.inner[d] ? first : 0;
      r.count[d] = r.inner[d] ? count : whole;
      r.strides[d] = lattice.stride(pass.level, d);
      r.total *= r.count[d];
      r.all *= whole;
    }
    return r;
  }

  /// Orders have passes of the finest level in common, which are most of the work.
  std::shared_ptr<const Samples> sample(const Lattice& lattice, const Pass& pass) {
    if (pass.level > 0) return std::make_shared<Samples>(fresh_sample(lattice, pass));
    for (const auto& [known, samples] : finest_)
      if (known.dimension == pass.dimension && known.start == pass.start && known.step == pass.step) return samples;
    finest_.emplace_back(pass, std::make_shared<Samples>(fresh_sample(lattice, pass)));
    return finest_.back().second;
  }

  Samples fresh_sample(const Lattice& lattice, const Pass& pass) const {
    const Region r = region_of(lattice, pass);
    Samples s;
    s.taps = pass.taps.size();
    s.points = static_cast<double>(r.all);
    const int64_t some = std::min(r.total, most_);
    s.values.resize(static_cast<size_t>(some) * s.taps);
    // Where the taps of inner points are; others are looked for one by one.
    std::array<int64_t, kMostTaps> offsets{};
    for (size_t t = 0; t < s.taps; ++t)
      for (size_t d = 0; d < 4; ++d) offsets[t] += pass.taps[t].offset[d] * r.strides[d];
    const bool inner = std::all_of(r.inner.begin(), r.inner.end(), [](bool i) { return i; });
    uint64_t random = 0x9E3779B97F4A7C15U;
    std::vector<std::pair<std::array<int64_t, 4>, int64_t>> points(static_cast<size_t>(some));
    for (int64_t i = 0; i < some; ++i) {  // anywhere within its share of the points
      random = random * 6364136223846793005U + 1442695040888963407U;
      double share = (static_cast<double>(i) + static_cast<double>(random >> 40) * 0x1p-24) / static_cast<double>(some);
      if (r.total == some) share = (static_cast<double>(i) + 0.5) / static_cast<double>(some);
      std::array<int64_t, 4> at{};
      int64_t place = 0;
      for (size_t d = 0; d < 4; ++d) {
        share *= static_cast<double>(r.count[d]);
        const auto c = std::min(static_cast<int64_t>(share), r.count[d] - 1);
        share -= static_cast<double>(c);
        at[d] = pass.start[d] + (r.first[d] + c) * pass.step[d];
        place += at[d] * r.strides[d];
      }
      points[static_cast<size_t>(i)] = {at, place};
    }
    size_t filled = 0;
    for (size_t i = 0; i < points.size(); ++i) {
      const auto& [at, place] = points[i];
      if (inner && i + kAhead < points.size()) {
        const T* next = in_.values + points[i + kAhead].second;
        for (size_t t = 0; t < s.taps; ++t) __builtin_prefetch(next + offsets[t]);
      }
      double* to = &s.values[filled];
      if (inner ? take(offsets, s.taps, place, to) : take(r, pass, at, place, to)) filled += s.taps;
    }
    s.values.resize(filled);
    s.sum();
    return s;
  }

  bool take(const std::array<int64_t, kMostTaps>& offsets, size_t taps, int64_t place, double* to) const {
    if (in_.valid != nullptr) {
      if (in_.valid[place] == 0) return false;
      uint32_t valid = 1;
      for (size_t t = 0; t < taps; ++t) valid &= in_.valid[place + offsets[t]];
      if (valid == 0) return false;
    }
    const T* values = in_.values + place;
    const double first = static_cast<double>(values[offsets[0]]) * scale_;
    for (size_t t = 1; t < taps; ++t) to[t - 1] = static_cast<double>(values[offsets[t]]) * scale_ - first;
    to[taps - 1] = static_cast<double>(*values) * scale_ - first;
    return true;
  }

  bool take(const Region& r, const Pass& pass, const std::array<int64_t, 4>& at, int64_t place, double* to) const {
    if (!is_valid(place)) return false;
    double first = 0;
    for (size_t t = 0; t < pass.taps.size(); ++t) {
      const Tap& tap = pass.taps[t];
      int64_t there = place;
      if (Lattice::first_row(tap, at)) {
        there -= r.strides[static_cast<size_t>(pass.dimension)];
      } else {
        for (size_t j = 0; j < 4; ++j)
          there += (r.inner[j] ? tap.offset[j] : Lattice::resolve(pass, tap, j, at[j], r.extents[j])) * r.strides[j];
      }
      if (!is_valid(there)) return false;
      const double value = static_cast<double>(in_.values[there]) * scale_;
      if (t == 0)
        first = value;
      else
        to[t - 1] = value - first;
    }
    to[pass.taps.size() - 1] = static_cast<double>(in_.values[place]) * scale_ - first;
    return true;
  }
  bool is_valid(int64_t place) const { return in_.valid == nullptr || in_.valid[place] != 0; }

  const BlockInput<T>& in_;
  const Grid& grid_;
  double scale_;
  int64_t most_;
  std::vector<std::pair<Pass, std::shared_ptr<const Samples>>> finest_;
};

}  // namespace

template <class T>
MultilevelPlan plan_multilevel(const BlockInput<T>& in, const Grid& grid) {
  return Planner<T>(in, grid).run();
}

template MultilevelPlan plan_multilevel(const BlockInput<float>&, const Grid&);
template MultilevelPlan plan_multilevel(const BlockInput<double>&, const Grid&);

}  // namespace gregale::codec
