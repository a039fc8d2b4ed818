// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What the program does with ONNX files, and with arrays for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/npy.hpp"
#include "gregale/tensor.hpp"
#include "onnx/model_for_tests.hpp"
#include "tiny_winds.hpp"

namespace gregale::cli {
namespace {

namespace fs = std::filesystem;
using namespace onnx::test;
using nlohmann::json;
using testing::HasSubstr;

constexpr int32_t kFloat = 1, kInt64 = 7;

class OnnxProgram : public testing::Test {
 protected:
  void SetUp() override {
    ModelOf m;  // the table's rows, as tokens say; and their shape
    auto g = m.graph().input("tokens", kInt64, Extents{-1, -1}).input("scale:0", kFloat, Extents{});
    g.initializer("table", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}));
    g.node("Gather", {"table", "tokens"}, {"rows"});
    g.node("Mul", {"rows", "scale:0"}, {"out/rows"});
    g.node("Shape", {"out/rows"}, {"shape"});
    g.output("out/rows").output("shape", kInt64);
    data::write_text(path("m.onnx"), m.bytes());
    data::write_npy(path("tokens.npy"), Tensor::from<int64_t>({2, 0}, {1, 2}));
    data::write_npy(path("scale.npy"), Tensor::scalar<float>(2));
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  Outcome in_folder(const std::vector<std::string>& arguments) {
    How how;
    how.folder = folder_.path();
    return cli::run(arguments, how);
  }
  std::vector<std::string> command(const std::vector<std::string>& start, const std::vector<std::string>& more) {
    std::vector<std::string> all = start;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  json json_of(const std::vector<std::string>& arguments) {
    const Outcome outcome = in_folder(command(arguments, {"--json", "--quiet", "--threads", "1"}));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return json::parse(outcome.out, nullptr, false);
  }
  data::TemporaryFolder folder_;
};

const std::vector<std::string> kGiven{"--input", "tokens=tokens.npy", "--input", "scale:0=scale.npy"};

TEST_F(OnnxProgram, RunsAndWrites) {
  const json document = json_of(command({"run", "m.onnx", "-o", "out"}, kGiven));
  ASSERT_EQ(document["outputs"].size(), 2U) << document;
  EXPECT_EQ(document["outputs"][0]["name"], "out/rows");
  EXPECT_EQ(document["outputs"][0]["dtype"], "f32");
  EXPECT_EQ(document["outputs"][0]["shape"], (std::vector<int64_t>{1, 2, 2}));
  EXPECT_EQ(document["outputs"][0]["file"], "out/out_rows.npy");
  EXPECT_GT(document["seconds"], 0);
  EXPECT_TRUE(data::read_npy(path("out/out_rows.npy")).identical(Tensor::from<float>({10, 12, 2, 4}, {1, 2, 2})));
  EXPECT_TRUE(data::read_npy(path("out/shape.npy")).identical(Tensor::from<int64_t>({1, 2, 2}, {3})));
  const Outcome text = in_folder(command({"run", "m.onnx"}, kGiven));
  EXPECT_THAT(text.out, HasSubstr("out/rows f32[1,2,2]: from 2 to 12, mean 7"));
  // Random ones, the same for a seed.
  const auto drawn = [&](const std::string& seed) {
    json_of({"run", "m.onnx", "-o", "out", "--input-shape", "tokens=2x3", "--input-shape", "scale:0=", "--seed", seed});
    return data::read_npy(path("out/out_rows.npy"));
  };
  EXPECT_EQ(drawn("1").extents(), (Extents{2, 3, 2}));
  EXPECT_TRUE(drawn("1").identical(drawn("1")));
  EXPECT_FALSE(drawn("1").identical(drawn("2")));
}

TEST_F(OnnxProgram, BenchInspectInfo) {
  const json bench = json_of(command({"bench", "model", "m.onnx", "--precision", "fp32"},
                                     {"--input", "tokens=tokens.npy", "--input-shape", "scale:0="}));
  for (const char* key : {"median_seconds", "min_seconds", "gflops", "fraction_of_peak", "compile_seconds",
                          "peak_rss_bytes", "ledger", "inputs"})
    EXPECT_TRUE(bench.contains(key)) << key;
  EXPECT_EQ(bench["inputs"]["tokens"], (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(bench["inputs"]["scale:0"], std::vector<int64_t>{});
  const Outcome assumed = in_folder({"bench", "model", "m.onnx", "--runs", "3"});
  EXPECT_EQ(assumed.status, 0) << assumed.err;
  EXPECT_THAT(assumed.err, HasSubstr("taken as [1, 1] (see --input-shape)"));
  const json inspect = json_of({"inspect", "m.onnx", "--input-shape", "tokens=4x5", "--no-run"});
  EXPECT_FALSE(inspect["groups"].empty());
  const json info = json_of({"info", "m.onnx"});
  EXPECT_EQ(info["kind"], "onnx");
  EXPECT_EQ(info["opset"], 17);
  EXPECT_EQ(info["parameters"], 6);
  EXPECT_EQ(info["operators"], (json{{"Gather", 1}, {"Mul", 1}, {"Shape", 1}}));
  EXPECT_EQ(info["unsupported"], json::array());
  EXPECT_EQ(info["inputs"][1]["name"], "scale:0");
  EXPECT_THAT(in_folder({"info", "m.onnx"}).out, HasSubstr("Operators      1 Gather, 1 Mul, 1 Shape"));
  EXPECT_THAT(in_folder({"run", "--help"}).out, HasSubstr("Example:\n  gregale run"));
}

TEST_F(OnnxProgram, BadInput) {
  const auto refuse = [&](const std::vector<std::string>& arguments, int status,
                          const std::vector<std::string>& facts) {
    const auto before = folder_.names();
    expect_refusal(in_folder(arguments), status, facts);
    EXPECT_EQ(folder_.names(), before);
  };
  refuse({"run", "m.onnx"}, 2,
         {"gregale: run: no values for tokens i64[", "scale:0 f32[]", "--input NAME=FILE.npy", "--input-shape"});
  refuse({"run", "m.onnx", "--input", "tokens=tokens.npy"}, 2, {"no values for scale:0 f32[]"});
  refuse({"run", "m.onnx", "--input", "token=tokens.npy"}, 2, {"--input: 'token' is for none", "tokens i64"});
  refuse(command({"run", "m.onnx", "--input-shape", "tokens=1x1"}, kGiven), 2, {"'tokens' is given twice"});
  refuse({"run", "m.onnx", "--input-shape", "tokens=1xx1", "--input-shape", "scale:0="}, 2,
         {"--input-shape: tokens: expected extents such as 1x3x224x224, got '1xx1'"});
  refuse({"run", "m.onnx", "--input-shape", "tokens=3", "--input-shape", "scale:0="}, 2, {"'tokens' is i64[", "[3]"});
  refuse({"run", "m.onnx", "--input-shape", "tokens=9999999x99999999", "--input-shape", "scale:0="}, 2,
         {"--input-shape: inputs take "});
  refuse({"run", "m.onnx", "--input", "tokens=scale.npy", "--input", "scale:0=scale.npy"}, 1,
         {"--input: input 'tokens' is i64[", "scale.npy has f32[]"});
  refuse({"run", "m.onnx", "--input", "tokens=none.npy", "--input", "scale:0=scale.npy"}, 1,
         {"--input: no such file: none.npy"});
  refuse({"run", "m.onnx", "--input", "tokens=m.onnx", "--input", "scale:0=scale.npy"}, 1,
         {"--input: m.onnx: [npy] no .npy file"});
  refuse(command({"run", "m.onnx", "-o", "none/out"}, kGiven), 1, {"-o: no such folder: "});
  refuse(command({"run", "m.onnx", "-o", "m.onnx"}, kGiven), 1, {"-o: is no folder: m.onnx"});
  refuse({"run", "none.onnx"}, 1, {"gregale: run: model: no such file: none.onnx"});
  refuse({"run", "tokens.npy"}, 1, {"gregale: run: tokens.npy: [onnx] no ONNX model"});
  refuse({"bench", "model", "none.onnx"}, 1, {"gregale: bench: model: no such file: none.onnx"});
  refuse({"bench", "model", "m.onnx", "--batch", "2"}, 2, {"--batch", "--input-shape"});
  refuse({"bench", "model", "m.onnx", "--mode", "train"}, 2, {"--mode"});
  refuse({"bench", "model", "m.onnx", "--precision", "fp8"}, 2,
         {"--precision: expected fp32, bf16 or fp32x3, got 'fp8'"});
  refuse({"bench", "model", "mlp", "--input-shape", "x=1"}, 2, {"--input-shape: mlp draws its own input"});
  // An index beyond the table, out of the file's values.
  data::write_npy(path("tokens.npy"), Tensor::from<int64_t>({5, 0}, {1, 2}));
  const Outcome beyond = in_folder(command({"run", "m.onnx"}, kGiven));
  EXPECT_NE(beyond.status, 139) << "clamped or refused, but not a crash";
  data::write_text(path("broken.onnx"), data::read_text(path("m.onnx")).substr(0, 60));
  refuse({"info", "broken.onnx"}, 1, {"gregale: info: broken.onnx: [onnx] no ONNX model, or a truncated one"});
}

}  // namespace
}  // namespace gregale::cli
