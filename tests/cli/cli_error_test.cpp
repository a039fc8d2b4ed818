// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Bad input to `gregale`: one line that says what, where and what to do; nothing else printed, nothing left behind.
#include <netcdf.h>
#include <sys/stat.h>

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiny_winds.hpp"

namespace gregale::cli {
namespace {

namespace fs = std::filesystem;
using data::read_text;
using data::write_text;

class BadInput : public TinyRun {
 protected:
  /// Training is refused with these facts, and writes nothing.
  void expect_train_refused(int status, const std::vector<std::string>& facts,
                            const std::vector<std::string>& more = {}) {
    const auto before = folder_.names();
    std::vector<std::string> all{"gregale: train: "};
    all.insert(all.end(), facts.begin(), facts.end());
    std::vector<std::string> arguments{"train", "run.yaml"};  // not quiet: progress would be seen
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_refusal(in_folder(arguments), status, all);
    EXPECT_EQ(folder_.names(), before);
  }
};

using BadUsage = BadInput;

TEST_F(BadUsage, Subcommands) {
  expect_refusal(in_folder({}), 2, {"subcommand", "--help"});
  expect_refusal(in_folder({"trian", "run.yaml"}), 2,
                 {"unknown subcommand 'trian'", "init, train, forecast, score, info, machine, bench"});
  expect_refusal(in_folder({"train"}), 2, {"gregale: train: ", "config", "gregale train --help"});
  expect_refusal(in_folder({"train", "run.yaml", "--frobnicate"}), 2, {"gregale: train: ", "--frobnicate"});
  expect_refusal(in_folder({"train", "run.yaml", "--threads", "0"}), 2, {"gregale: train: ", "--threads"});
  expect_refusal(in_folder({"train", "run.yaml", "--threads", "x"}), 2, {"gregale: train: ", "--threads"});
  expect_refusal(in_folder({"train", "run.yaml", "--out"}), 2, {"gregale: train: ", "--out"});
  expect_refusal(in_folder({"forecast", "x", "--init", "winds.nc", "--steps", "1", "-o", "f.nc"}), 2,
                 {"gregale: forecast: ", "--time"});
  expect_refusal(in_folder({"forecast", "x", "--init", "winds.nc", "--time", "1993", "--steps", "0", "-o", "f.nc"}), 2,
                 {"gregale: forecast: ", "--steps"});
  expect_refusal(in_folder({"score", "x"}), 2, {"gregale: score: ", "--truth"});
  expect_refusal(in_folder({"score", "x", "--truth", "winds.nc", "--leads", "0"}), 2, {"gregale: score: ", "--leads"});
  expect_refusal(in_folder({"info"}), 2, {"gregale: info: "});
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"run.yaml", "winds.nc"}));
}

TEST_F(BadUsage, Bench) {
  auto gemm = [&](const std::string& m, const std::string& n, const std::string& k, const std::string& dtype) {
    return in_folder({"bench", "gemm", "--m", m, "--n", n, "--k", k, "--dtype", dtype});
  };
  expect_refusal(in_folder({"bench"}), 2, {"gregale: bench: ", "subcommand", "gregale bench --help"});
  expect_refusal(in_folder({"bench", "gemm", "--m", "4", "--n", "4"}), 2, {"gregale: bench: ", "--k"});
  expect_refusal(gemm("0", "4", "4", "fp32"), 2, {"gregale: bench: --m: expected an integer >= 1, got 0"});
  expect_refusal(gemm("4", "-3", "4", "fp32"), 2, {"gregale: bench: --n: ", "-3"});
  expect_refusal(gemm("4", "4", "x", "fp32"), 2, {"gregale: bench: ", "--k"});
  expect_refusal(gemm("4", "4", "4000000000000000000", "fp32"), 2, {"gregale: bench: --k: ", "too large"});
  expect_refusal(gemm("4", "4", "4", "fp8"), 2, {"gregale: bench: --dtype: ", "fp32, bf16, fp32x3 or int8", "'fp8'"});
  expect_refusal(gemm("4", "4", "4", "int8"), 1, {"gregale: bench: --dtype: int8 contraction is not there yet"});
}

