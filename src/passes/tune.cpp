// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/tune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <optional>

#include "base/log.hpp"
#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "kernels/kernel_cache.hpp"
#include "passes/tune_cache.hpp"
#include "tile/program_executor.hpp"

namespace gregale::passes {
namespace {

constexpr int kLeastRounds = 3, kMostRounds = 25;

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Groups that are lowered alike: they share a body and what is known of their operands.
struct Kind {
  const Graph* body = nullptr;
  std::vector<tile::Given> given;
  int times = 0;
  double seconds = 0;  ///< estimated, of all its groups in one run
  std::string hash;
  std::vector<tile::ScheduleCandidate> candidates;
};

std::string text_of(const Graph& body, const std::vector<tile::Given>& given) {
  Blobs large;
  std::string text = print(body, &large) + "\n";
  for (const tile::Given g : given) text += "-cp"[static_cast<size_t>(g)];
  return text;
}

/// The programs of one group's candidates over operands that all of them share.
class Trial {
 public:
  Trial(ThreadTeam& team, kernels::KernelCache& cache, const std::vector<tile::ScheduleCandidate>& candidates)
      : team_(team) {
    int64_t memory = 0, scratch = 0;
    std::vector<int64_t> elements;
    std::vector<DType> dtypes;
    for (const tile::ScheduleCandidate& c : candidates) {
      programs_.emplace_back(cache, c.region.program);
      memory = std::max(memory, programs_.back().memory_bytes());
      scratch = std::max(scratch, programs_.back().thread_bytes());
      size_t at = 0;
      for (const tile::Buffer& b : c.region.program.buffers) {
        if (b.scope != tile::Scope::argument) continue;
        if (at == elements.size()) {
          elements.push_back(0);
          dtypes.push_back(b.dtype);
        }
        elements[at] = std::max(elements[at], b.elements);
        ++at;
      }
    }
    for (size_t i = 0; i < elements.size(); ++i) {
      operands_.push_back(operand(dtypes[i], elements[i]));
      pointers_.push_back(operands_.back().data());
    }
    memory_ = Tensor(DType::u8, Extents{memory + 64});
    scratch_ = Tensor(DType::u8, Extents{scratch * team.size() + 64});
  }

  void run(size_t candidate) {
    programs_[candidate].run(team_, pointers_.data(), static_cast<std::byte*>(memory_.data()),
                             static_cast<std::byte*>(scratch_.data()));
  }

 private:
  /// Numbers of a usual size: nothing overflows, and no unit is slower for them.
  static Tensor operand(DType dtype, int64_t elements) {
    Tensor t(dtype, Extents{elements});
    if (dtype == DType::f32) {
      uint32_t state = 1;
      for (float& x : t.as<float>()) {
        state = state * 1664525u + 1013904223u;
        x = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
      }
    } else if (dtype == DType::bf16) {
      auto* bits = static_cast<uint16_t*>(t.data());
      uint32_t state = 1;
      for (int64_t i = 0; i < elements; ++i) {
        state = state * 1664525u + 1013904223u;
        bits[i] = static_cast<uint16_t>(0x3e00u | (state >> 31 << 15) | (state >> 24 & 0x7fu));  // 1/8 to 1/4
      }
    }
    return t;
  }

  ThreadTeam& team_;
  std::vector<tile::CompiledProgram> programs_;
  std::vector<Tensor> operands_;
  std::vector<const void*> pointers_;
  Tensor memory_, scratch_;
};

class Tuner {
 public:
  Tuner(const Graph& graph, const Target& target, const TuneOptions& options, TuneReport& report)
      : g_(graph), target_(target), options_(options), report_(report), cache_(options.cache, target) {
    if (target_.kernels == nullptr) target_.kernels = std::make_shared<kernels::KernelCache>(target_);
    if (options_.rates.f32_flops <= 0) options_.rates = tile::rates_of(target_);
    if (!options_.clock)
      options_.clock = [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
      };
  }

  Graph run() {
    begin_ = options_.clock();
    if (collect().empty()) return g_;
    double bytes = 0;
    for (int32_t v = 0; v < static_cast<int32_t>(g_.value_count()); ++v)
      bytes += static_cast<double>(g_.type(Value{v}).bytes());
    is_small_ = bytes <= static_cast<double>(target_.l2_bytes) * target_.cores;
    std::vector<Kind*> todo;
    for (Kind& k : kinds_)
      if (!look_up(k)) todo.push_back(&k);
    std::sort(todo.begin(), todo.end(), [](const Kind* a, const Kind* b) { return a->seconds > b->seconds; });
    for (size_t i = 0; i < todo.size(); ++i)
      if (!try_measure(*todo[i], static_cast<int>(todo.size() - i))) ++report_.unmeasured;
    cache_.save();
    report_.seconds = options_.clock() - begin_;
    return choices_.empty() ? g_ : with_choices();
  }

 private:
  double left() const { return options_.budget_seconds - (options_.clock() - begin_); }

  std::vector<tile::Given> given_of(const Node& fused) const {
    const NodeView view = view_of(g_, fused);
    return tile::given_of(view, target_, view.boolean("in_parts"));
  }

