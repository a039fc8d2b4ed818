// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <format.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gregale/tensor.hpp"

namespace gregale::onnx {

/// A valid model of operator set 17 that is the same for every run with this seed: some 6 to 24 nodes of the operators
/// below on tensors of ragged extents, with inputs. What is discontinuous (comparisons, rounding, indices of the
/// greatest) only ever meets values that were moved, not computed, so that two engines that round otherwise agree.
struct RandomModel {
  format::Model model;
  std::vector<std::pair<std::string, Tensor>> inputs;
};
RandomModel random_model(uint64_t seed);

/// The operators that it draws from.
std::vector<std::string> random_model_operators();

}  // namespace gregale::onnx
