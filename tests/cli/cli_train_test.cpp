// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Training that is killed, interrupted, out of disk or out of numbers, and resumed: the final weights are, to the bit,
// those of a run that nothing happened to.
#include <algorithm>
#include <atomic>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gregale/random.hpp"
#include "tiny_winds.hpp"
#include "train/checkpoint.hpp"
#include "train/trainer.hpp"

namespace gregale::cli {
namespace {

namespace fs = std::filesystem;
using data::read_text;
using data::write_text;
using testing::HasSubstr;

void flip_a_byte(const std::string& file, size_t from_end = 100) {
  std::string bytes = read_text(file);
  ASSERT_GT(bytes.size(), from_end);
  bytes[bytes.size() - from_end] = static_cast<char>(bytes[bytes.size() - from_end] ^ 1);
  write_text(file, bytes);
}

// ---- kill -9 --------------------------------------------------------------------------------------------------------

class Killed : public TinyRun {
 protected:
  /// Kills a run at random moments, resumes it, kills it again; then lets it end. `threads` are taken in turn.
  void expect_same_weights(const std::vector<std::string>& settings, const std::string& reference_threads,
                           const std::vector<std::string>& threads, uint64_t seed) {
    auto arguments = [&](const std::string& out, const std::string& count) {
      std::vector<std::string> all{"train", "run.yaml", "--quiet", "--threads", count, "--out", out, "--resume"};
      for (const std::string& s : settings) all.insert(all.end(), {"--set", s});
      return all;
    };
    const Outcome whole = in_folder(arguments("whole", reference_threads));
    ASSERT_EQ(whole.status, 0) << whole.err;
    const std::string expected = sha256("whole");
    int killed = 0;
    for (uint64_t round = 0; round < 4; ++round) {
      const std::string out = "killed-" + std::to_string(round);
      size_t turn = round;
      for (uint64_t attempt = 0; attempt < 2; ++attempt) {
        // A resumed run is shorter, so its moment is drawn from a shorter time.
        const double latest = whole.seconds * (attempt == 0 ? 0.95 : 0.5);
        const double moment =
            latest * random_uniform(RandomKey{seed, 0, stream_of("moment of kill")}, 2 * round + attempt);
        How how;
        how.signal = SIGKILL;
        how.signal_when = [&](double seconds, const std::string&) { return seconds >= moment; };
        const Outcome outcome = in_folder(arguments(out, threads[turn++ % threads.size()]), how);
        EXPECT_TRUE(outcome.status == 128 + SIGKILL || outcome.status == 0) << outcome.err;
        killed += outcome.status == 128 + SIGKILL;
      }
      const Outcome resumed = in_folder(arguments(out, threads[turn++ % threads.size()]));
      ASSERT_EQ(resumed.status, 0) << resumed.err;
      EXPECT_EQ(sha256(out), expected) << "round " << round;
      EXPECT_EQ(summary(out)["validation"], summary("whole")["validation"]);
      EXPECT_EQ(data::read_safetensors(path(out + "/best.safetensors")).sha256,
                data::read_safetensors(path("whole/best.safetensors")).sha256);
      expect_no_leftovers();
    }
    RecordProperty("killed", killed);
    RecordProperty("milliseconds_of_the_whole_run", static_cast<int>(whole.seconds * 1000));
    EXPECT_GE(killed, 3) << "the moments missed the run";
  }
  static constexpr const char* kLong = "train.steps=250";
};

TEST_F(Killed, EndsWithTheSameWeights) { expect_same_weights({kLong, "model.width=16"}, "1", {"1"}, 1); }

TEST_F(Killed, OnOneAndTwoThreads) { expect_same_weights({kLong, "model.width=16"}, "2", {"1", "2"}, 2); }

TEST_F(Killed, WhileFineTuning) {
  expect_same_weights({"train.steps=30", "train.finetune.steps=150", "train.finetune.rollout=3"}, "1", {"1"}, 3);
}

TEST_F(Killed, WithMovingAverageAndDropout) {
  expect_same_weights(
      {kLong, "train.ema=0.9", "model.dropout=0.2", "data.cross_fit=one_year", "train.checkpoint_every=3"}, "1",
      {"2", "1"}, 4);
}

TEST_F(Killed, InBf16) { expect_same_weights({kLong, "train.precision=bf16"}, "2", {"1", "2"}, 5); }

TEST_F(Killed, WithBitsChosenForEachActivation) {
  expect_same_weights({"train.steps=61", "model.width=64", "train.batch=16", "train.activations=compress",
                       "train.activation_bits=auto", "train.activation_interval=20"},
                      "2", {"1", "2"}, 6);
}

// ---- Ctrl-C ---------------------------------------------------------------------------------------------------------

TEST_F(TinyRun, CtrlCSavesAndResumeGoesOn) {
  const std::vector<std::string> settings{"--set", "train.steps=400", "--set", "train.checkpoint_every=1000"};
  std::vector<std::string> whole = settings, stopped = settings;
  whole.insert(whole.end(), {"--out", "whole"});
  ASSERT_EQ(train(whole).status, 0);
  How how;
  how.signal = SIGINT;
  // The first report is written when everything is set up and step 1 begins.
  how.signal_when = [&](double, const std::string&) { return exists("run-out/report.html"); };
  const Outcome outcome = train(stopped, how);
  expect_refusal(outcome, 130, {"gregale: train: interrupted at step ", "of 400", "saved", "--resume continues"});
  const auto steps = train::checkpoint_steps(path("run-out"));
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_LT(steps[0], 400);
  EXPECT_THAT(outcome.err, HasSubstr("at step " + std::to_string(steps[0]) + " "));
  EXPECT_THAT(read_text(path("run-out/report.html")), HasSubstr("interrupted"));
  EXPECT_FALSE(exists("run-out/train.json"));
  expect_no_leftovers();
  stopped.push_back("--resume");
  ASSERT_EQ(train(stopped).status, 0);
  EXPECT_EQ(sha256(), sha256("whole"));
}

// ---- compressed activations
// ------------------------------------------------------------------------------------------

TEST_F(TinyRun, ChoosesBitsOfActivationsAndSaysWhatTheyDo) {
  const std::vector<std::string> settings{"--set", "train.steps=40",           "--set", "model.width=64",
                                          "--set", "train.batch=16",           "--set", "train.activations=compress",
                                          "--set", "train.checkpoint_every=20"};
  std::vector<std::string> arguments{"train", "run.yaml", "--set", "train.activation_bits=auto"};
  arguments.insert(arguments.end(), settings.begin(), settings.end());
  const Outcome outcome = in_folder(arguments);
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("step 4: bits of "));
  EXPECT_THAT(outcome.err, HasSubstr(" of noise foreseen, "));
  const nlohmann::json reports = summary()["activations"];
  ASSERT_EQ(reports.size(), 1U);
  const nlohmann::json& report = reports[0];
  EXPECT_EQ(report["step"], 4);
  EXPECT_GT(report["bits"].size(), 4U);
  EXPECT_LE(report["predicted_error"].get<double>(), 0.1 * 1.0001);
  EXPECT_LE(report["measured_error"].get<double>(), 0.13);
  EXPECT_GT(report["measured_error"].get<double>(), 0.02);
  EXPECT_LT(report["kept_bytes"].get<int64_t>(), report["whole_bytes"].get<int64_t>());
  EXPECT_GT(report["tensors"].size(), 1U);
  EXPECT_GT(report["gradients"].size(), 4U);
  const auto metadata = data::read_safetensors(train::checkpoint_path(path("run-out"), 20)).metadata;
  EXPECT_EQ(nlohmann::json::parse(metadata.at("activations"))["bits"], report["bits"]);
  std::string events;
  for (const auto& entry : fs::directory_iterator(path("run-out")))
    if (entry.path().filename().string().rfind("events.", 0) == 0) events += read_text(entry.path().string());
  const std::string kind = report["tensors"][0]["kind"];
  for (const std::string& tag : {std::string("activations/predicted_error"), "activations/" + kind + "/measured_error",
                                 "activations/" + kind + "/bits"})
    EXPECT_THAT(events, HasSubstr(tag));
  // A looser tolerance takes fewer bytes.
  std::vector<std::string> loose = arguments;
  loose.insert(loose.end(), {"--set", "train.activation_tolerance=0.5", "--out", "loose", "--quiet"});
  ASSERT_EQ(in_folder(loose).status, 0);
  EXPECT_LT(summary("loose")["activations"][0]["kept_bytes"].get<int64_t>(), report["kept_bytes"].get<int64_t>());