TEST_F(BadUsage, BenchModel) {
  const auto model = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "model"});
    return in_folder(arguments);
  };
  expect_refusal(model({}), 2, {"gregale: bench: ", "name"});
  expect_refusal(
      model({"alexnet"}), 2,
      {"gregale: bench: model 'alexnet' is none of fourcastnet, bert-base-layer, resnet50, afno, surrogate3d, mlp"});
  expect_refusal(model({"mlp", "--precision", "fp8"}), 2,
                 {"gregale: bench: --precision: expected fp32, bf16 or fp32x3, got 'fp8'"});
  expect_refusal(model({"mlp", "--tune", "slow"}), 2, {"gregale: bench: --tune: expected off or quick, got 'slow'"});
  expect_refusal(model({"mlp", "--mode", "serve"}), 2, {"gregale: bench: --mode: expected infer or train"});
  expect_refusal(model({"mlp", "--optimizer", "adamw"}), 2, {"gregale: bench: --optimizer: --mode infer has none"});
  expect_refusal(model({"mlp", "--mode", "train", "--optimizer", "lamb"}), 2,
                 {"gregale: bench: --optimizer: expected adamw, sgd or none, got 'lamb'"});
  expect_refusal(model({"mlp", "--runs", "0"}), 2, {"gregale: bench: --runs: expected a positive number, got 0"});
  expect_refusal(model({"mlp", "--memory", "much"}), 2,
                 {"gregale: bench: --memory: expected a size such as 1.5GB, got 'much'"});
  expect_refusal(model({"mlp", "--mode", "train", "--memory", "1MB"}), 1,
                 {"gregale: bench: --memory: 1MB are allowed, the run needs "});
  expect_refusal(model({"mlp", "--batch", "0"}), 2, {"gregale: bench: --batch: expected an integer in [1, ", "got 0"});
  expect_refusal(model({"mlp", "--batch", "x"}), 2, {"gregale: bench: ", "--batch"});
  expect_refusal(model({"mlp", "--depth", "5000"}), 2, {"gregale: bench: --depth: ", "[1, 4096]"});
  expect_refusal(model({"mlp", "--length", "8"}), 2, {"gregale: bench: --length: mlp has none"});
  expect_refusal(model({"resnet50", "--width", "8"}), 2, {"gregale: bench: --width: resnet50 has none"});
  expect_refusal(model({"mlp", "--width", "1000000"}), 2, {"gregale: bench: ", "too large", "this machine has"});
}

TEST_F(BadUsage, Inspect) {
  const auto page = [&](const std::string& file) { return in_folder({"inspect", "mlp", "--html", file}); };
  expect_refusal(page("missing/p.html"), 1, {"gregale: inspect: --html: no such folder: ", "missing"});
  fs::create_directory(path("folder"));
  expect_refusal(page("folder"), 1, {"gregale: inspect: --html: is a folder: folder"});
  expect_refusal(in_folder({"inspect", "alexnet", "--html", "p.html"}), 2, {"gregale: inspect: model 'alexnet'"});
  EXPECT_FALSE(exists("p.html"));
}

TEST_F(BadUsage, TheConfigurationFile) {
  expect_refusal(in_folder({"train", "absent.yaml"}), 1, {"gregale: train: ", "no such file: absent.yaml"});
  expect_refusal(in_folder({"train", "."}), 1, {"gregale: train: ", "folder"});
  expect_refusal(in_folder({"train", "winds.nc"}), 2, {"gregale: train: ", "winds.nc", "not text"});
}

TEST_F(BadUsage, Keys) {
  edit("batch: 4", "batch_size: 4");
  expect_train_refused(2, {"train.batch_size: unknown key", "did you mean train.batch?", "run.yaml line 17"});
}

