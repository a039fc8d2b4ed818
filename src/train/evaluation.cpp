// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gregale/error.hpp"

namespace gregale::train {

int64_t Timeline::position_of(int64_t r) const {
  auto at = std::find(record.begin(), record.end(), r);
  GREGALE_ASSERT(at != record.end());
  return at - record.begin();
}

Timeline make_timeline(const Problem& p, const Records& records) {
  const grid::TimeAxis& time = records.time();
  const int64_t last = time.position(time.size() - 1);
  GREGALE_CHECK(last >= 0, unsupported, "the records are not evenly spaced in time: there are no leads to score");
  GREGALE_CHECK(last < 4 * time.size() + 64, unsupported, "more than three quarters of the time steps are missing");
  Timeline t;
  t.fields = Tensor::full(DType::f32, {last + 1, p.variable_count(), p.rows(), p.columns()}, std::nan(""));
  t.record.assign(static_cast<size_t>(last) + 1, -1);
  float* out = t.fields.as<float>().data();
  for (int64_t r = 0; r < time.size(); ++r) {
    t.record[static_cast<size_t>(time.position(r))] = r;
    records.copy(r, out + time.position(r) * records.elements());
  }
  t.training_start = last + 1;  // a file that ends before the training period began
  for (int64_t i = 0; i <= last; ++i) {
    const int64_t seconds = t.record[static_cast<size_t>(i)] >= 0 ? time.seconds(t.record[static_cast<size_t>(i)])
                                                                  : time.advance(time.seconds(0), i);
    t.phase.push_back(p.climatology.bin_at(seconds));
    t.month.push_back(grid::from_seconds(p.calendar, seconds).month - 1);
    if (seconds >= p.training_start) t.training_start = std::min(t.training_start, i);
  }
  return t;
}

std::vector<int64_t> inits_for(const Problem& p, const grid::TimeAxis& time, std::span<const int64_t> targets,
                               int64_t step) {
  std::vector<int64_t> inits;
  for (int64_t target : targets) {
    const auto init = time.offset(target, -step * p.lead);
    if (!init) continue;
    bool whole = true;
    for (int64_t back = 1; back < p.history; ++back) whole = whole && time.offset(*init, -back).has_value();
    if (whole) inits.push_back(*init);
  }
  return inits;
}

score::LeadCase make_case(const Problem& p, const Timeline& timeline, std::span<const int64_t> inits, int64_t step,
                          std::span<const score::Baseline> baselines) {
  std::vector<int64_t> positions;
  for (int64_t r : inits) positions.push_back(timeline.position_of(r));
  std::vector<score::Baseline> fitted;  // damping is known for the leads that were fitted, the others need none
  for (score::Baseline b : baselines) {
    const bool damped =
        b == score::Baseline::damped_global || b == score::Baseline::damped_local || b == score::Baseline::recentred;
    if (!damped || p.baselines.has_lead(step * p.lead)) fitted.push_back(b);
  }
  // Baselines look back to the training start, and from a time before it at the initial state alone.
  auto part = [&](std::span<const int64_t> from, int64_t first) {
    return score::make_lead_case(p.baselines, timeline.fields, timeline.phase, timeline.month, first, from,
                                 step * p.lead, {}, fitted);
  };
  const auto early = static_cast<size_t>(
      std::count_if(positions.begin(), positions.end(), [&](int64_t at) { return at < timeline.training_start; }));
  GREGALE_CHECK(std::is_sorted(positions.begin(), positions.end()), invalid_argument,
                "[make_case] initial times are not in order");
  score::LeadCase all = part(std::span(positions).subspan(early), timeline.training_start);
  if (early > 0) {
    std::vector<score::LeadCase> parts;
    for (size_t i = 0; i < early; ++i) parts.push_back(part(std::span(positions).subspan(i, 1), positions[i]));
    if (early < positions.size()) parts.push_back(all);
    auto join = [&](auto&& series_of) {
      Extents extents = series_of(all).extents();
      extents[0] = static_cast<int64_t>(positions.size());
      Tensor joined(DType::f32, extents);
      auto out = joined.as<float>().begin();
      for (score::LeadCase& c : parts) {
        const auto values = std::as_const(series_of(c)).template as<float>();
        out = std::copy(values.begin(), values.end(), out);
      }
      return joined;
    };
    std::vector<int> months;
    for (const score::LeadCase& c : parts) months.insert(months.end(), c.month.begin(), c.month.end());
    score::LeadCase joined = all;
    joined.truth = join([](score::LeadCase& c) -> Tensor& { return c.truth; });
    joined.climatology = join([](score::LeadCase& c) -> Tensor& { return c.climatology; });
    for (size_t b = 0; b < joined.baselines.size(); ++b)
      joined.baselines[b].second = join([b](score::LeadCase& c) -> Tensor& { return c.baselines[b].second; });
    joined.month = months;
    all = std::move(joined);
  }
  all.lead = step;
  return all;
}

std::map<int64_t, Tensor> forecast_cases(const Emulator::State& emulator, ExecutionContext& context,
                                         const Records& records, std::span<const int64_t> inits,
                                         std::span<const int64_t> steps, double network_scale) {
  const Problem& p = emulator.problem;
  std::map<int64_t, Tensor> cases;
  for (int64_t step : steps)
    cases[step] = Tensor(DType::f32, {static_cast<int64_t>(inits.size()), p.variable_count(), p.rows(), p.columns()});
  for (size_t i = 0; i < inits.size(); ++i) {
    const Tensor fields = roll_out(emulator, context, records, inits[i], steps.back(), network_scale);
    for (int64_t step : steps)
      std::copy_n(fields.as<float>().data() + step * p.field_size(), p.field_size(),
                  cases[step].as<float>().data() + static_cast<int64_t>(i) * p.field_size());
  }
  return cases;
}

}  // namespace gregale::train
