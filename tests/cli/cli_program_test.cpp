// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What works: from a file of fields to scores, and what each subcommand promises scripts.
#include <netcdf.h>

#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiny_winds.hpp"
#include "train/config.hpp"

namespace gregale::cli {
namespace {

namespace fs = std::filesystem;
using data::read_text;
using data::write_text;
using nlohmann::json;
using testing::HasSubstr;

class Program : public TinyRun {
 protected:
  /// Exactly one document on standard output: parse() refuses what follows one.
  json json_of(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--json", "--quiet"});
    const Outcome outcome = in_folder(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    json document = json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(document.is_object()) << outcome.out;
    return document;
  }
  static void expect_keys(const json& document, const std::vector<std::string>& keys) {
    for (const std::string& key : keys) EXPECT_TRUE(document.contains(key)) << key << " in " << document.dump();
  }
  std::vector<std::string> forecast(const std::string& time, const std::string& steps,
                                    const std::string& out = "f.nc") {
    return {"forecast", "run-out", "--init", "winds.nc", "--time", time, "--steps", steps, "-o", out};
  }
};

const std::vector<std::string> kCommands{"init", "train",   "forecast", "score",
                                         "info", "machine", "compress", "decompress"};

TEST_F(Program, HelpHasAnExample) {
  for (const std::string& command : kCommands) {
    const Outcome outcome = in_folder({command, "--help"});
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, HasSubstr("Example:\n  gregale " + command));
    for (const char* option : {"--json", "--quiet", "--threads", "--seed", "--trace"})
      EXPECT_THAT(outcome.out, HasSubstr(option));
  }
  const Outcome help = in_folder({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const std::string& command : kCommands) EXPECT_THAT(help.out, HasSubstr("\n  " + command));
  EXPECT_THAT(in_folder({"--version"}).out, testing::StartsWith("gregale "));
}

TEST_F(Program, JsonOfEverySubcommand) {
  const json init = json_of({"init", "winds.nc", "-o", "new.yaml"});
  expect_keys(init, {"variables", "axes", "time", "baselines"});
  EXPECT_EQ(init["variables"][0]["name"], "U");
  EXPECT_EQ(init["time"]["records"], 48);
  EXPECT_GT(init["baselines"]["climatology"]["V"]["1"]["rmse"].get<double>(), 0);

  const json trained = json_of({"train", "run.yaml"});
  expect_keys(trained, {"steps", "seconds", "loss", "validation", "weights_sha256", "peak_rss_bytes", "ledger"});
  EXPECT_EQ(trained["steps"], 6);
  EXPECT_EQ(trained["weights_sha256"], sha256());
  for (const char* file : {"best.safetensors", "model.safetensors", "report.html", "train.json"})
    EXPECT_TRUE(exists(std::string("run-out/") + file)) << file;
  expect_keys(summary(), {"config", "seed", "version", "data", "weights_sha256"});

  const json forecasts = json_of(forecast("1993-05/1993-07", "2"));
  expect_keys(forecasts, {"inits", "steps", "seconds", "file"});
  EXPECT_EQ(forecasts["inits"], 3);
  EXPECT_EQ(forecasts["file"], "f.nc");

  const json scores = json_of({"score", "run-out", "--truth", "winds.nc", "--leads", "1,2", "--report", "s.html"});
  for (const char* variable : {"U", "V"})
    for (const char* lead : {"1", "2"}) {
      for (const char* key : {"rmse", "acc", "bias"})
        EXPECT_TRUE(scores["variables"][variable][lead][key].is_number()) << key;
      for (const char* baseline : {"persistence", "climatology", "damped_global", "damped_local", "recentred"}) {
        EXPECT_TRUE(scores["baselines"][baseline][variable][lead]["rmse"].is_number()) << baseline;
        for (const char* key : {"difference", "low95", "high95"})
          EXPECT_TRUE(scores["paired"][variable][lead][baseline][key].is_number()) << key;
      }
    }
  EXPECT_TRUE(exists("s.html"));

  const json machine = json_of({"machine"});
  expect_keys(machine, {"isa", "cores", "peak_gflops", "read_gbs", "copy_gbs"});
  expect_keys(machine["peak_gflops"], {"fp32"});
  for (const char* level : {"l1", "l2", "memory"})
    for (const char* key : {"one_thread", "all_threads"})
      EXPECT_TRUE(machine["read_gbs"][level][key].is_number()) << level << key;

  EXPECT_EQ(json_of({"info", "winds.nc"})["kind"], "netcdf");
  EXPECT_EQ(json_of({"info", "f.nc"})["kind"], "forecast");
  EXPECT_EQ(json_of({"info", "run-out/checkpoint-6.safetensors"})["kind"], "checkpoint");
  const json model = json_of({"info", "run-out/model.safetensors"});
  EXPECT_EQ(model["kind"], "emulator");
  EXPECT_EQ(model["variables"][1]["name"], "V");
}

TEST_F(Program, BenchGemm) {
  EXPECT_THAT(in_folder({"--help"}).out, HasSubstr("\n  bench"));
  EXPECT_THAT(in_folder({"bench", "--help"}).out, HasSubstr("Example:\n  gregale bench gemm"));
  const Outcome help = in_folder({"bench", "gemm", "--help"});
  for (const char* option : {"--m", "--flat-b", "--dtype", "--json", "--quiet", "--threads", "--seed", "--trace"})
    EXPECT_THAT(help.out, HasSubstr(option));
  for (const char* dtype : {"fp32", "bf16", "fp32x3"}) {
    for (const bool flat : {false, true}) {
      std::vector<std::string> arguments{"bench", "gemm", "--m",     "65",  "--n",       "40",
                                         "--k",   "129",  "--dtype", dtype, "--threads", flat ? "1" : "2"};
      if (flat) arguments.push_back("--flat-b");
      const json document = json_of(arguments);
      expect_keys(document,
                  {"median_seconds", "min_seconds", "gflops", "fraction_of_peak", "implementation", "blocks"});
      EXPECT_EQ(document["m"], 65);
      EXPECT_EQ(document["n"], 40);
      EXPECT_EQ(document["k"], 129);
      EXPECT_EQ(document["dtype"], dtype);
      EXPECT_EQ(document["flat_b"], flat);
      EXPECT_EQ(document["threads"], flat ? 1 : 2);
      const double median = document["median_seconds"];
      EXPECT_GT(document["min_seconds"], 0);
      EXPECT_GE(median, document["min_seconds"]);
      EXPECT_NEAR(document["gflops"], 2e-9 * 65 * 40 * 129 / median, 1e-6 * document["gflops"].get<double>());
      EXPECT_GT(document["fraction_of_peak"], 0);
    }
  }
  const Outcome text = in_folder({"bench", "gemm", "--m", "64", "--n", "64", "--k", "64"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, HasSubstr("Gflop/s"));
  EXPECT_THAT(text.err, HasSubstr("run "));
}

TEST_F(Program, BenchModel) {
  const Outcome help = in_folder({"bench", "model", "--help"});
  for (const char* text : {"Example:\n  gregale bench model", "--precision", "--mode", "--batch", "--length", "--width",
                           "--depth", "--json", "--quiet", "--threads", "--seed", "--trace", "--tune"})
    EXPECT_THAT(help.out, HasSubstr(text));
  const auto check = [&](const std::vector<std::string>& arguments, const std::vector<int64_t>& input, double flops) {
    std::vector<std::string> all{"bench", "model"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const json document = json_of(all);
    expect_keys(document, {"median_seconds", "min_seconds", "gflops", "fraction_of_peak", "compile_seconds",
                           "peak_rss_bytes", "runs"});
    EXPECT_EQ(document["model"], arguments[0]);
    EXPECT_EQ(document["precision"], "fp32");
    EXPECT_EQ(document["mode"], "infer");
    EXPECT_EQ(document["input"], input);
    EXPECT_GE(document["runs"], 3);
    EXPECT_GE(document["median_seconds"], document["min_seconds"]);
    EXPECT_GT(document["min_seconds"], 0);
    EXPECT_GT(document["compile_seconds"], 0);
    EXPECT_GT(document["peak_rss_bytes"], 1 << 20);
    EXPECT_GT(document["fraction_of_peak"], 0);
    // Of the products; the rest adds little.
    EXPECT_GT(document["flops"], flops);
    EXPECT_LT(document["flops"], 1.2 * flops);
    const double rate = 1e-9 * document["flops"].get<double>() / document["median_seconds"].get<double>();
    EXPECT_NEAR(document["gflops"], rate, 1e-6 * rate);
  };
  check({"mlp", "--width", "96", "--depth", "2", "--batch", "33", "--seed", "4", "--threads", "2"}, {33, 96},
        2.0 * 33 * 3 * 96 * 96);
  check({"bert-base-layer", "--batch", "2", "--length", "9"}, {2, 9, 768},
        2.0 * 18 * (4 * 768 * 768 + 2 * 768 * 3072 + 2 * 9 * 768));
  check({"resnet50"}, {1, 3, 224, 224}, 2 * 4.089e9);
  check({"surrogate3d"}, {1, 1, 64, 64, 64}, 2.0 * 64 * 64 * 64 * 32 * (27 * (1 + 7 * 32) + 1));
  const Outcome text = in_folder({"bench", "model", "mlp"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, HasSubstr("Gflop/s"));
  EXPECT_THAT(text.err, HasSubstr("run "));
}

TEST_F(Program, BenchModelTrains) {
  const auto train = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "model"});
    arguments.insert(arguments.end(), {"--mode", "train"});
    return json_of(arguments);
  };
  const double forward = 2.0 * 64 * 5 * 96 * 96;
  const json step = train({"mlp", "--width", "96", "--batch", "64", "--precision", "bf16"});
  EXPECT_EQ(step["mode"], "train");
  EXPECT_GT(step["flops"], 2.8 * forward) << "forward, and twice that backward but for the first layer";
  EXPECT_EQ(train({"mlp", "--runs", "2"})["runs"], 2);
  EXPECT_THAT(step["keep"].get<std::string>(), HasSubstr("are kept for the backward pass"));
  for (const char* optimizer : {"none", "sgd"})
    EXPECT_GT(train({"mlp", "--width", "96", "--batch", "64", "--optimizer", optimizer})["median_seconds"], 0);
  const Outcome shown = in_folder({"inspect", "mlp", "--mode", "train", "--no-run"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("are kept for the backward pass"));
}

/// The page's data and what it says of the program agree with the JSON of the same run.
TEST_F(Program, InspectWritesAPage) {
  const std::vector<std::string> model{"inspect", "bert-base-layer", "--batch", "1", "--length",
                                       "32",      "--html",          "p.html"};
  const json document = json_of(model);
  const std::string html = read_text(path("p.html")), head = "id=\"graph-data\">";
  const size_t begin = html.find(head) + head.size();
  const json page = json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  ASSERT_EQ(page["levels"].size(), 4U);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(page["levels"][i]["name"], (std::vector<std::string>{"imported", "rewritten", "fused", "tiled"})[i]);
  ASSERT_EQ(page["steps"].size(), document["groups"].size());
  for (size_t i = 0; i < page["steps"].size(); ++i) {
    const json &step = page["steps"][i], &group = document["groups"][i];
    EXPECT_EQ(step["seconds"], group["seconds"]);
    EXPECT_GT(step["seconds"], 0);
    EXPECT_EQ(step["counted"], group["bytes"]["counted"]);
    EXPECT_EQ(step["least"], group["bytes"]["lower_bound"]);
    if (group.contains("program")) {
      EXPECT_EQ(page["programs"][step["program"].get<size_t>()], group["program"]);
    }
  }
  // Every operator of the layer is traced to a step, but for views, which run in none.
  const std::set<std::string> ends{"input", "output", "move"};
  std::set<int> steps;
  for (const json& node : page["levels"][0]["nodes"]) {
    if (node["step"] >= 0) steps.insert(node["step"].get<int>());
    if (ends.count(node["kind"]) == 0) {
      EXPECT_GE(node["step"], 0) << node["label"];
    }
  }
  EXPECT_EQ(steps.size(), page["steps"].size()) << "no step without an operator of the source";
  for (const size_t level : {2, 3}) {
    size_t groups = 0;
    for (const json& node : page["levels"][level]["nodes"]) groups += node["group"].get<bool>();
    EXPECT_GT(groups, 4U);
  }

  const Outcome text = in_folder({"inspect", "mlp", "--mode", "train", "--no-run", "--html", "q.html", "--quiet"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("pred. ms"));
  EXPECT_THAT(text.out, testing::EndsWith("wrote q.html\n"));
  EXPECT_THAT(read_text(path("q.html")), HasSubstr("predicted time above"));
}

// A cap is one on the whole process, and holds as its peak resident set.
TEST_F(Program, TrainingStaysWithinItsMemory) {
  const auto run = [&](std::vector<std::string> model, const std::string& cap) {
    model.insert(model.begin(), {"bench", "model"});
    model.insert(model.end(), {"--mode", "train", "--runs", "2", "--memory", cap});
    return model;
  };
  const struct {
    std::vector<std::string> model;
    double held[3];  // MB
    double refused;
  } cases[] = {
      {{"mlp", "--depth", "32", "--width", "128", "--batch", "8192"}, {300, 180, 160}, 80},
      {{"bert-base-layer", "--batch", "8", "--length", "256"}, {400, 300, 260}, 150},
      {{"resnet50", "--batch", "2"}, {900, 600, 470}, 300},
  };
  for (const auto& c : cases) {
    for (const double cap : c.held) {
      const json document = json_of(run(c.model, fmt::format("{}MB", cap)));
      EXPECT_LE(document["peak_rss_bytes"].get<double>(), cap * 1e6) << c.model[0] << " " << cap << " MB";
    }
    const Outcome refused = in_folder(run(c.model, fmt::format("{}MB", c.refused)));
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, HasSubstr(fmt::format("--memory: {}MB are allowed, the run needs ", c.refused)));
  }
}

TEST_F(Program, TunesAndKeepsWhatItFound) {
  const std::vector<std::string> arguments{"inspect", "bert-base-layer", "--batch", "1",        "--length",
                                           "64",      "--tune",          "quick",   "--no-run", "--quiet"};
  const Outcome first = in_folder(arguments);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("pred. ms"));
  ASSERT_TRUE(exists("cache/gregale/tune.json"));
  // The second time compiles the same program from the file.
  const json again =
      json_of({"inspect", "bert-base-layer", "--batch", "1", "--length", "64", "--tune", "quick", "--no-run"});
  const json third =
      json_of({"inspect", "bert-base-layer", "--batch", "1", "--length", "64", "--tune", "quick", "--no-run"});
  ASSERT_EQ(again["groups"].size(), third["groups"].size());
  for (size_t i = 0; i < again["groups"].size(); ++i) {
    EXPECT_EQ(again["groups"][i]["program"], third["groups"][i]["program"]);
    EXPECT_GT(again["groups"][i]["predicted_seconds"], 0);
  }
}

TEST_F(Program, QuietSaysNothingOnStandardError) {
  EXPECT_EQ(in_folder({"init", "winds.nc", "-o", "new.yaml", "--quiet"}).err, "");
  const Outcome trained = in_folder({"train", "run.yaml"});
  EXPECT_THAT(trained.err, HasSubstr("step 6/6"));  // what quiet would have kept back
  EXPECT_EQ(in_folder({"train", "run.yaml", "--resume", "--quiet"}).err, "");
  EXPECT_EQ(in_folder({"train", "run.yaml", "--out", "other", "--quiet"}).err, "");
  auto arguments = forecast("1993-05", "2");
  arguments.push_back("--quiet");
  EXPECT_EQ(in_folder(arguments).err, "");
  EXPECT_EQ(in_folder({"score", "run-out", "--truth", "winds.nc", "--quiet"}).err, "");
  EXPECT_EQ(in_folder({"info", "run-out/model.safetensors", "--quiet"}).err, "");
}

TEST_F(Program, FromFieldsToScores) {
  // The proposed configuration suits the data as it is; only its length is cut.
  ASSERT_EQ(in_folder({"init", "winds.nc", "-o", "mine.yaml"}).status, 0);
  ASSERT_EQ(in_folder({"train", "mine.yaml", "--quiet", "--set", "train.steps=3", "--set", "model.width=8"}).status, 0);
  const Outcome forecast =
      in_folder({"forecast", "mine-out", "--init", "winds.nc", "--time", "1993-06", "--steps", "2", "-o", "f.nc"});
  ASSERT_EQ(forecast.status, 0) << forecast.err;
  const Outcome score = in_folder({"score", "mine-out", "--truth", "winds.nc", "--baselines", "--report", "s.html"});
  ASSERT_EQ(score.status, 0) << score.err;
  EXPECT_THAT(score.out, HasSubstr("damped_local"));
  EXPECT_THAT(read_text(path("s.html")), HasSubstr("<html"));
}

TEST_F(Program, CtrlCEndsAForecastWithoutAFile) {
  ASSERT_EQ(train().status, 0);
  How how;
  how.signal = SIGINT;
  how.signal_when = [](double seconds, const std::string&) { return seconds > 0.5; };
  auto arguments = forecast("1993-05", "100000");
  arguments.push_back("--quiet");
  expect_refusal(in_folder(arguments, how), 130, {"gregale: forecast: interrupted; nothing was written"});
  EXPECT_FALSE(exists("f.nc"));
  expect_no_leftovers();
}

TEST_F(Program, InitMasksMissingValues) {
  TinyWinds winds;
  winds.change = [](size_t v, int month, int row, int, double value) {
    return v == 1 && row < 2 && month % 5 == 0 ? std::nan("") : value;
  };
  write_tiny_winds(path("winds.nc"), winds);
  const json init = json_of({"init", "winds.nc", "-o", "mine.yaml"});
  EXPECT_EQ(init["missing_values"], 10 * 2 * 12);
  const train::RunConfig config = train::load_config(path("mine.yaml"));
  EXPECT_EQ(config.data.missing, "mask");
  ASSERT_EQ(in_folder({"train", "mine.yaml", "--quiet", "--set", "train.steps=3", "--set", "model.width=8"}).status, 0);
}

// ---- the forecast file, read with the netCDF library alone ----------------------------------------------------------

class Netcdf {
 public:
  explicit Netcdf(const std::string& path) { check(nc_open(path.c_str(), NC_NOWRITE, &id_)); }
  ~Netcdf() { nc_close(id_); }
  std::string text(const std::string& variable, const std::string& attribute) const {
    size_t length = 0;
    if (nc_inq_attlen(id_, variable_id(variable), attribute.c_str(), &length) != NC_NOERR) return "(none)";
    std::string value(length, '\0');
    check(nc_get_att_text(id_, variable_id(variable), attribute.c_str(), value.data()));
    return value;
  }
  std::vector<size_t> shape(const std::string& variable) const {
    int rank = 0, dims[NC_MAX_VAR_DIMS];
    check(nc_inq_varndims(id_, variable_id(variable), &rank));
    check(nc_inq_vardimid(id_, variable_id(variable), dims));
    std::vector<size_t> extents(static_cast<size_t>(rank));
    for (size_t i = 0; i < extents.size(); ++i) check(nc_inq_dimlen(id_, dims[i], &extents[i]));
    return extents;
  }
  std::vector<double> values(const std::string& variable) const {
    size_t count = 1;
    for (const size_t n : shape(variable)) count *= n;
    std::vector<double> all(count);
    check(nc_get_var_double(id_, variable_id(variable), all.data()));
    return all;
  }