TEST_F(BadUsage, DottedKeysAreForSet) {
  edit("model:\n", "model.width: 8\nmodel:\n");
  expect_train_refused(2, {"model.width: dots in a key", "model: width", "run.yaml line 8"});
}

TEST_F(BadUsage, TypesAndRanges) {
  for (const auto& [from, to, fact] : std::vector<std::array<std::string, 3>>{
           {"steps: 6", "steps: six", "train.steps: expected an integer >= 1, or null, got 'six'"},
           {"steps: 6", "steps: 0", "train.steps: expected an integer >= 1, or null, got '0'"},
           {"width: 8", "width: [8]", "model.width: expected an integer"},
           {"width: 8", "width: 9", "model.width: 9 is not a multiple of model.blocks, 2"},
           {"name: afno", "name: resnet", "model.name: expected"},
           {"{residual: damped_global}", "{residual: nothing}", "model.target: "},
           {"train: [1990, 1992]", "train: [1990, 1992-13]", "data.train: "},
           {"train: [1990, 1992]", "train: [1992, 1990]", "data.train: "},
           {"train:\n  steps", "train:\n  clip: -1\n  steps", "train.clip: expected"},
           {"train:\n  steps", "train:\n  memory: much\n  steps", "train.memory: expected a size such as 1.5GB"},
           {"train:\n  steps", "train:\n  precision: fp16\n  steps", "train.precision: "},
           {"train:\n  steps", "train: 3\nmodel:\n  steps", "train: expected a map of keys"},
           {"  variables: [U, V]\n", "", "data.variables: missing"}}) {
    write_text(path("run.yaml"), kTinyRun);
    edit(from, to);
    expect_train_refused(2, {fact, "run.yaml"});
  }
}

TEST_F(BadUsage, YamlSyntax) {
  edit("variables: [U, V]", "variables: [U, V");
  expect_train_refused(2, {"run.yaml: not valid YAML", "line"});
  write_text(path("run.yaml"), std::string(kTinyRun) + "\ttrain: x\n");
  expect_train_refused(2, {"run.yaml: not valid YAML", "line"});
  write_text(path("run.yaml"), "");
  expect_train_refused(2, {"data.path: missing"});
}

TEST_F(BadUsage, Set) {
  expect_train_refused(2, {"train.stpes: unknown key", "did you mean train.steps?"}, {"--set", "train.stpes=3"});
  expect_train_refused(2, {"--set train.steps: expected key=value"}, {"--set", "train.steps"});
  expect_train_refused(2, {"train.steps: expected an integer >= 1, or null, got 'x'", "--set"},
                       {"--set", "train.steps=x"});
  expect_train_refused(2, {"--set", "not a YAML value"}, {"--set", "data.variables=[U"});
  expect_train_refused(2, {"--set"}, {"--set"});
  expect_train_refused(2, {"train.seed"}, {"--seed", "-1"});
}

TEST_F(BadUsage, Periods) {
  for (const auto& [from, to, fact] : std::vector<std::array<std::string, 3>>{
           {"train: [1990, 1992]", "train: [1950, 1952]", "data.train: "},
           {"validation: [1993-01, 1993-06]", "validation: [2050-01, 2050-06]", "data.validation: "},
           {"test: [1993-07, 1993-12]", "test: [2050, 2051]", "data.test: "},
           {"test: [1993-07, 1993-12]", "test: [1993-03, 1993-12]", "data"},
           {"  test: [1993-07, 1993-12]\n", "", "data.validation: "}}) {
    write_text(path("run.yaml"), kTinyRun);
    edit(from, to);
    if (to.empty()) edit("validation: [1993-01, 1993-06]", "validation: [1992-01, 1993-06]");
    const auto before = folder_.names();
    const Outcome outcome = in_folder({"train", "run.yaml"});
    expect_refusal(outcome, outcome.status == 2 ? 2 : 1, {"gregale: train: ", fact});
    EXPECT_EQ(folder_.names(), before);
  }
}

