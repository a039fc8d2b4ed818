// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/config.hpp"

#include <filesystem>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "data/temporary_folder_for_tests.hpp"
#include "gregale/error.hpp"
#include "gregale/random.hpp"
#include "train/config_values.hpp"

namespace gregale::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kMinimal = R"(data:
  path: winds.nc
  variables: [U, V]
  train: [1982, 1989]
  validation: [1990-01, 1990-12]
)";

RunConfig parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_config(text, "run.yaml", "folder", overrides);
}

std::string usage_error(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse(text, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "no error";
}
std::string set_error(const std::string& text) { return usage_error(kMinimal, {text}); }

TEST(Config, AMinimalFileHasTheDefaults) {
  RunConfig config = parse(kMinimal);
  EXPECT_THAT(config.data.path, ElementsAre("winds.nc"));
  EXPECT_THAT(config.data.variables, ElementsAre("U", "V"));
  EXPECT_EQ(config.data.train, (data::DateRange{"1982", "1989"}));
  EXPECT_EQ(config.data.validation, (data::DateRange{"1990-01", "1990-12"}));
  EXPECT_FALSE(config.data.test);
  EXPECT_EQ(config.data.lead, 1);
  EXPECT_EQ(config.model.name, "afno");
  EXPECT_EQ(config.model.target, TargetChoice{});
  EXPECT_FALSE(config.train.steps);
  EXPECT_EQ(resolve_path(config, "winds.nc"), "folder/winds.nc");
  EXPECT_EQ(resolve_path(config, "/data/winds.nc"), "/data/winds.nc");
}

TEST(Config, BitsAndMomentsAreNumbersOrWords) {
  EXPECT_EQ(parse(kMinimal).train.activation_bits, 3);
  EXPECT_EQ(parse(kMinimal, {"train.activation_bits=auto"}).train.activation_bits, kAutoBits);
  EXPECT_EQ(parse(kMinimal, {"train.activation_bits=8"}).train.activation_bits, 8);
  for (const char* bad : {"0", "9", "automatic", "[auto]", "2.5"})
    EXPECT_THAT(set_error(std::string("train.activation_bits=") + bad),
                HasSubstr("train.activation_bits: expected an integer from 1 to 8, or auto, got"));
  EXPECT_THAT(set_error("train.activation_tolerance=0"),
              HasSubstr("train.activation_tolerance: expected a number > 0"));

  EXPECT_EQ(parse(kMinimal).train.checkpoint_moments, 0);
  EXPECT_EQ(parse(kMinimal, {"train.checkpoint_moments=exact"}).train.checkpoint_moments, 0);
  EXPECT_EQ(parse(kMinimal, {"train.checkpoint_moments={rel: 1e-3}"}).train.checkpoint_moments, 1e-3);
  for (const char* bad : {"1e-3", "{rel: 0}", "{rel: 1e-6}", "{rel: 0.6}", "{abs: 1e-3}", "{rel: 1e-3, abs: 1}",
                          "{rel: [1]}", "lossy", "{}"})
    EXPECT_THAT(set_error(std::string("train.checkpoint_moments=") + bad),
                HasSubstr("train.checkpoint_moments: expected exact, or {rel: " +
                          describe(NumberRange{.least = kLeastMoments, .most = kMostMoments}) + "}, got"))
        << bad;
  EXPECT_THAT(usage_error(kMinimal, {"optimizer.name=sgd", "train.checkpoint_moments={rel: 1e-3}"}),
              HasSubstr("train.checkpoint_moments: not a key of optimizer.name sgd"));
}

// Every key of the contract, with a value that is not its default.
const std::string kEverything = R"(data:
  path: [a*.nc, "b c.nc"]
  variables: [U, T@500]
  static:
    - {path: relief.nc, variable: ROSE, as: land}
    - relief.nc#orography
    - mask
  train: [1982, 1987-06-30]
  validation: 1990
  test: [1991-01-16T20:00, 1992]
  lead: 2
  history: 3
  means: [3, 24]
  time_features: [season, insolation]
  missing: mask
  cross_fit: two_years
model:
  name: afno
  target: {residual: damped_local}
  width: 96
  depth: 6
  patch: 2
  blocks: 4
  mlp_ratio: 2.5
  sparsity_threshold: 0.02
  dropout: 0.1
loss: {name: mse}
optimizer: {name: adam, learning_rate: 1e-3, beta1: 0.8, beta2: 0.95, epsilon: 1e-7, weight_decay: 0}
schedule: {name: step, warmup: 10, every: 5, factor: 0.1}
train:
  steps: 400
  epochs: 7
  batch: 16
  seed: 3
  precision: fp32
  clip: 0
  ema: 0.99
  memory: 1.5GB
  activations: compress
  activation_bits: auto
  activation_tolerance: 0.2
  activation_reference: size
  activation_interval: 100
  checkpoint_every: 50
  checkpoint_moments: {rel: 1e-2}
  validate_every: 20
  finetune: {steps: 30, rollout: 3, learning_rate: 2e-5}
)";

