// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/baselines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "score/series.hpp"

namespace gregale::score {
namespace {

void check_training(const SeriesShape& shape, std::span<const int64_t> phase, int64_t begin, int64_t end,
                    std::string_view who) {
  GREGALE_CHECK(static_cast<int64_t>(phase.size()) == shape.times, shape, "[{}] {} phases for {} records", who,
                phase.size(), shape.times);
  GREGALE_CHECK(begin >= 0 && begin < end && end <= shape.times, invalid_argument,
                "[{}] training records {} to {} are not within the {} there are", who, begin, end, shape.times);
}

}  // namespace

const char* to_string(Baseline baseline) {
  switch (baseline) {
    case Baseline::persistence:
      return "persistence";
    case Baseline::climatology:
      return "climatology";
    case Baseline::anomaly_persistence:
      return "anomaly_persistence";
    case Baseline::damped_global:
      return "damped_global";
    case Baseline::damped_local:
      return "damped_local";
    case Baseline::recentred:
      break;
  }
  return "recentred";
}

Baseline baseline_from_name(std::string_view name) {
  std::vector<std::string> names;
  for (Baseline baseline : kBaselines) {
    if (name == to_string(baseline)) return baseline;
    names.emplace_back(to_string(baseline));
  }
  throw_error(ErrorCode::usage, fmt::format("unknown baseline '{}'; there are {}", name, fmt::join(names, ", ")));
}

int64_t history_needed(Baseline baseline) {
  if (baseline == Baseline::climatology) return 0;
  return baseline == Baseline::recentred ? kRecentredRecords : 1;
}

Tensor fit_climatology(const Tensor& records, std::span<const int64_t> phase, int64_t phases, int64_t train_begin,
                       int64_t train_end) {
  const SeriesShape shape = series_shape(records, "fit_climatology");
  check_training(shape, phase, train_begin, train_end, "fit_climatology");
  GREGALE_CHECK(phases > 0, invalid_argument, "[fit_climatology] {} phases", phases);
  Tensor climatology(DType::f32, {phases, shape.variables, shape.rows, shape.columns});
  const auto size = static_cast<size_t>(shape.record());
  const auto values = records.as<float>();
  auto out = climatology.as<float>();
  std::vector<double> sum(size);
  std::vector<int64_t> count(size);
  for (int64_t p = 0; p < phases; ++p) {
    std::fill(sum.begin(), sum.end(), 0.0);
    std::fill(count.begin(), count.end(), 0);
    for (int64_t t = train_begin; t < train_end; ++t) {
      const int64_t at = phase[static_cast<size_t>(t)];
      GREGALE_CHECK(at >= 0 && at < phases, invalid_argument, "[fit_climatology] phase {} of record {} is not below {}",
                    at, t, phases);
      if (at != p) continue;
      const float* record = values.data() + static_cast<size_t>(t) * size;
      for (size_t i = 0; i < size; ++i) {
        if (std::isnan(record[i])) continue;
        sum[i] += record[i];
        ++count[i];
      }
    }
    for (size_t i = 0; i < size; ++i)
      out[static_cast<size_t>(p) * size + i] =
          count[i] > 0 ? static_cast<float>(sum[i] / static_cast<double>(count[i])) : std::nanf("");
  }
  return climatology;
}

BaselineModel BaselineModel::fit(const Tensor& records, std::span<const int64_t> phase, int64_t phases,
                                 int64_t train_begin, int64_t train_end, std::span<const double> row_weights,
                                 std::span<const int64_t> leads) {
  return fit(records, phase, train_begin, train_end, fit_climatology(records, phase, phases, train_begin, train_end),
             row_weights, leads);
}

BaselineModel BaselineModel::fit(const Tensor& records, std::span<const int64_t> phase, int64_t train_begin,
                                 int64_t train_end, const Tensor& climatology, std::span<const double> row_weights,
                                 std::span<const int64_t> leads) {
  const SeriesShape shape = series_shape(records, "BaselineModel");
  check_training(shape, phase, train_begin, train_end, "BaselineModel");
  check_row_weights(row_weights, shape.rows, "BaselineModel");
  const SeriesShape normal = series_shape(climatology, "BaselineModel");
  GREGALE_CHECK(normal.times > 0 && normal.variables == shape.variables && normal.rows == shape.rows &&
                    normal.columns == shape.columns,
                shape, "[BaselineModel] a climatology of {} does not fit records of {}",
                to_string(climatology.extents()), to_string(records.extents()));
  BaselineModel model;
  model.climatology_ = climatology;
  model.leads_.assign(leads.begin(), leads.end());
  for (size_t l = 0; l < leads.size(); ++l) {
    GREGALE_CHECK(leads[l] >= 1 && (l == 0 || leads[l] > leads[l - 1]), invalid_argument,
                  "[BaselineModel] leads have to be ascending and at least 1, not {}", fmt::join(leads, ", "));
    GREGALE_CHECK(leads[l] < train_end - train_begin, invalid_argument,
                  "[BaselineModel] lead {} does not fit {} training records", leads[l], train_end - train_begin);
  }
  const auto lead_count = static_cast<int64_t>(leads.size());
  const auto size = static_cast<size_t>(shape.record());
  const auto points = static_cast<size_t>(shape.points());
  model.damping_global_ = Tensor(DType::f64, {lead_count, shape.variables});
  model.damping_local_ = Tensor(DType::f32, {lead_count, shape.variables, shape.rows, shape.columns});

  const int64_t n = train_end - train_begin;
  std::vector<float> anomalies(static_cast<size_t>(n) * size);
  for (int64_t t = 0; t < n; ++t) {
    const int64_t p = phase[static_cast<size_t>(train_begin + t)];
    model.check_phase(p);
    const float* x = records.as<float>().data() + static_cast<size_t>(train_begin + t) * size;
    const float* c = climatology.as<float>().data() + static_cast<size_t>(p) * size;
    for (size_t i = 0; i < size; ++i) anomalies[static_cast<size_t>(t) * size + i] = x[i] - c[i];
  }
  std::vector<double> product(size), square(size);
  for (size_t l = 0; l < leads.size(); ++l) {
    const int64_t pairs = n - leads[l];
    model.pairs_.push_back(pairs);
    std::fill(product.begin(), product.end(), 0.0);
    std::fill(square.begin(), square.end(), 0.0);
    for (int64_t t = 0; t < pairs; ++t) {
      const float* a = anomalies.data() + static_cast<size_t>(t) * size;
      const float* b = a + static_cast<size_t>(leads[l]) * size;
      for (size_t i = 0; i < size; ++i) {
        if (std::isnan(a[i]) || std::isnan(b[i])) continue;
        product[i] += static_cast<double>(a[i]) * b[i];
        square[i] += static_cast<double>(a[i]) * a[i];
      }
    }
    float* local = model.damping_local_.as<float>().data() + l * size;
    double* global = model.damping_global_.as<double>().data() + l * static_cast<size_t>(shape.variables);
    for (size_t v = 0; v < static_cast<size_t>(shape.variables); ++v) {
      double pooled_product = 0, pooled_square = 0;
      for (size_t i = 0; i < points; ++i) {
        const size_t at = v * points + i;
        const double w = row_weights[i / static_cast<size_t>(shape.columns)];
        pooled_product += w * product[at];
        pooled_square += w * square[at];
        local[at] = square[at] > 0 ? static_cast<float>(product[at] / square[at]) : 0.0F;
      }
      global[v] = pooled_square > 0 ? pooled_product / pooled_square : 0;
    }
  }
  return model;
}

int64_t BaselineModel::index_of(int64_t lead) const {
  const auto found = std::find(leads_.begin(), leads_.end(), lead);
  GREGALE_CHECK(found != leads_.end(), invalid_argument, "[BaselineModel] lead {} was not fitted (fitted: {})", lead,
                fmt::join(leads_, ", "));
  return found - leads_.begin();
}

bool BaselineModel::has_lead(int64_t lead) const {
  return std::find(leads_.begin(), leads_.end(), lead) != leads_.end();
}

void BaselineModel::check_phase(int64_t phase) const {
  GREGALE_CHECK(phase >= 0 && phase < phases(), invalid_argument, "[BaselineModel] phase {} is not below {}", phase,
                phases());
}

std::span<const double> BaselineModel::damping_global(int64_t lead) const {
  return damping_global_.as<double>().subspan(static_cast<size_t>(index_of(lead) * variables()),
                                              static_cast<size_t>(variables()));
}

std::span<const float> BaselineModel::damping_local(int64_t lead) const {
  const int64_t size = variables() * rows() * columns();
  return damping_local_.as<float>().subspan(static_cast<size_t>(index_of(lead) * size), static_cast<size_t>(size));
}

int64_t BaselineModel::pairs(int64_t lead) const { return pairs_[static_cast<size_t>(index_of(lead))]; }

Tensor BaselineModel::climatology_at(int64_t phase) const {
  check_phase(phase);
  return slice_records(climatology_, phase, 1).reshaped({variables(), rows(), columns()});
}

Tensor BaselineModel::anomaly(const Tensor& record, int64_t phase) const {
  const Extents extents{variables(), rows(), columns()};
  GREGALE_CHECK(record.extents() == extents, shape, "[BaselineModel] a record of {} is not {}",
                to_string(record.extents()), to_string(extents));
  check_phase(phase);
  Tensor result(DType::f32, extents);
  const auto x = record.as<float>();
  const float* c = climatology_.as<float>().data() + static_cast<size_t>(phase) * x.size();
  auto out = result.as<float>();
  for (size_t i = 0; i < x.size(); ++i) out[i] = x[i] - c[i];
  return result;
}

Tensor BaselineModel::forecast(Baseline baseline, const Tensor& history, std::span<const int64_t> history_phase,
                               int64_t target_phase, int64_t lead) const {
  GREGALE_CHECK(!empty(), invalid_argument, "[BaselineModel] was not fitted");
  Tensor result(DType::f32, {variables(), rows(), columns()});
  forecast(baseline, history, history_phase, target_phase, lead, result.as<float>());
  return result;
}

void BaselineModel::forecast(Baseline baseline, const Tensor& history, std::span<const int64_t> history_phase,
                             int64_t target_phase, int64_t lead, std::span<float> out) const {
  GREGALE_CHECK(!empty(), invalid_argument, "[BaselineModel] was not fitted");
  const auto size = static_cast<size_t>(variables() * rows() * columns());
  const auto points = static_cast<size_t>(rows() * columns());
  GREGALE_CHECK(out.size() == size, shape, "[BaselineModel] {} elements of output for {}", out.size(), size);
  GREGALE_CHECK(lead >= 1, invalid_argument, "[BaselineModel] lead {} is not at least 1", lead);
  check_phase(target_phase);
  const float* normals = climatology_.as<float>().data();
  const float* target = normals + static_cast<size_t>(target_phase) * size;
  if (baseline == Baseline::climatology) {
    std::copy_n(target, size, out.begin());
    return;
  }
  const SeriesShape shape = series_shape(history, "BaselineModel");
  GREGALE_CHECK(shape.variables == variables() && shape.rows == rows() && shape.columns == columns(), shape,
                "[BaselineModel] a history of {} does not fit a climatology of {}", to_string(history.extents()),
                to_string(climatology_.extents()));
  GREGALE_CHECK(shape.times >= 1, invalid_argument, "[BaselineModel] {} needs the initial record", to_string(baseline));
  GREGALE_CHECK(static_cast<int64_t>(history_phase.size()) == shape.times, shape,
                "[BaselineModel] {} phases for {} records of history", history_phase.size(), shape.times);
  const float* past = history.as<float>().data();
  const float* initial = past + static_cast<size_t>(shape.times - 1) * size;
  if (baseline == Baseline::persistence) {
    std::copy_n(initial, size, out.begin());
    return;
  }
  check_phase(history_phase.back());
  const float* normal = normals + static_cast<size_t>(history_phase.back()) * size;
  const auto anomaly_at = [&](size_t i) { return static_cast<double>(initial[i]) - normal[i]; };
  switch (baseline) {
    case Baseline::anomaly_persistence:
      for (size_t i = 0; i < size; ++i) out[i] = static_cast<float>(target[i] + anomaly_at(i));
      return;
    case Baseline::damped_global: {
      const auto g = damping_global(lead);
      for (size_t i = 0; i < size; ++i) out[i] = static_cast<float>(target[i] + g[i / points] * anomaly_at(i));
      return;
    }
    case Baseline::damped_local: {
      const auto g = damping_local(lead);
      for (size_t i = 0; i < size; ++i) out[i] = static_cast<float>(target[i] + g[i] * anomaly_at(i));
      return;
    }
    default:
      break;
  }
  // recentred: the mean anomaly takes what slow change of the mean state the training climatology does not know.
  const auto g = damping_local(lead);
  std::vector<double> sum(size);
  std::vector<int32_t> count(size);
  for (int64_t t = std::max<int64_t>(0, shape.times - kRecentredRecords); t < shape.times; ++t) {
    const int64_t phase = history_phase[static_cast<size_t>(t)];
    check_phase(phase);
    const float* x = past + static_cast<size_t>(t) * size;
    const float* c = normals + static_cast<size_t>(phase) * size;
    for (size_t i = 0; i < size; ++i) {
      const double a = static_cast<double>(x[i]) - c[i];
      if (std::isnan(a)) continue;
      sum[i] += a;
      ++count[i];
    }
  }
  for (size_t i = 0; i < size; ++i) {
    const double mean = count[i] > 0 ? sum[i] / count[i] : std::numeric_limits<double>::quiet_NaN();
    out[i] = static_cast<float>(target[i] + mean + kRecentredDamping * g[i] * (anomaly_at(i) - mean));
  }
}

Tensor BaselineModel::forecast_series(Baseline baseline, const Tensor& records, std::span<const int64_t> phase,
                                      int64_t first, std::span<const int64_t> inits, int64_t lead) const {
  const SeriesShape shape = series_shape(records, "BaselineModel");
  GREGALE_CHECK(!empty(), invalid_argument, "[BaselineModel] was not fitted");
  Tensor result(DType::f32, {static_cast<int64_t>(inits.size()), variables(), rows(), columns()});
  const auto size = static_cast<size_t>(variables() * rows() * columns());
  for (size_t i = 0; i < inits.size(); ++i) {
    const int64_t init = inits[i];
    GREGALE_CHECK(first >= 0 && init >= first && init < shape.times && lead >= 1 &&
                      lead < static_cast<int64_t>(phase.size()) - init,
                  invalid_argument, "[BaselineModel] no forecast from record {} at lead {}: records are {} to {}", init,
                  lead, first, phase.size());
    const int64_t begin = std::max(first, init + 1 - std::max<int64_t>(1, history_needed(baseline)));
    forecast(baseline, slice_records(records, begin, init + 1 - begin),
             phase.subspan(static_cast<size_t>(begin), static_cast<size_t>(init + 1 - begin)),
             phase[static_cast<size_t>(init + lead)], lead, result.as<float>().subspan(i * size, size));
  }
  return result;
}

std::vector<std::pair<std::string, Tensor>> BaselineModel::tensors() const {
  if (empty()) return {};
  const auto count = static_cast<int64_t>(leads_.size());
  return {{"climatology", climatology_},
          {"damping_global", damping_global_},
          {"damping_local", damping_local_},
          {"leads", Tensor::from(leads_, {count})},
          {"pairs", Tensor::from(pairs_, {count})}};
}

BaselineModel BaselineModel::from_tensors(const std::map<std::string, Tensor>& tensors) {
  const auto get = [&](const char* name, DType dtype, int64_t rank) -> const Tensor& {
    const auto found = tensors.find(name);
    GREGALE_CHECK(found != tensors.end(), corrupt_data, "[BaselineModel] has no tensor '{}'", name);
    GREGALE_CHECK(found->second.dtype() == dtype && found->second.rank() == rank, corrupt_data,
                  "[BaselineModel] tensor '{}' is {} {}, not {} of rank {}", name, name_of(found->second.dtype()),
                  to_string(found->second.extents()), name_of(dtype), rank);
    return found->second;
  };
  BaselineModel model;
  model.climatology_ = get("climatology", DType::f32, 4);
  model.damping_global_ = get("damping_global", DType::f64, 2);
  model.damping_local_ = get("damping_local", DType::f32, 4);
  const auto leads = get("leads", DType::i64, 1).as<int64_t>();
  const auto pairs = get("pairs", DType::i64, 1).as<int64_t>();
  model.leads_.assign(leads.begin(), leads.end());
  model.pairs_.assign(pairs.begin(), pairs.end());
  const auto count = static_cast<int64_t>(leads.size());
  const Extents global{count, model.variables()};
  const Extents local{count, model.variables(), model.rows(), model.columns()};
  GREGALE_CHECK(model.phases() > 0 && model.pairs_.size() == model.leads_.size() &&
                    model.damping_global_.extents() == global && model.damping_local_.extents() == local,
                corrupt_data, "[BaselineModel] tensors of {}, {}, {} and {} leads do not fit together",
                to_string(model.climatology_.extents()), to_string(model.damping_global_.extents()),
                to_string(model.damping_local_.extents()), count);
  for (size_t l = 0; l < leads.size(); ++l)
    GREGALE_CHECK(leads[l] >= 1 && (l == 0 || leads[l] > leads[l - 1]), corrupt_data,
                  "[BaselineModel] leads {} are not ascending", fmt::join(model.leads_, ", "));
  return model;
}

}  // namespace gregale::score
