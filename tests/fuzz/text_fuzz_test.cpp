// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "fuzz/mutate.hpp"
#include "gregale/graph.hpp"
#include "gregale/ops.hpp"
#include "gregale/type.hpp"
#include "grid/calendar.hpp"
#include "tile/tile_program.hpp"
#include "train/config.hpp"

namespace gregale::fuzz {
namespace {

TEST(FuzzReplay, Types) {
  const std::vector<std::string> seeds = {"f32[]",
                                          "f64[8,73,144]",
                                          "c64[n<=64,m,0]",
                                          "bool[1]",
                                          "i64[2]",
                                          "f32[8,n<=64,144]{split hi:bf16 lo:u16}@(data: shard 0, model: partial sum)",
                                          "bf16[4,4]{quantized values:i8 scales:f32}@(x: replicated)"};
  const Mutator mutator(1, seeds,
                        {"f32", "[", "]", "{", "}", "@(", "<=", ",", ":", "split", "shard", "partial max", "n"});
  replay(mutator, 20000, seeds.size(), [](const std::string& text) {
    const Type type = parse_type(text);
    EXPECT_EQ(parse_type(to_string(type)), type) << text;  // whatever is accepted can be printed and read again
  });
}

TEST(FuzzReplay, TilePrograms) {
  const std::vector<std::string> seeds = {
      R"(program "a" {
  dim a "rows" 50 step 16
  dim b "k" 96 step 32 summed
  argument x f32 4800
  argument w bf16 1920
  argument y f32 1000
  panel h f32 1536
  phase "A" {
    stage "b" {
      contract f32 m=a n=20 k=b sum=b (x a*96 b /96, x b*20 /20, y a*20 /20) {out0 = relu(in0)}
    }
    stage "" {
      express f32 m=a n=20 (y a*20 /20, y a*20 /20) {t0 = exp(sub(in0, row_max(in0))); out0 = div(t0, row_sum(t0))}
    }
  }
})",
      R"(program "b" {
  dim a "n" 100 step 64 step 16
  memory p f32 12800
  argument x f32 6400
  phase "a" { stage "a" { move column_panels m=64 n=a width=16 (x a /100, p a*64 /1024) first a } }
})"};
  const Mutator mutator(7, seeds, {"dim",
                                   "step",
                                   "panel",
                                   "memory",
                                   "phase \"AB\" {",
                                   "stage \"b\" {",
                                   "}",
                                   "(",
                                   ")",
                                   ",",
                                   "m=a",
                                   "k=0",
                                   "99999999999999",
                                   "-1",
                                   "row_sum(",
                                   "in9",
                                   ":row",
                                   "/0",
                                   "+7",
                                   "trans_b",
                                   "panels16",
                                   "batch=3"});
  replay(mutator, 30000, seeds.size(), [](const std::string& text) {
    const tile::TileProgram program = tile::parse_program(text);
    EXPECT_EQ(tile::print(tile::parse_program(tile::print(program))), tile::print(program)) << text;
  });
}

std::vector<std::string> graph_seeds() {
  std::vector<std::string> seeds;
  {
    Graph g("step");
    const Value x = g.add_input("x", {DType::f32, {8, 4}});
    const int64_t w = g.add_variable("w", {DType::f32, {4, 2}});
    const Value y = ops::matmul(g, x, g.read(w));
    const Value s = ops::softmax(g, ops::add(g, y, 0.5), -1);
    g.write(w, ops::mul(g, g.read(w), 0.9));
    g.set_outputs({s}, {"y"});
    seeds.push_back(print(g));
  }
  {
    Graph g("layout");
    const Value x = g.add_input("x", {DType::f32, {2, 3, 8, 8}});
    const Value k = g.add_input("k", {DType::f32, {4, 3, 3, 3}});
    const Value y = ops::conv2d(g, ops::pad(g, x, {0, 0, 1, 1}, {0, 0, 1, 1}, "periodic"), k);
    const Value z = ops::transpose(g, ops::reshape(g, y, {2, 4, 64}), {0, 2, 1});
    const Value i = g.constant(Tensor(DType::i64, {3}));
    const Value f = ops::rfft(g, ops::gather(g, z, i, 1), {1});
    g.set_outputs({ops::irfft(g, f, {1}, 3), ops::sum(g, z, {0}, true)}, {"a", "b"});
    seeds.push_back(print(g));
  }
  {
    Graph body("body");
    const Value a = body.add_input("a", {DType::f32, {3}});
    const Value b = body.add_input("b", {DType::f32, {3}});
    body.set_outputs({ops::add(body, ops::tanh(body, a), b)});
    Graph g("loop");
    const Value x = g.add_input("x", {DType::f32, {3}});
    g.set_outputs(ops::repeat(g, 4, {x}, {x}, body));
    seeds.push_back(print(g));
  }
  {
    Graph g("symbolic");
    const Value x = g.add_input("x", {DType::f32, {Dim::symbol("n", 64), 4}});
    g.set_outputs({ops::gelu(g, x), ops::slice_axis(g, x, 1, 0, 4, 2)});
    seeds.push_back(print(g));
  }
  return seeds;
}

