// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "data/temporary_folder_for_tests.hpp"
#include "gregale/error.hpp"
#include "train/trainer.hpp"

namespace gregale::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Checkpoint checkpoint(int64_t step) {
  Checkpoint c;
  c.step = step;
  c.state["w"] = Tensor::full(DType::f32, {3, 2}, static_cast<double>(step));
  c.state["step"] = Tensor::scalar(step);
  c.config = {{"train", {{"seed", 3}}}};
  c.fingerprint = "0123";
  c.history = nlohmann::json::array({{{"step", 0}}});
  return c;
}

void damage(const std::string& path) {
  std::string bytes = data::read_text(path);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 4);
  data::write_text(path, bytes);
}

TEST(Checkpoints, ComeBackAsTheyWere) {
  data::TemporaryFolder folder;
  EXPECT_FALSE(find_checkpoint(folder.path()).has_value());
  EXPECT_FALSE(find_checkpoint(folder.path("nowhere")).has_value());
  const Checkpoint c = checkpoint(7);
  write_checkpoint(folder.path(), c);
  const auto found = find_checkpoint(folder.path());
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->damaged.empty());
  EXPECT_EQ(found->checkpoint.step, 7);
  EXPECT_EQ(found->checkpoint.config, c.config);
  EXPECT_EQ(found->checkpoint.history, c.history);
  EXPECT_EQ(found->checkpoint.fingerprint, "0123");
  ASSERT_EQ(found->checkpoint.state.size(), 2U);
  for (const auto& [name, t] : c.state) EXPECT_TRUE(t.identical(found->checkpoint.state.at(name)));
}

TEST(Checkpoints, TheLastTwoAreKept) {
  data::TemporaryFolder folder;
  for (int64_t step : {5, 10, 100, 1000}) write_checkpoint(folder.path(), checkpoint(step));
  EXPECT_THAT(checkpoint_steps(folder.path()), ElementsAre(100, 1000));
  EXPECT_EQ(folder.names().size(), 2U) << "nothing else is left behind";
  for (const char* name :
       {"checkpoint-x.safetensors", "checkpoint-.safetensors", "checkpoint--4.safetensors",
        "checkpoint-9.safetensors.part", "best.safetensors", "checkpoint-99999999999999999999.safetensors"})
    data::write_text(folder.path(name), "x");
  EXPECT_THAT(checkpoint_steps(folder.path()), ElementsAre(100, 1000));
}

TEST(Checkpoints, DamagedOnesArePassedOver) {
  data::TemporaryFolder folder;
  write_checkpoint(folder.path(), checkpoint(10));
  write_checkpoint(folder.path(), checkpoint(20));
  damage(checkpoint_path(folder.path(), 20));
  auto found = find_checkpoint(folder.path());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->checkpoint.step, 10);
  ASSERT_EQ(found->damaged.size(), 1U);
  EXPECT_THAT(found->damaged[0], HasSubstr("checkpoint-20"));

  // The run goes on from 10: what it writes is kept, not the damaged one of its future.
  write_checkpoint(folder.path(), checkpoint(15));
  EXPECT_THAT(checkpoint_steps(folder.path()), ElementsAre(10, 15));

  for (const char* text : {"", "no checkpoint", "\x08\0\0\0\0\0\0\0{}      "}) {
    data::write_text(checkpoint_path(folder.path(), 30), text);
    found = find_checkpoint(folder.path());
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->checkpoint.step, 15);
  }
}

TEST(Checkpoints, MetadataOutOfShapeIsDamage) {
  data::TemporaryFolder folder;
  write_checkpoint(folder.path(), checkpoint(10));
  const data::Safetensors whole = data::read_safetensors(checkpoint_path(folder.path(), 10));
  for (const auto& [key, text] : whole.metadata)
    for (const char* wrong : {"{", "", "-1", "1e3x"}) {
      if (key == "fingerprint") continue;  // any text is one; the run compares it
      data::Metadata metadata = whole.metadata;
      metadata[key] = wrong;
      if (key == "step" && std::string(wrong) == "1e3x") continue;
      data::write_safetensors(checkpoint_path(folder.path(), 20), whole.tensors, metadata);
      const auto found = find_checkpoint(folder.path());
      ASSERT_TRUE(found.has_value());
      EXPECT_EQ(found->checkpoint.step, 10) << key << " " << wrong;
    }
}

