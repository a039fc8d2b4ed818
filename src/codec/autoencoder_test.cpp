// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/autoencoder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/expect_error_for_tests.hpp"
#include "codec/isa_levels_for_tests.hpp"

namespace gregale::codec {
namespace {

/// A network with weights of no meaning, which bounds do not ask for.
std::shared_ptr<const AutoencoderModel> some_model(int64_t latents, int64_t channels, float size) {
  auto model = std::make_shared<AutoencoderModel>();
  model->latents = latents;
  model->channels = channels;
  model->scale = 3;
  uint64_t drawn = 0;
  const auto numbers = [&](size_t count) {
    std::vector<float> result;
    while (result.size() < count) result.push_back(size * (random_uniform({1, 2, 3}, drawn++) - 0.5F));
    return result;
  };
  const auto sizes = AutoencoderModel::decoder_sizes(latents, channels);
  for (size_t i = 0; i < sizes.size(); ++i) model->decoder[i] = AutoencoderModel::Tensor8::rounded(numbers(sizes[i]));
  const auto c = static_cast<size_t>(channels), l = static_cast<size_t>(latents);
  model->encoder = {numbers(c * 9), numbers(c),          numbers(c * 2 * c * 9),
                    numbers(2 * c), numbers(32 * c * l), numbers(l)};
  return model;
}

Tensor wave_field(const Extents& extents, bool gaps) {
  Tensor t(DType::f32, extents);
  const int64_t w = extents.back();
  for (int64_t i = 0; i < t.size(); ++i) {
    const double x = static_cast<double>(i % w), y = static_cast<double>(i / w);
    float& v = t.as<float>()[static_cast<size_t>(i)];
    v = static_cast<float>(10 * std::sin(x / 9) * std::cos(y / 13) + std::sin(x * y));
    if (gaps && i / 23 % 5 == 2) v = -999;
    if (gaps && i % 1013 == 7) v = std::numeric_limits<float>::quiet_NaN();
  }
  return t;
}

EncodeOptions options_for(const std::shared_ptr<const BlockCodec>& codec) {
  EncodeOptions options;
  options.codec = "autoencoder";
  options.more_codecs = {codec};
  return options;
}

TEST(Autoencoder, KeepsBoundsWhateverItsWeights) {
  for (const Extents& extents : {Extents{100}, {2, 3}, {16, 16}, {37, 53}, {3, 5, 40, 31}, {2, 200, 180}})
    for (const bool gaps : {false, true})
      for (const float size : {0.3F, 1e6F})
        for (const double bound : {0.1, 1e-4}) {
          const Tensor src = wave_field(extents, gaps);
          ErrorContract contract = ErrorContract::absolute(bound);
          contract.missing = {-999};
          const Encoded e =
              encode(src, contract,
                     options_for(autoencoder_codec(Target::detect().isa, some_model(4, 8, size), nullptr, true)));
          EXPECT_LE(e.certificate.max_error, bound);
          if (size < 1 && extents.size() > 1 && src.size() > 3000) {
            EXPECT_EQ(e.certificate.codec, "autoencoder");
          }
          const Tensor back = decode(e.bytes);  // whoever reads needs no model
          for (size_t i = 0; i < static_cast<size_t>(src.size()); ++i) {
            const float a = src.as<float>()[i], b = back.as<float>()[i];
            if (std::isnan(a)) {
              EXPECT_TRUE(std::isnan(b));
            } else if (a == -999) {
              EXPECT_EQ(b, a);
            } else {
              EXPECT_LE(std::abs(static_cast<double>(a) - static_cast<double>(b)), bound);
            }
          }
        }
}

TEST(Autoencoder, DecodesWhatItsEncoderSawOnEveryInstructionSet) {
  Workspace workspace;
  const BlockExtents extents{1, 3, 70, 90};
  const Tensor src = wave_field({3, 70, 90}, false);
  std::vector<uint8_t> valid(static_cast<size_t>(src.size()));
  for (size_t i = 0; i < valid.size(); ++i) {  // boxes with gaps, and boxes of nothing else
    const size_t x = i % 90, y = i / 90 % 70;
    valid[i] = (x / 20 + y / 20) % 3 == 0 || i % 7 == 3 ? 0 : 1;
    if (x < 40 && y < 34) valid[i] = 0;
  }
  const auto model = some_model(4, 8, 0.3F);
  for (const Isa isa : isa_levels())
    for (const uint8_t* flags : {static_cast<const uint8_t*>(nullptr), static_cast<const uint8_t*>(valid.data())}) {
      const auto codec = autoencoder_codec(isa, model, nullptr, true);
      BlockInput<float> in{
          src.as<float>().data(), flags, extents, {ErrorContract::Kind::abs_max, 0.05, {}}, -12, 12, &workspace};
      Bytes bytes;
      ASSERT_TRUE(codec->encode(in, bytes));
      for (const Isa reader : isa_levels()) {
        std::vector<float> back(valid.size());
        autoencoder_codec(reader)->decode(bytes, BlockOutput<float>{back.data(), flags, extents, &workspace});
        for (size_t i = 0; i < back.size(); ++i) {
          if (flags != nullptr && flags[i] == 0) continue;
          ASSERT_LE(std::abs(static_cast<double>(back[i]) - static_cast<double>(src.as<float>()[i])), 0.05) << i;
        }
      }
    }
}

TEST(Autoencoder, GivesTheSameBoxOnEveryInstructionSet) {
  for (const auto& [latents, channels] : {std::pair{4, 8}, {1, 1}, {16, 16}, {7, 5}}) {
    const auto model = some_model(latents, channels, 0.7F);
    std::array<float, 256> expected{}, box{};
    std::array<int32_t, 16> z{};
    for (int32_t l = 0; l < 16; ++l) z[static_cast<size_t>(l)] = 3 * l - 20;
    BoxDecoder(*model, Isa::reference).decode(z.data(), expected.data());
    EXPECT_NE(expected[0], expected[100]);
    for (const Isa isa : isa_levels()) {
      BoxDecoder decoder(*model, isa);
      for (int repeat = 0; repeat < 2; ++repeat) {
        decoder.decode(z.data(), box.data());
        EXPECT_EQ(box, expected) << to_string(isa) << " " << latents << " " << channels;
      }
    }
  }
}

TEST(Autoencoder, LeavesABlockToThePredictiveCodecWhereThatIsShorter) {
  const auto counts = std::make_shared<AutoencoderCounts>();
  const Tensor src = wave_field({120, 130}, false);
  const auto codec = autoencoder_codec(Target::detect().isa, some_model(4, 8, 1.0F), counts);
  const Encoded e = encode(src, ErrorContract::absolute(0.05), options_for(codec));
  const Encoded other = encode(src, ErrorContract::absolute(0.05));
  EXPECT_EQ(counts->blocks, 0);
  EXPECT_GT(counts->other_blocks, 0);
  EXPECT_NEAR(static_cast<double>(e.bytes.size()), static_cast<double>(other.bytes.size()), 4);
  EXPECT_TRUE(decode(e.bytes).identical(decode(other.bytes)));
}

TEST(Autoencoder, NeedsAModelAndRefusesWhatNoEncoderWrites) {
  const Tensor src = wave_field({40, 50}, true);
  EncodeOptions none;
  none.codec = "autoencoder";
  expect_error(ErrorCode::invalid_argument, "needs a model", [&] { encode(src, ErrorContract::absolute(1), none); });
  EXPECT_THAT(codec_names(), testing::Not(testing::Contains("autoencoder")));

  Workspace workspace;
  const auto codec = autoencoder_codec(Target::detect().isa, some_model(4, 8, 1.0F), nullptr, true);
  const Tensor plain = wave_field({40, 50}, false);
  BlockInput<float> in{
      plain.as<float>().data(), nullptr, {1, 1, 40, 50}, {ErrorContract::Kind::abs_max, 0.1, {}}, -12, 12, &workspace};
  Bytes bytes;
  ASSERT_TRUE(codec->encode(in, bytes));
  std::vector<float> back(static_cast<size_t>(plain.size()));
  const BlockOutput<float> out{back.data(), nullptr, {1, 1, 40, 50}, &workspace};
  for (size_t at = 0; at < bytes.size(); at += 1 + at / 8) {
    Bytes damaged = bytes;
    damaged[at] ^= std::byte{0x55};
    Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    for (const Bytes* b : {&damaged, &cut}) {
      try {
        codec->decode(*b, out);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::corrupt_data);
      }
    }
  }
}

}  // namespace
}  // namespace gregale::codec