  /// The kinds worth a thought, with their candidates.
  std::vector<Kind>& collect() {
    std::map<std::string, size_t> known;
    for (const Node& n : g_.nodes()) {
      if (n.op->name != "fused") continue;
      const std::vector<tile::Given> given = given_of(n);
      const std::string text = text_of(n.regions[0], given);
      const auto [at, fresh] = known.try_emplace(text, kinds_.size());
      if (fresh) kinds_.push_back({&n.regions[0], given, 0, 0, hash_of_group(text), {}});
      ++kinds_[at->second].times;
    }
    for (Kind& k : kinds_) {
      auto own = tile::lower_region(*k.body, target_, k.given);
      if (!own) continue;
      k.seconds = tile::estimate(own.value().program, target_, options_.rates).seconds * k.times;
      if (k.seconds >= options_.floor_seconds)
        k.candidates = tile::schedule_candidates(*k.body, target_, k.given, options_.rates);
    }
    kinds_.erase(std::remove_if(kinds_.begin(), kinds_.end(), [](const Kind& k) { return k.candidates.size() < 2; }),
                 kinds_.end());
    return kinds_;
  }

  TuneReport::Group entry(const Kind& k) const {
    TuneReport::Group g;
    g.name = k.body->name();
    g.times = k.times;
    g.estimated = k.candidates[0].seconds;
    g.candidates = static_cast<int>(k.candidates.size());
    return g;
  }

  bool look_up(const Kind& k) {
    const tile::ScheduleChoice* choice = cache_.find(k.hash);
    if (choice == nullptr) return false;
    // A file may say anything: only what would be measured is believed.
    const std::vector<tile::ScheduleChoice> possible = tile::schedules_around(k.candidates[0].region.freedom);
    if (std::find(possible.begin(), possible.end(), *choice) == possible.end()) return false;
    TuneReport::Group g = entry(k);
    g.choice = to_string(*choice);
    g.cached = true;
    take(k, *choice, std::move(g));
    return true;
  }

  void take(const Kind& k, const tile::ScheduleChoice& choice, TuneReport::Group entry) {
    if (log_enabled("tune"))
      log_line("tune", fmt::format("'{}' x {}: {}{}, estimated {:.4g} ms", entry.name, k.times,
                                   entry.choice.empty() ? "as by formula" : entry.choice,
                                   entry.cached ? " (kept from before)"
                                                : fmt::format(", {:.4g} ms instead of {:.4g}, {} schedules timed",
                                                              entry.after * 1e3, entry.before * 1e3, entry.candidates),
                                   entry.estimated * 1e3));
    report_.groups.push_back(std::move(entry));
    if (!(choice == tile::ScheduleChoice{})) choices_[k.hash] = to_string(choice);
  }

  /// Nothing that goes wrong here keeps a program from being compiled.
  bool try_measure(Kind& k, int waiting) {
    try {
      return measure(k, waiting);
    } catch (const Error& e) {
      if (log_enabled("tune")) log_line("tune", fmt::format("'{}' is not measured: {}", k.body->name(), e.what()));
    } catch (const std::bad_alloc&) {
      if (log_enabled("tune")) log_line("tune", fmt::format("'{}' is not measured: out of memory", k.body->name()));
    }
    return false;
  }

  /// Times a group's candidates in at most half of the time that is left, while others wait. False where that is too
  /// little for a decision.
  bool measure(Kind& k, int waiting) {
    const double begin = options_.clock(), share = left() / std::min(waiting, 2);
    // So many candidates as can be told apart in that time, should they take as long as estimated.
    const double one = std::max(k.candidates[0].seconds, 1e-7);
    const auto affordable = static_cast<size_t>(std::clamp(share / (one * (kLeastRounds + 1)), 0.0, 100.0));
    if (affordable < 2 || !fits(k)) return false;
    if (k.candidates.size() > affordable) k.candidates.resize(affordable);
    if (team_ == nullptr) team_ = make_thread_team(target_.cores, TeamKind::std_thread);
    Trial trial(*team_, *target_.kernels, k.candidates);
    std::vector<std::vector<double>> seconds(k.candidates.size());
    std::vector<size_t> alive(k.candidates.size());
    std::iota(alive.begin(), alive.end(), size_t{0});
    // Of what finds its operands in the cache anyway, several runs are easier to time than one.
    constexpr double kTimed = 200e-6;
    const int repeats = is_small_ ? static_cast<int>(std::clamp(kTimed / one, 1.0, 50.0)) : 1;
    double longest = 0;                                   // of a round
    for (int round = -1; round < kMostRounds; ++round) {  // the first, not counted, touches new pages
      const double at = options_.clock();
      bool whole = at - begin + longest <= share;
      for (size_t i = 0; i < alive.size() && whole; ++i) {
        displace();
        const double start = options_.clock();
        for (int r = 0; r < repeats; ++r) trial.run(alive[i]);
        const double now = options_.clock();
        ++report_.runs;
        if (round >= 0) seconds[alive[i]].push_back((now - start) / repeats);
        whole = i + 1 == alive.size() || now - begin <= share;
      }
      if (!whole) break;
      const double now = options_.clock();
      longest = std::max(longest, now - at);
      constexpr double kEnough = 0.05;  // seconds for each candidate
      if (round + 1 >= 3 * kLeastRounds && now - begin > kEnough * static_cast<double>(k.candidates.size())) break;
      if (round + 1 == kLeastRounds) drop_losers(seconds, alive);
    }
    // A round that was cut short counts for nobody.
    size_t rounds = seconds[0].size();
    for (const size_t c : alive) rounds = std::min(rounds, seconds[c].size());
    for (const size_t c : alive) seconds[c].resize(rounds);
    if (rounds < static_cast<size_t>(kLeastRounds)) return false;
    const size_t best = choose_by_times(seconds);
    TuneReport::Group g = entry(k);
    g.choice = to_string(k.candidates[best].choice);
    g.before = median_of(seconds[0]);
    g.after = median_of(seconds[best]);
    cache_.set(k.hash, k.candidates[best].choice);
    take(k, k.candidates[best].choice, std::move(g));
    return true;
  }

