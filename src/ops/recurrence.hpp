// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "kernels/recurrence/recurrence.hpp"

/// What the recurrent layers share. Their first operands are the same: gates, weights, initial_h, lengths; then come
/// lstm's initial_c and peepholes, gru's bias.
namespace gregale::ops {

enum RecurrentOperand : int64_t { kGates, kWeights, kInitialH, kLengths, kInitialC, kPeepholes, kBias = kInitialC };

/// An operator of a cell, but for doc and samples.
OpDef recurrent_op(std::string name, kernels::RecurrentCell cell);
Attributes to_attributes(const RecurrentOptions& options, kernels::RecurrentCell cell);
/// Operands for `steps` of `batch` sequences; the first one is as long as that, each other one shorter than the one
/// before.
Sample recurrent_sample(kernels::RecurrentCell cell, int64_t steps, int64_t batch, int64_t hidden, uint32_t stream,
                        const RecurrentOptions& options);
/// What samples of every cell are of: directions, activations, lengths, extents.
std::vector<Sample> recurrent_samples(kernels::RecurrentCell cell);

}  // namespace gregale::ops
