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
#include <ctime>
#include <thread>
#include <vector>

#include "base/huge_pages.hpp"
#include "gregale/error.hpp"
#include "kernels/isa_table.hpp"
#include "kernels/machine/machine_table.hpp"
#include "kernels/machine/tile_unit.hpp"

namespace gregale::kernels {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// One run: how fast, and whether another program took a processor meanwhile.
struct Sample {
  double rate = 0;
  bool disturbed = false;
};

struct Timing {
  double seconds = 0;
  bool disturbed = false;
};

double thread_cpu_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// One thread's part of a run.
struct Part {
  Clock::time_point begin, end;
  bool disturbed = true;

  template <class Body>
  void run(const Body& body) {
    constexpr double kOwnShare = 0.97;  // of the time, or the thread was not running for some of it
    const double cpu = thread_cpu_seconds();
    begin = Clock::now();
    body();
    end = Clock::now();
    const double wall = std::chrono::duration<double>(end - begin).count();
    disturbed = thread_cpu_seconds() - cpu < kOwnShare * wall;
  }
};

/// Runs body(thread, threads) once on every thread of the team at the same time. The time goes from the first start to
/// the last end: waking the threads is not part of it.
template <class Body>
Timing time_together(ThreadTeam& team, const Body& body) {
  const int threads = team.size();
  std::atomic<int> arrived{0};
  std::vector<Part> parts(static_cast<size_t>(threads));
  std::atomic<bool> late{false};
  parallel_for(team, threads, 1, [&](int64_t index, int64_t, int thread) {
    // On a busy machine, or inside a host's own parallel region, one thread may get the work of two: none waits
    // forever.
    constexpr auto kPatience = std::chrono::milliseconds(20);
    const Clock::time_point deadline = Clock::now() + kPatience;
    arrived.fetch_add(1);
    while (arrived.load() < threads) {
      if (Clock::now() > deadline) {
        late.store(true);
        break;
      }
      std::this_thread::yield();
    }
    parts[static_cast<size_t>(index)].run([&] { body(thread, threads); });
  });
  Clock::time_point begin = parts[0].begin, end = parts[0].end, last_begin = begin;
  Timing timing{0, late.load()};
  for (const Part& part : parts) {
    begin = std::min(begin, part.begin);
    last_begin = std::max(last_begin, part.begin);
    end = std::max(end, part.end);
    timing.disturbed = timing.disturbed || part.disturbed;
  }
  timing.seconds = std::max(1e-9, std::chrono::duration<double>(end - begin).count());
  constexpr double kLate = 0.05;  // a thread that slept at the start line
  if (std::chrono::duration<double>(last_begin - begin).count() > kLate * timing.seconds) timing.disturbed = true;
  return timing;
}

template <class Body>
Timing time_alone(const Body& body) {
  Part part;
  part.run(body);
  return {std::max(1e-9, std::chrono::duration<double>(part.end - part.begin).count()), part.disturbed};
}

/// Memory on large pages where the system gives them: ceilings are not to be ceilings of address translation.
class Buffer {
 public:
  explicit Buffer(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GREGALE_CHECK(memory != MAP_FAILED, out_of_memory, "[machine] no memory for a working set of {} MB", bytes >> 20);
    data_ = static_cast<std::byte*>(memory);
    prefer_huge_pages(memory, bytes_);
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
  /// Repeats [first, first + repeats) of the work of one of `threads` threads.
  std::function<void(int thread, int threads, int64_t first, int64_t repeats)> work;
  /// Operations or bytes of one repeat on one of `threads` threads.
  std::function<double(int threads)> amount;
  bool moves = false;  ///< through memory: the next run goes on where the last one stopped
  int64_t repeats = 1;
  std::vector<Sample> one_thread, all_threads;  ///< units a second / 1e9

  bool settled(size_t runs) const {
    auto enough = [&](const std::vector<Sample>& samples) {
      return static_cast<size_t>(
                 std::count_if(samples.begin(), samples.end(), [](const Sample& s) { return !s.disturbed; })) >= runs;
    };
    return (!one || enough(one_thread)) && enough(all_threads);
  }
};

struct Summary {
  double value = 0, spread = 0;
};

double quantile_spread(const std::vector<double>& sorted) {
  const size_t n = sorted.size();
  return sorted[n - 1 - n / 4] - sorted[n / 4];
}

/// The median of the runs that nothing disturbed, few as they may be. Where there are none, the fastest run: what
/// disturbs a run can only slow it down.
Summary summarise(const std::vector<Sample>& samples) {
  constexpr size_t kFewest = 3;  // below this the spread is that of all runs, so that the doubt shows
  std::vector<double> all, quiet;
  for (const Sample& s : samples) {
    all.push_back(s.rate);
    if (!s.disturbed) quiet.push_back(s.rate);
  }
  if (all.empty()) return {};
  std::sort(all.begin(), all.end());
  std::sort(quiet.begin(), quiet.end());
  const size_t n = quiet.size();
  const double value = n > 0 ? (quiet[(n - 1) / 2] + quiet[n / 2]) / 2 : all.back();
  return {value, quantile_spread(n >= kFewest ? quiet : all) / value};
}

/// As many repeats as fill about run_seconds; warms up the caches and the clock meanwhile.
void calibrate(Kind& kind, double run_seconds) {
  constexpr int64_t kMost = int64_t{1} << 40;
  for (;;) {
    const double seconds = time_alone([&] { kind.work(0, 1, 0, kind.repeats); }).seconds;
    if (seconds >= run_seconds / 4 || kind.repeats >= kMost) {
      const double repeats = static_cast<double>(kind.repeats) * run_seconds / seconds;
      kind.repeats = std::max(int64_t{1}, static_cast<int64_t>(repeats));
      return;
    }
    kind.repeats *= 2;
  }
}

const char* const kBf16 = "bf16";
const char* const kInt8 = "int8";

DotUnit bf16_unit(const Target& target) { return target.isa == Isa::amx ? bf16_tile_unit(target) : bf16_dot_unit(); }
DotUnit int8_unit(const Target& target) { return target.isa == Isa::amx ? int8_tile_unit(target) : int8_dot_unit(); }

/// Why target.isa has no unit to measure, or null.
const char* reason_without_unit(Isa isa, const DotUnit& unit, bool bf16) {
  if (isa < Isa::avx512) return "this instruction set has no such dot product";
  if (unit.run != nullptr) return nullptr;
  if (isa == Isa::amx) return bf16 ? "this processor lacks AMX-BF16" : "this processor lacks AMX-INT8";
  return bf16 ? "this processor lacks AVX512_BF16" : "this processor lacks AVX512_VNNI";
}

uint32_t multiply_add(const MachineTable& table, int64_t repeats) {
  // x -> 1 - x, or chains of -x and of x + 1: no overflow, no denormals.
  return static_cast<uint32_t>(static_cast<int64_t>(table.multiply_add(repeats, -1.0f, 1.0f)));
}

const MachineTable& machine_table_for(const Target& target) {
  return table_for(target.isa, isa_generic::machine_table, isa_avx2::machine_table, isa_avx512::machine_table);
}

}  // namespace

Machine measure_machine(const Target& target, ThreadTeam& team, const MachineOptions& options) {
  const Clock::time_point begin = Clock::now();
  const MachineTable& table = machine_table_for(target);
  const int threads = team.size();
  Machine machine;
  machine.target = target;
  machine.threads = threads;

  // One buffer serves all: a slice a thread, whose beginning is the thread's working set in L1 and L2. A slice has two
  // halves, from the one to the other in a copy, and a half has some parts: a run through memory takes the next part of
  // every slice, so that it is short and yet finds nothing in the caches.
  const int64_t wanted = options.memory_bytes > 0 ? options.memory_bytes : default_memory_bytes(target);
  constexpr int64_t kPart = int64_t{32} << 20;
  const int64_t parts = std::clamp<int64_t>(wanted / kPart, 1, 16);
  const int64_t part = whole_steps(wanted / (2 * parts * threads));
  const int64_t half = parts * part, slice = 2 * half;
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
    kind.work = [&sink, run](int, int, int64_t, int64_t repeats) { sink += run(repeats); };
    kind.amount = [flops](int) { return static_cast<double>(flops); };
    kinds.push_back(std::move(kind));
  };
  auto read_cache = [&](const char* name, int64_t bytes) {
    Kind kind;
    kind.name = name;
    kind.work = [&, bytes](int thread, int, int64_t, int64_t repeats) {
      sink += table.read(buffer.data() + thread * slice, bytes, repeats);
    };
    kind.amount = [bytes](int) { return static_cast<double>(bytes); };
    kinds.push_back(std::move(kind));
  };
  /// run(first half's part, second half's part) of the thread's own slice, or of all slices where it is alone.
  auto through_memory = [&](const char* name, bool one, auto run) {
    Kind kind;
    kind.name = name;
    kind.one = one;
    kind.moves = true;
    kind.work = [&, run](int thread, int of, int64_t first, int64_t repeats) {
      for (int64_t r = first; r < first + repeats; ++r) {
        for (int64_t s = of == 1 ? 0 : thread; s < (of == 1 ? threads : thread + 1); ++s) {
          std::byte* begin = buffer.data() + s * slice + r % parts * part;
          run(begin, begin + half);
        }
      }
    };
    kind.amount = [part, threads](int of) { return 2.0 * static_cast<double>(of == 1 ? part * threads : part); };
    kinds.push_back(std::move(kind));
  };

