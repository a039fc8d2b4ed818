// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "data/prefetch.hpp"
#include "gregale/error.hpp"
#include "gregale/train.hpp"
#include "train/activation_control.hpp"
#include "train/checkpoint.hpp"
#include "train/emulator_graph.hpp"
#include "train/emulator_state.hpp"
#include "train/event_writer.hpp"
#include "train/features.hpp"
#include "train/schedule.hpp"
#include "train/validation.hpp"

namespace gregale::train {

int64_t SampleOrder::at(int64_t position) {
  const int64_t epoch = position / count_;
  if (epoch != epoch_) {
    epoch_ = epoch;
    permutation_.resize(static_cast<size_t>(count_));
    for (int64_t i = 0; i < count_; ++i) permutation_[static_cast<size_t>(i)] = i;
    const RandomKey key{seed_, static_cast<uint32_t>(epoch), stream_of("sample order")};
    for (int64_t i = count_ - 1; i > 0; --i)  // Fisher-Yates
      std::swap(permutation_[static_cast<size_t>(i)],
                permutation_[random_below(key, static_cast<uint64_t>(i), static_cast<uint64_t>(i) + 1)]);
  }
  return permutation_[static_cast<size_t>(position % count_)];
}

int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  return file >> size >> resident ? resident * sysconf(_SC_PAGESIZE) : peak_rss_bytes();
}

namespace {

/// One stretch of training with its own loss: the one-step part, then the rolled-out fine-tuning.
struct Phase {
  int64_t begin = 0, end = 0;  ///< steps
  int64_t rollout = 1;
  LearningRate learning_rate;
  std::vector<data::Sample> samples;
};

StepOptions step_options(const RunConfig& config) {
  StepOptions o;
  const auto& c = config.optimizer;
  o.optimizer.kind = c.name == "adamw"  ? Optimizer::Kind::adamw
                     : c.name == "adam" ? Optimizer::Kind::adam
                                        : Optimizer::Kind::sgd;
  o.optimizer.learning_rate = c.learning_rate;
  o.optimizer.beta1 = c.beta1;
  o.optimizer.beta2 = c.beta2;
  o.optimizer.epsilon = c.epsilon;
  o.optimizer.weight_decay = c.weight_decay;
  o.optimizer.momentum = c.momentum;
  o.clip = config.train.clip;
  o.ema = config.train.ema;
  return o;
}

constexpr int kBatchesAhead = 2;
/// Steps of a phase before bits of activations are chosen: at first gradients may be nothing at all.
constexpr int64_t kWarmUp = 10;

/// Batches whose memory is used again: what is allocated and freed by two threads in turn never goes back.
class BatchPool {
 public:
  template <class Make>
  Batch take(Make&& make) {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return make();
    Batch batch = std::move(free_.back());
    free_.pop_back();
    return batch;
  }
  void give_back(Batch batch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(batch));
  }

 private:
  std::mutex mutex_;
  std::vector<Batch> free_;
};

/// Keys that may differ between a run and its resumption: they change how long or how often, not what is computed.
bool may_differ(const std::string& key) {
  return key == "train.checkpoint_every" || key == "train.validate_every" || key == "train.memory" ||
         key == "train.notes" || key == "train.checkpoint_moments" || key == "data.test" || key == "data.path";
}

void check_same_run(const nlohmann::json& then, const nlohmann::json& now, const std::string& prefix,
                    const std::string& folder) {
  for (const auto& [key, value] : now.items()) {
    const std::string path = prefix.empty() ? key : prefix + "." + key;
    if (may_differ(path)) continue;
    // A run of a version that did not have the key did what its default does.
    const auto row =
        std::find_if(config_table().begin(), config_table().end(), [&](const ConfigKey& k) { return k.path == path; });
    if (then.is_object() && !then.contains(key) && row != config_table().end() && !row->required &&
        nlohmann::json(row->write(RunConfig{})) == value)
      continue;
    const bool known = then.is_object() && then.contains(key);
    // These do the same wherever the former does anything; with more memory, the latter may stop compressing.
    const auto recomputes = [](const nlohmann::json& how) { return how == "auto" || how == "recompute"; };
    if (path == "train.activations" && known && recomputes(value) && recomputes(then.at(key))) continue;
    if (value.is_object() && known && then.at(key).is_object()) {
      check_same_run(then.at(key), value, path, folder);
      continue;
    }
    GREGALE_CHECK(known && then.at(key) == value, usage,
                  "{}: the run in {} had {}, now it is {}; train into another folder (--out)", path, folder,
                  known ? then.at(key).dump() : "none", value.dump());
  }
}

