// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/block_autoencoder.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "gregale/train.hpp"

namespace gregale::train {
namespace {

using codec::AutoencoderModel;
using codec::kBoxSide;

constexpr int64_t kBoxValues = kBoxSide * kBoxSide;

/// Boxes anywhere in a field, around their means.
class BoxSampler {
 public:
  BoxSampler(const Tensor& field, const std::vector<double>& missing, uint64_t seed)
      : rows_(field.extent(field.rank() - 2)), columns_(field.extent(field.rank() - 1)), seed_(seed) {
    planes_ = field.size() / std::max<int64_t>(rows_ * columns_, 1);
    const Tensor wide = field.cast(DType::f64);
    for (const double x : wide.as<double>()) {
      const bool valid = std::isfinite(x) && std::find(missing.begin(), missing.end(), x) == missing.end() &&
                         (field.dtype() != DType::f32 || std::none_of(missing.begin(), missing.end(), [&](double m) {
                            return static_cast<float>(m) == static_cast<float>(x);
                          }));
      values_.push_back(valid ? x : 0);
      valid_.push_back(valid ? 1 : 0);
    }
  }

  /// Writes a box and its weights; false where there is too little in it. Boxes of narrow fields have empty rows.
  bool draw(float* box, float* weights) {
    const auto below = [&](int64_t n) {
      return std::min(n - 1, static_cast<int64_t>(random_uniform({seed_, 0, 17}, count_++) * static_cast<double>(n)));
    };
    const int64_t high = std::min(kBoxSide, rows_), wide = std::min(kBoxSide, columns_);
    const int64_t first = (below(planes_) * rows_ + below(rows_ - high + 1)) * columns_ + below(columns_ - wide + 1);
    double sum = 0;
    int64_t number = 0;
    const auto each = [&](auto&& body) {
      for (int64_t y = 0; y < high; ++y)
        for (int64_t x = 0; x < wide; ++x) body(y * kBoxSide + x, static_cast<size_t>(first + y * columns_ + x));
    };
    each([&](int64_t, size_t at) {
      sum += values_[at];
      number += valid_[at];
    });
    if (2 * number < high * wide) return false;
    std::fill_n(box, kBoxValues, 0.0F);
    std::fill_n(weights, kBoxValues, 0.0F);
    const double mean = sum / static_cast<double>(number);
    each([&](int64_t to, size_t at) {
      if (valid_[at] == 0) return;
      box[to] = static_cast<float>(values_[at] - mean);
      weights[to] = 1;
    });
    return true;
  }

 private:
  int64_t rows_, columns_, planes_ = 0;
  uint64_t seed_, count_ = 0;
  std::vector<double> values_;
  std::vector<uint8_t> valid_;
};

/// `count` boxes [count, 16, 16, 1] and their weights, or nothing where hardly any has values.
std::optional<std::pair<Tensor, Tensor>> draw(BoxSampler& sampler, int64_t count) {
  Tensor boxes(DType::f32, {count, kBoxSide, kBoxSide, 1}), weights(DType::f32, {count, kBoxSide, kBoxSide, 1});
  int64_t tries = 0;
  for (int64_t b = 0; b < count; ++tries) {
    if (tries > 200 * count) return std::nullopt;
    if (sampler.draw(boxes.as<float>().data() + b * kBoxValues, weights.as<float>().data() + b * kBoxValues)) ++b;
  }
  return std::pair{boxes, weights};
}

Value leaky(Graph& g, Value x) { return ops::maximum(g, x, ops::mul(g, x, codec::kLeak)); }

Value convolution(nn::Scope& scope, const std::string& name, Value x, int64_t out, int64_t stride) {
  Graph& g = scope.graph();
  const int64_t in = g.type(x).shape[3].value();
  const auto start = nn::Initialiser::normal(std::sqrt(2.0 / static_cast<double>(9 * in)));
  const Value weights = scope.parameter(name + "/weight", {3, 3, in, out}, start);
  const Value bias = scope.parameter(name + "/bias", {out}, nn::Initialiser::zeros(), false);
  return ops::add(g, ops::conv2d_nhwc(g, x, weights, {.strides = {stride, stride}, .pads = {1, 1, 1, 1}}), bias);
}

Value dense(nn::Scope& scope, const std::string& name, Value x, int64_t out) {
  const int64_t in = scope.graph().type(x).shape[1].value();
  return nn::linear(scope, name, x, out, true, nn::Initialiser::normal(std::sqrt(1.0 / static_cast<double>(in))));
}

Value twice(Graph& g, Value x) {  // [b, s, s, c] -> [b, 2 s, 2 s, c]
  const Shape shape = g.type(x).shape;
  const int64_t b = shape[0].value(), s = shape[1].value(), c = shape[3].value();
  x = ops::broadcast_to(g, ops::reshape(g, x, {b, s, 1, s, 1, c}), {b, s, 2, s, 2, c});
  return ops::reshape(g, x, {b, 2 * s, 2 * s, c});
}

/// boxes [b, 16, 16, 1] and noise [b, latents] -> boxes again.
Value autoencoder(nn::Scope& scope, Value boxes, Value noise, const BlockAutoencoderOptions& o) {
  Graph& g = scope.graph();
  const int64_t b = g.type(boxes).shape[0].value(), c = o.channels;
  Value x = leaky(g, convolution(scope, "encoder/0", boxes, c, 2));
  x = leaky(g, convolution(scope, "encoder/1", x, 2 * c, 2));
  x = ops::transpose(g, x, {0, 3, 1, 2});  // channels first, as the codec has them
  x = ops::tanh(g, dense(scope, "encoder/2", ops::reshape(g, x, {b, 2 * c * 16}), o.latents));
  x = leaky(g, dense(scope, "decoder/0", ops::add(g, x, noise), c * 16));
  x = twice(g, ops::transpose(g, ops::reshape(g, x, {b, c, 4, 4}), {0, 2, 3, 1}));
  x = twice(g, leaky(g, convolution(scope, "decoder/1", x, c, 1)));
  return convolution(scope, "decoder/2", x, 1, 1);
}

/// [3, 3, in, out] as [out, in, 3, 3].
std::vector<float> planes_of(const Tensor& weights) {
  const int64_t in = weights.extent(2), out = weights.extent(3);
  std::vector<float> result(static_cast<size_t>(weights.size()));
  for (int64_t k = 0; k < 9; ++k)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o)
        result[static_cast<size_t>((o * in + i) * 9 + k)] =
            weights.as<float>()[static_cast<size_t>((k * in + i) * out + o)];
  return result;
}

std::vector<float> numbers_of(const Tensor& t) { return {t.as<float>().begin(), t.as<float>().end()}; }

}  // namespace

