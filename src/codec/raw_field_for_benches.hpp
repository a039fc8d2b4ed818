// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <fstream>
#include <vector>

#include "gregale/tensor.hpp"

namespace gregale::codec {

inline constexpr double kNoValue = -1e34;

/// A field and its mask as bench/compare/codecs.py --export writes them, with these extents; kNoValue where the mask is
/// 0.
inline Tensor read_raw_field(const char* values, const char* mask, char** extents, char** end) {
  Extents e;
  for (; extents < end; ++extents) e.push_back(std::atoll(*extents));
  Tensor field(DType::f32, e);
  std::ifstream(values, std::ios::binary).read(static_cast<char*>(field.data()), field.bytes());
  std::vector<char> there(static_cast<size_t>(field.size()));
  std::ifstream(mask, std::ios::binary).read(there.data(), field.size());
  for (size_t i = 0; i < there.size(); ++i)
    if (there[i] == 0) field.as<float>()[i] = static_cast<float>(kNoValue);
  return field;
}

}  // namespace gregale::codec
