// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gregale/context.hpp"

/// What is looked up about all values of a block: which are ordinary numbers, what they lie between, how far others are
/// from them.
namespace gregale::codec {

/// Of the ordinary ones: finite, and equal to none of those that mean "no data".
struct ValueScan {
  double least = 0, greatest = 0;
  int64_t ordinary = 0, zeros = 0;
};

struct ErrorScan {
  double greatest = 0, squares = 0, sum = 0;
  int64_t violations = 0;  ///< of the bound; NaN is one
};

template <class T>
struct ValueRows {
  ValueScan (*scan)(const T* values, int64_t count, const T* missing, int64_t missing_count);
  /// flags[i] = 1 where ordinary, else 0
  void (*flag)(const T* values, int64_t count, const T* missing, int64_t missing_count, uint8_t* flags);
  /// ordinary[i] = values[i] where flags[i] is 1, else `filler`; classes[i] = 1 - flags[i]. Whether all values without
  /// a flag have the bits of `special`.
  bool (*separate)(const T* values, const uint8_t* flags, int64_t count, T special, T filler, T* ordinary,
                   uint8_t* classes);
  /// Errors of `other`; `flags` null: of all.
  ErrorScan (*compare)(const T* values, const T* other, const uint8_t* flags, int64_t count, double bound);
};

template <class T>
const ValueRows<T>& value_rows(Isa isa);

}  // namespace gregale::codec
