// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "codec/autoencoder.hpp"
#include "gregale/context.hpp"
#include "gregale/tensor.hpp"

/// Trains the autoencoder whose decoder the codec of that name evaluates, after AE-SZ (Liu et al., CLUSTER 2021, arXiv
/// 2105.11730). What is learned is the shape of boxes of 16 x 16 values around their mean; latents are rounded while it
/// is trained as the codec rounds them (by noise of the same variance), missing values weigh nothing.
namespace gregale::train {

struct BlockAutoencoderOptions {
  int64_t latents = 4;   ///< a box; at most AutoencoderModel::kMostLatents
  int64_t channels = 8;  ///< of the convolutions; at most AutoencoderModel::kMostChannels
  int64_t steps = 1500;
  int64_t batch = 128;  ///< boxes
  double learning_rate = 4e-3;
  uint64_t seed = 0;
  std::function<void(int64_t step, int64_t steps)> progress = {};
};

struct TrainedBlockAutoencoder {
  std::shared_ptr<const codec::AutoencoderModel> model;
  double seconds = 0;
  /// Mean squared error of the last steps over the variance around boxes' means: 1 is no better than the mean.
  double error = 1;
};

/// `field` [..., h, w], f32 or f64: planes of the last two dimensions. Null where it has no planes of two rows and
/// columns, no values, or no variance within boxes: there is nothing to learn. Throws ErrorCode::invalid_argument for
/// options that cannot be.
TrainedBlockAutoencoder train_block_autoencoder(const Tensor& field, const std::vector<double>& missing,
                                                const BlockAutoencoderOptions& options, ExecutionContext& context);

}  // namespace gregale::train
