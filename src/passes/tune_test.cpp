// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/tune.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "exec/plan.hpp"
#include "gregale/exec.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "passes/passes.hpp"
#include "passes/schedules_for_tests.hpp"
#include "passes/tune_cache.hpp"

namespace gregale::passes {
namespace {

/// A folder that lasts as long as the test.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gregale-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw_error(ErrorCode::io, "mkdtemp");
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
void put(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

Tensor tuned_values(const Extents& extents, uint32_t stream, double scale = 1) {
  Tensor t(DType::f32, extents);
  for (uint64_t i = 0; float& v : t.as<float>())
    v = static_cast<float>(scale * (2 * random_uniform(RandomKey{3, 0, stream}, i++) - 1));
  return t;
}

struct TunedCase {
  std::string name;
  Graph graph;
  std::vector<Tensor> inputs;
  Value input(const Extents& extents) {
    inputs.push_back(tuned_values(extents, static_cast<uint32_t>(inputs.size()) + 1));
    return graph.add_input(fmt::format("x{}", inputs.size()), Type(DType::f32, Shape(extents)));
  }
  Value weights(const Extents& extents, uint32_t stream) {
    return graph.constant(tuned_values(extents, 100 + stream, 1 / std::sqrt(static_cast<double>(extents[0]))));
  }
};

TunedCase tuned_mlp(int64_t rows, int64_t width, int depth) {
  TunedCase c{"mlp", Graph("mlp"), {}};
  Value x = c.input({rows, width});
  for (uint32_t i = 0; i < static_cast<uint32_t>(depth); ++i)
    x = ops::gelu(c.graph, ops::add(c.graph, ops::matmul(c.graph, x, c.weights({width, width}, 2 * i)),
                                    c.weights({width}, 2 * i + 1)));
  c.graph.set_outputs({x});
  return c;
}

/// One product with long sums: several blocks of k, tasks over rows and columns.
TunedCase tuned_product(int64_t rows, int64_t k, int64_t n, bool constant) {
  TunedCase c{"product", Graph("product"), {}};
  const Value x = c.input({rows, k});
  const Value w = constant ? c.weights({k, n}, 1) : c.input({k, n});
  c.graph.set_outputs({ops::relu(c.graph, ops::matmul(c.graph, x, w))});
  return c;
}

TunedCase tuned_attention(int64_t batch, int64_t length, int64_t heads, int64_t size) {
  TunedCase c{"attention", Graph("attention"), {}};
  const auto split = [&] {
    const Value x = c.input({batch, length, heads * size});
    return ops::transpose(c.graph, ops::reshape(c.graph, x, Shape{batch, length, heads, size}), {0, 2, 1, 3});
  };
  const Value q = split(), k = split(), v = split();
  const Value p = ops::softmax(c.graph, ops::mul(c.graph, ops::matmul(c.graph, q, k, false, true), 0.3));
  const Value y = ops::transpose(c.graph, ops::matmul(c.graph, p, v), {0, 2, 1, 3});
  c.graph.set_outputs({ops::reshape(c.graph, y, Shape{batch, length, heads * size})});
  return c;
}

TunedCase elementwise(int64_t rows, int64_t columns) {
  TunedCase c{"elementwise", Graph("elementwise"), {}};
  const Value x = c.input({rows, columns}), y = c.input({rows, columns}), row = c.input({columns});
  c.graph.set_outputs({ops::tanh(c.graph, ops::add(c.graph, ops::mul(c.graph, ops::exp(c.graph, x), row), y))});
  return c;
}

TunedCase norm(int64_t rows, int64_t columns) {
  TunedCase c{"norm", Graph("norm"), {}};
  const Value x = c.input({rows, columns}), y = c.input({rows, columns});
  c.graph.set_outputs(
      {ops::layer_norm(c.graph, ops::add(c.graph, x, y), c.weights({columns}, 1), c.weights({columns}, 2), 1e-5)});
  return c;
}

std::vector<TunedCase> cases() {
  std::vector<TunedCase> all;
  all.push_back(tuned_mlp(203, 50, 3));
  all.push_back(tuned_product(130, 700, 330, true));
  all.push_back(tuned_product(130, 600, 200, false));
  all.push_back(tuned_attention(2, 75, 3, 20));
  all.push_back(elementwise(77, 1003));
  all.push_back(norm(301, 130));
  return all;
}

void expect_equal(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].identical(expected[i])) << "result " << i;
}

// --- bits ---

TEST(Schedules, NeverChangeABit) {
  ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
  const Isa best = Target::detect().isa;
  for (const Isa isa : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx})
    for (const Precision precision : {Precision::fp32, Precision::bf16})
      for (const TunedCase& c : cases()) {
        if (isa > best || (isa == Isa::reference && precision == Precision::bf16)) continue;
        SCOPED_TRACE(fmt::format("{} {} bf16={}", c.name, to_string(isa), precision == Precision::bf16));
        CompileOptions options;
        options.precision = precision;
        options.target = Target::detect().capped(isa);
        options.target.cores = 2;
        const Executable own = compile(c.graph, options);
        const std::vector<Tensor> expected = own.run(one, c.inputs);
        int tried = 0;
        for (size_t i = 1; i < 12; i += isa == Isa::reference ? 5 : 1) {
          const Graph other = with_schedules(own.graph(), options.target, i, &tried);
          const Executable executable(make_plan(other, options.target));
          SCOPED_TRACE(fmt::format("schedule {}", i));
          expect_equal(executable.run(one, c.inputs), expected);
          expect_equal(executable.run(two, c.inputs), expected);
          if (testing::Test::HasFailure()) return;
        }
        EXPECT_GE(tried, 2) << "there was nothing to compare";
      }
}

