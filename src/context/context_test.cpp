// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/context.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/json.hpp"

namespace gregale {
namespace {

TEST(Arena, GrowsAndThenReusesWithoutTouching) {
  Arena arena;
  EXPECT_EQ(arena.capacity(), 0);
  EXPECT_NE(arena.reserve(0), nullptr);
  std::byte* first = arena.reserve(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  EXPECT_GE(arena.capacity(), 1000);
  std::memset(first, 0x5a, 1000);
  EXPECT_EQ(arena.reserve(10), first);
  EXPECT_EQ(arena.reserve(1000), first);
  EXPECT_EQ(first[999], std::byte{0x5a});  // not zeroed again
  const int64_t before = arena.capacity();
  std::byte* second = arena.reserve(1 << 20);
  EXPECT_GE(arena.capacity(), 1 << 20);
  EXPECT_GT(arena.capacity(), before);
  std::memset(second, 1, 1 << 20);
  EXPECT_THROW(arena.reserve(-1), Error);
  EXPECT_EQ(arena.reserve(1 << 20), second);
}

TEST(Arena, RecoversFromARequestTooLarge) {
  Arena arena;
  arena.reserve(100);
  try {
    arena.reserve(int64_t{1} << 60);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  }
  std::memset(arena.reserve(200), 0, 200);
  EXPECT_GE(arena.capacity(), 200);
}

TEST(ExecutionContext, HoldsWhatItIsGiven) {
  ExecutionContext context(make_thread_team(2), 77);
  EXPECT_EQ(context.team().size(), 2);
  EXPECT_EQ(context.seed(), 77u);
  EXPECT_EQ(context.trace(), nullptr);
  auto trace = std::make_shared<Trace>();
  context.set_trace(trace);
  EXPECT_EQ(context.trace(), trace.get());
  ExecutionContext plain;
  EXPECT_EQ(plain.seed(), 0u);
  EXPECT_GE(plain.team().size(), 1);
  EXPECT_THROW(ExecutionContext(nullptr), Error);
}

TEST(Trace, WritesEventsThatParse) {
  Trace trace;
  trace.add("matmul \"a\"\n", "exec", 1.5, 2.25, 3);
  trace.add("not utf-8: \xff", "exec", 0, 0, 0);
  { const TraceSpan span(&trace, "train", "step"); }
  std::thread([&] { const TraceSpan span(&trace, "data", "fetch"); }).join();
  { const TraceSpan silent(nullptr, "train", "nothing"); }
  const auto path =
      std::filesystem::path(testing::TempDir()) / ("gregale_trace_" + std::to_string(::getpid()) + ".json");
  trace.write(path);
  trace.write(path);  // again, over the old one
  std::ifstream file(path);
  const auto document = nlohmann::json::parse(file);
  std::filesystem::remove(path);
  const auto& events = document.at("traceEvents");
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].at("name"), "matmul \"a\"\n");
  EXPECT_EQ(events[0].at("cat"), "exec");
  EXPECT_EQ(events[0].at("ph"), "X");
  EXPECT_EQ(events[0].at("ts"), 1.5);
  EXPECT_EQ(events[0].at("dur"), 2.25);
  EXPECT_EQ(events[0].at("tid"), 3);
  EXPECT_EQ(events[2].at("name"), "step");
  EXPECT_GE(events[2].at("dur").get<double>(), 0.0);
  EXPECT_LE(events[2].at("ts").get<double>() + events[2].at("dur").get<double>(), trace.now_us());
  EXPECT_NE(events[2].at("tid"), events[3].at("tid"));
}

TEST(Trace, IsThreadSafeAndEmptyParses) {
  Trace trace;
  auto team = make_thread_team(4, TeamKind::std_thread);
  parallel_for(*team, 1000, 1, [&](int64_t, int64_t, int) { const TraceSpan span(&trace, "test", "task"); });
  const auto path =
      std::filesystem::path(testing::TempDir()) / ("gregale_trace_many_" + std::to_string(::getpid()) + ".json");
  trace.write(path);
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(path)).at("traceEvents").size(), 1000u);
  Trace().write(path);
  EXPECT_TRUE(nlohmann::json::parse(std::ifstream(path)).at("traceEvents").empty());
  std::filesystem::remove(path);
}

TEST(Trace, AFolderThatIsMissingIsAnIoError) {
  try {
    Trace().write("/nonexistent-folder/trace.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
  }
}

}  // namespace
}  // namespace gregale
