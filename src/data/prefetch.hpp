// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace gregale::data {

/// Makes values ahead of their use on one background thread, at most `depth` of them waiting. `produce` is called from
/// that thread alone, in order, until it returns nothing. The destructor stops the thread after the value it is making.
template <class T>
class Prefetcher {
 public:
  Prefetcher(size_t depth, std::function<std::optional<T>()> produce)
      : depth_(depth < 1 ? 1 : depth), produce_(std::move(produce)), thread_([this] { run(); }) {}
  ~Prefetcher() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    thread_.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next value, waited for; nothing after the last. An exception of `produce` is rethrown here, after the values
  /// made before it, and at every later call.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return !queue_.empty() || done_; });
    if (queue_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    std::optional<T> value(std::move(queue_.front()));
    queue_.pop_front();
    lock.unlock();
    room_.notify_one();
    return value;
  }

 private:
  void run() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return stop_ || queue_.size() < depth_; });
        if (stop_) return;
      }
      bool more = false;
      std::exception_ptr error;
      try {
        if (std::optional<T> value = produce_()) {
          std::lock_guard lock(mutex_);
          queue_.push_back(std::move(*value));
          more = true;
        }
      } catch (...) {
        error = std::current_exception();
      }
      if (!more) {
        std::lock_guard lock(mutex_);
        error_ = error;
        done_ = true;
      }
      ready_.notify_all();
      if (!more) return;
    }
  }

  const size_t depth_;
  std::function<std::optional<T>()> produce_;
  std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::deque<T> queue_;
  std::exception_ptr error_;
  bool done_ = false;
  bool stop_ = false;
  std::thread thread_;  // last: it starts when all else is there
};

}  // namespace gregale::data
