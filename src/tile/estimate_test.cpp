// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/estimate.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace gregale::tile {
namespace {

TEST(ScheduleChoice, IsTextAndBack) {
  using Order = ScheduleChoice::Order;
  using Right = ScheduleChoice::Right;
  for (const int64_t rows : {0, 1, 96})
    for (const int64_t columns : {int64_t{0}, int64_t{1} << 40})
      for (const Order order : {Order::formula, Order::rows, Order::columns, Order::curve})
        for (const Right right : {Right::formula, Right::packed, Right::direct}) {
          const ScheduleChoice choice{rows, columns, order, right};
          auto read = parse_schedule_choice(to_string(choice));
          ASSERT_TRUE(read) << to_string(choice);
          EXPECT_EQ(read.value(), choice);
        }
  EXPECT_EQ(to_string(ScheduleChoice{}), "");
  EXPECT_EQ(to_string(ScheduleChoice{96, 128, Order::curve, Right::packed}),
            "rows=96 columns=128 order=curve right=packed");
}

TEST(ScheduleChoice, RefusesEverythingElse) {
  for (const char* text : {"rows",
                           "rows=",
                           "rows=0",
                           "rows=-3",
                           "rows=+3",
                           "rows= 3",
                           "rows=3 ",
                           " rows=3",
                           "rows=3x",
                           "rows=2000000000000",
                           "rows=99999999999999999999",
                           "columns=3 rows=3",
                           "rows=3 rows=3",
                           "rows=3  columns=3",
                           "order=formula",
                           "order=",
                           "order=up",
                           "right=left",
                           "k=32",
                           "="})
    EXPECT_FALSE(parse_schedule_choice(text)) << text;
}

TEST(SchedulesAround, BeginWithTheFormulasAndStayInside) {
  ScheduleFreedom freedom;
  EXPECT_EQ(schedules_around(freedom).size(), 1u) << "nothing is free";
  freedom.made = {96, 256, ScheduleChoice::Order::rows, ScheduleChoice::Right::direct};
  freedom.rows = 130;
  freedom.columns = 1000;
  freedom.row_unit = 12;
  freedom.column_unit = 64;
  const std::vector<ScheduleChoice> all = schedules_around(freedom);
  EXPECT_EQ(all[0], ScheduleChoice{});
  EXPECT_GT(all.size(), 8u);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_LE(all[i].rows, 130);
    EXPECT_LE(all[i].columns, 1000);
    EXPECT_TRUE(all[i].rows % 12 == 0 || all[i].rows == 130) << all[i].rows;
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(all[i] == all[j]) << to_string(all[i]);
  }
}

/// Rows times a matrix of 512 x 64, a task for every `step` rows.
TileProgram product(int64_t rows, int64_t step, int64_t n = 64) {
  return parse_program(fmt::format(R"(program "product" {{
  dim a "rows" {0} step {1}
  argument x f32 {2}
  argument w f32 {4}
  argument y f32 {3}
  phase "A" {{
    stage "" {{
      contract f32 m=a n={5} k=512 (x a*512 /512, w /{5}, y a*{5} /{5})
    }}
  }}
}})",
                                   rows, step, rows * 512, rows * n, 512 * n, n));
}

Target two_cores() {
  Target t;
  t.isa = Isa::avx512;
  t.cores = 2;
  t.l3_bytes = 32 << 20;
  return t;
}

Rates rates() {
  Rates r = rates_of(two_cores());
  r.f32_flops = 100e9;
  r.l2_bytes = 100e9;
  r.l3_bytes = 50e9;
  r.memory_bytes = 20e9;
  r.call_seconds = 1e-8;
  r.barrier_seconds = 1e-6;
  return r;
}

double seconds(const TileProgram& p, const Rates& r) { return estimate(p, two_cores(), r).seconds; }

TEST(Estimate, IsTheArithmeticWhereThatIsMost) {
  const Rates r = rates();
  const Estimate e = estimate(product(9600, 96), two_cores(), r);
  const double flops = 2.0 * 9600 * 512 * 64;
  EXPECT_GT(e.compute, flops / 200e9);
  EXPECT_LT(e.compute, 1.2 * flops / 200e9);
  EXPECT_GE(e.seconds, e.compute + e.overhead);
  EXPECT_NEAR(e.overhead, 100 * 1e-8 / 2 + 1e-6, 1e-9);
  Rates faster = r;
  faster.f32_flops *= 2;
  EXPECT_LT(seconds(product(9600, 96), faster), seconds(product(9600, 96), r));
}

TEST(Estimate, IsTheBytesWhereTheyAreMost) {
  Rates r = rates();
  r.f32_flops = 1e15;
  r.l2_bytes = 1e15;
  // 98 MB of x do not fit into half of L3.
  const TileProgram p = product(48000, 96);
  const Estimate e = estimate(p, two_cores(), r);
  const double bytes = 4.0 * (48000.0 * 512 + 48000 * 64);
  EXPECT_NEAR(e.memory, bytes / 20e9, 0.1 * bytes / 20e9);
  EXPECT_NEAR(e.seconds, e.memory + e.overhead, 1e-9);
  r.memory_bytes /= 2;
  EXPECT_GT(seconds(p, r), 1.8 * e.seconds);
  // What fits comes from L3.
  EXPECT_LT(estimate(product(4800, 96), two_cores(), r).memory, bytes / 10 / 50e9);
}

TEST(Estimate, SeesIdleCoresAndShortVectors) {
  const Rates r = rates();
  // Three tasks on two cores take as long as four.
  EXPECT_NEAR(seconds(product(288, 96), r), seconds(product(384, 96), r), 1e-7);
  EXPECT_LT(seconds(product(288, 48), r), 0.9 * seconds(product(288, 96), r));
  // One task is one core's, and needs no barrier.
  EXPECT_GT(seconds(product(960, 960), r), 1.8 * seconds(product(960, 48), r));
  EXPECT_LT(estimate(product(96, 96), two_cores(), r).overhead, 1e-7);
  // 17 columns take as long as 32.
  EXPECT_NEAR(estimate(product(960, 96, 17), two_cores(), r).compute,
              estimate(product(960, 96, 32), two_cores(), r).compute, 1e-9);
}

TEST(Rates, FollowTheInstructionSetAndTheMachine) {
  Target t = two_cores();
  const Rates wide = rates_of(t);
  EXPECT_FALSE(wide.measured);
  const Rates narrow = rates_of(t.capped(Isa::avx2));
  EXPECT_GT(wide.f32_flops, narrow.f32_flops);
  kernels::Machine m;
  m.threads = 2;
  m.fp32 = {120, 230};
  m.read_l2 = {200, 380};
  m.read_memory = {20, 30};
  const Rates r = rates_of(t, m);
  EXPECT_TRUE(r.measured);
  EXPECT_DOUBLE_EQ(r.f32_flops, 115e9);
  EXPECT_DOUBLE_EQ(r.memory_bytes, 30e9);
  EXPECT_GT(r.l3_bytes, 15e9);
  EXPECT_LT(r.l3_bytes, 190e9);
}

}  // namespace
}  // namespace gregale::tile