 private:
  int variable_id(const std::string& name) const {
    int id = NC_GLOBAL;
    if (!name.empty()) check(nc_inq_varid(id_, name.c_str(), &id));
    return id;
  }
  static void check(int status) {
    if (status != NC_NOERR) throw std::runtime_error(nc_strerror(status));
  }
  int id_ = -1;
};

TEST_F(Program, TheForecastIsCfNetcdfAndStartsFromTheData) {
  ASSERT_EQ(train().status, 0);
  ASSERT_EQ(in_folder(forecast("1993-05/1993-07", "2")).status, 0);
  const Netcdf file(path("f.nc"));
  EXPECT_EQ(file.text("", "Conventions"), "CF-1.8");
  EXPECT_EQ(file.text("time", "standard_name"), "forecast_reference_time");
  EXPECT_THAT(file.text("time", "units"), HasSubstr(" since "));
  EXPECT_EQ(file.text("lead", "standard_name"), "forecast_period");
  EXPECT_EQ(file.text("lat", "units"), "degrees_north");
  EXPECT_EQ(file.text("lon", "units"), "degrees_east");
  EXPECT_EQ(file.text("U", "units"), "m/s");
  EXPECT_EQ(file.text("V", "long_name"), "V of the wind");
  EXPECT_THAT(file.text("U", "coordinates"), HasSubstr("valid_time"));
  EXPECT_EQ(file.shape("U"), (std::vector<size_t>{3, 3, 8, 12}));
  const Netcdf winds(path("winds.nc"));
  for (const char* variable : {"U", "V"}) {
    const auto forecast = file.values(variable), data = winds.values(variable);
    const size_t cells = 8 * 12, first = 40;  // May 1993
    double change = 0;
    for (size_t i = 0; i < 3; ++i)
      for (size_t c = 0; c < cells; ++c) {
        EXPECT_EQ(forecast[i * 3 * cells + c], data[(first + i) * cells + c]) << variable << i << " " << c;
        change += std::abs(forecast[(i * 3 + 1) * cells + c] - data[(first + i) * cells + c]);
      }
    EXPECT_GT(change / (3 * cells), 0.1);
  }
}

TEST_F(Program, AForecastFileScoresAsTheModelDoes) {
  ASSERT_EQ(train().status, 0);
  // The test period is July to December: lead 1 starts a month earlier.
  ASSERT_EQ(in_folder(forecast("1993-06/1993-11", "1")).status, 0);
  const json model = json_of({"score", "run-out", "--truth", "winds.nc"});
  const json file = json_of({"score", "f.nc", "--truth", "winds.nc", "--reference", "run-out"});
  for (const char* variable : {"U", "V"}) {
    for (const char* key : {"rmse", "acc", "bias"})
      EXPECT_NEAR(model["variables"][variable]["1"][key].get<double>(),
                  file["variables"][variable]["1"][key].get<double>(), 1e-6)
          << key;
    for (const char* baseline : {"persistence", "climatology", "damped_global", "damped_local", "recentred"})
      EXPECT_EQ(model["baselines"][baseline][variable]["1"]["rmse"],
                file["baselines"][baseline][variable]["1"]["rmse"]);
  }
}

// ---- training -------------------------------------------------------------------------------------------------------

TEST_F(Program, ThreadsDoNotChangeTheWeights) {
  const std::vector<std::string> settings{"--set", "model.width=32",    "--set", "train.batch=8",
                                          "--set", "model.dropout=0.1", "--set", "train.ema=0.9"};
  std::string first;
  for (const char* threads : {"1", "2", "3"}) {
    std::vector<std::string> arguments{"train", "run.yaml", "--quiet", "--threads", threads, "--out", threads};
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    ASSERT_EQ(in_folder(arguments).status, 0);
    if (first.empty()) first = sha256(threads);
    EXPECT_EQ(sha256(threads), first) << threads << " threads";
  }
}

TEST_F(Program, SeedsChangeTheWeights) {
  ASSERT_EQ(train({"--out", "zero"}).status, 0);
  ASSERT_EQ(train({"--out", "one", "--seed", "1"}).status, 0);
  ASSERT_EQ(train({"--out", "set", "--set", "train.seed=1"}).status, 0);
  EXPECT_NE(sha256("zero"), sha256("one"));
  EXPECT_EQ(sha256("one"), sha256("set"));
  EXPECT_EQ(summary("one")["seed"], 1);
}

TEST_F(Program, PrintConfigParsesBack) {
  const Outcome outcome =
      in_folder({"train", "run.yaml", "--print-config", "--set", "train.steps=17", "--set", "train.clip=0.5"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto given = train::load_config(path("run.yaml"), {"train.steps=17", "train.clip=0.5"});
  EXPECT_EQ(train::parse_config(outcome.out, "printed", folder_.path()), given);
  EXPECT_FALSE(exists("run-out"));
  // And trains to the same weights.
  write_text(path("printed.yaml"), outcome.out);
  ASSERT_EQ(train({"--set", "train.steps=17", "--set", "train.clip=0.5"}).status, 0);
  ASSERT_EQ(in_folder({"train", "printed.yaml", "--quiet"}).status, 0);
  EXPECT_EQ(sha256("printed-out"), sha256());
}

TEST_F(Program, TheSummaryHoldsTheConfiguration) {
  ASSERT_EQ(train({"--set", "train.clip=0.25"}).status, 0);
  write_text(path("again.yaml"), summary()["config"].dump());  // JSON is YAML
  ASSERT_EQ(in_folder({"train", "again.yaml", "--quiet"}).status, 0);
  EXPECT_EQ(sha256("again-out"), sha256());
}

TEST_F(Program, PathsAreRelativeToTheConfiguration) {
  fs::create_directory(path("elsewhere"));
  How how;
  how.folder = path("elsewhere");
  const Outcome outcome = run({"train", "../run.yaml", "--quiet"}, how);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(exists("run-out/model.safetensors"));  // beside the configuration it is named after
  EXPECT_TRUE(names("elsewhere").empty());
}

TEST_F(Program, TraceOfEveryCommand) {
  const std::vector<std::vector<std::string>> commands{{"init", "winds.nc", "-o", "new.yaml"},
                                                       {"train", "run.yaml", "--quiet"},
                                                       forecast("1993-05", "2"),
                                                       {"score", "run-out", "--truth", "winds.nc"},
                                                       {"info", "winds.nc"}};
  for (std::vector<std::string> arguments : commands) {
    const std::string file = arguments[0] + "-trace.json";
    arguments.insert(arguments.end(), {"--trace", file});
    ASSERT_EQ(in_folder(arguments).status, 0);
    const json trace = json::parse(read_text(path(file)), nullptr, false);
    ASSERT_FALSE(trace.is_discarded()) << arguments[0];
    ASSERT_TRUE(trace.contains("traceEvents")) << arguments[0];
    if (arguments[0] != "train") continue;
    int steps = 0;
    for (const json& event : trace["traceEvents"]) steps += event.value("name", "") == "step";
    EXPECT_EQ(steps, 6);
  }
}

}  // namespace
}  // namespace gregale::cli