class Run {
 public:
  Run(const RunConfig& config, ExecutionContext& context, const TrainOptions& options)
      : config_(config), context_(context), options_(options), start_(std::chrono::steady_clock::now()) {}

  TrainResult execute() {
    check_folder();
    open_data();
    plan_phases();
    if (options_.resume && find_run()) return finished_before();
    validator_ = std::make_unique<Validator>(*problem_, config_, *records_);
    try {
      for (const Phase& phase : phases_)
        if (step_ < phase.end || state_.empty()) run_phase(phase);
      return finish();
    } catch (const Error& e) {
      const auto steps = checkpoint_steps(options_.folder);
      if (e.code() != ErrorCode::io || steps.empty()) throw;
      throw Error(ErrorCode::io, fmt::format("{}; --resume continues from {}", e.what(),
                                             checkpoint_path(options_.folder, steps.back())));
    }
  }

 private:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void say(const std::string& line) const {
    if (options_.message) options_.message(line);
  }

  void open_data() {
    std::vector<std::string> paths;
    for (const std::string& p : config_.data.path) paths.push_back(resolve_path(config_, p));
    try {
      records_ = std::make_unique<Records>(data::FieldDataset::open(paths, config_.data.variables));
    } catch (Error& e) {
      throw e.add_context(e.code() == ErrorCode::io || e.code() == ErrorCode::corrupt_data ? "data.path" : "data");
    }
    const grid::TimeAxis& time = records_->time();
    // Periods are checked before anything is learnt or written.
    data::SplitProposal split{config_.data.train, config_.data.validation,
                              config_.data.test.value_or(config_.data.validation)};
    auto named = [](const char* key, auto&& body) {
      try {
        return body();
      } catch (Error& e) {
        throw e.add_context(key);
      }
    };
    training_ = named("data.train", [&] { return data::records_in(time, config_.data.train); });
    named("data.validation", [&] { return data::records_in(time, config_.data.validation); });
    if (config_.data.test) {
      named("data.test", [&] { return data::records_in(time, *config_.data.test); });
      named("data", [&] { return data::check_disjoint(time, split), 0; });
    } else {
      const auto validation = data::records_in(time, config_.data.validation);
      for (int64_t r : validation)
        GREGALE_CHECK(std::find(training_.begin(), training_.end(), r) == training_.end(), usage,
                      "data.validation: {} is also a training record", time.label(r));
    }
    problem_ = std::make_unique<Problem>(learn_problem(config_, *records_));
    references_ = std::make_unique<TrainingReferences>(config_, *problem_, *records_);
  }

  void plan_phases() {
    const RunConfig::Train& t = config_.train;
    Phase first;
    first.samples = data::make_samples(records_->time(), training_, problem_->lead, problem_->history, 1);
    const auto count = static_cast<int64_t>(first.samples.size());
    first.end = t.steps ? *t.steps : t.epochs * ((count + t.batch - 1) / t.batch);
    first.learning_rate = learning_rate(config_, first.end);
    phases_.push_back(std::move(first));
    if (t.finetune.steps > 0) {
      Phase second;
      second.begin = phases_[0].end;
      second.end = second.begin + t.finetune.steps;
      second.rollout = t.finetune.rollout;
      second.samples =
          data::make_samples(records_->time(), training_, problem_->lead, problem_->history, second.rollout);
      GREGALE_CHECK(!second.samples.empty(), usage, "train.finetune.rollout: no training sample reaches {} steps ahead",
                    second.rollout);
      second.learning_rate = finetune_learning_rate(config_);
      phases_.push_back(std::move(second));
    }
    total_ = phases_.back().end;
    // Missing points are masked in the loss wherever the training data have any.
    Tensor field(DType::f32, {records_->elements()});
    for (int64_t r : training_) {
      records_->copy(r, field.as<float>().data());
      if (data::count_missing(field) > 0) {
        masked_ = true;
        break;
      }
    }
  }

