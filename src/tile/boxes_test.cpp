// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Stages that work on boxes of the space, and places for every step of a phase.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/random.hpp"
#include "gregale/tensor.hpp"
#include "tile/ledger.hpp"
#include "tile/program_executor.hpp"

namespace gregale::tile {
namespace {

/// y = x[i] - x[i - 1] from the second row on, the first as it is; and the sum of y's columns 3 to 17.
constexpr const char* kDifferences = R"(program "differences" {
  dim a "rows" 50 step 16
  dim b "columns" 20 step 20
  argument x f32 1000
  argument y f32 1000
  argument sum f32 1
  panel rows f32 16
  memory parts f64 4
  phase "A" {
    stage "" {
      move zero m=1 n=16 (rows)
    }
    stage "" within a 1 50 {
      express f32 m=a n=b (x a*20 b /20, x -20 a*20 b /20, y a*20 b /20) {out0 = sub(in0, in1)}
    }
    stage "" within a 0 1 {
      express f32 m=a n=b (x a*20 b /20, y a*20 b /20) {out0 = in0}
    }
    stage "" within a 0 49 within b 3 17 {
      express f32 m=a n=b (y a*20 b /20, rows a :column) {out0 = row_sum(in0)}
    }
    stage "" {
      express f64 m=1 n=16 (rows /16, parts a :column :steps) {out0 = row_sum(in0)}
    }
  }
  phase "" {
    stage "" {
      express f64 m=1 n=4 (parts /4, sum :column) {out0 = row_sum(in0)}
    }
  }
}
)";

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

struct Fields {
  Tensor x{DType::f32, {1000}}, y{DType::f32, {1000}}, sum{DType::f32, {1}};
  Fields() {
    for (uint64_t i = 0; float& v : x.as<float>()) v = random_uniform(RandomKey{1, 2, 3}, i++) - 0.5f;
  }
  std::vector<void*> arguments() { return {x.data(), y.data(), sum.data()}; }
};

TEST(Boxes, PrintsWhatItParses) {
  const TileProgram program = parse_program(kDifferences);
  EXPECT_EQ(print(program), kDifferences);
  EXPECT_EQ(parse_program(print(program)), program);
}

TEST(Boxes, RunAsTheyAreInterpreted) {
  const TileProgram program = parse_program(kDifferences);
  Fields expected;
  interpret(program, expected.arguments());
  double sum = 0;
  for (size_t i = 0; i < 1000; ++i) {
    const float* x = expected.x.as<float>().data();
    const float y = i < 20 ? x[i] : x[i] - x[i - 20];
    EXPECT_EQ(expected.y.as<float>()[i], y) << i;
    if (i < 980 && i % 20 >= 3 && i % 20 < 17) sum += y;
  }
  EXPECT_NEAR(expected.sum.as<float>()[0], sum, 1e-5);
  kernels::KernelCache cache(Target::detect());
  const CompiledProgram compiled(cache, program);
  Tensor first;
  for (const int threads : {1, 2, 3}) {
    Fields got;
    Tensor scratch(DType::u8, {compiled.memory_bytes() + 64}), own(DType::u8, {compiled.thread_bytes() * threads + 64});
    const auto team = make_thread_team(threads);
    const auto arguments = got.arguments();
    compiled.run(*team, arguments.data(), static_cast<std::byte*>(scratch.data()), static_cast<std::byte*>(own.data()));
    EXPECT_TRUE(got.y.identical(expected.y)) << threads;
    EXPECT_NEAR(got.sum.as<float>()[0], sum, 1e-5);
    if (threads == 1) first = got.sum;
    EXPECT_TRUE(got.sum.identical(first)) << threads;
  }
}

TEST(Boxes, ThatCannotRunAreRefused) {
  const struct {
    std::string text, fact;
  } cases[] = {
      {changed(kDifferences, "within a 1 50", "within a 0 50"), "reaches element"},
      {changed(kDifferences, "within a 1 50", "within a 1 51"), "the range 1 to 51 of dim 'rows', which has 50"},
      {changed(kDifferences, "within a 1 50", "within a 7 7"), "the range 7 to 7"},
      {changed(kDifferences, "within a 1 50", "within a 1 50 a 2 3"), "expected '{'"},
      {changed(kDifferences, "within a 1 50", "within a 1 50 within a 2 3"), "two ranges of dim 'rows'"},
      {changed(kDifferences, "within a 1 50", "within c 1 50"), "'c' is no dim"},
      {changed(kDifferences, "parts f64 4", "parts f64 3"), "reaches element 4 of buffer 'parts'"},
      {changed(kDifferences, "rows f32 16", "rows f32 15"), "reaches element 16 of buffer 'rows'"},
      {changed(kDifferences, "parts a :column :steps", "parts b :column :steps"), "no single loop"},
      {changed(kDifferences, ":steps", ":step"), "no broadcast"},
  };
  for (const auto& c : cases) {
    try {
      parse_program(c.text);
      ADD_FAILURE() << c.fact;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr(c.fact));
    }
  }
}

/// Windows of one buffer a few rows apart are loaded once, and a stage of few rows costs few.
TEST(Boxes, CostWhatTheyLoad) {
  const std::string large =
      changed(changed(changed(changed(kDifferences, "50 step 16", "50000 step 16"), "x f32 1000", "x f32 1000000"),
                      "y f32 1000", "y f32 1000000"),
              "parts f64 4", "parts f64 3125");
  const TileProgram program =
      parse_program(changed(changed(changed(large, "m=1 n=4", "m=1 n=3125"), "parts /4", "parts /3125"),
                            "within a 1 50 ", "within a 1 50000 "));
  Target target = Target::detect();
  target.cores = 2;
  kernels::KernelCache cache(target);
  const double predicted = predict(program, target).bytes,
               counted = simulate(CompiledProgram(cache, program), target, 2).bytes;
  EXPECT_NEAR(predicted / counted, 1, 0.1);
  EXPECT_NEAR(counted / 8e6, 1, 0.1);
}

}  // namespace
}  // namespace gregale::tile