// --- what is chosen ---

TEST(ChooseByTimes, TakesWhatWinsByMoreThanTheNoise) {
  EXPECT_EQ(choose_by_times({{1, 1, 1}, {0.9, 0.9, 0.9}, {0.8, 0.8, 0.8}}), 2u);
  EXPECT_EQ(choose_by_times({{1, 1, 1}, {0.99, 0.99, 0.99}}), 0u) << "too little";
  EXPECT_EQ(choose_by_times({{1, 1, 1, 1, 1}, {0.7, 0.7, 0.9, 1.3, 1.3}}), 0u) << "too uneven";
  EXPECT_EQ(choose_by_times({{1, 5, 1}, {0.9, 4.5, 0.9}}), 1u) << "what disturbs a whole round disturbs none";
  EXPECT_EQ(choose_by_times({{1, 1, 1}, {0.1, 0.1}}), 0u) << "given up before the end";
  EXPECT_EQ(choose_by_times({{1, 1, 1}}), 0u);
}

/// A fused graph of some groups, and a clock that moves when it is asked.
struct Tuned {
  explicit Tuned(int groups = 1) {
    CompileOptions options;
    options.target.cores = 2;
    target = options.target;
    Graph g("groups");
    for (int i = 0; i < groups; ++i) {
      const Value x = g.add_input(fmt::format("x{}", i), Type(DType::f32, Shape{64 + 8 * i, 300}));
      outputs.push_back(ops::matmul(g, x, g.constant(tuned_values({300, 500}, static_cast<uint32_t>(i)))));
    }
    g.set_outputs(outputs);
    graph = fuse(g, target);
    tuning.floor_seconds = 0;
    tuning.clock = [this] {
      ++asked;
      // Every second run is of candidate 1 while there are two.
      return time += report.runs % candidates == 1 && candidates > 1 ? 0.95 * tick : tick;
    };
  }
  Graph run() {
    report = {};
    return tune(graph, target, tuning, &report);
  }
  static std::vector<std::string> schedules(const Graph& g) {
    std::vector<std::string> all;
    for (const Node& n : g.nodes())
      if (n.op->name == "fused") all.push_back(std::get<std::string>(n.attributes.at("schedule")));
    return all;
  }

  Target target;
  std::vector<Value> outputs;
  Graph graph;
  TuneOptions tuning;
  TuneReport report;
  double time = 0, tick = 1e-3;
  int asked = 0, candidates = 1;
};

TEST(Tune, LeavesTheFormulasAloneWhereNothingIsFaster) {
  Tuned t;
  EXPECT_THAT(Tuned::schedules(t.run()), testing::ElementsAre(""));
  EXPECT_GT(t.report.runs, 0);
  ASSERT_EQ(t.report.groups.size(), 1u);
  EXPECT_EQ(t.report.groups[0].choice, "");
  EXPECT_GT(t.report.groups[0].candidates, 1);
}

TEST(Tune, TakesWhatIsFasterAndKeepsItInTheCache) {
  const Folder folder;
  Tuned t;
  t.run();
  t.candidates = t.report.groups[0].candidates;
  t.tuning.cache = folder.file("deep/er/tune.json");
  const std::vector<std::string> first = Tuned::schedules(t.run());
  ASSERT_EQ(first.size(), 1u);
  EXPECT_NE(first[0], "");
  EXPECT_GT(t.report.runs, 0);
  EXPECT_LT(t.report.groups[0].after, t.report.groups[0].before);
  // The second time nothing is measured.
  EXPECT_EQ(Tuned::schedules(t.run()), first);
  EXPECT_EQ(t.report.runs, 0);
  ASSERT_EQ(t.report.groups.size(), 1u);
  EXPECT_TRUE(t.report.groups[0].cached);
  // What was chosen on another machine, or for another number of cores, is not for this one.
  t.target.cores = 3;
  t.run();
  EXPECT_GT(t.report.runs, 0);
  t.target.cores = 2;
  t.run();
  EXPECT_EQ(t.report.runs, 0) << "the entries of both are kept";
}

