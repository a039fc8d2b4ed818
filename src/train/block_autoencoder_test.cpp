// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/block_autoencoder.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/expect_error_for_tests.hpp"
#include "gregale/codec.hpp"

namespace gregale::train {
namespace {

/// Every box of 16 x 16 is one of two waves, up to a factor: what a learned predictor can know and neighbours do not
/// tell.
Tensor shapes(int64_t boxes_high, int64_t boxes_wide) {
  const int64_t h = 16 * boxes_high, w = 16 * boxes_wide;
  Tensor t(DType::f32, {h, w});
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) {
      const auto box = static_cast<uint64_t>(y / 16 * boxes_wide + x / 16);
      const float size = 2 * random_uniform({4, 0, 1}, box) - 1;
      const double u = static_cast<double>(x % 16), v = static_cast<double>(y % 16);
      const double wave =
          random_uniform({4, 0, 2}, box) < 0.5F ? std::sin(1.2 * u) * std::cos(1.1 * v) : std::cos(0.9 * u + 1.3 * v);
      t.as<float>()[static_cast<size_t>(y * w + x)] = size * static_cast<float>(wave);
    }
  return t;
}

/// The model as the codec uses it: mean squared error over the variance, of boxes on their own places.
double error_of(const codec::AutoencoderModel& model, const Tensor& field) {
  codec::BoxDecoder decoder(model, Isa::reference);
  const int64_t h = field.extent(0), w = field.extent(1);
  double error = 0, variance = 0;
  for (int64_t y = 0; y < h; y += 16)
    for (int64_t x = 0; x < w; x += 16) {
      std::array<float, 256> box{}, back{};
      for (int64_t i = 0; i < 256; ++i)
        box[static_cast<size_t>(i)] =
            field.as<float>()[static_cast<size_t>((y + i / 16) * w + x + i % 16)] / model.scale;
      decoder.decode(model.encode(box.data()).data(), back.data());
      for (size_t i = 0; i < 256; ++i) {
        const double d = static_cast<double>(back[i]) - static_cast<double>(box[i]);
        error += d * d;
        variance += static_cast<double>(box[i]) * static_cast<double>(box[i]);
      }
    }
  return error / variance;
}

TEST(BlockAutoencoder, LearnsTheShapesOfAField) {
  ExecutionContext context;
  // Boxes are drawn anywhere; in a field one box high and wide there is only one place in each plane.
  const Tensor plane = shapes(1, 400);
  Tensor field(DType::f32, {400, 16, 16});
  for (int64_t b = 0; b < 400; ++b)
    for (int64_t y = 0; y < 16; ++y)
      for (int64_t x = 0; x < 16; ++x)
        field.as<float>()[static_cast<size_t>((b * 16 + y) * 16 + x)] =
            plane.as<float>()[static_cast<size_t>(y * 6400 + b * 16 + x)];
  int64_t told = 0;
  BlockAutoencoderOptions options;
  options.steps = 300;
  options.batch = 64;
  options.progress = [&](int64_t step, int64_t) { told = step; };
  const TrainedBlockAutoencoder trained = train_block_autoencoder(field, {}, options, context);
  ASSERT_NE(trained.model, nullptr);
  EXPECT_EQ(told, 300);
  EXPECT_LT(trained.error, 0.3);
  EXPECT_GT(trained.seconds, 0);
  // Weights of eight bits and rounded latents cost little of it.
  EXPECT_LT(error_of(*trained.model, shapes(8, 9)), trained.error + 0.1);

  // So the codec takes it for boxes.
  const auto counts = std::make_shared<codec::AutoencoderCounts>();
  EncodeOptions learned;
  learned.codec = "autoencoder";
  learned.more_codecs = {codec::autoencoder_codec(Target::detect().isa, trained.model, counts, true)};
  const Encoded e = encode(field, ErrorContract::absolute(0.1), learned);
  EXPECT_LE(e.certificate.max_error, 0.1);
  EXPECT_GT(counts->learned_boxes, counts->mean_boxes + counts->lorenzo_boxes);
  EXPECT_GT(counts->model_bytes, 1000);
  EXPECT_EQ(decode(e.bytes).extents(), field.extents());
}

TEST(BlockAutoencoder, SaysWhereThereIsNothingToLearn) {
  ExecutionContext context;
  BlockAutoencoderOptions options;
  options.steps = 2;
  EXPECT_EQ(train_block_autoencoder(Tensor(DType::f32, {100}), {}, options, context).model, nullptr);
  EXPECT_EQ(train_block_autoencoder(Tensor::full(DType::f32, {40, 40}, 3), {}, options, context).model, nullptr);
  EXPECT_EQ(train_block_autoencoder(Tensor::full(DType::f64, {40, 40}, -999), {-999}, options, context).model, nullptr);
  options.latents = 0;
  expect_error(ErrorCode::invalid_argument, "0 latents", [&] {
    train_block_autoencoder(Tensor::full(DType::f32, {40, 40}, 3), {}, options, context);
  });
}

}  // namespace
}  // namespace gregale::train