  /// What can be said of the folder before anything is read; it is made when there is something to write.
  void check_folder() const {
    namespace fs = std::filesystem;
    const std::string& folder = options_.folder;
    std::error_code error;
    GREGALE_CHECK(!fs::exists(folder, error) || fs::is_directory(folder, error), io, "--out: {} is not a folder",
                  folder);
    const bool holds_run = fs::exists(folder + "/train.json", error) || !checkpoint_steps(folder).empty();
    GREGALE_CHECK(!holds_run || options_.resume, usage, "--out: {} holds a run; --resume continues it", folder);
    fs::path above = fs::absolute(folder);
    while (!fs::exists(above, error) && above.has_relative_path()) above = above.parent_path();
    GREGALE_CHECK(fs::is_directory(above, error) && ::access(above.c_str(), W_OK) == 0, io,
                  "--out: cannot write {}: {} is not a folder that can be written", folder, above.string());
  }

  /// Takes up the run in the folder, where there is one; true where it is finished already.
  bool find_run() {
    namespace fs = std::filesystem;
    const std::string& folder = options_.folder;
    std::optional<FoundCheckpoint> found;
    try {
      found = find_checkpoint(folder);
    } catch (const Error& e) {
      // Starting afresh is right where nothing can be lost by it, which a finished model would be.
      GREGALE_CHECK(!fs::exists(folder + "/model.safetensors"), corrupt_data,
                    "{}; its model.safetensors would be lost: train into another folder (--out), or remove this one",
                    e.message());
      say(e.message() + "; starting afresh");
    }
    if (!found) return false;
    Checkpoint& c = found->checkpoint;
    check_same_run(c.config, config_to_json(config_), "", folder);
    GREGALE_CHECK(c.fingerprint == problem_->fingerprint, invalid_argument,
                  "data.path: the data are not those the run in {} was trained on", folder);
    for (const std::string& damaged : found->damaged) say("damaged, the one before is used: " + damaged);
    step_ = c.step;
    state_ = std::move(c.state);
    activations_ = std::move(c.activations);
    try {
      if (!activations_.is_null()) {
        activations_.at("bits").get<std::vector<int>>();
        activations_.at("rollout").get<int64_t>();
        activations_.at("step").get<int64_t>();
        activation_reports_.push_back(activations_.at("report"));
      }
      for (const nlohmann::json& point : c.history) history_.push_back(to_json(from_json(point)));
    } catch (const nlohmann::json::exception& e) {
      throw_error(ErrorCode::corrupt_data,
                  fmt::format("{}: bad history or activations: {}", checkpoint_path(folder, c.step), e.what()));
    }
    if (!history_.empty()) point_ = from_json(history_.back());
    loss_ = point_.train_loss;
    say(fmt::format("resumed from step {} of {}", step_, total_));
    return step_ >= total_ && fs::exists(folder + "/model.safetensors") && fs::exists(folder + "/train.json");
  }

  /// Made when all inputs have been found good, so that a refused run leaves nothing behind.
  void open_outputs() {
    if (events_) return;
    std::error_code error;
    std::filesystem::create_directories(options_.folder, error);
    GREGALE_CHECK(!error, io, "--out: cannot make the folder {}: {}", options_.folder, error.message());
    events_ = std::make_unique<EventWriter>(options_.folder);
    if (options_.resume) events_->mark_restart(step_ == 0 ? 0 : step_ + 1);
  }

  TrainResult finished_before() {
    TrainResult r;
    r.steps = step_;
    r.already_finished = true;
    r.weights_sha256 = data::tensors_sha256(weights());
    r.validation = point_;
    r.loss = loss_;
    r.peak_rss_bytes = peak_rss_bytes();
    return r;
  }

