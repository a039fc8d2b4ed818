// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "codec/autoencoder_isa.hpp"
#include "codec/block_codec.hpp"

/// Prediction by an autoencoder, after AE-SZ (Liu et al., CLUSTER 2021, arXiv 2105.11730): boxes of 16 x 16 values are
/// described by a few latent numbers, a small convolutional decoder turns these into a prediction, and what is left is
/// coded within the bound like any residual. Each box takes the decoder, its mean, or Lorenzo's predictor; each block
/// the boxes or the predictive codec, whichever is shorter. The decoder's weights are in the block. Nothing here
/// learns: train/block_autoencoder.hpp makes the models.
namespace gregale::codec {

/// latents -> [channels, 4, 4] (linear, leaky) -> twice as large -> [channels, 8, 8] (convolution, leaky) -> twice as
/// large -> [16, 16] (convolution). The encoder: [16, 16] -> [channels, 8, 8] -> [2 channels, 4, 4] (convolutions with
/// stride 2, leaky) -> latents (linear, between -1 and 1 by tanh).
struct AutoencoderModel {
  static constexpr int64_t kMostLatents = 16, kMostChannels = 16;
  static constexpr int32_t kLatentSteps = 16;  ///< latents are multiples of 1 / 16

  int64_t latents = 0, channels = 0;
  float scale = 1;  ///< of a field around the mean of a box
  /// Decoder, rounded to 8 bits a tensor: linear [latents, channels * 16] and bias, convolutions [out, in, 3, 3] and
  /// biases.
  struct Tensor8 {
    float step = 0;
    std::vector<int8_t> values;
    static Tensor8 rounded(const std::vector<float>& values);
    std::vector<float> numbers() const;
  };
  std::array<Tensor8, 6> decoder;
  /// Encoder, in f32; not in streams: convolutions [out, in, 3, 3] and biases, linear [channels * 2 * 16, latents] and
  /// bias.
  std::array<std::vector<float>, 6> encoder;

  static std::array<size_t, 6> decoder_sizes(int64_t latents, int64_t channels);
  void write(ByteWriter& out) const;
  /// Without an encoder. Throws ErrorCode::corrupt_data.
  static AutoencoderModel read(ByteReader& in);
  /// Multiples of 1 / kLatentSteps for a box [16, 16] of values over the scale.
  std::vector<int32_t> encode(const float* box) const;
};

/// Evaluates a model's decoder.
class BoxDecoder {
 public:
  BoxDecoder(const AutoencoderModel& model, Isa isa);
  /// The box [16, 16] of these latents, over the scale.
  void decode(const int32_t* latents, float* box);

 private:
  const AutoencoderTable& table_;
  int64_t latents_, channels_;
  std::array<std::vector<float>, 6> weights_;
  std::vector<float> first_, small_, middle_, large_;
};

/// What became of the blocks and boxes of a codec's encoder.
struct AutoencoderCounts {
  std::atomic<int64_t> blocks = 0, other_blocks = 0;                          ///< by boxes, by the predictive codec
  std::atomic<int64_t> learned_boxes = 0, mean_boxes = 0, lorenzo_boxes = 0;  ///< of the blocks by boxes
  std::atomic<int64_t> model_bytes = 0;                                       ///< in every block by boxes
};

/// `model` null: it decodes only. `alone`: the predictive codec is not tried.
std::shared_ptr<const BlockCodec> autoencoder_codec(Isa isa, std::shared_ptr<const AutoencoderModel> model = nullptr,
                                                    std::shared_ptr<AutoencoderCounts> counts = nullptr,
                                                    bool alone = false);

}  // namespace gregale::codec
