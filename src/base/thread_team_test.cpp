// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/cores.hpp"
#include "gregale/context.hpp"

namespace gregale {
namespace {

/// Sets an environment variable for the life of a test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) saved_ = old, had_ = true;
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Environment() { had_ ? setenv(name_, saved_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::string saved_;
  bool had_ = false;
};

struct Case {
  TeamKind kind;
  int size;
};

class ThreadTeamTest : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<ThreadTeam> team_ = make_thread_team(GetParam().size, GetParam().kind);
};

TEST_P(ThreadTeamTest, HasTheSizeAskedFor) {
  EXPECT_EQ(team_->size(), GetParam().kind == TeamKind::caller ? 1 : GetParam().size);
}

TEST_P(ThreadTeamTest, RunsEveryIndexOnce) {
  for (const int64_t tasks : {0, 1, 2, 3, 7, 1000}) {
    for (int repeat = 0; repeat < 50; ++repeat) {
      struct Seen {
        std::vector<std::atomic<int>> counts;
        std::atomic<bool> bad_thread{false};
        int size;
      } seen{std::vector<std::atomic<int>>(static_cast<size_t>(tasks)), {}, team_->size()};
      team_->run(
          tasks,
          [](void* argument, int64_t index, int thread) {
            Seen& s = *static_cast<Seen*>(argument);
            s.counts[static_cast<size_t>(index)].fetch_add(1, std::memory_order_relaxed);
            if (thread < 0 || thread >= s.size) s.bad_thread = true;
          },
          &seen);
      for (const auto& count : seen.counts) ASSERT_EQ(count.load(), 1);
      ASSERT_FALSE(seen.bad_thread.load());
    }
  }
}

TEST_P(ThreadTeamTest, ThreadNumbersAreExclusive) {
  // What two tasks with one number write without synchronisation must come out whole.
  std::vector<int64_t> totals(static_cast<size_t>(team_->size()) * 8);
  parallel_for(*team_, 20000, 7, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) totals[static_cast<size_t>(thread) * 8] += i;
  });
  EXPECT_EQ(std::accumulate(totals.begin(), totals.end(), int64_t{0}), int64_t{20000} * 19999 / 2);
}

TEST_P(ThreadTeamTest, UsesItsThreads) {
  // Tasks that wait for each other end only when as many threads run them.
  const int meeting = team_->size();
  std::atomic<int> arrived{0};
  parallel_for(*team_, meeting, 1, [&](int64_t, int64_t, int) {
    arrived.fetch_add(1);
    while (arrived.load() < meeting) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), meeting);
}

TEST_P(ThreadTeamTest, RethrowsAndGoesOn) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    try {
      parallel_for(*team_, 100, 1, [&](int64_t begin, int64_t, int) {
        if (begin == 17) throw Error(ErrorCode::corrupt_data, "task 17");
      });
      FAIL() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "task 17");
    }
    std::atomic<int> count{0};
    parallel_for(*team_, 100, 1, [&](int64_t, int64_t, int) { ++count; });
    ASSERT_EQ(count.load(), 100);
  }
}

TEST_P(ThreadTeamTest, ManyThrowersGiveOneException) {
  EXPECT_THROW(
      parallel_for(*team_, 64, 1, [](int64_t begin, int64_t, int) { throw std::out_of_range(std::to_string(begin)); }),
      std::out_of_range);
}

TEST_P(ThreadTeamTest, NestedRegionsRunOnTheCallingThread) {
  std::atomic<int> count{0}, strangers{0};
  parallel_for(*team_, 8, 1, [&](int64_t, int64_t, int outer) {
    const auto self = std::this_thread::get_id();
    parallel_for(*team_, 10, 1, [&](int64_t, int64_t, int inner) {
      ++count;
      if (std::this_thread::get_id() != self || inner != outer) ++strangers;
    });
    parallel_for(*team_, 1, 1, [&](int64_t, int64_t, int inner) {
      if (inner != outer) ++strangers;
    });
  });
  EXPECT_EQ(count.load(), 80);
  EXPECT_EQ(strangers.load(), 0);
}

TEST_P(ThreadTeamTest, NestedExceptionReachesTheOuterCaller) {
  EXPECT_THROW(parallel_for(*team_, 4, 1,
                            [&](int64_t, int64_t, int) {
                              parallel_for(*team_, 4, 1, [](int64_t begin, int64_t, int) {
                                if (begin == 3) throw std::runtime_error("inner");
                              });
                            }),
               std::runtime_error);
}

TEST_P(ThreadTeamTest, OneTaskMayStartARegion) {
  std::atomic<int> count{0};
  parallel_for(*team_, 1, 1,
               [&](int64_t, int64_t, int) { parallel_for(*team_, 50, 1, [&](int64_t, int64_t, int) { ++count; }); });
  EXPECT_EQ(count.load(), 50);
}

