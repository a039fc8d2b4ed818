// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gregale::kernels {

enum class Activation : uint8_t {
  tanh,
  sigmoid,
  relu,
  affine,            ///< alpha x + beta
  leaky_relu,        ///< x, below 0 alpha x
  thresholded_relu,  ///< x, below alpha 0
  scaled_tanh,       ///< alpha tanh(beta x)
  hard_sigmoid,      ///< alpha x + beta within [0, 1]
  elu,               ///< x, below 0 alpha (e^x - 1)
  softsign,          ///< x / (1 + |x|)
  softplus,          ///< log(1 + e^x)
};
struct ActivationCall {
  Activation kind = Activation::tanh;
  float alpha = 0, beta = 0;
};

}  // namespace gregale::kernels
