// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/machine/machine.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "gregale/error.hpp"
#include "kernels/isa_table.hpp"
#include "kernels/machine/machine_table.hpp"

namespace gregale::kernels {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Runs body(thread, threads) once on every thread of the team at the same time, and returns the seconds from the first
/// start to the last end: waking the threads is not part of it.
template <class Body>
double time_together(ThreadTeam& team, const Body& body) {
  const int threads = team.size();
  std::atomic<int> arrived{0};
  std::vector<Clock::time_point> begin(static_cast<size_t>(threads)), end(static_cast<size_t>(threads));
  parallel_for(team, threads, 1, [&](int64_t index, int64_t, int thread) {
    // On a busy machine, or inside a host's own parallel region, one thread may get the work of two: it waits for
    // nobody forever, and the time is longer, as it should be.
    constexpr auto kPatience = std::chrono::milliseconds(20);
    const Clock::time_point deadline = Clock::now() + kPatience;
    arrived.fetch_add(1);
    while (arrived.load() < threads && Clock::now() < deadline) std::this_thread::yield();
    begin[static_cast<size_t>(index)] = Clock::now();
    body(thread, threads);
    end[static_cast<size_t>(index)] = Clock::now();
  });
  const auto first = *std::min_element(begin.begin(), begin.end());
  const auto last = *std::max_element(end.begin(), end.end());
  return std::chrono::duration<double>(last - first).count();
}

/// Memory on large pages where the system gives them: ceilings are not to be ceilings of address translation.
class Buffer {
 public:
  explicit Buffer(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GREGALE_CHECK(memory != MAP_FAILED, out_of_memory, "[machine] no memory for a working set of {} MB", bytes >> 20);
    data_ = static_cast<std::byte*>(memory);
#if defined(MADV_HUGEPAGE)
    madvise(memory, bytes_, MADV_HUGEPAGE);
#endif
  }
  ~Buffer() { munmap(data_, bytes_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_;
};

int64_t whole_steps(int64_t bytes) { return std::max(kMachineStep, bytes / kMachineStep * kMachineStep); }

int64_t default_memory_bytes(const Target& target) {
  constexpr int64_t kMost = int64_t{512} << 20;
  const int64_t bytes = std::max(4 * std::min(target.l3_bytes, kMost), (int64_t{16} << 20) * target.cores);
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  int64_t most = kMost;
  if (pages > 0 && page > 0) most = std::min(most, int64_t{pages} * page / 4);
  return std::min(bytes, most);
}

/// One thing to measure.
struct Kind {
  std::string name;
  bool one = true;  ///< measured on one thread too
  /// The work of one of `threads` threads.
  std::function<void(int thread, int threads, int64_t repeats)> work;
  /// Operations or bytes of one repeat on one of `threads` threads.
  std::function<double(int threads)> amount;
  int64_t repeats = 1;
  std::vector<double> one_thread, all_threads;  ///< units a second / 1e9, a value a run
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

double spread(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[n - 1 - n / 4] - values[n / 4]) / median(values);
}

void run_alone(Kind& kind, int64_t repeats, double* seconds) {
  const Clock::time_point begin = Clock::now();
  kind.work(0, 1, repeats);
  *seconds = std::max(seconds_since(begin), 1e-9);
}

/// As many repeats as fill about run_seconds; warms up the caches and the clock meanwhile.
void calibrate(Kind& kind, double run_seconds) {
  constexpr int64_t kMost = int64_t{1} << 40;
  for (double seconds = 0;;) {
    run_alone(kind, kind.repeats, &seconds);
    if (seconds >= run_seconds / 4 || kind.repeats >= kMost) {
      kind.repeats =
          std::max(int64_t{1}, static_cast<int64_t>(static_cast<double>(kind.repeats) * run_seconds / seconds));
      return;
    }
    kind.repeats *= 2;
  }
}

const char* const kBf16 = "bf16";
const char* const kInt8 = "int8";

/// Why target.isa has no unit to measure, or null.
const char* reason_without_unit(Isa isa, const DotUnit& unit, bool bf16) {
  if (isa == Isa::amx) return "the tile unit (AMX) is not measured yet";
  if (isa != Isa::avx512) return "this instruction set has no such dot product";
  if (unit.run == nullptr) return bf16 ? "this processor lacks AVX512_BF16" : "this processor lacks AVX512_VNNI";
  return nullptr;
}

}  // namespace

Machine measure_machine(const Target& target, ThreadTeam& team, const MachineOptions& options) {
  const Clock::time_point begin = Clock::now();
  const MachineTable& table =
      table_for(target.isa, isa_generic::machine_table, isa_avx2::machine_table, isa_avx512::machine_table);
  const int threads = team.size();
  Machine machine;
  machine.target = target;
  machine.threads = threads;

  // One buffer serves all: a slice a thread, whose beginning is the thread's working set in L1 and L2. A slice has two
  // steps at least, one for each half of a copy.
  const int64_t wanted = options.memory_bytes > 0 ? options.memory_bytes : default_memory_bytes(target);
  const int64_t slice = 2 * whole_steps(wanted / (2 * threads));
  machine.memory_set = slice * threads;
  machine.l1_set = std::min(whole_steps(target.l1_bytes / 2), slice);
  machine.l2_set = std::min(whole_steps(target.l2_bytes / 2), slice);
  const Buffer buffer(machine.memory_set);
  time_together(team, [&](int thread, int) {  // each thread touches its own pages first
    std::memset(buffer.data() + thread * slice, 1, static_cast<size_t>(slice));
  });
  if (threads > 1) std::memset(buffer.data(), 1, static_cast<size_t>(machine.memory_set));  // whichever threads came

  std::atomic<uint32_t> sink{0};
  std::vector<Kind> kinds;
  auto compute = [&](const char* name, int64_t flops, auto run) {
    Kind kind;
    kind.name = name;
    kind.work = [&sink, run](int, int, int64_t repeats) { sink += run(repeats); };
    kind.amount = [flops](int) { return static_cast<double>(flops); };
    kinds.push_back(std::move(kind));
  };
  auto read = [&](const char* name, std::function<int64_t(int)> bytes) {
    Kind kind;
    kind.name = name;
    kind.work = [&, bytes](int thread, int of, int64_t repeats) {
      sink += table.read(buffer.data() + (of == 1 ? 0 : thread * slice), bytes(of), repeats);
    };
    kind.amount = [bytes](int of) { return static_cast<double>(bytes(of)); };
    kinds.push_back(std::move(kind));
  };
  auto copy = [&](const char* name, bool one, auto run) {
    Kind kind;
    kind.name = name;
    kind.one = one;
    const int64_t half = machine.memory_set / 2;
    kind.work = [&buffer, run, half, slice](int thread, int of, int64_t repeats) {
      const int64_t bytes = of == 1 ? half : slice / 2;
      std::byte* from = buffer.data() + (of == 1 ? 0 : thread * slice);
      for (int64_t r = 0; r < repeats; ++r) run(from + bytes, from, bytes);
    };
    kind.amount = [half, slice](int of) { return 2.0 * static_cast<double>(of == 1 ? half : slice / 2); };
    kinds.push_back(std::move(kind));
  };

  compute("fp32", table.flops, [&table](int64_t repeats) {
    // x -> 1 - x, or chains of -x and of x + 1: no overflow, no denormals.
    return static_cast<uint32_t>(static_cast<int64_t>(table.multiply_add(repeats, -1.0f, 1.0f)));
  });
  const DotUnit bf16 = bf16_dot_unit(), int8 = int8_dot_unit();
  const char* bf16_reason = reason_without_unit(target.isa, bf16, true);
  const char* int8_reason = reason_without_unit(target.isa, int8, false);
  if (bf16_reason == nullptr) compute(kBf16, bf16.flops, bf16.run);
  if (int8_reason == nullptr) compute(kInt8, int8.flops, int8.run);
  if (bf16_reason != nullptr) machine.reasons[kBf16] = bf16_reason;
  if (int8_reason != nullptr) machine.reasons[kInt8] = int8_reason;
  read("L1", [set = machine.l1_set](int) { return set; });
  read("L2", [set = machine.l2_set](int) { return set; });
  read("memory", [&machine, slice](int of) { return of == 1 ? machine.memory_set : slice; });
  copy("copy", true, table.copy);
  if (table.copy_nt != nullptr) {
    copy("copy_nt", false, table.copy_nt);
  } else {
    machine.reasons["copy_nt"] = "this instruction set has no non-temporal stores";
  }

  const int rounds = std::max(1, options.rounds);
  const int64_t steps = static_cast<int64_t>(kinds.size()) * (rounds + 1);
  int64_t done = 0;
  auto progress = [&](const std::string& what) {
    if (options.progress) options.progress(std::min(++done, steps), steps, what);
  };
  for (Kind& kind : kinds) {
    calibrate(kind, options.run_seconds);
    progress(kind.name);
  }
  // The kinds take turns, so that a slow moment of the machine falls on one run of several kinds, not on all of one.
  for (int round = 0; round < rounds && (round < 3 || seconds_since(begin) < options.budget_seconds); ++round) {
    for (Kind& kind : kinds) {
      const double repeats = static_cast<double>(kind.repeats);
      double seconds = 0;
      if (kind.one) {
        run_alone(kind, kind.repeats, &seconds);
        kind.one_thread.push_back(kind.amount(1) * repeats / seconds * 1e-9);
      }
      seconds = time_together(team, [&](int thread, int of) { kind.work(thread, of, kind.repeats); });
      kind.all_threads.push_back(kind.amount(threads) * threads * repeats / std::max(seconds, 1e-9) * 1e-9);
      progress(kind.name);
    }
    ++machine.rounds;
  }

  for (const Kind& kind : kinds) {
    const Rate rate{median(kind.one_thread), median(kind.all_threads)};
    machine.noise = std::max({machine.noise, spread(kind.one_thread), spread(kind.all_threads)});
    if (kind.name == "fp32") machine.fp32 = rate;
    if (kind.name == kBf16) machine.bf16 = rate;
    if (kind.name == kInt8) machine.int8 = rate;
    if (kind.name == "L1") machine.read_l1 = rate;
    if (kind.name == "L2") machine.read_l2 = rate;
    if (kind.name == "memory") machine.read_memory = rate;
    if (kind.name == "copy") machine.copy = rate;
    if (kind.name == "copy_nt") machine.copy_nt = rate.all_threads;
  }
  return machine;
}

}  // namespace gregale::kernels
