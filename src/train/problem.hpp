// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "data/dataset.hpp"
#include "data/safetensors.hpp"
#include "data/split.hpp"
#include "data/statistics.hpp"
#include "score/baselines.hpp"
#include "train/config.hpp"

namespace gregale::train {

/// Fields of a data set by record: in memory where they fit, else read when asked for. Shared by several threads.
class Records {
 public:
  explicit Records(data::FieldDataset dataset, int64_t memory_limit = int64_t{2} << 30);
  const data::FieldDataset& dataset() const { return dataset_; }
  const grid::TimeAxis& time() const { return dataset_.time(); }
  int64_t elements() const { return elements_; }  ///< of one record: variables x rows x columns
  int64_t bytes() const { return all_.bytes(); }  ///< kept in memory
  /// [variable, lat, lon] of one record into `out`; NaN where missing.
  void copy(int64_t record, float* out) const;
  /// f32 [records, variable, lat, lon]
  Tensor read(std::span<const int64_t> records) const;

 private:
  data::FieldDataset dataset_;
  int64_t elements_ = 0;
  Tensor all_;  // empty where the data set is too large
};

/// The climatology and the linear part of the forecast, in the units of the network: the baseline that a residual is
/// taken on is base_last * (last state) + base_mean * (mean of the last 24 states). Every named baseline is of this
/// form.
struct Reference {
  Tensor climatology;           ///< f32 [bin, variable, lat, lon]; unused where states are not taken as anomalies
  Tensor base_last, base_mean;  ///< f32 [variable, lat, lon], or empty for zero
};

/// What an emulator predicts and from what: everything learnt from the training period besides the weights. It travels
/// in the model file, so that a forecast needs nothing else.
///
/// The network works on n = (x - reference) / scale: anomalies from the climatology for the targets `anomaly` and
/// `residual` (persistence apart), departures from one mean value a variable otherwise. It sees the last `history` n,
/// means of n over the last records, forcing at the target time and static channels; its output o gives the forecast
/// n(t + lead) = base(n) + output_scale * o, where base is the baseline of a residual target and zero otherwise.
struct Problem {
  std::vector<data::FieldVariable> variables;
  grid::LatLonGrid grid;
  grid::Calendar calendar = grid::Calendar::standard;
  grid::TimeStep step;
  int64_t lead = 1, history = 1;
  std::vector<int64_t> means;
  bool season = false, insolation = false;
  bool validity = false;  ///< a channel that tells where the initial state has values
  TargetChoice target;
  std::vector<std::string> static_names;
  Tensor static_channels;  ///< f32 [channel, lat, lon], of mean 0 and deviation 1; empty where there are none
  Tensor center, scale, output_scale;  ///< f64 [variable]
  data::Climatology climatology;
  score::BaselineModel baselines;
  data::DateRange training;
  int64_t training_start = 0;  ///< seconds of the first training record: no state before it is used in means
  std::string fingerprint;     ///< of the data trained on

  bool anomalies() const;  ///< whether n are anomalies from the climatology
  bool has_base() const;
  bool has_base_mean() const;
  /// Records of n the network's inputs are made of: the longest of history, means and the baseline's mean.
  int64_t window() const;
  /// Lengths of the means that are formed: `means`, then the baseline's 24 where it has one.
  std::vector<int64_t> mean_lengths() const;
  int64_t forcing_channels() const;
  int64_t rows() const { return grid.rows(); }
  int64_t columns() const { return grid.columns(); }
  int64_t variable_count() const { return static_cast<int64_t>(variables.size()); }
  int64_t field_size() const { return variable_count() * grid.cells(); }
  std::vector<std::string> variable_names() const;
  std::string lead_text() const;  ///< how far one forecast step reaches: "1 month", "2 x 6 hours"

  Reference reference() const { return reference_from(baselines); }
  Reference reference_from(const score::BaselineModel& model) const;

  /// Tensors under "problem/..." and the rest as JSON; from_parts throws ErrorCode::corrupt_data.
  void to_parts(data::NamedTensors& tensors, nlohmann::json& json) const;
  static Problem from_parts(const data::NamedTensors& tensors, const nlohmann::json& json);
};

/// Longest lead the damping baselines are fitted for, in leads.
inline constexpr int64_t kFittedLeads = 6;

/// Learns the problem from the training records alone. Throws where data are missing and `data.missing` refuses them,
/// with the number of values and the choices.
Problem learn_problem(const RunConfig& config, const Records& records);

/// The references of training samples. In the training years climatology and damping know the very values they are
/// asked to predict from, in later years they do not; cross-fitting (data.cross_fit) learns them without the year of
/// the target, and optionally without one more year drawn at random, so that a training sample is no more flattered
/// than a forecast will be.
class TrainingReferences {
 public:
  TrainingReferences(const RunConfig& config, const Problem& problem, const Records& records);
  /// For a sample whose target is this record; `draw` numbers the samples of a run, and picks among the references
  /// that leave the target's year out.
  const Reference& at(int64_t target_record, int64_t draw) const;

 private:
  const Records& records_;
  uint64_t seed_;
  Reference all_;
  std::map<int64_t, std::vector<std::shared_ptr<const Reference>>> by_year_;  // year left out -> references without it
};

/// Weights of the loss at every point, f32 [1, variable, lat, lon]: by area; with loss.weighting `residual` divided by
/// the standard deviation of what damped_local leaves over there (variances smoothed), so that stormy latitudes do not
/// drown the calm ones; all ones for relative_l2 weighted by area, which counts every point alike as FourCastNet does.
Tensor loss_weights(const RunConfig& config, const Problem& problem, const Records& records);
inline constexpr double kLossSmoothingDegrees = 5;

/// Area-weighted Gaussian smoothing by great-circle distance; `degrees`: its standard deviation, cut at three of them.
/// NaN stays NaN and is left out of its neighbours' means.
void smooth_on_sphere(std::span<double> field, const grid::LatLonGrid& grid, double degrees);

}  // namespace gregale::train
