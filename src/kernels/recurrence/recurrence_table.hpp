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
};

/// Some units of some sequences.
struct RecurrentCall {
  const RecurrentRow* rows;
  int64_t row_count;
  int64_t first, last;  ///< vectors of units
  int64_t hidden;
  const float* weights;  ///< packed, of one direction
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
