// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/recurrence/activation.hpp"

/// What one instruction set gives to the recurrence family.
namespace gregale::kernels {

/// One sequence at one step. Pointers marked * go to rows padded to whole vectors.
struct RecurrentRow {
  const float* gates;  ///< from the inputs
  const float* h;      ///< the state before
  float* y;            ///< the state after
  float* c;            ///< * lstm: the cell, before and after
  float* update;       ///< * gru: the update gate, between its two parts
  float* reset;        ///< * gru: the state, reset
  /// lstm of bytes: the state as digits (low, middle, high, each in digit_stride() bytes) and what they count.
  uint8_t* digits;
  float unit;
};
/// The state as whole numbers of 24 bits less 2^23, in three rows of bytes with zeros behind.
constexpr int64_t digit_stride(int64_t hidden) { return (hidden + 3) / 4 * 4; }
/// Bytes of weights: for each vector of 16 units and each four elements of the state, four gates of 16 units of four
/// bytes. Then for each vector of units, of each gate the scales, and 128 times the sums of rows, which the digits'
/// offset adds.
constexpr int64_t byte_panel(int64_t hidden) { return digit_stride(hidden) / 4 * 256; }

/// Some units of some sequences.
struct RecurrentCall {
  const RecurrentRow* rows;
  int64_t row_count;
  int64_t first, last;  ///< vectors of units
  int64_t hidden;
  const float* weights;  ///< packed, of one direction
  const int8_t* bytes;   ///< lstm of bytes, in its place
  const float* scales;
  const int32_t* offsets;
  const float* bias;
  const float* peepholes;
  const ActivationCall* activations;
  float clip;
  bool input_forget;
};

struct RecurrenceTable {
  int64_t lanes;
  void (*rnn)(const RecurrentCall&);
  void (*lstm)(const RecurrentCall&);
  void (*gru_reset_after)(const RecurrentCall&);
  /// gru: first all units' gates, then their candidates, with the weights of those.
  void (*gru_gates)(const RecurrentCall&);
  void (*gru_candidate)(const RecurrentCall&);
  /// An lstm with weights of bytes; digits_of_state comes before each step. Null where there are no products of bytes.
  void (*lstm_of_bytes)(const RecurrentCall&);
  void (*digits_of_state)(RecurrentRow& row, int64_t hidden);
};

namespace isa_generic {
extern const RecurrenceTable recurrence_table;
}
namespace isa_avx2 {
extern const RecurrenceTable recurrence_table;
}
namespace isa_avx512 {
extern const RecurrenceTable recurrence_table;
}

}  // namespace gregale::kernels
