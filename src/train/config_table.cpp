// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <type_traits>

#include "train/config_values.hpp"

// The one list of configuration keys. A row reads: path, member, type and range, meaning. Order is that of
// --print-config; rows of one section stay together. The default is the member's (config.hpp).

namespace gregale::train {
namespace {

#define FIELD(member) \
  [](auto& config) -> auto& { return config.member; }

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};

/// A member that is a std::optional can also be null: not set.
template <class Field, class Read, class Write>
ConfigKey make(std::string path, Field field, std::string expected, Read read, Write write, std::string meaning) {
  constexpr bool kNullable = is_optional<std::decay_t<std::invoke_result_t<Field, RunConfig&>>>::value;
  ConfigKey key;
  key.path = std::move(path);
  key.expected = std::move(expected) + (kNullable ? ", or null" : "");
  key.meaning = std::move(meaning);
  key.read = [=](RunConfig& config, const YAML::Node& node) {
    auto& member = field(config);
    if constexpr (kNullable) {
      if (node.IsNull()) {
        member.reset();
        return;
      }
    }
    member = read(node);
  };
  key.write = [=](const RunConfig& config) -> Json {
    const auto& member = field(config);
    if constexpr (kNullable) {
      return member ? Json(write(*member)) : Json(nullptr);
    } else {
      return write(member);
    }
  };
  return key;
}

constexpr auto kToJson = [](const auto& value) { return to_json_value(value); };

template <class Field>
ConfigKey integer(std::string path, Field field, IntegerRange range, std::string meaning) {
  auto read = [range](const YAML::Node& node) { return read_integer(node, range); };
  return make(std::move(path), field, describe(range), read, kToJson, std::move(meaning));
}
template <class Field>
ConfigKey number(std::string path, Field field, NumberRange range, std::string meaning) {
  auto read = [range](const YAML::Node& node) { return read_number(node, range); };
  return make(std::move(path), field, describe(range), read, kToJson, std::move(meaning));
}
template <class Field>
ConfigKey boolean(std::string path, Field field, std::string meaning) {
  return make(std::move(path), field, "true or false", read_boolean, kToJson, std::move(meaning));
}
template <class Field>
ConfigKey choice(std::string path, Field field, std::vector<std::string> choices, std::string meaning) {
  std::string expected = fmt::format("one of {}", fmt::join(choices, ", "));
  auto read = [choices](const YAML::Node& node) { return read_choice(node, choices); };
  return make(std::move(path), field, std::move(expected), read, kToJson, std::move(meaning));
}
template <class Field>
ConfigKey texts(std::string path, Field field, std::string expected, std::string meaning) {
  return make(std::move(path), field, std::move(expected), read_texts, kToJson, std::move(meaning));
}
template <class Field>
ConfigKey dates(std::string path, Field field, std::string meaning) {
  return make(std::move(path), field, "two dates, [first, last]", read_dates, kToJson, std::move(meaning));
}
/// A list of choices, or of integers: each element read by `read`, each once.
template <class Field, class Read>
ConfigKey list(std::string path, Field field, std::string expected, Read read, std::string meaning) {
  auto read_all = [read](const YAML::Node& node) {
    if (!node.IsSequence()) throw BadValue{describe(node), ""};
    std::vector<std::decay_t<decltype(read(node))>> values;
    for (const YAML::Node& item : node) {
      values.push_back(read(item));
      for (size_t i = 0; i + 1 < values.size(); ++i)
        if (values[i] == values.back()) throw BadValue{"", describe(item) + " is given twice"};
    }
    return values;
  };
  return make(std::move(path), field, std::move(expected), read_all, kToJson, std::move(meaning));
}

ConfigKey required(ConfigKey key) {
  key.required = true;
  return key;
}
ConfigKey only_for(std::string other, std::vector<std::string> values, ConfigKey key) {
  key.only_for = {std::move(other), std::move(values)};
  return key;
}

constexpr IntegerRange at_least(int64_t least) { return {.least = least}; }
constexpr IntegerRange between(int64_t least, int64_t most) { return {.least = least, .most = most}; }
constexpr NumberRange kPositive{.least = 0, .least_excluded = true};
constexpr NumberRange kNotNegative{.least = 0};
constexpr NumberRange kFraction{.least = 0, .most = 1};
constexpr NumberRange kBelowOne{.least = 0, .most = 1, .most_excluded = true};

const std::vector<std::string> kBaselines{"persistence", "climatology", "damped_global", "damped_local", "recentred"};

std::vector<ConfigKey> make_table() {
  auto feature = [](const YAML::Node& node) { return read_choice(node, {"season", "insolation"}); };
  auto window = [](const YAML::Node& node) { return read_integer(node, at_least(1)); };
  return {
      // data
      required(texts("data.path", FIELD(data.path), "a path, or a list of paths",
                     "NetCDF files: a path, a glob, or a list of them, relative to this file")),
      required(texts("data.variables", FIELD(data.variables), "a name, or a list of names",
                     "fields that are forecast, as the files name them; VAR@500 is one level")),
      make("data.static", FIELD(data.static_sources),
           "a list of maps {path, variable, as} or of texts FILE:VARIABLE#as", read_static_sources, kToJson,
           "fields without time that are given to the network; as: orography or land derives that from a relief"),
      required(dates("data.train", FIELD(data.train), "target times of training, both ends included")),
      required(dates("data.validation", FIELD(data.validation),
                     "target times on which the best weights are chosen, both ends included")),
      dates("data.test", FIELD(data.test), "target times held out for the final score, both ends included"),
      integer("data.lead", FIELD(data.lead), at_least(1), "steps of the data from the last input to the target"),
      integer("data.history", FIELD(data.history), between(1, 1024),
              "past states given to the network, the last included"),
      list("data.means", FIELD(data.means), "a list of integers >= 1", window,
           "windows, in records, over which the mean of past anomalies is given to the network"),
      list("data.time_features", FIELD(data.time_features), "a list of season, insolation", feature,
           "what is said about the time: season (sine and cosine of the year), insolation (of the day, by latitude)"),
      choice("data.missing", FIELD(data.missing), {"refuse", "mask", "fill"},
             "missing values: refuse them, leave them out of loss and score, or fill them with the climatology"),
      boolean("data.position", FIELD(data.position),
              "sine and cosine of latitude and longitude are given to the network"),
      choice("data.cross_fit", FIELD(data.cross_fit), {"off", "one_year", "two_years"},
             "climatology and damping of a training sample are learnt without the year of its target (one_year), or "
             "without that and sometimes one more year at random (two_years), as a forecast will see them"),

      // model
      choice("model.name", FIELD(model.name), {"afno", "mlp"}, "the network"),
      make(
          "model.target", FIELD(model.target),
          fmt::format("state, anomaly, or {{residual: {}}}", fmt::join(kBaselines, "|")),
          [](const YAML::Node& node) { return read_target(node, kBaselines); }, kToJson,
          "what the network's output stands for: the field, its anomaly, or its departure from a baseline's forecast"),
      integer("model.width", FIELD(model.width), between(1, 65536), "channels of a hidden layer"),
      integer("model.depth", FIELD(model.depth), between(1, 1024), "hidden layers or blocks, one after the other"),
      only_for("model.name", {"afno"},
               integer("model.patch", FIELD(model.patch), between(1, 1024), "grid points along the side of a patch")),
      only_for("model.name", {"afno"},
               integer("model.blocks", FIELD(model.blocks), between(1, 65536),
                       "blocks of the Fourier-space layers; divides model.width")),
      only_for("model.name", {"afno"},
               number("model.mlp_ratio", FIELD(model.mlp_ratio), {.least = 0, .most = 64, .least_excluded = true},
                      "width of a block's inner layer over its width")),
      only_for("model.name", {"afno"},
               number("model.sparsity_threshold", FIELD(model.sparsity_threshold), kNotNegative,
                      "soft-shrinkage of Fourier coefficients")),
      only_for("model.name", {"afno"},
               number("model.dropout", FIELD(model.dropout), kBelowOne, "fraction of values dropped in training")),

      choice("model.head", FIELD(model.head), {"field", "gated"},
             "what the network gives: the correction itself (field), or coefficients of the last state and of each of "
             "data.means at every point, to which learnt maps are added (gated)"),
      number("model.input_scale", FIELD(model.input_scale), kPositive,
             "factor on the states given to the network; below 1 it leans less on single months"),

      // loss
      choice("loss.name", FIELD(loss.name), {"relative_l2", "mse", "mae"},
             "relative_l2, or the latitude-weighted mean square or absolute error"),
      choice("loss.weighting", FIELD(loss.weighting), {"area", "residual"},
             "of grid points: by area, or also by the inverse deviation of what damped_local leaves over there"),

      // optimizer
      choice("optimizer.name", FIELD(optimizer.name), {"adamw", "adam", "sgd"}, "the method"),
      number("optimizer.learning_rate", FIELD(optimizer.learning_rate), kPositive, "peak of the schedule"),
      only_for("optimizer.name", {"adamw", "adam"},
               number("optimizer.beta1", FIELD(optimizer.beta1), kBelowOne, "decay of the mean gradient")),
      only_for("optimizer.name", {"adamw", "adam"},
               number("optimizer.beta2", FIELD(optimizer.beta2), kBelowOne, "decay of the mean squared gradient")),
      only_for(
          "optimizer.name", {"adamw", "adam"},
          number("optimizer.epsilon", FIELD(optimizer.epsilon), kPositive, "added to the root of the mean square")),
      number("optimizer.weight_decay", FIELD(optimizer.weight_decay), kNotNegative,
             "decay of the weights: decoupled from the gradient for adamw, added to it for adam and sgd"),
      only_for(
          "optimizer.name", {"sgd"},
          number("optimizer.momentum", FIELD(optimizer.momentum), kBelowOne, "share of the last update that is kept")),

      // schedule
      choice("schedule.name", FIELD(schedule.name), {"cosine", "step", "constant"}, "how the learning rate falls"),
      integer("schedule.warmup", FIELD(schedule.warmup), at_least(0), "first steps, in which it rises linearly"),
      only_for(
          "schedule.name", {"cosine"},
          number("schedule.minimum", FIELD(schedule.minimum), kFraction, "where it ends, as a fraction of the peak")),
      only_for("schedule.name", {"step"},
               integer("schedule.every", FIELD(schedule.every), at_least(1), "steps between two falls")),
      only_for("schedule.name", {"step"},
               number("schedule.factor", FIELD(schedule.factor), {.least = 0, .most = 1, .least_excluded = true},
                      "what it is multiplied by at a fall")),

      // train
      integer("train.steps", FIELD(train.steps), at_least(1), "updates of the weights; where set, epochs are ignored"),
      integer("train.epochs", FIELD(train.epochs), at_least(1), "passes over the training samples"),
      integer("train.batch", FIELD(train.batch), between(1, 1000000), "samples in one update"),
      integer("train.seed", FIELD(train.seed), at_least(0), "of initial weights, order of samples and dropout"),
      make(
          "train.notes", FIELD(train.notes), "a text",
          [](const YAML::Node& node) { return node.IsScalar() ? node.Scalar() : read_text(node); }, kToJson,
          "how this configuration was chosen: shown in the reports"),
      choice("train.precision", FIELD(train.precision), {"fp32", "bf16"},
             "bf16: operands of products and what is kept between operators; sums, loss and weights stay fp32"),
      number("train.clip", FIELD(train.clip), kNotNegative, "largest norm of the whole gradient; 0: not clipped"),
      number("train.ema", FIELD(train.ema), kBelowOne, "decay of the moving average of the weights; 0: none is kept"),
      choice("train.activations", FIELD(train.activations), {"auto", "recompute", "keep", "bf16", "compress"},
             "what the backward pass reads of the forward pass: kept or, where that is cheaper, computed again (auto, "
             "recompute; auto compresses where train.memory cannot be kept otherwise); kept; kept in bf16; kept in few "
             "bits"),
      make("train.activation_bits", FIELD(train.activation_bits), describe(between(1, 8)) + ", or auto",
           read_activation_bits, activation_bits_text,
           "of compress: bits a value; auto: chosen for each tensor, so that gradients' errors stay within "
           "train.activation_tolerance"),
      number("train.activation_tolerance", FIELD(train.activation_tolerance),
             {.least = 0, .most = 10, .least_excluded = true},
             "of auto: a gradient's greatest error, as a share of train.activation_reference"),
      choice("train.activation_reference", FIELD(train.activation_reference), {"noise", "size"},
             "of auto: the deviation of gradients between batches, or a gradient's own size"),
      integer("train.activation_interval", FIELD(train.activation_interval), at_least(0),
              "of auto: steps after which bits are chosen again; 0: once, after a tenth of the steps or ten"),
      make("train.memory", FIELD(train.memory), "a size such as 1.5GB", read_size, size_text, "cap on the memory used"),
      integer("train.checkpoint_every", FIELD(train.checkpoint_every), at_least(1), "steps between two checkpoints"),
      only_for("optimizer.name", {"adamw", "adam"},
               make("train.checkpoint_moments", FIELD(train.checkpoint_moments),
                    "exact, or {rel: " + describe(NumberRange{.least = kLeastMoments, .most = kMostMoments}) + "}",
                    read_moments, moments_json,
                    "moments in checkpoints: exact, or compressed, their errors at most this share of the root of the "
                    "second moment, point by point; weights are always exact")),
      integer("train.validate_every", FIELD(train.validate_every), at_least(1), "steps between two validations"),
      integer("train.finetune.steps", FIELD(train.finetune.steps), at_least(0),
              "updates after, and in addition to, the others, through several forecast steps; 0: none"),
      integer("train.finetune.rollout", FIELD(train.finetune.rollout), between(1, 1024),
              "forecast steps in one update"),
      number("train.finetune.learning_rate", FIELD(train.finetune.learning_rate), kPositive,
             "peak of its own schedule"),
  };
}

}  // namespace

const std::vector<ConfigKey>& config_table() {
  static const std::vector<ConfigKey> table = make_table();
  return table;
}

}  // namespace gregale::train
