// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Trace events in the format of Chrome and Perfetto ("Trace Event Format", Google, JSON object form).
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "base/file.hpp"
#include "base/json.hpp"
#include "gregale/context.hpp"

namespace gregale {
namespace {

using Clock = std::chrono::steady_clock;

struct Event {
  std::string name;
  std::string category;
  double begin_us;
  double duration_us;
  int thread;
};

}  // namespace

struct Trace::State {
  const Clock::time_point begin = Clock::now();
  std::mutex mutex;
  std::vector<Event> events;
  std::map<std::thread::id, int> threads;
};

Trace::Trace() : state_(std::make_unique<State>()) {}
Trace::~Trace() = default;

void Trace::add(std::string name, const char* category, double begin_us, double duration_us, int thread) {
  const std::lock_guard lock(state_->mutex);
  if (thread < 0) {
    thread =
        state_->threads.emplace(std::this_thread::get_id(), static_cast<int>(state_->threads.size())).first->second;
  }
  state_->events.push_back({std::move(name), category, begin_us, duration_us, thread});
}

double Trace::now_us() const { return std::chrono::duration<double, std::micro>(Clock::now() - state_->begin).count(); }

void Trace::write(const std::string& path) const {
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  {
    const std::lock_guard lock(state_->mutex);
    const char* separator = "\n";
    for (const Event& event : state_->events) {
      const nlohmann::json line = {
          {"name", event.name},   {"cat", event.category},   {"ph", "X"}, {"pid", 1}, {"tid", event.thread},
          {"ts", event.begin_us}, {"dur", event.duration_us}};
      text += separator;
      // Names may hold bytes that are no UTF-8, which JSON cannot carry.
      text += json_text(line);
      separator = ",\n";
    }
  }
  text += "\n]}\n";
  write_file(path, text);
}

TraceSpan::TraceSpan(Trace* trace, const char* category, const std::string& name) : trace_(trace), category_(category) {
  if (trace_ == nullptr) return;
  name_ = name;
  begin_ = trace_->now_us();
}

TraceSpan::~TraceSpan() {
  if (trace_ == nullptr) return;
  try {
    trace_->add(std::move(name_), category_, begin_, trace_->now_us() - begin_, -1);
  } catch (...) {  // out of memory: an event less
  }
}

}  // namespace gregale
