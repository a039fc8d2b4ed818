// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "data/split.hpp"

namespace YAML {
class Node;
}

namespace gregale::train {

/// The configuration of a training run: RUN.yaml, `--set key=value`, `--print-config`, train.json and the model file.
///
/// To add a key: (1) add a member with its default to RunConfig below; (2) add one row to config_table.cpp, saying its
/// path, type and range, and meaning. Parsing, errors, overrides, printing and JSON follow from the row;
/// config_test.cpp checks that they do. Conditions between keys go to check_together() in config.cpp.

/// A field without time that is an input channel. In YAML a map {path, variable, as} or the text FILE[:VARIABLE][#AS];
/// a text without a dot or slash names a variable of the data files themselves.
struct StaticSource {
  std::string path;      ///< empty: in the files of data.path
  std::string variable;  ///< empty: every field of the file that has no time
  std::string as;        ///< empty: as it is; "orography" or "land": derived from a relief in metres
  friend bool operator==(const StaticSource&, const StaticSource&) = default;
};

/// What the network's output stands for.
struct TargetChoice {
  enum class Kind : uint8_t {
    state,    ///< the normalised field itself
    anomaly,  ///< its departure from the climatology
    residual  ///< its departure from the forecast of `baseline`
  };
  Kind kind = Kind::state;
  std::string baseline;  ///< for residual: persistence, climatology, damped_global, damped_local or recentred
  friend bool operator==(const TargetChoice&, const TargetChoice&) = default;
};
std::string to_string(const TargetChoice& target);  ///< "state", "residual damped_local"

/// Bounds of train.checkpoint_moments: f32 holds no less, and more would be no moment.
inline constexpr double kLeastMoments = 1e-5, kMostMoments = 0.5;
/// train.activation_bits: auto.
inline constexpr int64_t kAutoBits = 0;

/// The meaning, range and unit of every key are in its row of config_table.cpp (and in --print-config).
struct RunConfig {
  std::string folder;  ///< not a key: where relative paths start, the folder of the YAML file

  struct Data {
    std::vector<std::string> path;
    std::vector<std::string> variables;
    std::vector<StaticSource> static_sources;  ///< data.static
    data::DateRange train, validation;
    std::optional<data::DateRange> test;
    int64_t lead = 1;
    int64_t history = 1;
    std::vector<int64_t> means;
    std::vector<std::string> time_features;
    std::string missing = "refuse";
    bool position = false;
    std::string cross_fit = "off";
    friend bool operator==(const Data&, const Data&) = default;
  } data;

  struct Model {
    std::string name = "afno";
    TargetChoice target;
    std::string head = "field";
    double input_scale = 1;
    int64_t width = 64;
    int64_t depth = 4;
    int64_t patch = 4;
    int64_t blocks = 8;
    double mlp_ratio = 4;
    double sparsity_threshold = 0.01;
    double dropout = 0;
    friend bool operator==(const Model&, const Model&) = default;
  } model;

  struct Loss {
    std::string name = "relative_l2";
    std::string weighting = "area";
    friend bool operator==(const Loss&, const Loss&) = default;
  } loss;

  struct Optimizer {
    std::string name = "adamw";
    double learning_rate = 5e-4;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.01;
    double momentum = 0.9;
    friend bool operator==(const Optimizer&, const Optimizer&) = default;
  } optimizer;

  struct Schedule {
    std::string name = "cosine";
    int64_t warmup = 0;
    double minimum = 0;
    int64_t every = 1000;
    double factor = 0.5;
    friend bool operator==(const Schedule&, const Schedule&) = default;
  } schedule;

  struct Train {
    std::optional<int64_t> steps;
    int64_t epochs = 50;
    int64_t batch = 8;
    int64_t seed = 0;
    std::string notes;
    std::string precision = "fp32";
    std::string activations = "auto";
    int64_t activation_bits = 3;  ///< kAutoBits: chosen for each tensor
    double activation_tolerance = 0.1;
    std::string activation_reference = "noise";
    int64_t activation_interval = 0;
    double clip = 1;
    double ema = 0;
    std::optional<int64_t> memory;  ///< bytes
    int64_t checkpoint_every = 500;
    double checkpoint_moments = 0;  ///< 0: exact; else the bound of pack_moments()
    int64_t validate_every = 100;
    struct Finetune {
      int64_t steps = 0;
      int64_t rollout = 2;
      double learning_rate = 1e-4;
      friend bool operator==(const Finetune&, const Finetune&) = default;
    } finetune;
    friend bool operator==(const Train&, const Train&) = default;
  } train;

  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

/// Reads RUN.yaml and then the overrides ("train.steps=500", "data.means=[3, 12]"), in order. Throws ErrorCode::io
/// where the file cannot be read and ErrorCode::usage for anything wrong in it, one line that names key and line:
/// "data.lead: expected an integer >= 1, got 'x' (run.yaml line 7)". Whether data.path exists is the data room's to
/// say.
RunConfig load_config(const std::string& path, const std::vector<std::string>& overrides = {});
/// The same of a text; `name` stands for the file in messages.
RunConfig parse_config(std::string_view yaml, const std::string& name, const std::string& folder,
                       const std::vector<std::string>& overrides = {});

/// The whole configuration as YAML, every key with its meaning, range and default above it; parses back to an equal
/// one. Keys that the chosen model, optimiser or schedule does not use are commented out.
std::string print_config(const RunConfig& config);

/// Nested objects, as in the YAML; without `folder`. from_json throws ErrorCode::corrupt_data naming `name`.
nlohmann::json config_to_json(const RunConfig& config);
RunConfig config_from_json(const nlohmann::json& json, const std::string& name, const std::string& folder = "");

/// `path` of the configuration, relative to its folder.
std::string resolve_path(const RunConfig& config, const std::string& path);

/// One row of the table.
struct ConfigKey {
  std::string path;      ///< "train.finetune.steps"
  std::string expected;  ///< "an integer >= 0": the type and range, as messages say them
  std::string meaning;   ///< one sentence, its unit included
  bool required = false;
  /// Where not empty: used only while key `only_for.first` has one of the values `only_for.second`.
  std::pair<std::string, std::vector<std::string>> only_for;
  std::function<void(RunConfig&, const YAML::Node&)> read;
  std::function<nlohmann::ordered_json(const RunConfig&)> write;
};
const std::vector<ConfigKey>& config_table();

}  // namespace gregale::train
