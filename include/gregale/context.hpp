// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gregale/random.hpp"
#include "gregale/tensor.hpp"

namespace gregale {

namespace kernels {
class KernelCache;
}

/// Instruction-set levels a program is compiled for, each including those before it.
enum class Isa : uint8_t { reference, avx2, avx512, amx };
const char* to_string(Isa isa);

/// What an instruction-set level leaves open. A feature is set only where the level in force includes it, the CPU has
/// it and the operating system lets this process use it.
struct CpuFeatures {
  bool f16c = false;         ///< with avx2: conversions between f16 and f32
  bool avx512_bf16 = false;  ///< with avx512: dot products of bf16 pairs, conversion to bf16
  bool avx512_vnni = false;  ///< with avx512: dot products of bytes
  bool avx512_vbmi = false;  ///< with avx512: permutations of bytes
  bool amx_bf16 = false;     ///< with amx: tile products of bf16
  bool amx_int8 = false;     ///< with amx: tile products of bytes
  /// The bf16 dot product of vectors is as fast as the fp32 multiply-add (twice its flops). Intel's cores run it at
  /// half that rate, where widening to fp32 is better.
  bool fast_bf16_dot = false;
};

/// What to compile for: handed to every pass, never asked of the machine behind their back.
struct Target {
  Isa isa = Isa::reference;
  CpuFeatures features;
  int cores = 1;
  int64_t l1_bytes = 32 << 10;
  int64_t l2_bytes = 1 << 20;
  int64_t l3_bytes = 8 << 20;
  int64_t memory_budget = 0;  ///< bytes an executable may use; 0: no limit
  std::string cpu;            ///< the CPU's own name, for reports
  /// Where kernels compiled for this target are kept. Programs compiled with the same cache share them; without one,
  /// each program has its own.
  std::shared_ptr<kernels::KernelCache> kernels;

  /// This machine, with `isa` capped by GREGALE_MAX_ISA=reference|avx2|avx512|amx (another word is a usage error).
  static Target detect();
  /// The same with `isa` lowered to `cap` and without the features of higher levels.
  Target capped(Isa cap) const;
};

/// Threads that run one parallel region at a time. Results must never depend on size().
class ThreadTeam {
 public:
  /// A task: called once for each index in [0, tasks), on any thread of the team.
  using Task = void (*)(void* argument, int64_t index, int thread);
  virtual ~ThreadTeam() = default;
  virtual int size() const = 0;
  /// Runs all tasks and returns when the last is done. An exception of a task is rethrown here (the first one).
  /// A single task runs on the calling thread, and may itself start a region. Called from inside a region of this team,
  /// it runs the tasks on the calling thread, with that thread's number.
  virtual void run(int64_t tasks, Task task, void* argument) = 0;
};

enum class TeamKind : uint8_t { openmp, std_thread, caller };
/// `size` 0 means OMP_NUM_THREADS, else all cores this process may use. Without OpenMP in the build, openmp gives
/// std_thread. `caller` has size 1 whatever is asked. Throws ErrorCode::invalid_argument outside [0, 4096].
std::unique_ptr<ThreadTeam> make_thread_team(int size = 0, TeamKind kind = TeamKind::openmp);

/// Splits [0, count) into chunks of `grain` and calls body(begin, end, thread) for each. The chunks depend on count and
/// grain alone, so per-chunk partial sums are the same for any number of threads.
template <class Body>
void parallel_for(ThreadTeam& team, int64_t count, int64_t grain, Body&& body) {
  if (count <= 0) return;
  if (grain < 1) grain = 1;
  const int64_t chunks = (count - 1) / grain + 1;
  struct Call {
    Body* body;
    int64_t count, grain;
  } call{&body, count, grain};
  auto task = [](void* argument, int64_t index, int thread) {
    const Call& c = *static_cast<Call*>(argument);
    const int64_t begin = index * c.grain;
    const int64_t end = c.count - begin > c.grain ? begin + c.grain : c.count;
    (*c.body)(begin, end, thread);
  };
  team.run(chunks, task, &call);
}

/// Scratch memory that grows to the largest request and is then reused: executables that share a context share it.
class Arena {
 public:
  /// At least `bytes` of 64-byte aligned memory, valid until the next reserve(); contents are unspecified.
  std::byte* reserve(int64_t bytes);
  int64_t capacity() const { return buffer_.bytes(); }

 private:
  Tensor buffer_;
};

/// Chrome/Perfetto trace events (`--trace F.json`). Thread-safe; a null Trace* costs one branch.
class Trace {
 public:
  Trace();
  ~Trace();
  /// One complete event; times in microseconds since the trace began. A negative `thread` means the calling thread,
  /// numbered in order of first appearance.
  void add(std::string name, const char* category, double begin_us, double duration_us, int thread);
  double now_us() const;
  /// Writes all events so far under a temporary name, then renames; throws ErrorCode::io.
  void write(const std::string& path) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Records the time from construction to destruction.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, const char* category, const std::string& name);
  ~TraceSpan();
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace* trace_;
  const char* category_;
  std::string name_;
  double begin_ = 0;
};

/// What to run with. Owned by the caller, so that ranks in one process, host models and tests share no hidden state.
/// One context serves one thread of control at a time. (The communicator joins it with the room `comm`.)
class ExecutionContext {
 public:
  /// All cores (OMP_NUM_THREADS respected), seed 0, no trace.
  ExecutionContext();
  explicit ExecutionContext(std::unique_ptr<ThreadTeam> team, uint64_t seed = 0);

  ThreadTeam& team() { return *team_; }
  Arena& arena() { return arena_; }
  uint64_t seed() const { return seed_; }
  Trace* trace() { return trace_.get(); }
  void set_trace(std::shared_ptr<Trace> trace) { trace_ = std::move(trace); }
  /// Called by training programs between forward and backward pass, after all memory that holds nothing then was given
  /// back to the system: what is resident is what is kept. Costs the pages' return; meant for measurements.
  void on_boundary(std::function<void()> call) { boundary_ = std::move(call); }
  const std::function<void()>& boundary() const { return boundary_; }

 private:
  std::unique_ptr<ThreadTeam> team_;
  Arena arena_;
  uint64_t seed_ = 0;
  std::shared_ptr<Trace> trace_;
  std::function<void()> boundary_;
};

}  // namespace gregale