TEST(Checkpoints, AFullDiskLosesNothing) {
  data::TemporaryFolder folder;
  write_checkpoint(folder.path(), checkpoint(10));
  write_checkpoint(folder.path(), checkpoint(20));
  EXPECT_THROW(write_checkpoint(folder.path(), checkpoint(30),
                                [](const std::string&) { return std::make_unique<data::FullDiskSink>(); }),
               Error);
  EXPECT_EQ(find_checkpoint(folder.path())->checkpoint.step, 20);
  EXPECT_THAT(checkpoint_steps(folder.path()), ElementsAre(10, 20));
}

TEST(Checkpoints, WithPackedMomentsAreDamagedLikeOthers) {
  data::TemporaryFolder folder;
  Checkpoint c = checkpoint(10);
  Tensor m(DType::f32, {40, 50}), v(DType::f32, {40, 50});
  for (size_t i = 0; i < 2000; ++i) {
    m.as<float>()[i] = 1e-4F * static_cast<float>(i % 17);
    v.as<float>()[i] = 1e-6F * static_cast<float>(1 + i % 13);
  }
  c.state["w"] = Tensor::full(DType::f32, {40, 50}, 0.1);
  c.state["adam/m/w"] = m;
  c.state["adam/v/w"] = v;
  write_checkpoint(folder.path(), c);
  c.step = 20;
  const MomentsCertificate certificate = write_checkpoint(folder.path(), c, data::open_file_sink, 1e-2);
  EXPECT_EQ(certificate.exact, 0);
  auto found = find_checkpoint(folder.path());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->checkpoint.step, 20);
  ASSERT_EQ(found->checkpoint.state.size(), c.state.size());
  EXPECT_TRUE(found->checkpoint.state.at("w").identical(c.state.at("w")));
  EXPECT_FALSE(found->checkpoint.state.at("adam/v/w").identical(v)) << "nothing was compressed";

  // Checksums find flipped bits; streams that a checksum covers but nobody can have written are found too.
  const data::Safetensors whole = data::read_safetensors(checkpoint_path(folder.path(), 20));
  EXPECT_EQ(whole.metadata.at("format"), "gregale.checkpoint/2");
  for (const char* name : {"packed/adam/m/w", "packed/adam/v/w"}) {
    data::NamedTensors tensors = whole.tensors;
    tensors[name] = Tensor(DType::u8, {64});
    data::write_safetensors(checkpoint_path(folder.path(), 20), tensors, whole.metadata);
    found = find_checkpoint(folder.path());
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->checkpoint.step, 10);
    ASSERT_EQ(found->damaged.size(), 1U);
    EXPECT_THAT(found->damaged[0], HasSubstr("checkpoint-20"));
  }
}

TEST(SampleOrder, IsAPermutationEachEpoch) {
  for (int64_t count : {1, 2, 95}) {
    SampleOrder order(count, 4);
    std::vector<std::vector<int64_t>> epochs;
    for (int64_t epoch = 0; epoch < 4; ++epoch) {
      std::vector<int64_t> seen;
      for (int64_t i = 0; i < count; ++i) seen.push_back(order.at(epoch * count + i));
      epochs.push_back(seen);
      std::sort(seen.begin(), seen.end());
      std::vector<int64_t> all(static_cast<size_t>(count));
      std::iota(all.begin(), all.end(), int64_t{0});
      EXPECT_EQ(seen, all);
    }
    if (count == 95) {
      for (size_t a = 0; a < 4; ++a)
        for (size_t b = 0; b < a; ++b) EXPECT_NE(epochs[a], epochs[b]);
    }
    // A function of seed and position alone, whatever was asked before.
    SampleOrder again(count, 4);
    for (int64_t position : {3 * count, count - 1, int64_t{0}, 2 * count + count / 2})
      EXPECT_EQ(again.at(position),
                epochs[static_cast<size_t>(position / count)][static_cast<size_t>(position % count)]);
  }
  SampleOrder one(95, 1), two(95, 2);
  int64_t differ = 0;
  for (int64_t i = 0; i < 95; ++i) differ += one.at(i) != two.at(i);
  EXPECT_GT(differ, 80);
}

}  // namespace
}  // namespace gregale::train
