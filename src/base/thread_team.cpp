// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The three thread teams. All of them pick up tasks from one atomic counter: which thread runs a task is not fixed, and
// results do not depend on it because they depend on the tasks alone.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>
#if defined(GREGALE_OPENMP)
#include <omp.h>
#endif

#include "base/cores.hpp"
#include "gregale/context.hpp"
#include "gregale/error.hpp"

namespace gregale {
namespace {

constexpr int kMaxThreads = 4096;
constexpr int kSpins = 1000;  // some tens of microseconds

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// The region that the current thread works in, if any.
struct Region {
  const ThreadTeam* team = nullptr;
  int thread = 0;
};
thread_local Region current_region;

class RegionScope {
 public:
  RegionScope(const ThreadTeam* team, int thread) : saved_(current_region) { current_region = {team, thread}; }
  ~RegionScope() { current_region = saved_; }
  RegionScope(const RegionScope&) = delete;
  RegionScope& operator=(const RegionScope&) = delete;

 private:
  Region saved_;
};

/// The tasks of one region.
class Work {
 public:
  void start(int64_t tasks, ThreadTeam::Task task, void* argument) {
    tasks_ = tasks;
    task_ = task;
    argument_ = argument;
    next_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
  }
  /// One thread's part: tasks until none is left. After an exception the rest is not started.
  void take_part(int thread) noexcept {
    for (;;) {
      const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= tasks_) return;
      try {
        task_(argument_, index, thread);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (!error_) error_ = std::current_exception();
        next_.store(tasks_, std::memory_order_relaxed);
      }
    }
  }
  /// After all threads are done.
  void finish() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  int64_t tasks_ = 0;
  ThreadTeam::Task task_ = nullptr;
  void* argument_ = nullptr;
  std::atomic<int64_t> next_{0};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

/// Runs everything on the calling thread where a region is not needed or already there; says whether it did.
bool run_inline(const ThreadTeam& team, int64_t tasks, ThreadTeam::Task task, void* argument) {
  const bool nested = current_region.team == &team;
  if (!nested && tasks > 1 && team.size() > 1) return false;
  for (int64_t i = 0; i < tasks; ++i) task(argument, i, nested ? current_region.thread : 0);
  return true;
}

class CallerTeam final : public ThreadTeam {
 public:
  int size() const override { return 1; }
  void run(int64_t tasks, Task task, void* argument) override {
    for (int64_t i = 0; i < tasks; ++i) task(argument, i, 0);
  }
};

class StdThreadTeam final : public ThreadTeam {
 public:
  explicit StdThreadTeam(int size) : size_(size), spins_(size <= allowed_cores() ? kSpins : 0) {
    try {
      workers_.reserve(static_cast<size_t>(size - 1));
      for (int thread = 1; thread < size; ++thread) {
        workers_.emplace_back([this, thread] { work(thread); });
      }
    } catch (const std::system_error& error) {
      const size_t started = workers_.size() + 1;
      stop();
      throw_error(ErrorCode::io, fmt::format("[make_thread_team] the system refused thread {} of {}: {}", started + 1,
                                             size, error.what()));
    }
  }
  ~StdThreadTeam() override { stop(); }

  int size() const override { return size_; }

  void run(int64_t tasks, Task task, void* argument) override {
    if (run_inline(*this, tasks, task, argument)) return;
    const std::lock_guard one_region(region_mutex_);
    work_.start(tasks, task, argument);
    busy_.store(size_ - 1, std::memory_order_relaxed);
    announce();
    {
      const RegionScope scope(this, 0);
      work_.take_part(0);
    }
    for (int i = 0; i < spins_ && busy_.load(std::memory_order_acquire) != 0; ++i) pause();
    if (busy_.load(std::memory_order_acquire) != 0) {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [this] { return busy_.load(std::memory_order_acquire) == 0; });
    }
    work_.finish();
  }

 private:
  void announce() {
    {
      const std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }

  void stop() {
    stopping_.store(true, std::memory_order_relaxed);
    announce();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void work(int thread) {
    const RegionScope scope(this, thread);
    uint64_t seen = 0;
    for (;;) {
      for (int i = 0; i < spins_ && generation_.load(std::memory_order_acquire) == seen; ++i) pause();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
      }
      ++seen;  // a new region begins only after every worker left the last: none is skipped
      if (stopping_.load(std::memory_order_relaxed)) return;
      work_.take_part(thread);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        // Under the lock, so that the caller is either before its check or asleep, never between.
        const std::lock_guard lock(mutex_);
        done_.notify_one();
      }
    }
  }

  const int size_;
  const int spins_;
  std::mutex region_mutex_;  // callers on several threads take turns
  std::mutex mutex_;         // guards sleeping and waking
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stopping_{false};
  Work work_;
  std::vector<std::thread> workers_;
};

#if defined(GREGALE_OPENMP)
/// Always asks for its own size: the host's omp_set_num_threads is neither read nor changed, and libgomp, which ends
/// threads when a smaller team follows a larger one, keeps its pool. OpenMP may still give fewer threads (inside the
/// host's own region, usually one): the tasks are all done anyway.
class OpenMpTeam final : public ThreadTeam {
 public:
  explicit OpenMpTeam(int size) : size_(size) {}
  int size() const override { return size_; }
  void run(int64_t tasks, Task task, void* argument) override {
    if (run_inline(*this, tasks, task, argument)) return;
    Work work;
    work.start(tasks, task, argument);
#pragma omp parallel num_threads(size_) default(none) shared(work)
    {
      const int thread = omp_get_thread_num();
      const RegionScope scope(this, thread);
      work.take_part(thread);
    }
    work.finish();
  }

 private:
  const int size_;
};
#endif

int default_size() {
  // OMP_NUM_THREADS is a list, one entry a nesting level; anything but a positive number is as good as absent.
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    char* end = nullptr;
    errno = 0;
    const long size = std::strtol(text, &end, 10);
    while (*end == ' ') ++end;
    if (errno == 0 && end != text && (*end == '\0' || *end == ',') && size >= 1 && size <= kMaxThreads) {
      return static_cast<int>(size);
    }
  }
  return std::min(allowed_cores(), kMaxThreads);
}

}  // namespace

std::unique_ptr<ThreadTeam> make_thread_team(int size, TeamKind kind) {
  GREGALE_CHECK(size >= 0 && size <= kMaxThreads, invalid_argument, "[make_thread_team] {} threads: expected 0 to {}",
                size, kMaxThreads);
  if (size == 0) size = default_size();
  if (kind == TeamKind::caller || size == 1) return std::make_unique<CallerTeam>();
#if defined(GREGALE_OPENMP)
  if (kind == TeamKind::openmp) return std::make_unique<OpenMpTeam>(size);
#endif
  return std::make_unique<StdThreadTeam>(size);
}

}  // namespace gregale