TEST_F(BadInput, MissingFile) {
  fs::remove(path("winds.nc"));
  expect_train_refused(1, {"data.path: no such file: winds.nc"});
  expect_refusal(in_folder({"init", "winds.nc"}), 1, {"gregale: init: ", "no such file: winds.nc"});
  expect_refusal(in_folder({"info", "winds.nc"}), 1, {"gregale: info: ", "no such file: winds.nc"});
  edit("path: winds.nc", "path: \"winds-*.nc\"");
  expect_train_refused(1, {"data.path: ", "winds-*.nc"});
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"run.yaml"});
}

TEST_F(BadInput, Folder) {
  fs::create_directory(path("winds"));
  edit("path: winds.nc", "path: winds");
  expect_train_refused(1, {"data.path: ", "winds", "director"});
  expect_refusal(in_folder({"init", "winds"}), 1, {"gregale: init: ", "winds", "director"});
  expect_refusal(in_folder({"info", "winds"}), 1, {"gregale: info: ", "winds", "folder"});
}

TEST_F(BadInput, TruncatedNetcdf) {
  for (const int format : {0, int{NC_NETCDF4}}) {
    TinyWinds winds;
    winds.format = format;
    write_tiny_winds(path("winds.nc"), winds);
    const std::string whole = read_text(path("winds.nc"));
    for (const double share : {0.02, 0.5, 0.99}) {
      write_text(path("winds.nc"), whole.substr(0, static_cast<size_t>(static_cast<double>(whole.size()) * share)));
      expect_train_refused(1, {"data.path: ", "truncated", "winds.nc"});
      expect_refusal(in_folder({"init", "winds.nc"}), 1, {"gregale: init: ", "truncated", "winds.nc"});
      expect_refusal(in_folder({"info", "winds.nc"}), 1, {"gregale: info: ", "truncated", "winds.nc"});
    }
  }
}

TEST_F(BadInput, NotNetcdf) {
  for (const std::string& content : {std::string(), std::string("latitude,longitude,U\n"), std::string(5000, '\0')}) {
    write_text(path("winds.nc"), content);
    expect_train_refused(1, {"data.path: ", "winds.nc"});
    expect_refusal(in_folder({"init", "winds.nc"}), 1, {"gregale: init: ", "winds.nc"});
    expect_refusal(in_folder({"info", "winds.nc"}), 1,
                   {"gregale: info: ", "winds.nc is neither NetCDF nor safetensors"});
  }
}

TEST_F(BadInput, WrongVariable) {
  edit("variables: [U, V]", "variables: [U, W]");
  expect_train_refused(1, {"data", "'W'", "U, V"});
}

TEST_F(BadInput, MismatchingGrids) {
  TinyWinds coarse;
  coarse.variables = {"V"};
  coarse.rows = 6;
  write_tiny_winds(path("v.nc"), coarse);
  TinyWinds one;
  one.variables = {"U"};
  write_tiny_winds(path("winds.nc"), one);
  edit("path: winds.nc", "path: [winds.nc, v.nc]");
  expect_train_refused(1, {"data", "v.nc", "grid"});
  coarse.rows = 8;
  coarse.first_longitude = 5;
  write_tiny_winds(path("v.nc"), coarse);
  expect_train_refused(1, {"data", "v.nc", "grid"});
}