  // The choice goes with the checkpoint: resumed behind it, nothing is measured, and the weights are the same.
  const std::string expected = sha256();
  for (const char* name : {"model.safetensors", "train.json", "checkpoint-40.safetensors"})
    fs::remove(path(std::string("run-out/") + name));
  arguments.push_back("--resume");
  const Outcome resumed = in_folder(arguments);
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.err, testing::Not(HasSubstr("bits of ")));
  EXPECT_EQ(sha256(), expected);
  EXPECT_EQ(summary()["activations"][0]["bits"], report["bits"]);

  // Bits for another network are no checkpoint of this one.
  data::Safetensors file = data::read_safetensors(train::checkpoint_path(path("run-out"), 20));
  nlohmann::json wrong = nlohmann::json::parse(file.metadata.at("activations"));
  wrong["bits"].push_back(3);
  file.metadata["activations"] = wrong.dump();
  data::write_safetensors(train::checkpoint_path(path("run-out"), 20), file.tensors, file.metadata);
  for (const char* name : {"model.safetensors", "train.json", "checkpoint-40.safetensors"})
    fs::remove(path(std::string("run-out/") + name));
  const Outcome refused = in_folder(arguments);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("bits chosen for other activations"));
}

// What computing again cannot fit into train.memory, compression can: counted by the process, and said.
TEST_F(TinyRun, CompressesActivationsWhereMemoryIsShort) {
  write_tiny_winds(path("winds.nc"), {.months = 48, .rows = 24, .columns = 48});
  const auto with = [&](const std::string& out, const std::string& how, const std::string& memory) {
    return std::vector<std::string>{"train",
                                    "run.yaml",
                                    "--threads",
                                    "1",
                                    "--json",
                                    "--out",
                                    out,
                                    "--set",
                                    "train.steps=2",
                                    "--set",
                                    "train.batch=48",
                                    "--set",
                                    "model.width=64",
                                    "--set",
                                    "model.depth=6",
                                    "--set",
                                    "train.activations=" + how,
                                    "--set",
                                    "train.memory=" + memory};
  };
  const auto peak = [](const Outcome& o) { return nlohmann::json::parse(o.out).at("peak_rss_bytes").get<double>(); };
  const Outcome refused = in_folder(with("refused", "recompute", "320MB"));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("train.memory: 320 MB are allowed, the run needs "));
  const Outcome compressed = in_folder(with("compressed", "auto", "320MB"));
  ASSERT_EQ(compressed.status, 0) << compressed.err;
  EXPECT_THAT(compressed.err, HasSubstr("they are compressed (3 bits), and gradients are no longer exact"));
  EXPECT_LE(peak(compressed), 320e6);

  // With room for it, auto is recomputation, to the bit, and says nothing.
  const Outcome roomy = in_folder(with("roomy", "auto", "420MB")),
                again = in_folder(with("again", "recompute", "420MB"));
  ASSERT_EQ(roomy.status, 0) << roomy.err;
  EXPECT_THAT(roomy.err, testing::Not(HasSubstr("compressed")));
  EXPECT_EQ(sha256("roomy"), sha256("again"));
  EXPECT_NE(sha256("roomy"), sha256("compressed"));

  const Outcome none = in_folder(with("none", "auto", "200MB"));
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("with activations compressed; a smaller train.batch or model needs less"));
}

