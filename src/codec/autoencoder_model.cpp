// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "codec/autoencoder.hpp"

namespace gregale::codec {
namespace {

constexpr int64_t kSeed = 4, kMiddle = 8;  // sides of the planes on the way to a box

/// 3 x 3 with stride 2 and zeros around: [in, side, side] -> [out, side / 2, side / 2].
std::vector<float> halved(const std::vector<float>& src, int64_t in, int64_t side, const std::vector<float>& weights,
                          const std::vector<float>& bias) {
  const auto out = static_cast<int64_t>(bias.size()), half = side / 2;
  std::vector<float> dst(static_cast<size_t>(out * half * half));
  for (int64_t o = 0; o < out; ++o)
    for (int64_t y = 0; y < half; ++y)
      for (int64_t x = 0; x < half; ++x) {
        float sum = bias[static_cast<size_t>(o)];
        for (int64_t i = 0; i < in; ++i)
          for (int64_t ky = 0; ky < 3; ++ky)
            for (int64_t kx = 0; kx < 3; ++kx) {
              const int64_t sy = 2 * y + ky - 1, sx = 2 * x + kx - 1;
              if (sy < 0 || sy >= side || sx < 0 || sx >= side) continue;
              sum += weights[static_cast<size_t>(((o * in + i) * 3 + ky) * 3 + kx)] *
                     src[static_cast<size_t>((i * side + sy) * side + sx)];
            }
        dst[static_cast<size_t>((o * half + y) * half + x)] = leaky_relu(sum);
      }
  return dst;
}

/// Every value twice in both directions, into planes with a frame of zeros: those of `src` have one where `framed`.
void double_size(const float* src, bool framed, int64_t channels, int64_t side, float* dst) {
  const int64_t frame = framed ? 1 : 0, row = side + 2 * frame, to = 2 * side + 2;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t y = 0; y < 2 * side; ++y)
      for (int64_t x = 0; x < 2 * side; ++x)
        dst[(c * to + y + 1) * to + x + 1] = src[(c * row + y / 2 + frame) * row + x / 2 + frame];
}

}  // namespace

AutoencoderModel::Tensor8 AutoencoderModel::Tensor8::rounded(const std::vector<float>& numbers) {
  Tensor8 t;
  float greatest = 0;
  for (const float x : numbers) greatest = std::max(greatest, std::abs(x));
  t.step = greatest / 127;
  for (const float x : numbers)
    t.values.push_back(static_cast<int8_t>(t.step > 0 ? std::lrint(std::clamp(x / t.step, -127.0F, 127.0F)) : 0));
  return t;
}

std::vector<float> AutoencoderModel::Tensor8::numbers() const {
  std::vector<float> result;
  for (const int8_t v : values) result.push_back(static_cast<float>(v) * step);
  return result;
}

std::array<size_t, 6> AutoencoderModel::decoder_sizes(int64_t latents, int64_t channels) {
  const auto l = static_cast<size_t>(latents), c = static_cast<size_t>(channels);
  return {l * c * 16, c * 16, c * c * 9, c, c * 9, 1};
}

void AutoencoderModel::write(ByteWriter& out) const {
  out.number(static_cast<uint8_t>(latents));
  out.number(static_cast<uint8_t>(channels));
  out.number(scale);
  for (const Tensor8& t : decoder) {
    out.number(t.step);
    out.raw(t.values.data(), t.values.size());
  }
}

AutoencoderModel AutoencoderModel::read(ByteReader& in) {
  AutoencoderModel model;
  model.latents = in.number<uint8_t>();
  model.channels = in.number<uint8_t>();
  if (model.latents < 1 || model.latents > kMostLatents || model.channels < 1 || model.channels > kMostChannels)
    in.fail("no such autoencoder");
  model.scale = in.number<float>();
  if (!std::isfinite(model.scale)) in.fail("no such autoencoder");
  const std::array<size_t, 6> sizes = decoder_sizes(model.latents, model.channels);
  for (size_t i = 0; i < sizes.size(); ++i) {
    Tensor8& t = model.decoder[i];
    t.step = in.number<float>();
    if (!std::isfinite(t.step)) in.fail("no such autoencoder");
    const ByteSpan bytes = in.take(sizes[i]);
    for (const std::byte b : bytes) t.values.push_back(static_cast<int8_t>(b));
  }
  return model;
}

std::vector<int32_t> AutoencoderModel::encode(const float* box) const {
  const std::vector<float> values(box, box + kBoxSide * kBoxSide);
  const std::vector<float> first = halved(values, 1, kBoxSide, encoder[0], encoder[1]);
  const std::vector<float> second = halved(first, channels, kMiddle, encoder[2], encoder[3]);
  std::vector<int32_t> result;
  for (int64_t l = 0; l < latents; ++l) {
    float sum = encoder[5][static_cast<size_t>(l)];
    for (size_t i = 0; i < second.size(); ++i)
      sum += second[i] * encoder[4][i * static_cast<size_t>(latents) + static_cast<size_t>(l)];
    result.push_back(static_cast<int32_t>(std::lrint(std::tanh(sum) * kLatentSteps)));
  }
  return result;
}

BoxDecoder::BoxDecoder(const AutoencoderModel& model, Isa isa)
    : table_(autoencoder_table(isa)), latents_(model.latents), channels_(model.channels) {
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i] = model.decoder[i].numbers();
  const auto planes = [&](int64_t side) {
    return std::vector<float>(static_cast<size_t>(channels_ * (side + 2) * (side + 2)));
  };
  first_.resize(static_cast<size_t>(channels_ * kSeed * kSeed));
  small_ = planes(kMiddle);
  middle_ = planes(kMiddle);
  large_ = planes(kBoxSide);
}

void BoxDecoder::decode(const int32_t* latents, float* box) {
  std::array<float, AutoencoderModel::kMostLatents> z{};
  for (int64_t l = 0; l < latents_; ++l)
    z[static_cast<size_t>(l)] = static_cast<float>(latents[l]) * (1.0F / AutoencoderModel::kLatentSteps);
  table_.linear(z.data(), latents_, weights_[0].data(), weights_[1].data(), channels_ * kSeed * kSeed, true,
                first_.data());
  double_size(first_.data(), false, channels_, kSeed, small_.data());
  table_.convolve(small_.data(), channels_, weights_[2].data(), weights_[3].data(), channels_, kMiddle, false,
                  middle_.data());
  double_size(middle_.data(), true, channels_, kMiddle, large_.data());
  table_.convolve(large_.data(), channels_, weights_[4].data(), weights_[5].data(), 1, kBoxSide, true, box);
}

}  // namespace gregale::codec
