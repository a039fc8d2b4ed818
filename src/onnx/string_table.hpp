// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gregale/onnx.hpp"

namespace gregale::onnx {

/// Strings as numbers, so that operators that move elements or compare them need not know of strings: each string
/// stands for its place in the order of all of them, and the empty one, which fills gaps as zeros do, for 0.
class StringTable {
 public:
  explicit StringTable(const std::vector<Datum>& data);
  /// Strings as i64, anything else as it is.
  Datum numbers(const Datum& datum) const;
  /// The way back; throws ErrorCode::internal for a number that stands for nothing.
  Datum strings(const Tensor& numbers) const;

 private:
  std::map<std::string, int64_t> places_;
  std::vector<const std::string*> texts_;
};

}  // namespace gregale::onnx
