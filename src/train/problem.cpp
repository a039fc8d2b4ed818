// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/problem.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <set>

#include "data/static_fields.hpp"
#include "gregale/error.hpp"
#include "gregale/random.hpp"
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
    dataset_.read_field(record, static_cast<int64_t>(v),
                        {out + static_cast<int64_t>(v) * cells, static_cast<size_t>(cells)});
}

Tensor Records::read(std::span<const int64_t> records) const {
  Tensor out(DType::f32, {static_cast<int64_t>(records.size()), static_cast<int64_t>(dataset_.variables().size()),
                          dataset_.grid().rows(), dataset_.grid().columns()});
  for (size_t i = 0; i < records.size(); ++i)
    copy(records[i], out.as<float>().data() + static_cast<int64_t>(i) * elements_);
  return out;
}

bool Problem::anomalies() const {
  if (target.kind == TargetChoice::Kind::state) return false;
  return !(target.kind == TargetChoice::Kind::residual && target.baseline == "persistence");
}

bool Problem::has_base() const {
  return target.kind == TargetChoice::Kind::residual && target.baseline != "climatology";
}
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

std::string Problem::lead_text() const {
  return lead == 1 ? step.describe() : fmt::format("{} x {}", lead, step.describe());
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

/// Sine and cosine of latitude and longitude: where a grid point is.
std::vector<std::pair<std::string, std::vector<float>>> position_channels(const grid::LatLonGrid& grid) {
  std::vector<std::pair<std::string, std::vector<float>>> channels{
      {"sin_lat", {}}, {"cos_lat", {}}, {"sin_lon", {}}, {"cos_lon", {}}};
  constexpr double kRadians = std::numbers::pi / 180;
  for (const double latitude : grid.latitudes())
    for (const double longitude : grid.longitudes()) {
      channels[0].second.push_back(static_cast<float>(std::sin(latitude * kRadians)));
      channels[1].second.push_back(static_cast<float>(std::cos(latitude * kRadians)));
      channels[2].second.push_back(static_cast<float>(std::sin(longitude * kRadians)));
      channels[3].second.push_back(static_cast<float>(std::cos(longitude * kRadians)));
    }
  return channels;
}

void read_static(const RunConfig& config, const data::FieldDataset& dataset, Problem& problem) {
  std::vector<std::string> sources;
  for (const StaticSource& s : config.data.static_sources) {
    // A source without a path is a field of the data files themselves.
    std::string text = s.path.empty() ? dataset.files().front() : resolve_path(config, s.path);
    if (!s.variable.empty()) text += ":" + s.variable;
    if (!s.as.empty()) text += "#" + s.as;
    sources.push_back(std::move(text));
  }
  std::vector<std::pair<std::string, std::vector<float>>> channels;
  if (!sources.empty())
    for (const data::StaticField& field : data::read_static_channels(sources, problem.grid)) {
      const auto values = field.values.as<float>();
      channels.emplace_back(field.name, std::vector<float>(values.begin(), values.end()));
      standardise(channels.back().second, problem.grid);
    }
  if (config.data.position)
    for (auto& channel : position_channels(problem.grid)) channels.push_back(std::move(channel));
  if (channels.empty()) return;
  problem.static_channels =
      Tensor(DType::f32, {static_cast<int64_t>(channels.size()), problem.rows(), problem.columns()});
  float* out = problem.static_channels.as<float>().data();
  for (const auto& [name, values] : channels) {
    problem.static_names.push_back(name);
    out = std::copy(values.begin(), values.end(), out);
  }
}

void check_missing(const RunConfig& config, const Records& records, std::span<const int64_t> used) {
  if (config.data.missing != "refuse") return;
  Tensor field(DType::f32,
               {static_cast<int64_t>(records.dataset().variables().size()), records.dataset().grid().cells()});
  for (int64_t r : used) {
    records.copy(r, field.as<float>().data());
    const int64_t missing = data::count_missing(field);
    GREGALE_CHECK(missing == 0, invalid_argument,
                  "data.missing: {} missing values at {} in {}; set data.missing to mask or fill to train around them",
                  missing, records.time().label(r), fmt::join(records.dataset().files(), ", "));
  }
}

/// Baselines fitted to a climatology of the training records and to their pairs, the records of some years set aside.
score::BaselineModel fit_baselines(const Problem& problem, const Records& records, std::span<const int64_t> training,
                                   const Tensor& climatology, const std::set<int64_t>& without_years) {
  // The fit wants records evenly spaced in time: those not in the file, and those set aside, are missing values to it.
  const grid::TimeAxis& time = records.time();
  const int64_t first = time.position(training.front()), count = time.position(training.back()) - first + 1;
  GREGALE_CHECK(count < 4 * static_cast<int64_t>(training.size()) + 64, unsupported,
                "data.train: more than three quarters of the time steps are missing");
  Tensor values =
      Tensor::full(DType::f32, {count, problem.variable_count(), problem.rows(), problem.columns()}, std::nan(""));
  std::vector<int64_t> phase(static_cast<size_t>(count), 0);
  for (int64_t r : training) {
    const grid::DateTime date = time.date(r);
    const int64_t at = time.position(r) - first;
    phase[static_cast<size_t>(at)] = problem.climatology.bin(date);
    if (without_years.count(date.year) == 0) records.copy(r, values.as<float>().data() + at * records.elements());
  }
  std::vector<int64_t> leads;
  for (int64_t k = 1; k <= kFittedLeads; ++k)
    if (k * problem.lead < count) leads.push_back(k * problem.lead);
  return score::BaselineModel::fit(values, phase, 0, count, climatology, problem.grid.row_weights(), leads);
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
  read_static(config, dataset, p);

  const auto samples = data::make_samples(time, training, p.lead, p.history);
  GREGALE_CHECK(!samples.empty(), invalid_argument,
                "data.train: no training sample in {} (lead {}, history {}, {} records)", p.training.to_string(),
                p.lead, p.history, training.size());
  p.climatology = data::compute_climatology(dataset, training);
  p.baselines = fit_baselines(p, records, training, p.climatology.mean, {});

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
        residual[i] =
            batch.mask.as<float>()[i] == 0 ? std::nanf("") : static_cast<float>(batch.truth.as<float>()[i] - base);
      }
      return residual;
    });
    std::copy(scales.begin(), scales.end(), p.output_scale.as<double>().begin());
  }
  return p;
}

