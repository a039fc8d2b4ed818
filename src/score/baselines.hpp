// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gregale/tensor.hpp"

namespace gregale::score {

/// The forecasts every emulator has to beat. With c the climatology, a = x - c the anomaly, t the initial time and L
/// the lead:
///   persistence          x(t)
///   climatology          c(t+L)
///   anomaly_persistence  c(t+L) + a(t)
///   damped_global        c(t+L) + g a(t), g one coefficient per variable and lead:
///                        sum(w a(s) a(s+L)) / sum(w a(s)^2) over cells and training pairs, no intercept
///   damped_local         c(t+L) + g a(t), g the same quotient at each grid point
///   recentred            c(t+L) + m + 0.6 g (a(t) - m), g of damped_local, m the mean of the last 24 anomalies up to t
enum class Baseline { persistence, climatology, anomaly_persistence, damped_global, damped_local, recentred };
inline constexpr Baseline kBaselines[] = {Baseline::persistence,         Baseline::climatology,
                                          Baseline::anomaly_persistence, Baseline::damped_global,
                                          Baseline::damped_local,        Baseline::recentred};
inline constexpr int64_t kRecentredRecords = 24;
inline constexpr double kRecentredDamping = 0.6;

const char* to_string(Baseline baseline);
/// The inverse; throws ErrorCode::usage with the names there are.
Baseline baseline_from_name(std::string_view name);
/// Records of history a baseline looks at, the initial one included (0 for climatology). Fewer are accepted by
/// `recentred`.
int64_t history_needed(Baseline baseline);

/// Means of the training records of each phase (a phase is what the climatology distinguishes: the calendar month, the
/// hour and day of year, or nothing at all). records: a field series; phase[t] in [0, phases). f32 [phase, variable,
/// lat, lon], NaN where no training record of the phase has a value.
Tensor fit_climatology(const Tensor& records, std::span<const int64_t> phase, int64_t phases, int64_t train_begin,
                       int64_t train_end);

/// The baselines' parameters, fitted on training records alone: everything `score` needs besides a forecast and the
/// truth, and small enough to travel in the model file. Records are evenly spaced in time; a lead counts records.
class BaselineModel {
 public:
  BaselineModel() = default;

  /// Fits damping for each lead (ascending, at least 1, shorter than the training period) from all pairs of records (s,
  /// s + lead) with both ends in [train_begin, train_end) where both have a value. `climatology` as fit_climatology
  /// makes it, on the same records. Where a point has no pair or no variance its coefficient is 0.
  static BaselineModel fit(const Tensor& records, std::span<const int64_t> phase, int64_t train_begin,
                           int64_t train_end, const Tensor& climatology, std::span<const double> row_weights,
                           std::span<const int64_t> leads);
  /// The same with the climatology of the training records.
  static BaselineModel fit(const Tensor& records, std::span<const int64_t> phase, int64_t phases, int64_t train_begin,
                           int64_t train_end, std::span<const double> row_weights, std::span<const int64_t> leads);

  bool empty() const { return climatology_.empty(); }
  int64_t phases() const { return climatology_.extent(0); }
  int64_t variables() const { return climatology_.extent(1); }
  int64_t rows() const { return climatology_.extent(2); }
  int64_t columns() const { return climatology_.extent(3); }
  /// f32 [phase, variable, lat, lon]
  const Tensor& climatology() const { return climatology_; }
  const std::vector<int64_t>& leads() const { return leads_; }
  bool has_lead(int64_t lead) const;
  /// f64 [variable]; throws ErrorCode::invalid_argument for a lead that was not fitted, like the others below.
  std::span<const double> damping_global(int64_t lead) const;
  /// f32 [variable, lat, lon]
  std::span<const float> damping_local(int64_t lead) const;
  /// Training pairs the damping of a lead rests on.
  int64_t pairs(int64_t lead) const;

  /// Climatology of a phase: f32 [variable, lat, lon], sharing memory.
  Tensor climatology_at(int64_t phase) const;
  /// record - climatology of its phase, f32 [variable, lat, lon]; record: [variable, lat, lon].
  Tensor anomaly(const Tensor& record, int64_t phase) const;

  /// One baseline field, f32 [variable, lat, lon], for the time `lead` records after the last of `history`. history:
  /// field series, last record the initial time, at least history_needed() records (recentred: at most 24 are used,
  /// fewer will do; give none from before the training start); phase: of each history record. NaN where an input is
  /// missing.
  Tensor forecast(Baseline baseline, const Tensor& history, std::span<const int64_t> history_phase,
                  int64_t target_phase, int64_t lead) const;
  /// Into memory of the caller, [variable, lat, lon] elements.
  void forecast(Baseline baseline, const Tensor& history, std::span<const int64_t> history_phase, int64_t target_phase,
                int64_t lead, std::span<float> out) const;

  /// A field series [init, variable, lat, lon] of forecasts from record inits[i] of `records` for record inits[i] +
  /// lead, which has to be within `phase`. History begins at record `first` (the training start), and never reaches
  /// past the initial record.
  Tensor forecast_series(Baseline baseline, const Tensor& records, std::span<const int64_t> phase, int64_t first,
                         std::span<const int64_t> inits, int64_t lead) const;

  /// The parameters by name (`climatology`, `leads`, `pairs`, `damping_global`, `damping_local`), for a model file.
  std::vector<std::pair<std::string, Tensor>> tensors() const;
  /// The inverse. Throws ErrorCode::corrupt_data where a tensor is missing or does not fit the others.
  static BaselineModel from_tensors(const std::map<std::string, Tensor>& tensors);

 private:
  int64_t index_of(int64_t lead) const;
  void check_phase(int64_t phase) const;

  Tensor climatology_;          // f32 [phase, variable, lat, lon]
  std::vector<int64_t> leads_;  // ascending
  std::vector<int64_t> pairs_;  // [lead]
  Tensor damping_global_;       // f64 [lead, variable]
  Tensor damping_local_;        // f32 [lead, variable, lat, lon]
};

}  // namespace gregale::score