TrainedBlockAutoencoder train_block_autoencoder(const Tensor& field, const std::vector<double>& missing,
                                                const BlockAutoencoderOptions& o, ExecutionContext& context) {
  GREGALE_CHECK(o.latents >= 1 && o.latents <= AutoencoderModel::kMostLatents && o.channels >= 1 &&
                    o.channels <= AutoencoderModel::kMostChannels && o.steps >= 1 && o.batch >= 1,
                invalid_argument, "[train_block_autoencoder] {} latents, {} channels, {} steps of {} boxes", o.latents,
                o.channels, o.steps, o.batch);
  const auto begin = std::chrono::steady_clock::now();
  TrainedBlockAutoencoder result;
  if (field.rank() < 2 || field.size() == 0 || field.extent(field.rank() - 2) < 2 || field.extent(field.rank() - 1) < 2)
    return result;
  BoxSampler sampler(field, missing, o.seed);
  const auto first = draw(sampler, 512);
  if (!first) return result;
  double squares = 0, points = 0;
  for (const float x : first->first.as<float>()) squares += static_cast<double>(x) * static_cast<double>(x);
  for (const float w : first->second.as<float>()) points += static_cast<double>(w);
  const double scale = std::sqrt(squares / points);
  if (!(scale > 0) || !std::isfinite(1 / scale) || !(scale < 1e30)) return result;

  Graph graph("block_autoencoder");
  const Type boxes_type(DType::f32, {o.batch, kBoxSide, kBoxSide, 1});
  const Value boxes = graph.add_input("boxes", boxes_type), weights = graph.add_input("weights", boxes_type);
  const Value noise = graph.add_input("noise", {DType::f32, {o.batch, o.latents}});
  nn::Scope scope(graph);
  const Value loss = nn::mse_loss(graph, autoencoder(scope, boxes, noise, o), boxes, weights);
  TrainingStep step(std::move(graph), scope, loss, {.optimizer = {.kind = Optimizer::Kind::adam}, .clip = 1});
  VariableValues state = step.initial_state(o.seed);
  Tensor shaken(DType::f32, {o.batch, o.latents});
  double error = 0, averaged = 0;
  for (int64_t s = 0; s < o.steps; ++s) {
    auto batch = draw(sampler, o.batch);
    if (!batch) return result;
    for (float& x : batch->first.as<float>()) x = static_cast<float>(static_cast<double>(x) / scale);
    for (uint64_t i = 0; float& n : shaken.as<float>())
      n = (random_uniform({o.seed, static_cast<uint32_t>(s), 18}, i++) - 0.5F) /
          static_cast<float>(AutoencoderModel::kLatentSteps);
    // Down to nothing along half a cosine.
    const double rate =
        o.learning_rate * 0.5 * (1 + std::cos(M_PI * static_cast<double>(s) / static_cast<double>(o.steps)));
    const double now = step.run(context, {batch->first, batch->second, shaken}, state, o.seed, rate).loss;
    if (10 * s >= 9 * o.steps) {
      error += now;
      averaged += 1;
    }
    if (o.progress) o.progress(s + 1, o.steps);
  }
  if (averaged > 0) result.error = error / averaged;

  const VariableValues trained = parameters_of(state, step.parameters(), false);
  auto model = std::make_shared<AutoencoderModel>();
  model->latents = o.latents;
  model->channels = o.channels;
  model->scale = static_cast<float>(scale);
  const auto rounded = [](const std::vector<float>& numbers) { return AutoencoderModel::Tensor8::rounded(numbers); };
  const auto flat = [&](const char* name) { return numbers_of(trained.at(name)); };
  model->decoder = {rounded(flat("decoder/0/weight")),
                    rounded(flat("decoder/0/bias")),
                    rounded(planes_of(trained.at("decoder/1/weight"))),
                    rounded(flat("decoder/1/bias")),
                    rounded(planes_of(trained.at("decoder/2/weight"))),
                    rounded(flat("decoder/2/bias"))};
  model->encoder = {planes_of(trained.at("encoder/0/weight")),
                    flat("encoder/0/bias"),
                    planes_of(trained.at("encoder/1/weight")),
                    flat("encoder/1/bias"),
                    flat("encoder/2/weight"),
                    flat("encoder/2/bias")};
  result.model = std::move(model);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace gregale::train