TrainingReferences::TrainingReferences(const RunConfig& config, const Problem& problem, const Records& records)
    : records_(records), seed_(static_cast<uint64_t>(config.train.seed)), all_(problem.reference()) {
  if (config.data.cross_fit == "off") return;
  const auto training = data::records_in(records.time(), problem.training);
  std::set<int64_t> years;
  for (int64_t r : training) years.insert(records.time().date(r).year);
  const bool pairs = config.data.cross_fit == "two_years";
  GREGALE_CHECK(years.size() >= (pairs ? 4U : 3U), invalid_argument,
                "data.cross_fit: {} needs at least {} years of training records, {} holds {}", config.data.cross_fit,
                pairs ? 4 : 3, problem.training.to_string(), years.size());
  auto without = [&](const std::set<int64_t>& left_out) {
    std::vector<int64_t> kept;
    for (int64_t r : training)
      if (left_out.count(records.time().date(r).year) == 0) kept.push_back(r);
    const data::Climatology climatology = data::compute_climatology(records.dataset(), kept);
    return std::make_shared<const Reference>(
        problem.reference_from(fit_baselines(problem, records, training, climatology.mean, left_out)));
  };
  for (int64_t year : years) by_year_[year].push_back(without({year}));
  if (!pairs) return;
  for (auto a = years.begin(); a != years.end(); ++a)
    for (auto b = std::next(a); b != years.end(); ++b) {
      const auto reference = without({*a, *b});
      by_year_[*a].push_back(reference);
      by_year_[*b].push_back(reference);
    }
}

const Reference& TrainingReferences::at(int64_t target_record, int64_t draw) const {
  auto found = by_year_.find(records_.time().date(target_record).year);
  if (found == by_year_.end()) return all_;
  const auto& choices = found->second;
  return *choices[random_below({seed_, 0, stream_of("cross fit")}, static_cast<uint64_t>(draw), choices.size())];
}