TEST(Tune, IgnoresADamagedCache) {
  const Folder folder;
  Tuned t;
  t.tuning.cache = folder.file("tune.json");
  t.run();
  const std::string good = read_file(t.tuning.cache);
  t.run();
  ASSERT_EQ(t.report.runs, 0);
  std::vector<std::string> damaged{"",
                                   "{",
                                   "null",
                                   "[]",
                                   "{\"version\": 1}",
                                   "{\"version\": 1, \"machines\": 3}",
                                   std::string(1 << 20, '['),
                                   std::string("\0\0", 2)};
  std::string other = good;
  other.replace(other.find("\"version\": 1"), 12, "\"version\": 9");
  damaged.push_back(other);
  for (size_t cut = 1; cut < good.size() - 2; cut += 41) damaged.push_back(good.substr(0, cut));
  for (const std::string& text : damaged) {
    put(t.tuning.cache, text);
    EXPECT_THAT(Tuned::schedules(t.run()), testing::ElementsAre("")) << text.substr(0, 100);
    EXPECT_GT(t.report.runs, 0) << "believed: " << text.substr(0, 100);
    EXPECT_EQ(read_file(t.tuning.cache), good) << "it is made anew";
  }
  // Entries that are well formed but name no schedule of this group.
  const size_t entry = good.rfind("\"\"");
  ASSERT_NE(entry, std::string::npos);
  for (const char* choice :
       {"\"rows=7777\"", "\"rows=-1\"", "\"rows=99999999999999999999\"", "\"nonsense\"", "17", "{}"}) {
    std::string text = good;
    text.replace(entry, 2, choice);
    put(t.tuning.cache, text);
    t.run();
    EXPECT_GT(t.report.runs, 0) << choice;
  }
}

TEST(Tune, GoesOnWithoutACacheThatCannotBeWritten) {
  const Folder folder;
  Tuned t;
  put(folder.file("file"), "text");
  t.tuning.cache = folder.file("file/tune.json");  // below a file
  t.run();
  EXPECT_GT(t.report.runs, 0);
  t.tuning.cache = folder.file("");  // a folder
  t.run();
  EXPECT_GT(t.report.runs, 0);
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  t.tuning.cache = pipe;  // would wait for its writer
  t.run();
  EXPECT_GT(t.report.runs, 0);
}

TEST(Tune, KeepsItsBudget) {
  for (const double tick : {1e-3, 0.02, 0.3, 10.0}) {
    Tuned t(6);
    t.tick = tick;
    t.tuning.budget_seconds = 5;
    t.run();
    // One run and what is asked around it may be over the end; of the longest, none is begun.
    if (tick < 10) {
      EXPECT_LE(t.report.seconds, 5 + 10 * tick) << tick;
    }
    EXPECT_EQ(t.report.groups.size() + static_cast<size_t>(t.report.unmeasured), 6u);
    if (tick == 1e-3) {
      EXPECT_EQ(t.report.unmeasured, 0);
    }
    if (tick == 10) {
      EXPECT_EQ(t.report.runs, 0);
    }
    if (tick == 0.3) {
      EXPECT_GT(t.report.unmeasured, 0);
    }
  }
}

TEST(Tune, LeavesCheapGroupsAlone) {
  Tuned t;
  t.tuning.floor_seconds = 1;
  t.run();
  EXPECT_EQ(t.report.runs, 0);
  EXPECT_TRUE(t.report.groups.empty());
}

TEST(Tune, MeasuresGroupsThatAreAlikeOnce) {
  Graph g("twins");
  const Value x = g.add_input("x", Type(DType::f32, Shape{100, 300}));
  std::vector<Value> outputs;
  for (uint32_t i = 0; i < 3; ++i) outputs.push_back(ops::matmul(g, x, g.constant(tuned_values({300, 300}, i))));
  g.set_outputs(outputs);
  Tuned t;
  t.graph = fuse(g, t.target);
  t.run();
  ASSERT_EQ(t.report.groups.size(), 1u);
  EXPECT_EQ(t.report.groups[0].times, 3);
}

/// With the real clock, whatever it says.
TEST(Tune, ChangesNoBitOfAModel) {
  const Folder folder;
  ExecutionContext two(make_thread_team(2));
  for (const TunedCase& c : cases()) {
    SCOPED_TRACE(c.name);
    CompileOptions options;
    options.target.cores = 2;
    options.tune_cache = folder.file("tune.json");
    const std::vector<Tensor> expected = compile(c.graph, options).run(two, c.inputs);
    options.tune = Tune::quick;
    expect_equal(compile(c.graph, options).run(two, c.inputs), expected);
    TuneOptions tuning;
    tuning.floor_seconds = 0;
    tuning.budget_seconds = 0.3;
    TuneReport report;
    const Graph tuned = tune(fuse(c.graph, options.target), options.target, tuning, &report);
    EXPECT_GT(report.runs, 0);
    EXPECT_LT(report.seconds, 60);
    CompileOptions plain = options;
    plain.tune = Tune::off;
    plain.optimize = false;
    const std::vector<Tensor> unturned = compile(fuse(c.graph, options.target), plain).run(two, c.inputs);
    expect_equal(compile(tuned, plain).run(two, c.inputs), unturned);
  }
}

}  // namespace
}  // namespace gregale::passes
