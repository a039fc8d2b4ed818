// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/features.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gregale/error.hpp"
#include "grid/insolation.hpp"

namespace gregale::train {

Batch Batch::allocate(const Problem& p, int64_t batch, int64_t rollout, bool with_truth) {
  Batch b;
  const int64_t v = p.variable_count(), h = p.rows(), w = p.columns();
  b.stack = Tensor(DType::f32, {batch, p.window(), v, h, w});
  const auto means = static_cast<int64_t>(p.mean_lengths().size());
  if (means > 0) b.windows = Tensor(DType::f32, {batch, rollout, means, p.window()});
  if (p.forcing_channels() > 0) b.forcing = Tensor(DType::f32, {batch, rollout, p.forcing_channels(), h, w});
  if (p.has_base()) b.base_last = Tensor(DType::f32, {batch, v, h, w});
  if (p.has_base_mean()) b.base_mean = Tensor(DType::f32, {batch, v, h, w});
  if (with_truth) {
    b.truth = Tensor(DType::f32, {batch, rollout, v, h, w});
    b.mask = Tensor(DType::f32, {batch, rollout, v, h, w});
  }
  return b;
}

bool Features::normalise(float* field, int64_t seconds, const Reference& reference, float* mask) const {
  const auto cells = static_cast<size_t>(problem_.grid.cells());
  const auto size = static_cast<size_t>(problem_.field_size());
  const float* climatology = nullptr;
  if (problem_.anomalies())
    climatology =
        reference.climatology.as<float>().data() + static_cast<size_t>(problem_.climatology.bin_at(seconds)) * size;
  bool whole = true;
  for (size_t i = 0; i < size; ++i) {
    const size_t v = i / cells;
    const double origin = climatology != nullptr ? climatology[i] : problem_.center.as<double>()[v];
    const double n = (field[i] - origin) / problem_.scale.as<double>()[v];
    const bool valid = !std::isnan(n);
    field[i] = valid ? static_cast<float>(n) : 0.0F;
    if (mask != nullptr) mask[i] = valid ? 1.0F : 0.0F;
    whole = whole && valid;
  }
  return whole;
}

void Features::restore(float* field, int64_t seconds, const Reference& reference) const {
  const auto cells = static_cast<size_t>(problem_.grid.cells());
  const auto size = static_cast<size_t>(problem_.field_size());
  const float* climatology = nullptr;
  if (problem_.anomalies())
    climatology =
        reference.climatology.as<float>().data() + static_cast<size_t>(problem_.climatology.bin_at(seconds)) * size;
  for (size_t i = 0; i < size; ++i) {
    const size_t v = i / cells;
    const double origin = climatology != nullptr ? climatology[i] : problem_.center.as<double>()[v];
    field[i] = static_cast<float>(field[i] * problem_.scale.as<double>()[v] + origin);
  }
}

void Features::fill_forcing(float* out, int64_t seconds, const float* valid) const {
  const auto cells = static_cast<size_t>(problem_.grid.cells());
  const auto columns = static_cast<size_t>(problem_.columns());
  const grid::DateTime date = grid::from_seconds(problem_.calendar, seconds);
  if (problem_.season) {
    const double angle = 2 * std::numbers::pi * grid::year_fraction(problem_.calendar, date);
    std::fill(out, out + cells, static_cast<float>(std::sin(angle)));
    std::fill(out + cells, out + 2 * cells, static_cast<float>(std::cos(angle)));
    out += 2 * cells;
  }
  if (problem_.insolation) {
    const std::vector<float> rows = grid::row_insolation(problem_.grid, problem_.calendar, date);
    for (size_t i = 0; i < cells; ++i) out[i] = rows[i / columns] / static_cast<float>(grid::kSolarConstant / 4) - 1;
    out += cells;
  }
  if (problem_.validity) std::copy(valid, valid + cells, out);
}

void Features::fill_windows(float* out, std::span<const uint8_t> present) const {
  const auto window = static_cast<int64_t>(present.size());
  for (int64_t length : problem_.mean_lengths()) {
    const auto begin = present.begin() + (window - length);
    const auto n = std::count(begin, present.end(), uint8_t{1});
    GREGALE_ASSERT(n > 0);
    for (int64_t k = 0; k < window; ++k)
      *out++ = k >= window - length && present[static_cast<size_t>(k)] != 0 ? 1.0F / static_cast<float>(n) : 0.0F;
  }
}

int64_t rollout_shift(const Problem& p) {
  GREGALE_CHECK(
      p.history == 1 || p.lead == 1, invalid_argument,
      "a network that sees {} consecutive records (data.history) and steps by {} (data.lead) cannot be rolled out: "
      "the records between its forecasts are not known",
      p.history, p.lead);
  return std::min(p.lead, p.window());
}

void Features::fill(Batch& batch, int64_t i, int64_t init, std::span<const int64_t> targets,
                    const Reference& reference) const {
  const int64_t size = problem_.field_size(), window = problem_.window();
  int64_t rollout = 1;
  for (const Tensor* t : {&batch.truth, &batch.forcing, &batch.windows})
    if (!t->empty()) rollout = t->extent(1);
  const grid::TimeAxis& time = records_.time();
  const int64_t init_seconds = time.seconds(init);

  // The last records that exist. Means leave out what is missing, and what lies before the training period, as the
  // baselines do; the network's own history has to be whole.
  float* stack = batch.stack.as<float>().data() + i * window * size;
  std::fill(stack, stack + window * size, 0.0F);
  std::vector<float> mask(static_cast<size_t>(size));
  std::vector<float> valid(static_cast<size_t>(problem_.grid.cells()), 1.0F);
  std::vector<uint8_t> present(static_cast<size_t>(window), 0);
  for (int64_t back = 0; back < window; ++back) {
    const auto record = time.offset(init, -back);
    GREGALE_CHECK(record || back >= problem_.history, invalid_argument,
                  "{}: the record {} steps before is missing; the model needs the last {}", time.label(init), back,
                  problem_.history);
    if (!record) continue;
    const bool early = time.seconds(*record) < problem_.training_start;
    if (early && back >= problem_.history) break;
    float* field = stack + (window - 1 - back) * size;
    records_.copy(*record, field);
    normalise(field, time.seconds(*record), reference, mask.data());
    present[static_cast<size_t>(window - 1 - back)] = back == 0 || !early;
    if (back == 0)
      for (size_t c = 0; c < mask.size(); ++c)
        if (mask[c] == 0) valid[c % valid.size()] = 0;
  }

  auto copy_into = [&](Tensor& to, const Tensor& from) {
    if (!to.empty()) std::copy_n(from.as<float>().data(), size, to.as<float>().data() + i * size);
  };
  copy_into(batch.base_last, reference.base_last);
  copy_into(batch.base_mean, reference.base_mean);
  for (int64_t r = 0; r < rollout; ++r) {
    const int64_t at = i * rollout + r;
    const int64_t seconds = time.advance(init_seconds, (r + 1) * problem_.lead);
    if (!batch.windows.empty()) {
      const auto means = static_cast<int64_t>(problem_.mean_lengths().size());
      if (r > 0) {
        const int64_t shift = rollout_shift(problem_);
        std::rotate(present.begin(), present.begin() + shift, present.end());
        std::fill(present.end() - shift, present.end(), uint8_t{0});
        present.back() = 1;
      }
      fill_windows(batch.windows.as<float>().data() + at * means * window, present);
    }
    if (!batch.forcing.empty())
      fill_forcing(batch.forcing.as<float>().data() + at * problem_.forcing_channels() * problem_.grid.cells(), seconds,
                   valid.data());
    if (!batch.truth.empty()) {
      GREGALE_ASSERT(r < static_cast<int64_t>(targets.size()));
      const int64_t record = targets[static_cast<size_t>(r)];
      float* truth = batch.truth.as<float>().data() + at * size;
      records_.copy(record, truth);
      normalise(truth, time.seconds(record), reference, batch.mask.as<float>().data() + at * size);
    }
  }
}

}  // namespace gregale::train
