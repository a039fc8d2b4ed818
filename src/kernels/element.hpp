// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/dtype.hpp"

/// One element of a tile as f64, whatever it is stored as: for references and tests. f64, f32, f16, bf16; boolean is a
/// bit.
namespace gregale::kernels {

inline double load_element(DType dtype, const void* data, int64_t index) {
  switch (dtype) {
    case DType::f64:
      return static_cast<const double*>(data)[index];
    case DType::f32:
      return static_cast<double>(static_cast<const float*>(data)[index]);
    case DType::bf16:
      return static_cast<double>(to_f32(static_cast<const bf16*>(data)[index]));
    case DType::f16:
      return static_cast<double>(to_f32(static_cast<const f16*>(data)[index]));
    case DType::i8:
      return static_cast<const int8_t*>(data)[index];
    default:
      return (static_cast<const uint8_t*>(data)[index / 8] >> (index % 8)) & 1;
  }
}

inline void store_element(DType dtype, void* data, int64_t index, double value) {
  switch (dtype) {
    case DType::i8:  // a whole number in range
      static_cast<int8_t*>(data)[index] = static_cast<int8_t>(value);
      break;
    case DType::f64:
      static_cast<double*>(data)[index] = value;
      break;
    case DType::f32:
      static_cast<float*>(data)[index] = static_cast<float>(value);
      break;
    case DType::bf16:
      static_cast<bf16*>(data)[index] = to_bf16(static_cast<float>(value));
      break;
    case DType::f16:
      static_cast<f16*>(data)[index] = to_f16(static_cast<float>(value));
      break;
    default: {
      uint8_t& byte = static_cast<uint8_t*>(data)[index / 8];
      const auto bit = static_cast<uint8_t>(1u << (index % 8));
      byte = static_cast<uint8_t>(value != 0 ? byte | bit : byte & ~bit);
    }
  }
}

}  // namespace gregale::kernels
