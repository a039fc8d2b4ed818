// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/nn.hpp"
#include "train/problem.hpp"

namespace gregale::train {

/// The graph of one forecast step for `batch` samples. Inputs, those that the problem has: stack, windows (one step:
/// [batch, means, window]), forcing ([batch, channel, lat, lon]), base_last, base_mean, and network_scale f32[], which
/// multiplies the network's output (1; 0 leaves the baseline alone). Result: "prediction", n at the target time,
/// f32 [batch, variable, lat, lon].
Graph forecast_graph(const Problem& problem, const RunConfig::Model& model, int64_t batch);

/// Types of its inputs for a batch of one, as a file's graph must have them.
std::vector<Type> forecast_graph_types(const Problem& problem);

/// A training loss over `rollout` steps, the gradient going through all of them.
struct LossGraph {
  Graph graph{"train"};
  std::unique_ptr<nn::Scope> scope;  ///< refers to the graph: move both or none
  Value loss;
};
/// Inputs as of a Batch (windows and forcing with their rollout axis, truth, mask where `masked`), then the random key.
/// `point_weights` broadcasts against [batch, variable, lat, lon].
std::unique_ptr<LossGraph> loss_graph(const Problem& problem, const RunConfig::Model& model, const std::string& loss,
                                      const Tensor& point_weights, int64_t batch, int64_t rollout, bool masked);

/// The batch's tensors in the order of the loss graph's inputs (without the key).
struct Batch;
std::vector<Tensor> loss_inputs(const Problem& problem, const Batch& batch, bool masked);

}  // namespace gregale::train