// ---- damaged checkpoints, changed configurations --------------------------------------------------------------------

TEST_F(TinyRun, ADamagedCheckpointIsPassedOver) {
  ASSERT_EQ(train({"--out", "whole"}).status, 0);
  ASSERT_EQ(train().status, 0);
  ASSERT_EQ(train::checkpoint_steps(path("run-out")), (std::vector<int64_t>{4, 6}));
  fs::remove(path("run-out/model.safetensors"));
  fs::remove(path("run-out/train.json"));
  flip_a_byte(path("run-out/checkpoint-6.safetensors"));
  const Outcome outcome = in_folder({"train", "run.yaml", "--resume"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("damaged, the one before is used: "));
  EXPECT_THAT(outcome.err, HasSubstr("checkpoint-6.safetensors: the tensors do not match their SHA-256"));
  EXPECT_THAT(outcome.err, HasSubstr("resumed from step 4 of 6"));
  EXPECT_EQ(sha256(), sha256("whole"));
  EXPECT_EQ(train::find_checkpoint(path("run-out"))->checkpoint.step, 6);
}

TEST_F(TinyRun, GoesOnFromPackedMoments) {
  const std::vector<std::string> settings{"--set", "train.steps=400", "--set", "train.checkpoint_every=200",
                                          "--set", "model.width=16"};
  const auto half_again = [&](const std::string& out, const std::string& moments) {
    std::vector<std::string> arguments = settings;
    arguments.insert(arguments.end(), {"--out", out, "--set", "train.checkpoint_moments=" + moments});
    const Outcome whole = train(arguments);
    EXPECT_EQ(whole.status, 0) << whole.err;
    for (const char* name : {"/model.safetensors", "/train.json", "/checkpoint-400.safetensors"})
      fs::remove(path(out + name));
    arguments.push_back("--resume");
    const Outcome resumed = train(arguments);
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    return summary(out)["validation"]["mean_ratio"].get<double>();
  };
  ASSERT_EQ(half_again("exact", "exact"), half_again("again", "exact"));
  const double exact = summary("exact")["validation"]["mean_ratio"].get<double>();
  const double near = half_again("near", "{rel: 1e-3}"), far = half_again("far", "{rel: 0.5}");
  EXPECT_NE(sha256("near"), sha256("exact"));
  EXPECT_NEAR(near, exact, 2e-3 * exact);
  EXPECT_GT(std::abs(far - exact), std::abs(near - exact)) << "the bound means nothing";

  // Half-way everything but the moments is what an exact checkpoint has.
  const auto state_of = [&](const std::string& out) {
    return data::read_safetensors(train::checkpoint_path(path(out), 200)).tensors;
  };
  const data::NamedTensors whole = state_of("exact"), packed = state_of("near");
  int moments = 0;
  for (const auto& [name, tensor] : whole) {
    const auto found = packed.find(name);
    if (found == packed.end())
      ++moments;
    else
      EXPECT_TRUE(found->second.identical(tensor)) << name;
  }
  EXPECT_GT(moments, 4);
  EXPECT_LT(fs::file_size(train::checkpoint_path(path("near"), 200)),
            fs::file_size(train::checkpoint_path(path("exact"), 200)));
  EXPECT_GT(summary("near")["checkpoint_moments"]["first_error"].get<double>(), 0);
  EXPECT_LE(summary("near")["checkpoint_moments"]["first_error"].get<double>(), 1e-3);
}

TEST_F(TinyRun, WithoutAWholeCheckpointNothingIsTouched) {
  ASSERT_EQ(train().status, 0);
  flip_a_byte(path("run-out/checkpoint-4.safetensors"));
  const std::string whole = read_text(path("run-out/checkpoint-6.safetensors"));
  for (const size_t size : {size_t{0}, size_t{5}, whole.size() / 2, whole.size() - 1}) {
    write_text(path("run-out/checkpoint-6.safetensors"), whole.substr(0, size));
    const auto before = names("run-out");
    expect_refusal(
        in_folder({"train", "run.yaml", "--resume"}), 1,
        {"gregale: train: ", "no checkpoint in run-out can be used", "checkpoint-6.safetensors", "truncated", "--out"});
    EXPECT_EQ(names("run-out"), before);
  }
}

TEST_F(TinyRun, AnUnfinishedRunWithoutAWholeCheckpointStartsAfresh) {
  ASSERT_EQ(train({"--out", "whole"}).status, 0);
  ASSERT_EQ(train().status, 0);
  fs::remove(path("run-out/model.safetensors"));
  fs::remove(path("run-out/train.json"));
  flip_a_byte(path("run-out/checkpoint-4.safetensors"));
  flip_a_byte(path("run-out/checkpoint-6.safetensors"));
  const Outcome outcome = in_folder({"train", "run.yaml", "--resume"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("no checkpoint in run-out can be used: "));
  EXPECT_THAT(outcome.err, HasSubstr("; starting afresh"));
  EXPECT_EQ(sha256(), sha256("whole"));
}

TEST_F(TinyRun, ARunOfAnEarlierVersionGoesOn) {
  ASSERT_EQ(train({"--out", "whole"}).status, 0);
  ASSERT_EQ(train().status, 0);
  for (const char* name : {"model.safetensors", "train.json", "checkpoint-6.safetensors"})
    fs::remove(path(std::string("run-out/") + name));
  // It knew fewer keys, and recomputed without a choice.
  const std::string file = train::checkpoint_path(path("run-out"), 4);
  data::Safetensors old = data::read_safetensors(file);
  nlohmann::json config = nlohmann::json::parse(old.metadata.at("config"));
  ASSERT_EQ(config["train"]["activations"], "auto");
  config["train"]["activations"] = "recompute";
  for (const char* key : {"checkpoint_moments", "activation_tolerance", "activation_reference", "activation_interval"})
    ASSERT_EQ(config["train"].erase(key), 1U) << key;
  old.metadata["config"] = config.dump();
  data::write_safetensors(file, old.tensors, old.metadata);
  expect_refusal(train({"--resume", "--set", "train.activation_tolerance=0.2"}), 2,
                 {"train.activation_tolerance: the run in run-out had none, now it is 0.2"});
  ASSERT_EQ(train({"--resume"}).status, 0);
  EXPECT_EQ(sha256(), sha256("whole"));
}

TEST_F(TinyRun, AFolderThatHoldsARunIsRefused) {
  ASSERT_EQ(train().status, 0);
  const std::string before = read_text(path("run-out/model.safetensors"));
  const auto files = names("run-out");
  expect_refusal(in_folder({"train", "run.yaml"}), 2, {"gregale: train: --out: run-out holds a run", "--resume"});
  fs::remove(path("run-out/train.json"));
  expect_refusal(in_folder({"train", "run.yaml"}), 2, {"gregale: train: --out: run-out holds a run", "--resume"});
  EXPECT_TRUE(read_text(path("run-out/model.safetensors")) == before);
  EXPECT_EQ(names("run-out").size() + 1, files.size());
}

TEST_F(TinyRun, AChangedConfigurationIsNotResumed) {
  ASSERT_EQ(train().status, 0);
  const auto files = names("run-out");
  for (const auto& [setting, fact] : std::vector<std::pair<std::string, std::string>>{
           {"train.steps=8", "train.steps: the run in run-out had 6, now it is 8"},
           {"model.width=16", "model.width: the run in run-out had 8, now it is 16"},
           {"train.seed=1", "train.seed: the run in run-out had 0, now it is 1"},
           {"data.variables=[V, U]", "data.variables: the run in run-out had"},
           {"optimizer.name=sgd", "optimizer."}})
    expect_refusal(in_folder({"train", "run.yaml", "--resume", "--set", setting}), 2,
                   {"gregale: train: " + fact, "--out"});
  // Other data under the same name.
  TinyWinds winds;
  winds.change = [](size_t, int, int, int, double value) { return value + 1; };
  write_tiny_winds(path("winds.nc"), winds);
  expect_refusal(in_folder({"train", "run.yaml", "--resume"}), 1,
                 {"gregale: train: data.path: the data are not those the run in run-out was trained on"});
  EXPECT_EQ(names("run-out"), files);
}

TEST_F(TinyRun, ResumeOfAFinishedRunDoesNothing) {
  ASSERT_EQ(train().status, 0);
  const std::string before = sha256();
  const auto files = names("run-out");
  const auto written = fs::last_write_time(path("run-out/model.safetensors"));
  const Outcome outcome = train({"--resume", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["weights_sha256"], before);
  EXPECT_EQ(json["steps"], 6);
  EXPECT_EQ(json["already_finished"], true);
  EXPECT_EQ(names("run-out"), files);
  EXPECT_EQ(fs::last_write_time(path("run-out/model.safetensors")), written);
}

TEST_F(TinyRun, ResumeFinishesWhatLacksOnlyItsFiles) {
  ASSERT_EQ(train({"--out", "whole"}).status, 0);
  for (const char* lost : {"model.safetensors", "train.json"}) {
    if (!exists("run-out")) fs::copy(path("whole"), path("run-out"));
    fs::remove(path(std::string("run-out/") + lost));
    ASSERT_EQ(train({"--resume"}).status, 0);
    EXPECT_EQ(sha256(), sha256("whole"));
    EXPECT_TRUE(read_text(path("run-out/model.safetensors")) == read_text(path("whole/model.safetensors")));
    EXPECT_EQ(summary()["parameters"], summary("whole")["parameters"]);
    EXPECT_EQ(summary()["baselines"], summary("whole")["baselines"]);
  }
}

TEST_F(TinyRun, ResumeStartsAfreshWhereThereIsNothing) {
  ASSERT_EQ(train({"--resume"}).status, 0);
  ASSERT_EQ(train({"--out", "other"}).status, 0);
  EXPECT_EQ(sha256(), sha256("other"));
}

// ---- disks that are full --------------------------------------------------------------------------------------------

/// Writes until told to fail.
class FailingSink : public data::FileSink {
 public:
  FailingSink(const std::string& path, int writes, bool sync)
      : inner_(data::open_file_sink(path)), writes_(writes), sync_(sync) {}
  void write(const void* bytes, size_t count) override {
    if (writes_-- == 0) throw_error(ErrorCode::io, "injected write failure");
    inner_->write(bytes, count);
  }
  void sync() override {
    if (sync_) throw_error(ErrorCode::io, "injected sync failure");
    inner_->sync();
  }

 private:
  std::unique_ptr<data::FileSink> inner_;
  int writes_;
  bool sync_;
};

class NoRoom : public TinyRun {
 protected:
  train::TrainResult train_here(const data::SinkFactory& open, bool resume) {
    ExecutionContext context;
    train::TrainOptions options;
    options.folder = path("run-out");
    options.resume = resume;
    options.open = open;
    return train::train(train::load_config(path("run.yaml")), context, options);
  }
  void expect_failure_is_survived(const data::SinkFactory& open_checkpoint_4, const std::string& why) {
    fs::remove_all(path("run-out"));
    auto open = [&](const std::string& file) {
      return file.find("checkpoint-4") == std::string::npos ? data::open_file_sink(file) : open_checkpoint_4(file);
    };
    try {
      train_here(open, false);
      ADD_FAILURE() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::io);
      EXPECT_THAT(e.what(), HasSubstr("cannot write " + path("run-out/checkpoint-4.safetensors") + ": " + why));
      EXPECT_THAT(e.what(), HasSubstr("--resume continues from " + path("run-out/checkpoint-2.safetensors")));
    }
    EXPECT_EQ(train::checkpoint_steps(path("run-out")), std::vector<int64_t>{2});
    const auto left = train::find_checkpoint(path("run-out"));
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->checkpoint.step, 2);
    EXPECT_TRUE(left->damaged.empty());
    expect_no_leftovers();
    EXPECT_EQ(train_here(data::open_file_sink, true).weights_sha256, sha256("whole"));
  }
};

TEST_F(NoRoom, InjectedFailuresOfACheckpointAreSurvived) {
  ASSERT_EQ(train({"--out", "whole"}).status, 0);
  for (const int writes : {0, 1, 2, 9})
    expect_failure_is_survived(
        [=](const std::string& file) { return std::make_unique<FailingSink>(file, writes, false); },
        "injected write failure");
  expect_failure_is_survived([](const std::string& file) { return std::make_unique<FailingSink>(file, -1, true); },
                             "injected sync failure");
  expect_failure_is_survived(
      [](const std::string&) -> std::unique_ptr<data::FileSink> { throw_error(ErrorCode::io, "open: denied"); },
      "open: denied");
}

TEST_F(NoRoom, AFullDiskWhileWritingACheckpointIsSurvived) {
  ASSERT_EQ(train({"--out", "whole"}).status, 0);
  expect_failure_is_survived(
      [](const std::string& file) {
        data::open_file_sink(file);  // so that there is a temporary file to remove
        return std::make_unique<data::FullDiskSink>();
      },
      "write: No space left on device");
}

TEST_F(NoRoom, TheProgramSaysWhichFileDidNotFit) {
  // Checkpoints, with their moments, are larger than everything else that is written.
  const std::vector<std::string> wide{"--set", "model.width=128"};
  ASSERT_EQ(train(wide).status, 0);
  uint64_t largest = 0;
  for (const std::string& name : names("run-out"))
    if (name.rfind("checkpoint", 0) != 0) largest = std::max<uint64_t>(largest, fs::file_size(path("run-out/" + name)));
  const uint64_t checkpoint = fs::file_size(path("run-out/checkpoint-6.safetensors"));
  ASSERT_GT(checkpoint, largest + 10000);
  const std::string expected = sha256();
  fs::remove_all(path("run-out"));
  How how;
  how.file_size_limit = (checkpoint + largest) / 2;
  expect_refusal(train(wide, how), 1,
                 {"gregale: train: cannot write run-out/checkpoint-2.safetensors: write: File too large"});
  EXPECT_TRUE(train::checkpoint_steps(path("run-out")).empty());
  expect_no_leftovers();
  ASSERT_EQ(train(wide).status, 0);  // nothing there holds a run
  EXPECT_EQ(sha256(), expected);
}

// ---- numbers that are none ------------------------------------------------------------------------------------------

TEST_F(TinyRun, ALossThatIsNoNumberNamesStepTensorAndCheckpoint) {
  const std::vector<std::string> wild{"--set", "optimizer.learning_rate=1e30", "--set", "train.checkpoint_every=1",
                                      "--set", "train.validate_every=1",       "--set", "train.steps=20"};
  const Outcome outcome = train(wild);
  expect_refusal(outcome, 1,
                 {"gregale: train: the loss is ", "at step ", "is not finite",
                  "the last good checkpoint is run-out/checkpoint-", "optimizer.learning_rate"});
  EXPECT_THAT(outcome.err, testing::ContainsRegex("\\('[a-z0-9_/.]+' is not finite"));
  EXPECT_FALSE(exists("run-out/model.safetensors"));
  EXPECT_THAT(read_text(path("run-out/report.html")), HasSubstr("failed"));
  // The checkpoint that is named holds numbers.
  const auto last = train::find_checkpoint(path("run-out"));
  ASSERT_TRUE(last.has_value());
  EXPECT_THAT(outcome.err, HasSubstr("checkpoint-" + std::to_string(last->checkpoint.step) + ".safetensors"));
  for (const auto& [name, tensor] : last->checkpoint.state) {
    if (tensor.dtype() != DType::f32) continue;
    for (const float value : tensor.as<float>()) ASSERT_TRUE(std::isfinite(value)) << name;
  }
  // Resumed, it fails at the same step for the same reason.
  std::vector<std::string> again = wild;
  again.push_back("--resume");
  EXPECT_EQ(train(again).err, outcome.err);
}

}  // namespace
}  // namespace gregale::cli