TEST_F(BadInput, MissingValues) {
  TinyWinds winds;
  winds.change = [](size_t v, int month, int row, int column, double value) {
    const bool gap = v == 0 && row == 3 && (column == 4 || (column == 5 && month % 7 == 2));
    return gap ? std::numeric_limits<double>::quiet_NaN() : value;
  };
  write_tiny_winds(path("winds.nc"), winds);
  expect_train_refused(1, {"data.missing: 1 missing value", "1990-01", "winds.nc", "mask", "fill"});
  for (const char* policy : {"mask", "fill"}) {
    const std::string out = std::string("out-") + policy;
    EXPECT_EQ(train({"--set", std::string("data.missing=") + policy, "--out", out}).err, "");
    const Outcome scored = in_folder({"score", out, "--truth", "winds.nc", "--json"});
    ASSERT_EQ(scored.status, 0) << scored.err;
    const auto json = nlohmann::json::parse(scored.out);
    for (const char* variable : {"U", "V"}) {
      const double rmse = json["variables"][variable]["1"]["rmse"];
      EXPECT_GT(rmse, 0.1);
      EXPECT_LT(rmse, 10);
    }
    EXPECT_GT(json["variables"]["U"]["1"]["missing_share"].get<double>(), 0);
    EXPECT_EQ(json["variables"]["V"]["1"]["missing_share"].get<double>(), 0);
    // A point that no month has is missing in the forecast too.
    ASSERT_EQ(in_folder({"forecast", out, "--init", "winds.nc", "--time", "1993-05", "--steps", "2", "-o", out + ".nc",
                         "--quiet"})
                  .status,
              0);
    EXPECT_TRUE(exists(out + ".nc"));
  }
}

TEST_F(BadInput, OutputFolders) {
  write_text(path("taken"), "a file\n");
  expect_train_refused(1, {"--out: ", "taken", "not a folder"}, {"--out", "taken"});
  expect_train_refused(1, {"--out: ", "taken/below"}, {"--out", "taken/below"});
  EXPECT_EQ(read_text(path("taken")), "a file\n");
}

TEST_F(BadInput, MemoryCap) {
  expect_train_refused(1, {"train.memory: 1 MB are allowed", "need", "train.batch"}, {"--set", "train.memory=1MB"});
}

TEST_F(BadInput, Init) {
  write_text(path("mine.yaml"), "precious\n");
  expect_refusal(in_folder({"init", "winds.nc", "-o", "mine.yaml"}), 1,
                 {"gregale: init: ", "mine.yaml exists", "--force"});
  EXPECT_EQ(read_text(path("mine.yaml")), "precious\n");
  expect_refusal(in_folder({"init", "winds.nc", "-o", "absent/mine.yaml"}), 1,
                 {"gregale: init: -o: no such folder", "absent"});
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"mine.yaml", "run.yaml", "winds.nc"}));
}

class BadModelInput : public BadInput {
 protected:
  void SetUp() override { ASSERT_EQ(train({"--set", "train.steps=1"}).status, 0); }
  void expect_refused(const std::vector<std::string>& arguments, int status, std::vector<std::string> facts) {
    const auto before = folder_.names();
    facts.push_back("gregale: " + arguments[0] + ": ");
    expect_refusal(in_folder(arguments), status, facts);
    EXPECT_EQ(folder_.names(), before);
  }
  std::vector<std::string> forecast(const std::string& init, const std::string& time, const std::string& out = "f.nc",
                                    const std::string& model = "run-out") {
    return {"forecast", model, "--init", init, "--time", time, "--steps", "2", "-o", out};
  }
};

TEST_F(BadModelInput, OtherVariables) {
  TinyWinds other;
  other.variables = {"T", "V"};
  write_tiny_winds(path("other.nc"), other);
  expect_refused(forecast("other.nc", "1993-05"), 1, {"'U'", "T, V", "other.nc"});
  expect_refused({"score", "run-out", "--truth", "other.nc"}, 1, {"'U'", "T, V", "other.nc"});
}

TEST_F(BadModelInput, OtherGrid) {
  TinyWinds other;
  other.columns = 16;
  write_tiny_winds(path("other.nc"), other);
  expect_refused(forecast("other.nc", "1993-05"), 1, {"not on the model's grid", "16", "12"});
  expect_refused({"score", "run-out", "--truth", "other.nc"}, 1, {"not on the model's grid", "16", "12"});
}