  /// The final weights by name: the moving averages where there are some.
  VariableValues weights() const {
    VariableValues w;
    const Graph g = forecast_graph(*problem_, config_.model, 1);
    for (const Variable& v : g.variables()) {
      const std::string average = "ema/" + v.name;
      w[v.name] = state_.at(config_.train.ema > 0 ? average : v.name);
    }
    return w;
  }

  StepOptions options_for(const LossGraph& built) const {
    const RunConfig::Train& t = config_.train;
    StepOptions options = step_options(config_);
    options.compile = options_.compile;
    if (t.precision == "bf16") options.compile.precision = Precision::bf16;
    if (t.activations == "keep") options.compile.keep = Keep::everything;
    if (t.activations == "bf16") options.compile.keep = Keep::bf16;
    if (compresses_) options.compile.keep = Keep::compressed;
    if (t.activation_bits != kAutoBits) options.compile.keep_bits = static_cast<int>(t.activation_bits);
    limit_memory(built, options);
    return options;
  }

  std::unique_ptr<LossGraph> build(const Phase& phase) const {
    return loss_graph(*problem_, config_.model, config_.loss.name, loss_weights(config_, *problem_, *records_),
                      config_.train.batch, phase.rollout, masked_);
  }

  std::unique_ptr<TrainingStep> make_step(const Phase& phase) const {
    auto built = build(phase);
    const StepOptions options = options_for(*built);
    if (!chooses_bits()) return std::make_unique<TrainingStep>(compiled(*built, options));
    return std::make_unique<TrainingStep>(compiled_with(*built, options, chosen_bits(phase)));
  }

  /// Whether activations are compressed: where that was asked for, or where train.memory cannot be kept otherwise. In
  /// the latter case nothing, else the step that fits.
  std::unique_ptr<TrainingStep> decide_compression(const Phase& phase) {
    const RunConfig::Train& t = config_.train;
    compresses_ = t.activations == "compress";
    if (t.activations != "auto" || !t.memory) return nullptr;
    auto built = build(phase);
    const StepOptions options = options_for(*built);
    try {
      return std::make_unique<TrainingStep>(built->graph, *built->scope, built->loss, options);
    } catch (const BudgetError& e) {
      compresses_ = true;
      say(fmt::format(
          "train.memory: {:.0f} MB are allowed, keeping or computing activations again needs {:.0f} MB: they "
          "are compressed ({}), and gradients are no longer exact; train.activations: recompute refuses "
          "instead",
          static_cast<double>(*t.memory) * 1e-6,
          static_cast<double>(*t.memory - options.compile.target.memory_budget + e.least()) * 1e-6,
          t.activation_bits == kAutoBits ? "bits are chosen for each" : fmt::format("{} bits", t.activation_bits)));
      return nullptr;
    }
  }

  /// With these bits, or where there are none yet with as many for all as fit.
  TrainingStep compiled_with(const LossGraph& built, StepOptions options, const std::vector<int>& bits) const {
    if (!bits.empty()) {
      options.compile.kept_bits = bits;
      try {
        return compiled(built, options);
      } catch (const Error& e) {
        if (e.code() != ErrorCode::invalid_argument) throw;
        throw_error(ErrorCode::corrupt_data,
                    fmt::format("{}: bits chosen for other activations: {}", options_.folder, e.message()));
      }
    }
    for (const int all : {8, 4, 3, 2}) {
      options.compile.keep_bits = all;
      try {
        return TrainingStep(built.graph, *built.scope, built.loss, options);
      } catch (const BudgetError&) {
      }
    }
    options.compile.keep_bits = 1;
    return compiled(built, options);
  }

  bool chooses_bits() const { return compresses_ && config_.train.activation_bits == kAutoBits; }
  /// What was chosen for this phase; empty where nothing was yet.
  std::vector<int> chosen_bits(const Phase& phase) const {
    if (activations_.is_null() || activations_.at("rollout").get<int64_t>() != phase.rollout) return {};
    return activations_.at("bits").get<std::vector<int>>();
  }
  /// The next step from `step` on before which bits are chosen; the phase's end where there is none.
  int64_t next_choice(const Phase& phase, int64_t step) const {
    if (!chooses_bits()) return phase.end;
    const int64_t first = phase.begin + std::clamp<int64_t>((phase.end - phase.begin) / 10, 1, kWarmUp);
    if (step <= first) return std::min(first, phase.end);
    const int64_t interval = config_.train.activation_interval;
    if (interval == 0) return phase.end;
    return std::min(phase.end, phase.begin + (step - phase.begin + interval - 1) / interval * interval);
  }
  bool chose_at(int64_t step) const {
    return !activations_.is_null() && activations_.at("step").get<int64_t>() == step;
  }