TEST_P(ThreadTeamTest, ChunksDependOnCountAndGrainAlone) {
  for (const auto& [count, grain] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 4}, {1, 4}, {4, 4}, {5, 4}, {1000, 7}, {1000, 5000}, {10, 0}, {INT64_MAX, INT64_MAX - 1}}) {
    std::mutex mutex;
    std::set<std::pair<int64_t, int64_t>> chunks;
    parallel_for(*team_, count, grain, [&](int64_t begin, int64_t end, int) {
      const std::lock_guard lock(mutex);
      chunks.emplace(begin, end);
    });
    std::set<std::pair<int64_t, int64_t>> expected;
    const int64_t step = std::max<int64_t>(grain, 1);
    for (int64_t begin = 0; begin < count;) {
      const int64_t end = count - begin > step ? begin + step : count;
      expected.emplace(begin, end);
      begin = end;
    }
    EXPECT_EQ(chunks, expected) << count << " " << grain;
  }
}

TEST_P(ThreadTeamTest, SumsOfChunksHaveTheSameBits) {
  constexpr int64_t kCount = 10007, kGrain = 64;
  std::vector<double> partial((kCount + kGrain - 1) / kGrain);
  const auto sum = [&](ThreadTeam& team) {
    parallel_for(team, kCount, kGrain, [&](int64_t begin, int64_t end, int) {
      double total = 0;
      for (int64_t i = begin; i < end; ++i) total += 1.0 / static_cast<double>(i + 1);
      partial[static_cast<size_t>(begin / kGrain)] = total;
    });
    return std::accumulate(partial.begin(), partial.end(), 0.0);
  };
  EXPECT_EQ(sum(*team_), sum(*make_thread_team(1, TeamKind::caller)));
}

TEST_P(ThreadTeamTest, CallersOnSeveralThreadsTakeTurns) {
  std::atomic<int> count{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 20; ++repeat) {
        parallel_for(*team_, 16, 1, [&](int64_t, int64_t, int) { ++count; });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(count.load(), 3 * 20 * 16);
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  const char* const names[] = {"openmp", "std_thread", "caller"};
  return names[static_cast<int>(info.param.kind)] + std::string("_") + std::to_string(info.param.size);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ThreadTeamTest,
                         testing::Values(Case{TeamKind::openmp, 1}, Case{TeamKind::openmp, 2},
                                         Case{TeamKind::openmp, 5}, Case{TeamKind::std_thread, 1},
                                         Case{TeamKind::std_thread, 2}, Case{TeamKind::std_thread, 5},
                                         Case{TeamKind::caller, 3}),
                         name_of_case);

TEST(ThreadTeamSize, DefaultFollowsTheEnvironment) {
  const int cores = allowed_cores();
  ASSERT_GE(cores, 1);
  const struct {
    const char* text;
    int size;
  } cases[] = {{nullptr, cores}, {"3", 3},      {"3,2", 3},   {" 2 ", 2},    {"", cores},
               {"0", cores},     {"-2", cores}, {"x", cores}, {"2x", cores}, {"99999999999999999999", cores}};
  for (const auto& c : cases) {
    const Environment environment("OMP_NUM_THREADS", c.text);
    EXPECT_EQ(make_thread_team()->size(), c.size) << (c.text ? c.text : "(unset)");
    EXPECT_EQ(make_thread_team(0, TeamKind::std_thread)->size(), c.size);
    EXPECT_EQ(make_thread_team(4)->size(), 4);
  }
  EXPECT_THROW(make_thread_team(-1), Error);
  EXPECT_THROW(make_thread_team(100000), Error);
}

TEST(Target, IsaIsCappedByTheEnvironment) {
  Isa best = Isa::reference;
  {
    const Environment environment("GREGALE_MAX_ISA", nullptr);
    best = Target::detect().isa;
  }
  for (const Isa cap : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx}) {
    const Environment environment("GREGALE_MAX_ISA", to_string(cap));
    EXPECT_EQ(Target::detect().isa, std::min(cap, best)) << to_string(cap);
  }
  for (const char* word : {"avx", "AVX2", "avx2 ", "none"}) {
    const Environment environment("GREGALE_MAX_ISA", word);
    try {
      Target::detect();
      ADD_FAILURE() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos);
    }
  }
  const Environment environment("GREGALE_MAX_ISA", "");
  EXPECT_EQ(Target::detect().isa, best);
}

TEST(Target, DescribesTheMachine) {
  const Target target = Target::detect();
  EXPECT_EQ(target.cores, allowed_cores());
  EXPECT_GE(target.l1_bytes, 4 << 10);
  EXPECT_GE(target.l2_bytes, target.l1_bytes);
  EXPECT_GT(target.l3_bytes, 0);
  EXPECT_FALSE(target.cpu.empty());
  EXPECT_EQ(target.memory_budget, 0);
}

}  // namespace
}  // namespace gregale