  compute("fp32", table.flops, [&table](int64_t repeats) { return multiply_add(table, repeats); });
  const DotUnit bf16 = bf16_unit(target), int8 = int8_unit(target);
  const char* bf16_reason = reason_without_unit(target.isa, bf16, true);
  const char* int8_reason = reason_without_unit(target.isa, int8, false);
  if (bf16_reason == nullptr) compute(kBf16, bf16.flops, bf16.run);
  if (int8_reason == nullptr) compute(kInt8, int8.flops, int8.run);
  if (bf16_reason != nullptr) machine.reasons[kBf16] = bf16_reason;
  if (int8_reason != nullptr) machine.reasons[kInt8] = int8_reason;
  read_cache("L1", machine.l1_set);
  read_cache("L2", machine.l2_set);
  through_memory("memory", true, [&](const std::byte* a, const std::byte* b) {
    sink += table.read(a, part, 1) + table.read(b, part, 1);
  });
  through_memory("copy", true, [&](const std::byte* a, std::byte* b) { table.copy(b, a, part); });
  if (table.copy_nt != nullptr) {
    through_memory("copy_nt", false, [&](const std::byte* a, std::byte* b) { table.copy_nt(b, a, part); });
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
  // Where other programs disturb the runs there are more of them, as long as the budget lasts.
  constexpr size_t kEnough = 7;
  auto wanted_round = [&](int round) {
    if (round < std::min(rounds, 3)) return true;
    if (seconds_since(begin) >= options.budget_seconds) return false;
    if (round < rounds) return true;
    return !std::all_of(kinds.begin(), kinds.end(),
                        [&](const Kind& k) { return k.settled(std::min(kEnough, static_cast<size_t>(rounds))); });
  };
  int64_t place = 0;  // in memory, for all kinds that go through it
  for (int round = 0; wanted_round(round); ++round) {
    for (Kind& kind : kinds) {
      const double repeats = static_cast<double>(kind.repeats);
      if (kind.one) {
        const Timing t = time_alone([&] { kind.work(0, 1, place, kind.repeats); });
        kind.one_thread.push_back({kind.amount(1) * repeats / t.seconds * 1e-9, t.disturbed});
        if (kind.moves) place += kind.repeats;
      }
      const Timing t = time_together(team, [&](int thread, int of) { kind.work(thread, of, place, kind.repeats); });
      kind.all_threads.push_back({kind.amount(threads) * threads * repeats / t.seconds * 1e-9, t.disturbed});
      if (kind.moves) place += kind.repeats;
      if (round < rounds) progress(kind.name);
    }
    ++machine.rounds;
  }

  for (const Kind& kind : kinds) {
    const Summary one = summarise(kind.one_thread), all = summarise(kind.all_threads);
    const Rate rate{one.value, all.value};
    machine.noise = std::max({machine.noise, one.spread, all.spread});
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

double measure_compute_peak(const Target& target, ThreadTeam& team, ComputeUnit unit, double run_seconds, int rounds) {
  const MachineTable& table = machine_table_for(target);
  DotUnit dot;
  if (unit == ComputeUnit::bf16 && target.isa >= Isa::avx512) dot = bf16_unit(target);
  if (unit == ComputeUnit::int8 && target.isa >= Isa::avx512) dot = int8_unit(target);
  GREGALE_CHECK(unit == ComputeUnit::fp32 || dot.run != nullptr, unsupported, "[machine] no such unit to measure");
  std::atomic<uint32_t> sink{0};
  Kind kind;
  kind.work = [&](int, int, int64_t, int64_t repeats) {
    sink += dot.run != nullptr ? dot.run(repeats) : multiply_add(table, repeats);
  };
  calibrate(kind, run_seconds);
  const double flops = static_cast<double>(dot.run != nullptr ? dot.flops : table.flops);
  for (int round = 0; round < std::max(1, rounds); ++round) {
    const Timing t = time_together(team, [&](int thread, int of) { kind.work(thread, of, 0, kind.repeats); });
    const double amount = flops * static_cast<double>(kind.repeats) * team.size();
    kind.all_threads.push_back({amount / t.seconds * 1e-9, t.disturbed});
  }
  return summarise(kind.all_threads).value;
}

}  // namespace gregale::kernels