  /// Measures on the batches that come next, at the weights that there are.
  void choose_bits(const Phase& phase) {
    TraceSpan span(context_.trace(), "train", "activation bits");
    const RunConfig::Train& t = config_.train;
    auto built = build(phase);
    StepOptions options = options_for(*built);
    ActivationOptions o;
    o.tolerance = t.activation_tolerance;
    o.of_size = t.activation_reference == "size";
    o.compile = options.compile;
    SampleOrder order(static_cast<int64_t>(phase.samples.size()), static_cast<uint64_t>(t.seed));
    Batch batch = Batch::allocate(*problem_, t.batch, phase.rollout, true);
    const Features features(*problem_, *records_);
    const bool has_key = built->scope->key().valid();
    const auto inputs = [&](int64_t number) {
      for (int64_t i = 0; i < t.batch; ++i) {
        const int64_t position = (step_ + number) * t.batch + i;
        const data::Sample& s = phase.samples[static_cast<size_t>(order.at(position))];
        features.fill(batch, i, s.inputs.back(), s.targets, references_->at(s.targets.front(), position));
      }
      std::vector<Tensor> all = loss_inputs(*problem_, batch, masked_);
      if (has_key) {
        Tensor key(DType::i64, {2});
        key.as<int64_t>()[0] = t.seed;
        key.as<int64_t>()[1] = step_ + number;
        all.push_back(key);
      }
      return all;
    };
    if (options.compile.target.memory_budget > 0)
      o.fits = [&](const std::vector<int>& bits) {
        StepOptions tried = options;
        tried.compile.kept_bits = bits;
        try {
          TrainingStep(built->graph, *built->scope, built->loss, tried);
          return true;
        } catch (const BudgetError&) {
          return false;
        }
      };
    const double began = seconds();
    ActivationChoice choice;
    try {
      choice = choose_activation_bits(built->graph, *built->scope, built->loss,
                                      training_graph(built->graph, *built->scope, built->loss, options), o, context_,
                                      state_, inputs);
    } catch (const BudgetError&) {
      say(
          fmt::format("step {}: train.memory leaves no room to measure what bits of activations do; they stay as they "
                      "are",
                      step_));
      return;
    }
    say(fmt::format("step {}: {} ({:.1f} s)", step_, choice.lines.front(), seconds() - began));
    for (size_t i = 1; i < choice.lines.size(); ++i) say(choice.lines[i]);
    choice.report["step"] = step_;
    activation_reports_.push_back(choice.report);
    activations_ = {{"step", step_}, {"rollout", phase.rollout}, {"bits", choice.bits}, {"report", choice.report}};
    for (const char* what :
         {"kept_bytes", "predicted_error", "measured_error", "quantize_seconds", "dequantize_seconds"})
      events_->add_scalar(fmt::format("activations/{}", what), step_, choice.report.at(what).get<double>());
    for (const nlohmann::json& tensor : choice.report.at("tensors")) {
      const auto prefix = fmt::format("activations/{}/", tensor.at("kind").get<std::string>());
      for (const char* what :
           {"kept_bytes", "predicted_error", "measured_error", "quantize_seconds", "dequantize_seconds"})
        events_->add_scalar(prefix + what, step_, tensor.at(what).get<double>());
      double bits = 0;
      for (const nlohmann::json& b : tensor.at("bits")) bits += b.get<double>();
      events_->add_scalar(prefix + "bits", step_, bits / tensor.at("count").get<double>());
    }
  }

