// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/problem.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "data/static_fields.hpp"
#include "gregale/error.hpp"
#include "train/features.hpp"

namespace gregale::train {

using gregale::to_string;  // of extents, beside this room's own

Records::Records(data::FieldDataset dataset, int64_t memory_limit) : dataset_(std::move(dataset)) {
  elements_ = static_cast<int64_t>(dataset_.variables().size()) * dataset_.grid().cells();
  if (dataset_.records() * elements_ * 4 <= memory_limit) all_ = dataset_.read_all();
}

void Records::copy(int64_t record, float* out) const {
  if (!all_.empty()) {
    const float* from = all_.as<float>().data() + record * elements_;
    std::copy(from, from + elements_, out);
    return;
  }
  const int64_t cells = dataset_.grid().cells();
  for (size_t v = 0; v < dataset_.variables().size(); ++v)
    dataset_.read_field(record, static_cast<int64_t>(v), {out + static_cast<int64_t>(v) * cells, static_cast<size_t>(cells)});
}

Tensor Records::read(std::span<const int64_t> records) const {
  Tensor out(DType::f32, {static_cast<int64_t>(records.size()), static_cast<int64_t>(dataset_.variables().size()),
                          dataset_.grid().rows(), dataset_.grid().columns()});
  for (size_t i = 0; i < records.size(); ++i) copy(records[i], out.as<float>().data() + static_cast<int64_t>(i) * elements_);
  return out;
}

bool Problem::anomalies() const {
  if (target.kind == TargetChoice::Kind::state) return false;
  return !(target.kind == TargetChoice::Kind::residual && target.baseline == "persistence");
}

bool Problem::has_base() const { return target.kind == TargetChoice::Kind::residual && target.baseline != "climatology"; }
bool Problem::has_base_mean() const { return has_base() && target.baseline == "recentred"; }

int64_t Problem::window() const {
  int64_t longest = history;
  for (int64_t n : mean_lengths()) longest = std::max(longest, n);
  return longest;
}

std::vector<int64_t> Problem::mean_lengths() const {
  std::vector<int64_t> lengths = means;
  if (has_base_mean()) lengths.push_back(score::kRecentredRecords);
  return lengths;
}

int64_t Problem::forcing_channels() const { return (season ? 2 : 0) + (insolation ? 1 : 0) + (validity ? 1 : 0); }

std::vector<std::string> Problem::variable_names() const {
  std::vector<std::string> names;
  for (const auto& v : variables) names.push_back(v.name);
  return names;
}

Reference Problem::reference_from(const score::BaselineModel& model) const {
  Reference r;
  r.climatology = model.climatology();
  if (!has_base()) return r;
  r.base_last = Tensor(DType::f32, {variable_count(), rows(), columns()});
  auto last = r.base_last.as<float>();
  const auto cells = static_cast<size_t>(grid.cells());
  if (target.baseline == "persistence") {
    std::fill(last.begin(), last.end(), 1.0F);
  } else if (target.baseline == "damped_global") {
    const auto damping = model.damping_global(lead);
    for (size_t i = 0; i < last.size(); ++i) last[i] = static_cast<float>(damping[i / cells]);
  } else {
    const auto damping = model.damping_local(lead);
    std::copy(damping.begin(), damping.end(), last.begin());
  }
  if (has_base_mean()) {  // m + d g (a - m) = d g a + (1 - d g) m
    r.base_mean = Tensor(DType::f32, r.base_last.extents());
    auto mean = r.base_mean.as<float>();
    for (size_t i = 0; i < last.size(); ++i) {
      last[i] *= static_cast<float>(score::kRecentredDamping);
      mean[i] = 1 - last[i];
    }
  }
  return r;
}

namespace {

/// A channel of mean 0 and deviation 1 (area-weighted); constant channels become zero.
void standardise(std::span<float> field, const grid::LatLonGrid& grid) {
  double sum = 0, square = 0, weight = 0;
  const auto columns = static_cast<size_t>(grid.columns());
  for (size_t i = 0; i < field.size(); ++i) {
    if (std::isnan(field[i])) field[i] = 0;
    const double w = grid.row_weights()[i / columns];
    sum += w * field[i];
    square += w * field[i] * field[i];
    weight += w;
  }
  const double mean = sum / weight;
  const double deviation = std::sqrt(std::max(square / weight - mean * mean, 0.0));
  for (float& v : field) v = deviation > 1e-12 ? static_cast<float>((v - mean) / deviation) : 0.0F;
}

void read_static(const RunConfig& config, Problem& problem) {
  if (config.data.static_sources.empty()) return;
  std::vector<std::string> sources;
  for (const StaticSource& s : config.data.static_sources) {
    // A source without a path is a field of the data files themselves.
    std::string text = s.path.empty() ? resolve_path(config, config.data.path.at(0)) : resolve_path(config, s.path);
    if (!s.variable.empty()) text += ":" + s.variable;
    if (!s.as.empty()) text += "#" + s.as;
    sources.push_back(std::move(text));
  }
  const auto fields = data::read_static_channels(sources, problem.grid);
  problem.static_channels =
      Tensor(DType::f32, {static_cast<int64_t>(fields.size()), problem.rows(), problem.columns()});
  auto out = problem.static_channels.as<float>();
  const auto cells = static_cast<size_t>(problem.grid.cells());
  for (size_t i = 0; i < fields.size(); ++i) {
    problem.static_names.push_back(fields[i].name);
    const auto values = fields[i].values.as<float>();
    std::copy(values.begin(), values.end(), out.begin() + static_cast<std::ptrdiff_t>(i * cells));
    standardise(out.subspan(i * cells, cells), problem.grid);
  }
}

void check_missing(const RunConfig& config, const Records& records, std::span<const int64_t> used) {
  if (config.data.missing != "refuse") return;
  Tensor field(DType::f32, {static_cast<int64_t>(records.dataset().variables().size()), records.dataset().grid().cells()});
  for (int64_t r : used) {
    records.copy(r, field.as<float>().data());
    const int64_t missing = data::count_missing(field);
    GREGALE_CHECK(missing == 0, invalid_argument,
                  "data.missing: {} missing values at {} in {}; set data.missing to mask or fill to train around them",
                  missing, records.time().label(r), fmt::join(records.dataset().files(), ", "));
  }
}

std::vector<int64_t> phases_of(const data::Climatology& climatology, const grid::TimeAxis& time) {
  std::vector<int64_t> phase;
  for (int64_t r = 0; r < time.size(); ++r) phase.push_back(climatology.bin(time.date(r)));
  return phase;
}

/// Baselines fitted on the training records, with those of `without` set aside (-1: none).
score::BaselineModel fit_baselines(const Problem& problem, const Records& records, std::span<const int64_t> training,
                                   const Tensor* climatology, int64_t without_year) {
  // The fit wants one stretch of records; years set aside become missing values, which it leaves out.
  Tensor values = records.read(training);
  std::vector<int64_t> phase;
  const int64_t size = records.elements();
  for (size_t i = 0; i < training.size(); ++i) {
    const grid::DateTime date = records.time().date(training[i]);
    phase.push_back(problem.climatology.bin(date));
    if (without_year >= 0 && date.year == without_year) {
      float* field = values.as<float>().data() + static_cast<int64_t>(i) * size;
      std::fill(field, field + size, std::nanf(""));
    }
  }
  std::vector<int64_t> leads;
  for (int64_t k = 1; k <= kFittedLeads; ++k)
    if (k * problem.lead < static_cast<int64_t>(training.size())) leads.push_back(k * problem.lead);
  const auto count = static_cast<int64_t>(training.size());
  if (climatology != nullptr)
    return score::BaselineModel::fit(values, phase, 0, count, *climatology, problem.grid.row_weights(), leads);
  return score::BaselineModel::fit(values, phase, problem.climatology.bins(), 0, count, problem.grid.row_weights(), leads);
}

/// Root of the area- and time-weighted mean square of `f(sample)` fields, one a variable.
template <class Field>
std::vector<double> deviations(const Problem& problem, size_t count, Field&& field) {
  const auto variables = static_cast<size_t>(problem.variable_count());
  const auto columns = static_cast<size_t>(problem.columns());
  const auto cells = static_cast<size_t>(problem.grid.cells());
  std::vector<double> square(variables, 0), weight(variables, 0);
  for (size_t s = 0; s < count; ++s) {
    const std::vector<float> values = field(s);
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) continue;
      const double w = problem.grid.row_weights()[i % cells / columns];
      square[i / cells] += w * values[i] * values[i];
      weight[i / cells] += w;
    }
  }
  for (size_t v = 0; v < variables; ++v) {
    const double mean = weight[v] > 0 ? square[v] / weight[v] : 0;
    square[v] = mean > 1e-24 ? std::sqrt(mean) : 1;
  }
  return square;
}

}  // namespace