  /// What is far behind after a few rounds will not win.
  static void drop_losers(const std::vector<std::vector<double>>& seconds, std::vector<size_t>& alive) {
    constexpr double kFar = 1.1;
    const auto fastest = [&](size_t c) { return *std::min_element(seconds[c].begin(), seconds[c].end()); };
    double best = fastest(0);
    for (const size_t c : alive) best = std::min(best, fastest(c));
    alive.erase(
        std::remove_if(alive.begin(), alive.end(), [&](size_t c) { return c != 0 && fastest(c) > kFar * best; }),
        alive.end());
  }

  /// Whether there is memory for operands to try a group with.
  bool fits(const Kind& k) const {
    constexpr int64_t kMost = int64_t{4} << 30;
    const int64_t most = target_.memory_budget > 0 ? std::min(kMost, target_.memory_budget) : kMost;
    double bytes = 0;
    for (const tile::Buffer& b : k.candidates[0].region.program.buffers)
      bytes += static_cast<double>(b.elements) * static_cast<double>(size_of(b.dtype));
    return bytes <= static_cast<double>(most);
  }

  /// In a model other groups run before this one, so its operands are not in the cache of the core that wants them;
  /// unless the whole model is that small.
  void displace() {
    if (is_small_) return;
    const int64_t lines = 3 * target_.l2_bytes / 2 / 64;
    if (other_.size() == 0) other_ = Tensor(DType::u8, Extents{64 * lines * team_->size() + 64});
    std::atomic<int> sum{0};
    parallel_for(*team_, team_->size(), 1, [&](int64_t index, int64_t, int) {
      const auto* bytes = static_cast<const volatile uint8_t*>(other_.data()) + 64 * lines * index;
      int own = 0;
      for (int64_t i = 0; i < lines; ++i) own += bytes[64 * i];
      sum += own;
    });
  }

  Graph with_choices() const {
    return rewrite(
        g_, [this](Graph& to, const Node& node, const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
          if (node.op->name != "fused") return {};
          const auto found = choices_.find(hash_of_group(text_of(node.regions[0], given_of(node))));
          if (found == choices_.end()) return {};
          Attributes attributes = node.attributes;
          attributes["schedule"] = found->second;
          return to.add(*node.op, inputs, attributes, node.regions);
        });
  }

  const Graph& g_;
  Target target_;
  TuneOptions options_;
  TuneReport& report_;
  TuneCache cache_;
  std::vector<Kind> kinds_;
  std::map<std::string, std::string> choices_;  // hash -> schedule
  std::unique_ptr<ThreadTeam> team_;
  Tensor other_;  ///< what takes the place of operands in the caches
  bool is_small_ = false;
  double begin_ = 0;
};

}  // namespace

size_t choose_by_times(const std::vector<std::vector<double>>& seconds) {
  size_t best = 0;
  double least = 0;
  const size_t rounds = seconds[0].size();
  for (size_t c = 1; c < seconds.size(); ++c) {
    if (seconds[c].size() != rounds || rounds == 0) continue;  // given up
    std::vector<double> ratios;  // of the same round: what slows the machine down slows both
    for (size_t r = 0; r < rounds; ++r) ratios.push_back(seconds[c][r] / seconds[0][r]);
    std::sort(ratios.begin(), ratios.end());
    constexpr double kWorthIt = 0.97;
    const double middle = median_of(ratios), upper = ratios[(3 * rounds + 3) / 4 - 1];  // the third quartile
    if (middle >= kWorthIt || upper >= 1 - (1 - kWorthIt) / 2) continue;
    if (best == 0 || middle < least) {
      best = c;
      least = middle;
    }
  }
  return best;
}

Graph tune(const Graph& graph, const Target& target, const TuneOptions& options, TuneReport* report) {
  TuneReport unread;
  return Tuner(graph, target, options, report != nullptr ? *report : unread).run();
}

}  // namespace gregale::passes