  void run_phase(const Phase& phase) {
    std::unique_ptr<TrainingStep> fits = decide_compression(phase);
    while (step_ < phase.end || state_.empty()) {
      if (chooses_bits() && !state_.empty() && !chose_at(step_) && next_choice(phase, step_) == step_) {
        open_outputs();
        choose_bits(phase);
      }
      const std::unique_ptr<TrainingStep> made = fits ? std::move(fits) : make_step(phase);
      TrainingStep& step = *made;
      if (state_.empty()) state_ = step.initial_state(static_cast<uint64_t>(config_.train.seed));
      state_bytes_ = 0;
      for (const auto& [name, tensor] : state_) state_bytes_ += tensor.bytes();
      flops_ = step.executable().flops();
      arena_ = step.executable().arena_bytes();
      say(step.plan());
      open_outputs();
      if (history_.empty()) {
        validate(std::nan(""));
        write_report("running");
      }
      run_steps(phase, step, next_choice(phase, step_ + 1));
    }
  }

  /// To before step `end` of the run.
  void run_steps(const Phase& phase, TrainingStep& step, int64_t end) {
    const RunConfig::Train& t = config_.train;
    // Batches are made ahead on another thread: which samples they hold is a function of the step alone.
    SampleOrder order(static_cast<int64_t>(phase.samples.size()), static_cast<uint64_t>(t.seed));
    int64_t next = step_;
    BatchPool pool;
    data::Prefetcher<Batch> batches(kBatchesAhead, [&]() -> std::optional<Batch> {
      if (next >= end) return std::nullopt;
      Batch batch = pool.take([&] { return Batch::allocate(*problem_, t.batch, phase.rollout, true); });
      const Features features(*problem_, *records_);
      for (int64_t i = 0; i < t.batch; ++i) {
        const data::Sample& s = phase.samples[static_cast<size_t>(order.at(next * t.batch + i))];
        features.fill(batch, i, s.inputs.back(), s.targets, references_->at(s.targets.front(), next * t.batch + i));
      }
      ++next;
      return batch;
    });
    while (step_ < end) {
      if (options_.stop != nullptr && options_.stop->load()) interrupt();
      auto batch = batches.pop();
      GREGALE_ASSERT(batch.has_value());
      const double rate = phase.learning_rate(step_ - phase.begin);
      TrainingStep::Result result;
      {
        TraceSpan span(context_.trace(), "train", "step");
        result =
            step.run(context_, loss_inputs(*problem_, *batch, masked_), state_, static_cast<uint64_t>(t.seed), rate);
      }
      pool.give_back(std::move(*batch));
      // An infinite gradient has spoilt the weights though the loss before it was finite.
      if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) not_a_number(result, step.parameters());
      ++step_;
      loss_sum_ += result.loss;
      ++loss_count_;
      loss_ = result.loss;
      events_->add_scalar("loss/train", step_, result.loss);
      events_->add_scalar("gradient_norm", step_, result.gradient_norm);
      events_->add_scalar("learning_rate", step_, rate);
      const bool last = step_ == total_;
      const ValidationPoint* point = nullptr;
      if (step_ % t.validate_every == 0 || last) {
        point = validate(loss_sum_ / static_cast<double>(loss_count_));
        loss_sum_ = 0;
        loss_count_ = 0;
        rate_ = rate;
        write_report(last ? "finished" : "running");
        events_->flush();
      }
      if (step_ % t.checkpoint_every == 0 || last) save();
      if (options_.progress) options_.progress({step_, total_, seconds(), result.loss, rate, point});
    }
  }

  TrainingStep compiled(const LossGraph& built, const StepOptions& options) const {
    try {
      return TrainingStep(built.graph, *built.scope, built.loss, options);
    } catch (const BudgetError& e) {
      const int64_t limit = config_.train.memory.value_or(0);
      throw_error(
          ErrorCode::out_of_memory,
          fmt::format("train.memory: {:.0f} MB are allowed, the run needs {:.0f} MB{}; a smaller train.batch or "
                      "model needs less",
                      static_cast<double>(limit) * 1e-6,
                      static_cast<double>(limit - options.compile.target.memory_budget + e.least()) * 1e-6,
                      compresses_ ? " with activations compressed" : ""));
    }
  }

  /// What the step may use for intermediate results, where train.memory limits the process: what program, data and
  /// state leave.
  void limit_memory(const LossGraph& built, StepOptions& options) const {
    if (!config_.train.memory) return;
    // From the configuration alone, not from what this process holds by chance: the plan must be the same next time.
    int64_t used = kProgramBytes + kRuntimeBytes + records_->bytes();
    const Graph graph = training_graph(built.graph, *built.scope, built.loss, options);
    for (const Variable& v : graph.variables()) used += v.type.bytes();
    // Batches made ahead, the one that is being made and the one in use.
    for (const Value v : built.graph.inputs()) used += (kBatchesAhead + 2) * built.graph.type(v).bytes();
    const int64_t left = *config_.train.memory - used;
    GREGALE_CHECK(left > 0, out_of_memory,
                  "train.memory: {:.0f} MB are allowed, program, data and weights alone need "
                  "{:.0f} MB; a smaller train.batch or model needs less",
                  static_cast<double>(*config_.train.memory) * 1e-6, static_cast<double>(used) * 1e-6);
    options.compile.target.memory_budget = left;
  }

  const ValidationPoint* validate(double train_loss) {
    TraceSpan span(context_.trace(), "train", "validation");
    point_ = validator_->measure(context_, weights());
    point_.step = step_;
    point_.train_loss = train_loss;
    history_.push_back(to_json(point_));
    for (const auto& [name, rmse] : point_.rmse) events_->add_scalar("validation/rmse/" + name, step_, rmse);
    events_->add_scalar("validation/ratio_to_climatology", step_, point_.mean_ratio);
    double best = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i + 1 < history_.size(); ++i) best = std::min(best, history_[i].at("mean_ratio").get<double>());
    if (point_.mean_ratio < best) write_model("best.safetensors");
    return &point_;
  }

  void write_model(const char* name) {
    const nlohmann::json provenance = {{"program", "gregale"},
                                       {"version", GREGALE_VERSION},
                                       {"step", step_},
                                       {"steps", total_},
                                       {"seed", config_.train.seed},
                                       {"validation", to_json(point_)},
                                       {"data", records_->dataset().files()}};
    write_emulator(options_.folder + "/" + name, *problem_, config_, weights(), provenance);
  }

  void save() {
    const double bound = config_.train.checkpoint_moments;
    const MomentsCertificate c = write_checkpoint(
        options_.folder, {step_, state_, config_to_json(config_), problem_->fingerprint, history_, activations_},
        options_.open, config_.optimizer.name == "sgd" ? 0 : bound);
    if (c.tensors == 0) return;
    moments_ = {{"bound", c.bound},
                {"bytes", c.bytes_in},
                {"packed_bytes", c.bytes_out},
                {"tensors", c.tensors},
                {"exact_tensors", c.exact},
                {"first_error", c.first_error},
                {"second_error", c.second_error}};
    say(
        fmt::format("checkpoint {}: moments of {:.3g} MB in {:.3g} MB; over the root of the second moment, the first "
                    "errs by at most {:.2g} and the root by {:.2g} (bound {:g})",
                    step_, static_cast<double>(c.bytes_in) * 1e-6, static_cast<double>(c.bytes_out) * 1e-6,
                    c.first_error, c.second_error, c.bound));
  }

  [[noreturn]] void interrupt() {
    save();
    write_report("interrupted");
    throw_error(ErrorCode::interrupted,
                fmt::format("interrupted at step {} of {}; saved, --resume continues", step_, total_));
  }

  [[noreturn]] void not_a_number(const TrainingStep::Result& result, const std::vector<nn::Parameter>& parameters) {
    std::string tensor = "the loss";
    for (const nn::Parameter& p : parameters) {
      const auto values = state_.at(p.name).as<float>();
      if (std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) continue;
      tensor = "'" + p.name + "'";
      break;
    }
    const auto steps = checkpoint_steps(options_.folder);
    write_report("failed");
    throw_error(
        ErrorCode::invalid_argument,
        fmt::format("the loss is {} at step {} ({} is not finite; gradient norm {}); {}; try a smaller "
                    "optimizer.learning_rate or train.clip",
                    result.loss, step_ + 1, tensor, result.gradient_norm,
                    steps.empty() ? "no checkpoint was written yet"
                                  : "the last good checkpoint is " + checkpoint_path(options_.folder, steps.back())));
  }

  void write_report(const char* status) {
    if (!options_.report) return;
    validator_->write_report(options_.folder + "/report.html", config_, history_,
                             {step_, total_, seconds(), loss_, rate_, nullptr}, status);
  }

  TrainResult finish() {
    write_model("model.safetensors");
    TrainResult r;
    r.steps = step_;
    r.seconds = seconds();
    r.loss = loss_;
    r.validation = point_;
    r.baselines = validator_->baselines();
    r.weights_sha256 = data::tensors_sha256(weights());
    r.peak_rss_bytes = peak_rss_bytes();
    r.flops_per_step = flops_;
    r.arena_bytes = arena_;
    r.state_bytes = state_bytes_;
    for (const auto& [name, tensor] : weights()) r.parameters += tensor.size();
    nlohmann::json files = records_->dataset().files();
    nlohmann::json summary = {{"config", config_to_json(config_)},
                              {"version", GREGALE_VERSION},
                              {"command_line", options_.command_line},
                              {"seed", config_.train.seed},
                              {"steps", r.steps},
                              {"seconds", r.seconds},
                              {"data", {{"files", files}, {"fingerprint", problem_->fingerprint}}},
                              {"parameters", r.parameters},
                              {"validation", to_json(r.validation)},
                              {"baselines", r.baselines},
                              {"weights_sha256", r.weights_sha256},
                              {"peak_rss_bytes", r.peak_rss_bytes}};
    if (!activation_reports_.empty()) summary["activations"] = activation_reports_;
    if (!moments_.is_null()) summary["checkpoint_moments"] = moments_;
    data::write_file_atomically(options_.folder + "/train.json", summary.dump(2) + "\n", options_.open);
    return r;
  }

  static nlohmann::json to_json(const ValidationPoint& p) {
    nlohmann::json j = {{"step", p.step}, {"mean_ratio", p.mean_ratio}, {"rmse", p.rmse}};
    j["train_loss"] = std::isfinite(p.train_loss) ? nlohmann::json(p.train_loss) : nlohmann::json();
    return j;
  }
  static ValidationPoint from_json(const nlohmann::json& j) {
    ValidationPoint p;
    p.step = j.at("step").get<int64_t>();
    // JSON has no infinity and no NaN: they were written as null.
    auto number = [](const nlohmann::json& value) { return value.is_null() ? std::nan("") : value.get<double>(); };
    p.mean_ratio = number(j.at("mean_ratio"));
    for (const auto& [name, value] : j.at("rmse").items()) p.rmse[name] = number(value);
    p.train_loss = number(j.at("train_loss"));
    return p;
  }

  const RunConfig& config_;
  ExecutionContext& context_;
  const TrainOptions& options_;
  std::chrono::steady_clock::time_point start_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<Problem> problem_;
  std::unique_ptr<TrainingReferences> references_;
  std::unique_ptr<Validator> validator_;
  std::unique_ptr<EventWriter> events_;
  std::vector<int64_t> training_;
  std::vector<Phase> phases_;
  bool masked_ = false;
  int64_t step_ = 0, total_ = 0;
  VariableValues state_;
  nlohmann::json history_ = nlohmann::json::array();
  bool compresses_ = false;     ///< activations
  nlohmann::json activations_;  ///< bits that were chosen last: "step", "rollout" (of the phase), "bits", "report"
  nlohmann::json activation_reports_ = nlohmann::json::array();
  nlohmann::json moments_;  ///< what the last checkpoint did to them
  ValidationPoint point_;
  double loss_ = 0, rate_ = 0, loss_sum_ = 0, flops_ = 0;
  int64_t loss_count_ = 0, arena_ = 0, state_bytes_ = 0;
};

}  // namespace

TrainResult train(const RunConfig& config, ExecutionContext& context, const TrainOptions& options) {
  return Run(config, context, options).execute();
}

}  // namespace gregale::train