TEST(FuzzReplay, Graphs) {
  const std::vector<std::string> seeds = graph_seeds();
  const Mutator mutator(
      2, seeds,
      {"%0", "%1", "%99", " = ", "matmul(", "add(", "graph \"g\"() {", "}", "return ", "f32[2]", "true",
       "axis = ", "[-1]", "read() {variable = 0, version = 1}", "constant(", "blob(0)", "\n", "\""});
  replay(mutator, 30000, seeds.size(), [](const std::string& text) {
    const Graph graph = parse_graph(text, ops::standard_ops());
    EXPECT_NO_THROW(verify(graph)) << text;
    const std::string printed = print(graph);
    EXPECT_EQ(print(parse_graph(printed, ops::standard_ops())), printed) << text;
  });
}

TEST(FuzzReplay, Configurations) {
  const std::vector<std::string> seeds = {
      "data:\n  path: winds.nc\n  variables: [UWND, VWND]\n  train: [1982, 1989]\n  validation: [1990, 1990]\n"
      "  test: [1991, 1992]\n  means: [3, 12]\n  missing: mask\n"
      "model:\n  name: mlp\n  target: {residual: damped_local}\n  width: 32\n"
      "optimizer: {name: adamw, learning_rate: 1e-3}\n"
      "train:\n  steps: 100\n  memory: 1.5GB\n  finetune: {steps: 10, rollout: 2}\n",
      "data:\n  path: [a.nc, 'b*.nc']\n  variables: [t2m]\n  static: [{path: relief.nc, variable: ROSE, as: "
      "orography}]\n"
      "  train: [1979-01-01, 2015-12-31T18:00]\n  validation: [2016, 2016]\n  time_features: [season, insolation]\n"
      "model: {name: afno, patch: 8, depth: 2}\nloss: {name: mse}\nschedule: {name: step, every: 10}\n"
      "train: {epochs: 3, batch: 4, seed: 7, clip: 0, ema: 0.99}\n"};
  const Mutator mutator(3, seeds, {"data", ": ",     "- ",      "\n  ", "{",     "}",           "[",  "]",
                                   "&a ",  "*a",     "!!int ",  "<<: ", "|\n",   "'",           "\"", "#",
                                   "~",    "train:", "steps: ", "? ",   "---\n", "%YAML 1.1\n", "\t"});
  replay(mutator, 6000, seeds.size(), [](const std::string& text) {
    const train::RunConfig config = train::parse_config(text, "run.yaml", "");
    EXPECT_EQ(train::parse_config(train::print_config(config), "printed", ""), config) << text;
  });
}

TEST(FuzzReplay, Overrides) {
  const std::string yaml = "data: {path: w.nc, variables: [U], train: [1982, 1989], validation: [1990, 1990]}\n";
  const std::vector<std::string> seeds = {"train.steps=500", "data.means=[3, 12]",
                                          "model.target={residual: climatology}", "train.finetune.rollout=3",
                                          "data.train=[1983, 1988]"};
  const Mutator mutator(4, seeds, {"train", ".", "=", "[", "]", "{", "}", "data.", "null", ": ", "\n"});
  replay(mutator, 6000, seeds.size(),
         [&](const std::string& text) { train::parse_config(yaml, "run.yaml", "", {text}); });
}

TEST(FuzzReplay, Dates) {
  const std::vector<std::string> seeds = {"1991",           "1991-01",          "1991-01-16",           "1991-01-16T20",
                                          "1582-10-04",     "1991-01-16T20:00", "1991-01-16 20:00:30Z", "-0044-03-15",
                                          "1990-12/1992-11"};
  const Mutator mutator(5, seeds, {"-", "T", ":", "/", "Z", "02-29", "02-30", "0000", "99", " "});
  for (const grid::Calendar calendar : {grid::Calendar::standard, grid::Calendar::noleap, grid::Calendar::day360}) {
    replay(mutator, 10000, seeds.size(), [&](const std::string& text) {
      const grid::Interval range = grid::parse_date_range(calendar, text);
      EXPECT_LT(range.begin, range.end) << text;
      const grid::DateTime first = grid::from_seconds(calendar, range.begin);
      EXPECT_TRUE(grid::exists(calendar, first)) << text;
      EXPECT_EQ(grid::to_seconds(calendar, first), range.begin) << text;
    });
  }
}

}  // namespace
}  // namespace gregale::fuzz
