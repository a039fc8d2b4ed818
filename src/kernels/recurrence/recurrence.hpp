// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernels/common.hpp"
#include "kernels/recurrence/activation.hpp"

/// Recurrent layers: what is left of them when the products of their inputs have been made, one step after another.
/// A step is a product of the state by the recurrent weights, which stay in cache, and what the cell makes of it while
/// the sums are in registers. Each sum runs over the state in order.
namespace gregale::kernels {

/// gru resets the state before its product, gru_reset_after what the product gave.
enum class RecurrentCell : uint8_t { rnn, gru, gru_reset_after, lstm };
/// Numbers that a unit has from each product: its gates.
constexpr int64_t gates_of(RecurrentCell cell) {
  return cell == RecurrentCell::rnn ? 1 : cell == RecurrentCell::lstm ? 4 : 3;
}

struct Recurrence {
  RecurrentCell cell = RecurrentCell::rnn;
  int64_t steps = 0, batch = 0, directions = 1, hidden = 0;
  bool reverse[2] = {false, true};
  ActivationCall activations[2][3];  ///< of each direction: f, g, h of the format's definitions
  float clip = 0;                    ///< sums of gates stay within [-clip, clip]; 0: anywhere
  bool input_forget = false;         ///< lstm: the forget gate is 1 - the input gate
  /// lstm: of each row of weights, where they are kept as bytes; empty: f32.
  std::vector<float> byte_scales{};
};

/// Of weights whose rows are each whole numbers from -127 to 127 times a number of its own, to the last bit, those
/// numbers: as weights that were once quantised are. Nothing where a row is not.
std::optional<std::vector<float>> byte_scales(std::span<const float> weights, int64_t columns);
/// Whether a recurrence may keep such weights as bytes: a quarter of what each step reads. The state is multiplied as
/// numbers of 24 bits, so that sums are as exact as those of f32.
bool takes_bytes(const Target& target, RecurrentCell cell);

/// Weights as the kernel reads them, from [directions, gates * hidden, hidden].
int64_t recurrent_weights_bytes(Isa isa, const Recurrence& r);
void pack_recurrent_weights(Isa isa, ThreadTeam& team, const Recurrence& r, const float* weights, float* packed);

struct RecurrenceOperands {
  const float* gates = nullptr;      ///< [steps, batch, directions, gates * hidden]: products of the inputs, and biases
  const float* weights = nullptr;    ///< packed
  const float* bias = nullptr;       ///< gru: [directions, hidden], added to the product of the candidate
  const float* initial_h = nullptr;  ///< [directions, batch, hidden]
  const float* initial_c = nullptr;  ///< lstm: the same
  const float* peepholes = nullptr;  ///< lstm: [directions, 3 * hidden]
  const int64_t* lengths = nullptr;  ///< [batch], each in [0, steps]
  float* y = nullptr;                ///< [steps, directions, batch, hidden], zeros after the end of a sequence
  float* last_h = nullptr;           ///< [directions, batch, hidden]
  float* last_c = nullptr;           ///< lstm: the same
};
int64_t recurrence_scratch_bytes(Isa isa, const Recurrence& r);
void recurrence_f32(Isa isa, ThreadTeam& team, const Recurrence& r, const RecurrenceOperands& operands,
                    std::byte* scratch);

}  // namespace gregale::kernels