TEST_F(BadModelInput, TimesOutsideTheFile) {
  expect_refused(forecast("winds.nc", "2001-01"), 1, {"--time: ", "2001-01", "1990-01", "1993-12"});
  expect_refused(forecast("winds.nc", "1989-01/1989-06"), 1, {"--time: ", "1989-01", "1990-01", "1993-12"});
  expect_refused(forecast("winds.nc", "soon"), 1, {"--time: ", "soon"});
  TinyWinds early;
  early.months = 36;
  write_tiny_winds(path("early.nc"), early);
  expect_refused({"score", "run-out", "--truth", "early.nc"}, 1, {"--truth: ", "1993-07"});
}

TEST_F(BadModelInput, Files) {
  expect_refused(forecast("absent.nc", "1993-05"), 1, {"--init", "no such file", "absent.nc"});
  expect_refused({"score", "run-out", "--truth", "absent.nc"}, 1, {"--truth", "no such file", "absent.nc"});
  expect_refused(forecast("winds.nc", "1993-05", "f.nc", "absent"), 1, {"no such file or folder: absent"});
  expect_refused({"score", "absent", "--truth", "winds.nc"}, 1, {"no such file or folder: absent"});
  expect_refused(forecast("winds.nc", "1993-05", "absent/f.nc"), 1, {"-o: no such folder", "absent"});
  expect_refused(forecast("winds.nc", "1993-05", "run-out"), 1, {"-o: is a folder: run-out"});
  expect_refused({"score", "run-out", "--truth", "winds.nc", "--report", "absent/s.html"}, 1, {"--report", "absent"});
  expect_refused({"info", "winds.nc", "--trace", "absent/t.json"}, 1, {"--trace: no such folder", "absent"});
  fs::create_directory(path("empty"));
  expect_refused(forecast("winds.nc", "1993-05", "f.nc", "empty"), 1, {"empty holds no finished run"});
  expect_refused({"score", "empty", "--truth", "winds.nc"}, 1, {"empty holds no finished run"});
}

TEST_F(BadModelInput, NoModel) {
  expect_refused(forecast("winds.nc", "1993-05", "f.nc", "winds.nc"), 1, {"winds.nc", "not a"});
  expect_refused(forecast("winds.nc", "1993-05", "f.nc", "run.yaml"), 1, {"run.yaml"});
  expect_refused(forecast("winds.nc", "1993-05", "f.nc", "run-out/checkpoint-1.safetensors"), 1,
                 {"checkpoint-1.safetensors", "not an emulator"});
  expect_refused({"score", "run-out/checkpoint-1.safetensors", "--truth", "winds.nc"}, 1,
                 {"checkpoint-1.safetensors", "not an emulator"});
  expect_refused({"score", "winds.nc", "--truth", "winds.nc"}, 2, {"--reference"});
  expect_refused({"score", "winds.nc", "--truth", "winds.nc", "--reference", "run-out"}, 1,
                 {"winds.nc", "not a forecast file"});
}

TEST_F(BadModelInput, DamagedModel) {
  const std::string model = path("run-out/model.safetensors"), whole = read_text(model);
  write_text(model, whole.substr(0, whole.size() / 2));
  expect_refused(forecast("winds.nc", "1993-05"), 1, {"model.safetensors", "truncated"});
  std::string flipped = whole;
  flipped[whole.size() - 5] = static_cast<char>(flipped[whole.size() - 5] ^ 0x40);
  write_text(model, flipped);
  expect_refused(forecast("winds.nc", "1993-05"), 1, {"model.safetensors", "checksum"});
  expect_refused({"score", "run-out", "--truth", "winds.nc"}, 1, {"model.safetensors", "checksum"});
}

TEST_F(BadModelInput, FullDisk) {
  write_text(path("f.nc"), "an older forecast");
  How how;
  how.file_size_limit = 1000;
  expect_failure(in_folder(forecast("winds.nc", "1993-05"), how), 1,
                 {"gregale: forecast: ", "cannot write f.nc", "File too large"});
  EXPECT_EQ(read_text(path("f.nc")), "an older forecast");
  expect_no_leftovers();
}

}  // namespace
}  // namespace gregale::cli
