// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>
#include <random>
#include <set>

#include "gregale/error.hpp"

namespace gregale::tile {
namespace {

std::vector<LoopDim> dims3(int64_t a, int64_t b, int64_t c) {
  return {{.name = "k", .extent = a, .step = 4, .blocks = {}, .reduction = true},
          {.name = "m", .extent = b, .step = 3, .blocks = {12}, .reduction = false},
          {.name = "n", .extent = c, .step = 5, .blocks = {10}, .reduction = false}};
}

TEST(Curve, VisitsEveryCellOnceAndMostlyNeighbours) {
  for (int64_t w = 1; w <= 17; ++w) {
    for (int64_t h = 1; h <= 17; ++h) {
      std::set<std::pair<int64_t, int64_t>> seen;
      CurveCell before;
      int64_t jumps = 0;
      for (int64_t i = 0; i < w * h; ++i) {
        const CurveCell c = curve_cell(w, h, i);
        ASSERT_TRUE(c.x >= 0 && c.x < w && c.y >= 0 && c.y < h) << w << "x" << h << " at " << i;
        seen.insert({c.x, c.y});
        if (i > 0) {
          ASSERT_LE(std::max(std::abs(c.x - before.x), std::abs(c.y - before.y)), 1) << w << "x" << h << " at " << i;
          jumps += std::abs(c.x - before.x) + std::abs(c.y - before.y) > 1;
        }
        before = c;
      }
      EXPECT_EQ(static_cast<int64_t>(seen.size()), w * h) << w << "x" << h;
      EXPECT_LE(jumps, 2) << w << "x" << h;
    }
  }
}

/// Every element of the space, how often it was covered, and for each (m, n) the order of k.
struct Cover {
  std::map<std::array<int64_t, 3>, int> times;
  std::map<std::pair<int64_t, int64_t>, std::vector<int64_t>> order;
};

Cover cover(const LoopNest& nest, ThreadTeam& team) {
  Cover result;
  std::mutex mutex;
  nest.run(team, [&](const LoopIndex& i, int thread) {
    const std::lock_guard lock(mutex);
    EXPECT_LT(thread, team.size());
    for (int64_t m = i.begin[1]; m < i.begin[1] + i.size[1]; ++m)
      for (int64_t n = i.begin[2]; n < i.begin[2] + i.size[2]; ++n) {
        for (int64_t k = i.begin[0]; k < i.begin[0] + i.size[0]; ++k) ++result.times[{k, m, n}];
        result.order[{m, n}].push_back(i.begin[0]);
      }
  });
  return result;
}

TEST(Schedule, EveryStringCoversTheSpaceOnceWithKAscending) {
  auto one = make_thread_team(1, TeamKind::caller);
  auto three = make_thread_team(3, TeamKind::std_thread);
  for (const char* text : {"abbcc", "bcabc", "aBcbc", "BCabc", "<BC>abc", "a<BC>bc", "B{2}C{3}abc", "bcBCa", "aBC<bc>",
                           "BcaCb", "C{5}abcb", "<bc>abc", "bcaB{2}c"}) {
    SCOPED_TRACE(text);
    if (std::string(text) == "BcaCb") {
      EXPECT_THROW(LoopNest(dims3(9, 25, 23), text), Error);
      continue;
    }
    const LoopNest nest(dims3(9, 25, 23), text);
    for (ThreadTeam* team : {one.get(), three.get()}) {
      const Cover c = cover(nest, *team);
      EXPECT_EQ(c.times.size(), 9u * 25 * 23);
      for (const auto& [at, times] : c.times) ASSERT_EQ(times, 1);
      for (const auto& [at, order] : c.order) ASSERT_EQ(order, (std::vector<int64_t>{0, 4, 8}));
    }
    EXPECT_EQ(nest.steps(), 3 * 9 * 5);
  }
}

TEST(Schedule, EmptyExtentsRunNothing) {
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (const auto& dims : {dims3(0, 25, 23), dims3(9, 0, 23), dims3(9, 25, 0)})
    LoopNest(dims, "a<BC>bc").run(*team, [](const LoopIndex&, int) { FAIL(); });
}

std::string complaint(const std::string& text) {
  try {
    LoopNest(dims3(9, 25, 23), text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "accepted";
}

TEST(Schedule, RefusesWhatIsNoSchedule) {
  using ::testing::HasSubstr;
  EXPECT_THAT(complaint(""), HasSubstr("dim 'k' has 0 loops"));
  EXPECT_THAT(complaint("Abbcc"), HasSubstr("summed over and cannot be parallel"));
  EXPECT_THAT(complaint("<ab>bcc"), HasSubstr("cannot be on a curve"));
  EXPECT_THAT(complaint("abc"), HasSubstr("dim 'm' has 1 loops"));
  EXPECT_THAT(complaint("abbbcc"), HasSubstr("steps for 2 loops"));
  EXPECT_THAT(complaint("abbccd"), HasSubstr("only 3 dims"));
  EXPECT_THAT(complaint("a<BC"), HasSubstr("expected <ab>"));
  EXPECT_THAT(complaint("a<Bc>bc"), HasSubstr("both parallel or both not"));
  EXPECT_THAT(complaint("ab{2}bcc"), HasSubstr("only parallel loops"));
  EXPECT_THAT(complaint("aB{}bcc"), HasSubstr("expected {count}"));
  EXPECT_THAT(complaint("aB{0}bcc"), HasSubstr("at least one part"));
  EXPECT_THAT(complaint("aB{2bcc"), HasSubstr("expected {count}"));
  EXPECT_THAT(complaint("aBBcc"), HasSubstr("one loop in a parallel region"));
  EXPECT_THAT(complaint("BabCc"), HasSubstr("next to each other"));
  EXPECT_THAT(complaint("a-bbcc"), HasSubstr("place 1"));
  EXPECT_THROW(LoopNest({{.name = "m", .extent = 5, .step = 3, .blocks = {4}}}, "aa"), Error);
}

}  // namespace
}  // namespace gregale::tile