Problem learn_problem(const RunConfig& config, const Records& records) {
  const data::FieldDataset& dataset = records.dataset();
  const grid::TimeAxis& time = records.time();
  Problem p;
  p.variables = dataset.variables();
  p.grid = dataset.grid();
  p.calendar = time.calendar();
  p.step = time.step();
  p.lead = config.data.lead;
  p.history = config.data.history;
  p.means = config.data.means;
  for (const std::string& f : config.data.time_features) {
    p.season |= f == "season";
    p.insolation |= f == "insolation";
  }
  p.validity = config.data.missing == "mask";
  p.target = config.model.target;
  p.training = config.data.train;
  p.fingerprint = dataset.fingerprint();

  const std::vector<int64_t> training = data::records_in(time, config.data.train);
  p.training_start = time.seconds(training.front());
  std::vector<int64_t> used = training;
  const auto validation = data::records_in(time, config.data.validation);
  used.insert(used.end(), validation.begin(), validation.end());
  check_missing(config, records, used);
  read_static(config, p);

  p.climatology = data::compute_climatology(dataset, training);
  p.baselines = fit_baselines(p, records, training, &p.climatology.mean, -1);

  // Statistics of the training records: of anomalies, or of states.
  const auto statistics = data::compute_statistics(dataset, training);
  p.center = Tensor(DType::f64, {p.variable_count()});
  p.scale = Tensor::full(DType::f64, {p.variable_count()}, 1);
  p.output_scale = Tensor::full(DType::f64, {p.variable_count()}, 1);
  const Reference reference = p.reference();
  const Features features(p, records);
  if (p.anomalies()) {
    const auto scales = deviations(p, training.size(), [&](size_t s) {
      std::vector<float> field(static_cast<size_t>(p.field_size())), mask(field.size());
      records.copy(training[s], field.data());
      features.normalise(field.data(), time.seconds(training[s]), reference, mask.data());
      for (size_t i = 0; i < field.size(); ++i)
        if (mask[i] == 0) field[i] = std::nanf("");
      return field;
    });
    std::copy(scales.begin(), scales.end(), p.scale.as<double>().begin());
  } else {
    for (size_t v = 0; v < statistics.size(); ++v) {
      p.center.as<double>()[v] = statistics[v].mean;
      p.scale.as<double>()[v] = statistics[v].std;
    }
  }

  // The network's output is of order one where it is all that changes the baseline.
  const auto samples = data::make_samples(time, training, p.lead, p.history);
  GREGALE_CHECK(!samples.empty(), invalid_argument,
                "data.train: no training sample in {} (lead {}, history {}, {} records)", p.training.to_string(), p.lead,
                p.history, training.size());
  if (p.has_base()) {
    Batch batch = Batch::allocate(p, 1, 1, true);
    const auto scales = deviations(p, samples.size(), [&](size_t s) {
      features.fill(batch, 0, samples[s].inputs.back(), samples[s].targets, reference);
      std::vector<float> residual(static_cast<size_t>(p.field_size()));
      const float* last = batch.stack.as<float>().data() + (p.window() - 1) * p.field_size();
      for (size_t i = 0; i < residual.size(); ++i) {
        double base = batch.base_last.as<float>()[i] * last[i];
        if (p.has_base_mean()) {
          const auto windows = batch.windows.as<float>();
          const auto row = static_cast<size_t>(p.mean_lengths().size() - 1) * static_cast<size_t>(p.window());
          double mean = 0;
          for (int64_t k = 0; k < p.window(); ++k)
            mean += windows[row + static_cast<size_t>(k)] *
                    batch.stack.as<float>()[static_cast<size_t>(k * p.field_size()) + i];
          base += batch.base_mean.as<float>()[i] * mean;
        }
        residual[i] = batch.mask.as<float>()[i] == 0 ? std::nanf("") : static_cast<float>(batch.truth.as<float>()[i] - base);
      }
      return residual;
    });
    std::copy(scales.begin(), scales.end(), p.output_scale.as<double>().begin());
  }
  return p;
}

TrainingReferences::TrainingReferences(const RunConfig& config, const Problem& problem, const Records& records)
    : records_(records), all_(problem.reference()) {
  if (!config.data.cross_fit) return;
  const auto training = data::records_in(records.time(), problem.training);
  std::set<int64_t> years;
  for (int64_t r : training) years.insert(records.time().date(r).year);
  GREGALE_CHECK(years.size() >= 3, invalid_argument,
                "data.cross_fit: needs at least 3 years of training records, {} holds {}", problem.training.to_string(),
                years.size());
  for (int64_t year : years) {
    const auto model = fit_baselines(problem, records, training, nullptr, year);
    without_year_.emplace(year, problem.reference_from(model));
  }
}

const Reference& TrainingReferences::at(int64_t target_record) const {
  if (without_year_.empty()) return all_;
  auto found = without_year_.find(records_.time().date(target_record).year);
  return found == without_year_.end() ? all_ : found->second;
}

}  // namespace gregale::train