TEST(Config, ReadsEveryKey) {
  RunConfig config = parse(kEverything);
  EXPECT_THAT(config.data.path, ElementsAre("a*.nc", "b c.nc"));
  EXPECT_THAT(config.data.static_sources,
              ElementsAre(StaticSource{"relief.nc", "ROSE", "land"}, StaticSource{"relief.nc", "", "orography"},
                          StaticSource{"", "mask", ""}));
  EXPECT_EQ(config.data.validation, (data::DateRange{"1990", "1990"}));
  EXPECT_EQ(config.data.test->first, "1991-01-16T20:00");
  EXPECT_THAT(config.data.means, ElementsAre(3, 24));
  EXPECT_EQ(config.data.cross_fit, "two_years");
  EXPECT_EQ(to_string(config.model.target), "residual damped_local");
  EXPECT_EQ(config.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(config.schedule.factor, 0.1);
  EXPECT_EQ(config.train.steps, 400);
  EXPECT_EQ(config.train.memory, 1'500'000'000);
  EXPECT_EQ(config.train.finetune.rollout, 3);
  EXPECT_EQ(config.train.finetune.learning_rate, 2e-5);
}

TEST(Config, PrintedTextAndJsonReadBackTheSame) {
  for (const std::string overrides : {"", "model.name=mlp", "optimizer.name=sgd", "schedule.name=constant"}) {
    std::vector<std::string> sets;
    if (!overrides.empty()) sets.push_back(overrides);
    RunConfig config = parse(kMinimal, sets);
    EXPECT_EQ(parse(print_config(config)), config) << overrides;
    EXPECT_EQ(config_from_json(config_to_json(config), "train.json", "folder"), config) << overrides;
  }
  RunConfig config = parse(kEverything);
  EXPECT_EQ(parse(print_config(config)), config);
  EXPECT_EQ(config_from_json(nlohmann::json::parse(config_to_json(config).dump()), "train.json", "folder"), config);
}

TEST(Config, AwkwardTextsSurvivePrinting) {
  for (const std::string text :
       {"a: b", "# x",  "null", "true", "- a", "it's", "\"q\"", "ü/é",       "[x",          "{y",  "a,b",        " x ",
        "~",    "*.nc", "&a",   "!t",   "%d",  "@x",   "`",     "tab\there", "line\nbreak", "1e3", "back\\slash"}) {
    RunConfig config = parse(kMinimal);
    config.data.path = {text};
    config.data.variables = {text, "V"};
    EXPECT_EQ(parse(print_config(config)), config) << text << "\n" << print_config(config);
    EXPECT_EQ(config_from_json(config_to_json(config), "train.json", "folder"), config) << text;
  }
}

TEST(Config, EveryRowIsPrintedOnceWithItsMeaning) {
  std::set<std::string> paths;
  std::string printed = print_config(parse(kMinimal));
  // Uncommented, the keys of other models are there too.
  std::istringstream lines(printed);
  std::string uncommented;
  for (std::string line; std::getline(lines, line); uncommented += line + "\n") {
    size_t mark = line.find("# "), colon = line.find(": ");
    bool key = mark != std::string::npos && colon != std::string::npos && line.find(' ', mark + 2) == colon + 1 &&
               line.find_first_not_of(' ') == mark;
    if (key) line.erase(mark, 2);
  }
  YAML::Node root = YAML::Load(uncommented);
  for (const ConfigKey& key : config_table()) {
    EXPECT_TRUE(paths.insert(key.path).second) << key.path << " occurs twice in the table";
    EXPECT_FALSE(key.meaning.empty()) << key.path;
    EXPECT_THAT(printed, HasSubstr("# " + key.meaning + " (" + key.expected)) << key.path;
    YAML::Node node = YAML::Clone(root);
    for (size_t at = 0; at != std::string::npos;) {
      size_t dot = key.path.find('.', at);
      node.reset(node[key.path.substr(at, dot == std::string::npos ? dot : dot - at)]);
      at = dot == std::string::npos ? dot : dot + 1;
    }
    EXPECT_TRUE(node.IsDefined()) << key.path << " is not printed";
  }
  EXPECT_GE(paths.size(), 47u);
}

TEST(Config, EveryRowReadsWhatItWritesAndHoldsItsDefault) {
  for (const ConfigKey& key : config_table()) {
    RunConfig config = parse(kEverything);
    auto value = key.write(config);
    RunConfig other = parse(kMinimal);
    key.read(other, YAML::Load(yaml_text(value)));
    EXPECT_EQ(key.write(other), value) << key.path;
    if (!key.required) {
      RunConfig defaults;
      key.read(other, YAML::Load(yaml_text(key.write(defaults))));
      EXPECT_EQ(key.write(other), key.write(defaults)) << key.path << ": its default is out of its range";
    }
  }
}

TEST(Config, EveryRowRefusesAMapWithThePlaceAndTheExpectation) {
  for (const ConfigKey& key : config_table()) {
    std::string message = set_error(key.path + "={x: 1}");
    EXPECT_THAT(message, StartsWith(key.path + ": ")) << message;
    EXPECT_THAT(message, HasSubstr("(--set)")) << message;
    if (key.path != "data.static") {
      EXPECT_THAT(message, HasSubstr(": expected " + key.expected + ", got a map")) << message;
    }
  }
}

TEST(Config, OverridesAreAppliedInOrder) {
  RunConfig config =
      parse(kMinimal, {"data.lead=2", "data.means=[3, 12]", "train.finetune={steps: 10, rollout: 4}", "data.lead=5",
                       "model.target=residual recentred", "data.path=a.nc", "data.test=[1991, 1992]"});
  EXPECT_EQ(config.data.lead, 5);
  EXPECT_THAT(config.data.means, ElementsAre(3, 12));
  EXPECT_EQ(config.train.finetune.steps, 10);
  EXPECT_EQ(config.model.target.baseline, "recentred");
  EXPECT_THAT(config.data.path, ElementsAre("a.nc"));
  EXPECT_FALSE(parse(kEverything, {"data.test=null"}).data.test);
  EXPECT_FALSE(parse(kEverything, {"train.steps=null", "train.memory="}).train.memory);
}

TEST(Config, UnknownKeysNameTheNearest) {
  EXPECT_EQ(usage_error(kMinimal + "model:\n  wdith: 3\n"),
            "model.wdith: unknown key; did you mean model.width? (run.yaml line 7)");
  EXPECT_EQ(usage_error(kMinimal + "modle: {}\n"), "modle: unknown key; did you mean model? (run.yaml line 6)");
  EXPECT_EQ(usage_error(kMinimal + "train: {learning_rate: 1}\n"),
            "train.learning_rate: unknown key; did you mean optimizer.learning_rate? (run.yaml line 6)");
  EXPECT_EQ(set_error("train.finetune.step=3"),
            "train.finetune.step: unknown key; did you mean train.finetune.steps? (--set)");
  EXPECT_EQ(set_error("data.lead.x=3"), "data.lead.x: unknown key; did you mean data.lead? (--set)");
  EXPECT_EQ(set_error("batch_size=3"), "batch_size: unknown key; did you mean train.batch? (--set)");
}

TEST(Config, WrongTypesAndRanges) {
  EXPECT_EQ(usage_error(kMinimal + "  lead: x\n"), "data.lead: expected an integer >= 1, got 'x' (run.yaml line 6)");
  EXPECT_EQ(set_error("data.lead=0"), "data.lead: expected an integer >= 1, got '0' (--set)");
  EXPECT_EQ(set_error("data.lead=1.5"), "data.lead: expected an integer >= 1, got '1.5' (--set)");
  EXPECT_EQ(set_error("data.lead=99999999999999999999"),
            "data.lead: expected an integer >= 1, got '99999999999999999999' (--set)");
  EXPECT_EQ(set_error("data.lead=[1]"), "data.lead: expected an integer >= 1, got a list (--set)");
  EXPECT_EQ(set_error("data.lead="), "data.lead: expected an integer >= 1, got nothing (--set)");
  EXPECT_EQ(set_error("model.depth=1025"), "model.depth: expected an integer from 1 to 1024, got '1025' (--set)");
  EXPECT_EQ(set_error("train.ema=1"), "train.ema: expected a number >= 0 and < 1, got '1' (--set)");
  EXPECT_EQ(set_error("optimizer.learning_rate=nan"),
            "optimizer.learning_rate: expected a number > 0, got 'nan' (--set)");
  EXPECT_EQ(set_error("optimizer.learning_rate=inf"),
            "optimizer.learning_rate: expected a number > 0, got 'inf' (--set)");
  EXPECT_EQ(set_error("schedule.minimum=2"), "schedule.minimum: expected a number >= 0 and <= 1, got '2' (--set)");
  EXPECT_EQ(set_error("data.missing=drop"), "data.missing: expected one of refuse, mask, fill, got 'drop' (--set)");
  EXPECT_EQ(set_error("data.cross_fit=maybe"),
            "data.cross_fit: expected one of off, one_year, two_years, got 'maybe' (--set)");
  EXPECT_EQ(set_error("data.variables=[U, U]"), "data.variables: 'U' is given twice (--set)");
  EXPECT_EQ(set_error("data.variables=[U, [V]]"),
            "data.variables: expected a name, or a list of names, got a list (--set)");
  EXPECT_EQ(set_error("data.variables=[]"),
            "data.variables: expected a name, or a list of names, got an empty list (--set)");
  EXPECT_EQ(set_error("data.means=[3, 0]"), "data.means: expected a list of integers >= 1, got '0' (--set)");
  EXPECT_EQ(set_error("data.means=[3, 3]"), "data.means: '3' is given twice (--set)");
  EXPECT_EQ(set_error("data.time_features=[seasons]"),
            "data.time_features: expected a list of season, insolation, got 'seasons' (--set)");
  EXPECT_EQ(set_error("train.memory=lots"), "train.memory: expected a size such as 1.5GB, or null, got 'lots' (--set)");
  EXPECT_EQ(set_error("train.memory=-1GB"), "train.memory: expected a size such as 1.5GB, or null, got '-1GB' (--set)");
  EXPECT_EQ(set_error("model=3"), "model: expected a map of keys, got '3' (--set)");
}

TEST(Config, Targets) {
  const std::string expected =
      "model.target: expected state, anomaly, or {residual: "
      "persistence|climatology|damped_global|damped_local|recentred}, ";
  EXPECT_EQ(set_error("model.target=delta"), expected + "got 'delta' (--set)");
  EXPECT_EQ(set_error("model.target={residuals: x}"), expected + "got a map (--set)");
  EXPECT_EQ(set_error("model.target=residual"), expected + "got 'residual' (--set)");
  const std::string choices =
      "model.target: expected a residual on one of persistence, climatology, damped_global, damped_local, recentred, ";
  EXPECT_EQ(set_error("model.target=residual damped"), choices + "got 'damped' (--set)");
  EXPECT_EQ(set_error("model.target={residual: x}"), choices + "got 'x' (--set)");
}

TEST(Config, Dates) {
  for (const char* good :
       {"[1982, 1989]", "[1982-01, 1982]", "[1982, 1982-06]", "[0001-02-03, 10000]", "[1982-01-01T06, 1989]",
        "[1982-01-01 06:30, 1989-01-01T00:00:00Z]", "1982", "['1982', \"1989\"]", "[1982-12-31T23:59:59, 1983]"})
    EXPECT_EQ(set_error(std::string("data.train=") + good), "no error") << good;
  for (const char* bad :
       {"[1982, 19x9]", "[1982-13, 1989]", "[1982-1, 1989]", "[1982-01-32, 1989]", "[1982-01-01T24:00, 1989]",
        "[1982-, 1989]", "[1982-01-01T00:00:00:00, 1989]", "['', 1989]", "[-, 1989]", "[1982T06, 1989]"})
    EXPECT_THAT(set_error(std::string("data.train=") + bad), HasSubstr("data.train: not a date: '")) << bad;
  EXPECT_EQ(set_error("data.train=[1982, 19x9]"),
            "data.train: not a date: '19x9' (dates are 1991, 1991-01, 1991-01-16 or 1991-01-16T20:00) (--set)");
  EXPECT_EQ(set_error("data.train=[1982]"), "data.train: expected two dates, [first, last], got a list of 1 (--set)");
  EXPECT_EQ(set_error("data.train=[1990, 1982-05]"), "data.train: 1990 is after 1982-05 (--set)");
}

TEST(Config, StaticFields) {
  EXPECT_EQ(parse(kMinimal, {"data.static=relief.nc:ROSE#land"}).data.static_sources,
            (std::vector<StaticSource>{{"relief.nc", "ROSE", "land"}}));
  EXPECT_EQ(set_error("data.static={as: land}"),
            "data.static: a static field needs a path, a variable, or both (--set)");
  EXPECT_EQ(set_error("data.static={path: x, kind: land}"),
            "data.static: unknown key 'kind' (a static field has path, variable and as) (--set)");
  EXPECT_EQ(set_error("data.static=x.nc#sea"), "data.static: as: expected orography or land, got 'sea' (--set)");
  EXPECT_EQ(set_error("data.static=[x.nc, x.nc]"), "data.static: the same static field is given twice (--set)");
}

TEST(Config, MissingKeys) {
  EXPECT_EQ(usage_error(""),
            "data.path: missing: NetCDF files: a path, a glob, or a list of them, relative to this file (run.yaml)");
  for (const char* key : {"path", "variables", "train", "validation"}) {
    std::string text = kMinimal;
    size_t begin = text.find(std::string("  ") + key + ":");
    text.erase(begin, text.find('\n', begin) + 1 - begin);
    EXPECT_THAT(usage_error(text), StartsWith(std::string("data.") + key + ": missing: "));
  }
}

TEST(Config, KeysThatTheChosenModelDoesNotHave) {
  EXPECT_EQ(usage_error(kMinimal + "model:\n  name: mlp\n  patch: 4\n"),
            "model.patch: not a key of model.name mlp (only of afno) (run.yaml line 8)");
  EXPECT_EQ(set_error("optimizer={name: sgd, beta1: 0.9}"),
            "optimizer.beta1: not a key of optimizer.name sgd (only of adamw, adam) (--set)");
  EXPECT_EQ(set_error("schedule.every=3"), "schedule.every: not a key of schedule.name cosine (only of step) (--set)");
}

TEST(Config, ConditionsBetweenKeys) {
  EXPECT_EQ(set_error("model.width=60"), "model.width: 60 is not a multiple of model.blocks, 8 (--set)");
  EXPECT_EQ(set_error("model.blocks=7"), "model.width: 64 is not a multiple of model.blocks, 7 (--set)");
}

TEST(Config, FlatDottedKeysAreRefused) {
  EXPECT_EQ(usage_error("data.path: x\n" + kMinimal),
            "data.path: dots in a key: nest the maps instead, data: path: (dots are for --set) (run.yaml line 1)");
  EXPECT_EQ(usage_error(kMinimal + "train:\n  finetune.steps: 3\n"),
            "train.finetune.steps: dots in a key: nest the maps instead, train: finetune: steps: (dots are for --set) "
            "(run.yaml "
            "line 7)");
}

TEST(Config, FilesThatAreNotAConfiguration) {
  EXPECT_EQ(usage_error(kMinimal + "data: {}\n"), "data: given twice (run.yaml line 1 and run.yaml line 6)");
  EXPECT_EQ(usage_error(kMinimal + "  lead: 1\n  lead: 2\n"),
            "data.lead: given twice (run.yaml line 6 and run.yaml line 7)");
  EXPECT_EQ(usage_error("- a\n- b\n"), "expected a map of keys, got a list (run.yaml)");
  EXPECT_EQ(usage_error("text"), "expected a map of keys, got 'text' (run.yaml)");
  EXPECT_EQ(usage_error("data: [1, 2\n"), "run.yaml: not valid YAML: end of sequence flow not found (line 2)");
  EXPECT_THAT(usage_error("data:\n  lead: 1\n path: x\n"), HasSubstr("run.yaml: not valid YAML: "));
  EXPECT_THAT(usage_error("data:\n\tlead: 1\n"), HasSubstr("run.yaml: not valid YAML: "));
  EXPECT_EQ(usage_error(kMinimal + "---\na: 1\n"), "run.yaml: 2 YAML documents; expected one");
  EXPECT_EQ(usage_error("? [a]\n: b\n"), "a key must be a name, not a list (run.yaml line 1)");
  EXPECT_THAT(usage_error(std::string(200'000, '[')), HasSubstr("not valid YAML"));
  EXPECT_THAT(usage_error(std::string((1 << 20) + 1, ' ')), HasSubstr("too many for a configuration"));
  EXPECT_EQ(usage_error("data: \xff\n"), "run.yaml: not text (it is not valid UTF-8)");
  EXPECT_EQ(set_error("data.path=\xff"), "--set data.path: not valid UTF-8");
  EXPECT_EQ(set_error("data.lead"), "--set data.lead: expected key=value");
  EXPECT_EQ(set_error("=3"), "--set =3: expected key=value");
  EXPECT_THAT(set_error("data.means=[1"), HasSubstr("--set data.means=[1: not a YAML value: "));
}

TEST(Config, RandomDamageGivesAnErrorOrAConfiguration) {
  const std::string alphabet = ":-[]{},#&*!|>'\"%@`\n\t ~?0aé";
  int refused = 0;
  for (uint32_t round = 0; round < 1500; ++round) {
    RandomKey key{.seed = 7, .step = round};
    std::string text = kEverything;
    uint64_t changes = 1 + random_below(key, 0, 4);
    for (uint64_t i = 0; i < changes; ++i)
      text[random_below(key, 1 + 2 * i, text.size())] = alphabet[random_below(key, 2 + 2 * i, alphabet.size())];
    try {
      RunConfig config = parse(text);
      EXPECT_EQ(parse(print_config(config)), config) << print_config(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

TEST(Config, JsonErrorsNameTheFile) {
  try {
    config_from_json(nlohmann::json{{"data", 3}}, "model.safetensors");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt_data);
    EXPECT_THAT(error.what(),
                StartsWith("model.safetensors: bad configuration: data: expected a map of keys, got '3'"));
  }
}

TEST(Config, LoadsAFile) {
  data::TemporaryFolder folder;
  data::write_text(folder.path("run.yaml"), kMinimal);
  RunConfig config = load_config(folder.path("run.yaml"), {"train.seed=5"});
  EXPECT_EQ(config.train.seed, 5);
  EXPECT_EQ(resolve_path(config, "winds.nc"), folder.path("winds.nc"));
  auto message = [](const std::string& path) -> std::string {
    try {
      load_config(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(folder.path("absent.yaml")), "no such file: " + folder.path("absent.yaml"));
  EXPECT_EQ(message(folder.path()), folder.path() + " is a directory; expected a YAML file");
}

TEST(ConfigValues, Sizes) {
  auto size = [](const std::string& text) { return read_size(YAML::Load(text)); };
  EXPECT_EQ(size("1.5GB"), 1'500'000'000);
  EXPECT_EQ(size("800 MiB"), 838'860'800);
  EXPECT_EQ(size("4096"), 4096);
  EXPECT_EQ(size("2G"), int64_t{2} << 30);
  for (int64_t bytes : {int64_t{1}, int64_t{999}, int64_t{1500}, int64_t{1} << 30, int64_t{3} << 19,
                        int64_t{1'500'000'000}, int64_t{123'456'789'012}, int64_t{1'000'000'000'000'000}})
    EXPECT_EQ(size(size_text(bytes)), bytes) << size_text(bytes);
  EXPECT_EQ(size_text(1'500'000'000), "1.5GB");
}

TEST(ConfigValues, EditDistance) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("wdith", "width"), 1u);
  EXPECT_EQ(edit_distance("same", "same"), 0u);
}

}  // namespace
}  // namespace gregale::train