Tensor loss_weights(const RunConfig& config, const Problem& problem, const Records& records) {
  const int64_t rows = problem.rows(), columns = problem.columns(), cells = rows * columns;
  const std::vector<double>& area = problem.grid.row_weights();
  Tensor weights(DType::f32, {1, problem.variable_count(), rows, columns});
  auto out = weights.as<float>();
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = config.loss.name == "relative_l2"
                 ? 1.0F
                 : static_cast<float>(area[i / static_cast<size_t>(columns) % static_cast<size_t>(rows)]);
  if (config.loss.weighting == "area") return weights;

  // What is left over by local damping on the training pairs, in the units of the network, variances smoothed.
  const auto training = data::records_in(records.time(), problem.training);
  const auto samples = data::make_samples(records.time(), training, problem.lead, 1);
  const auto damping = problem.baselines.damping_local(problem.lead);
  const Features features(problem, records);
  const Reference reference = problem.reference();
  const auto size = static_cast<size_t>(problem.field_size());
  std::vector<double> square(size, 0), count(size, 0);
  std::vector<float> a(size), b(size), valid_a(size), valid_b(size);
  for (const data::Sample& s : samples) {
    records.copy(s.inputs.back(), a.data());
    records.copy(s.targets.front(), b.data());
    features.normalise(a.data(), records.time().seconds(s.inputs.back()), reference, valid_a.data());
    features.normalise(b.data(), records.time().seconds(s.targets.front()), reference, valid_b.data());
    for (size_t i = 0; i < size; ++i) {
      if (valid_a[i] == 0 || valid_b[i] == 0) continue;
      const double residual = b[i] - damping[i] * a[i];
      square[i] += residual * residual;
      count[i] += 1;
    }
  }
  for (size_t i = 0; i < size; ++i) square[i] = count[i] > 0 ? square[i] / count[i] : std::nan("");
  for (int64_t v = 0; v < problem.variable_count(); ++v) {
    const std::span<double> field(square.data() + v * cells, static_cast<size_t>(cells));
    smooth_on_sphere(field, problem.grid, kLossSmoothingDegrees);
    // area / deviation, scaled so that weight times variance adds up to the area; no weight where nothing is known.
    double weighted = 0, total = 0;
    for (int64_t i = 0; i < cells; ++i) {
      if (std::isnan(field[static_cast<size_t>(i)])) continue;
      const double w = area[static_cast<size_t>(i / columns)];
      const double variance = std::max(field[static_cast<size_t>(i)], 1e-12);
      weighted += w * std::sqrt(variance);
      total += w;
    }
    for (int64_t i = 0; i < cells; ++i) {
      const double variance = std::max(field[static_cast<size_t>(i)], 1e-12);
      out[static_cast<size_t>(v * cells + i)] =
          std::isnan(field[static_cast<size_t>(i)])
              ? 0.0F
              : static_cast<float>(area[static_cast<size_t>(i / columns)] / std::sqrt(variance) * total / weighted);
    }
  }
  return weights;
}

void smooth_on_sphere(std::span<double> field, const grid::LatLonGrid& grid, double degrees) {
  constexpr double kRadians = std::numbers::pi / 180;
  const int64_t rows = grid.rows(), columns = grid.columns();
  const double reach = std::cos(3 * degrees * kRadians);
  std::vector<double> smooth(field.size(), 0);
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> weight(static_cast<size_t>(columns), 0);
    for (int64_t s = 0; s < rows; ++s) {
      const double p = grid.latitudes()[static_cast<size_t>(r)] * kRadians,
                   q = grid.latitudes()[static_cast<size_t>(s)] * kRadians;
      if (std::cos(p - q) < reach) continue;
      for (int64_t c = 0; c < columns; ++c)
        for (int64_t d = 0; d < columns; ++d) {
          const double apart =
              (grid.longitudes()[static_cast<size_t>(c)] - grid.longitudes()[static_cast<size_t>(d)]) * kRadians;
          const double cosine = std::sin(p) * std::sin(q) + std::cos(p) * std::cos(q) * std::cos(apart);
          if (cosine < reach) continue;
          const double angle = std::acos(std::min(cosine, 1.0)) / (degrees * kRadians);
          const double w = std::exp(-0.5 * angle * angle) * grid.row_weights()[static_cast<size_t>(s)];
          const double value = field[static_cast<size_t>(s * columns + d)];
          if (std::isnan(value)) continue;
          smooth[static_cast<size_t>(r * columns + c)] += w * value;
          weight[static_cast<size_t>(c)] += w;
        }
    }
    for (int64_t c = 0; c < columns; ++c)
      smooth[static_cast<size_t>(r * columns + c)] /= weight[static_cast<size_t>(c)];
  }
  for (size_t i = 0; i < field.size(); ++i)
    if (!std::isnan(field[i])) field[i] = smooth[i];
}

}  // namespace gregale::train
