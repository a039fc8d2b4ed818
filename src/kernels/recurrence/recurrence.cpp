// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/recurrence/recurrence.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "kernels/isa_table.hpp"
#include "kernels/recurrence/recurrence_table.hpp"

namespace gregale::kernels {
namespace {

const RecurrenceTable& recurrence_table_of(Isa isa) {
  return table_for(isa, isa_generic::recurrence_table, isa_avx2::recurrence_table, isa_avx512::recurrence_table);
}

/// Multiply-adds of a step above which its units are shared among threads: below, they would wait for each other
/// longer than they work.
constexpr int64_t kSharedStep = 1 << 17;
/// Multiply-adds of a whole recurrence below which one thread does it all.
constexpr int64_t kSharedRun = 1 << 16;

int64_t vectors_of(const RecurrenceTable& table, const Recurrence& r) {
  return (r.hidden + table.lanes - 1) / table.lanes;
}
int64_t padded(const RecurrenceTable& table, const Recurrence& r) { return vectors_of(table, r) * table.lanes; }
int64_t packed_size(const RecurrenceTable& table, const Recurrence& r) {
  return gates_of(r.cell) * padded(table, r) * r.hidden;
}

/// Bytes of one direction's packed weights where they are bytes, and where its scales and offsets begin.
struct ByteLayout {
  explicit ByteLayout(const Recurrence& r)
      : vectors((r.hidden + kUnits - 1) / kUnits),
        scales(align_bytes(vectors * byte_panel(r.hidden))),
        offsets(scales + vectors * 4 * kUnits * 4),
        all(offsets + vectors * 4 * kUnits * 4) {}
  static constexpr int64_t kUnits = 16;
  int64_t vectors, scales, offsets, all;
};

void pack_bytes(ThreadTeam& team, const Recurrence& r, const float* weights, const float* row_scales,
                std::byte* packed) {
  const ByteLayout layout(r);
  constexpr int64_t kUnits = ByteLayout::kUnits;
  const int64_t panel = byte_panel(r.hidden);
  auto* scales = reinterpret_cast<float*>(packed + layout.scales);
  auto* offsets = reinterpret_cast<int32_t*>(packed + layout.offsets);
  parallel_for(team, layout.vectors, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(panel, 1)),
               [&](int64_t begin, int64_t end, int) {
                 std::fill(packed + begin * panel, packed + end * panel, std::byte{0});
                 for (int64_t v = begin; v < end; ++v)
                   for (int64_t g = 0; g < 4; ++g)
                     for (int64_t lane = 0; lane < kUnits; ++lane) {
                       const int64_t unit = v * kUnits + lane, row = g * r.hidden + unit,
                                     at = (v * 4 + g) * kUnits + lane;
                       scales[at] = unit < r.hidden ? row_scales[row] : 0;
                       offsets[at] = 0;
                       if (unit >= r.hidden || row_scales[row] == 0) continue;
                       for (int64_t i = 0; i < r.hidden; ++i) {
                         const float whole = std::nearbyint(weights[row * r.hidden + i] / row_scales[row]);
                         packed[v * panel + (i / 4 * 4 + g) * 64 + lane * 4 + i % 4] =
                             std::byte(static_cast<uint8_t>(static_cast<int8_t>(whole)));
                         offsets[at] += 128 * static_cast<int32_t>(whole);
                       }
                     }
               });
}

/// The number of which a row's weights are multiples.
std::optional<float> byte_scale(std::span<const float> row, float first_try) {
  float largest = 0;
  for (const float w : row) {
    if (!std::isfinite(w)) return {};
    largest = std::max(largest, std::abs(w));
  }
  if (largest == 0) return 0.0f;
  const auto exact = [&](float scale) {
    return std::all_of(row.begin(), row.end(), [&](float w) {
      const float whole = std::nearbyint(w / scale);
      return std::abs(whole) <= 127 && whole * scale == w;
    });
  };
  if (first_try > 0 && exact(first_try)) return first_try;
  for (int most = 127; most >= 1; --most) {
    const float about = largest / static_cast<float>(most);
    const bool near = std::all_of(row.begin(), row.end(), [&](float w) {
      const float whole = w / about;
      return std::abs(whole - std::nearbyint(whole)) < 1e-4f;
    });
    if (!near) continue;
    float scale = about;  // rounded twice, it may be off by a few units
    for (int i = 0; i < 2; ++i) scale = std::nextafter(scale, 0.0f);
    for (int i = -2; i <= 2; ++i, scale = std::nextafter(scale, INFINITY))
      if (exact(scale)) return scale;
  }
  return {};
}

/// Panels of some gates of one direction, [vector of units][element of the state][gate][lane].
void pack(ThreadTeam& team, const RecurrenceTable& table, const Recurrence& r, int64_t first, int64_t gates,
          const float* weights, float* packed) {
  const int64_t lanes = table.lanes, panel = r.hidden * gates * lanes;
  parallel_for(team, vectors_of(table, r), std::max<int64_t>(1, kElementGrain / std::max<int64_t>(panel, 1)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t v = begin; v < end; ++v)
                   for (int64_t g = 0; g < gates; ++g)
                     for (int64_t lane = 0; lane < lanes; ++lane) {
                       const int64_t unit = v * lanes + lane;
                       float* dst = packed + v * panel + g * lanes + lane;
                       const float* src = weights + ((first + g) * r.hidden + unit) * r.hidden;
                       for (int64_t i = 0; i < r.hidden; ++i) dst[i * gates * lanes] = unit < r.hidden ? src[i] : 0;
                     }
               });
}

/// Where the arrays of a run lie in its scratch.
struct Scratch {
  RecurrentRow* rows;
  float *c, *update, *reset;
  uint8_t* digits;
};
int64_t digit_bytes(const Recurrence& r) { return r.byte_scales.empty() ? 0 : align_bytes(3 * digit_stride(r.hidden)); }

/// One run: what its threads share.
class Run {
 public:
  Run(Isa isa, const Recurrence& r, const RecurrenceOperands& o, std::byte* scratch)
      : r_(r), o_(o), table_(recurrence_table_of(isa)), padded_(padded(table_, r)) {
    const int64_t sequences = r.directions * r.batch;
    s_.rows = reinterpret_cast<RecurrentRow*>(scratch);
    scratch += align_bytes(sequences * static_cast<int64_t>(sizeof(RecurrentRow)));
    s_.c = reinterpret_cast<float*>(scratch);
    s_.update = s_.c;
    s_.reset = s_.c + sequences * padded_;
    if (r.byte_scales.empty()) return;
    s_.digits = reinterpret_cast<uint8_t*>(scratch + align_bytes(sequences * padded_ * int64_t{sizeof(float)}));
  }

  void begin(int64_t direction, int64_t b) {
    if (r_.cell != RecurrentCell::lstm) return;
    const int64_t at = direction * r_.batch + b;
    float* c = s_.c + at * padded_;
    std::copy_n(o_.initial_c + at * r_.hidden, r_.hidden, c);
    std::fill(c + r_.hidden, c + padded_, 0.0f);
  }

  /// Of the sequences [from, to) of a direction those that have a step `step`; how many they are.
  int64_t prepare_step(int64_t direction, int64_t from, int64_t to, int64_t step) {
    int64_t count = 0;
    for (int64_t b = from; b < to; ++b) {
      if (o_.lengths[b] <= step) continue;
      const int64_t at = direction * r_.batch + b;
      const int64_t time = time_of(direction, b, step);
      RecurrentRow& row = s_.rows[direction * r_.batch + from + count++];
      row.gates = o_.gates + ((time * r_.batch + b) * r_.directions + direction) * gates_of(r_.cell) * r_.hidden;
      row.h = step == 0 ? o_.initial_h + at * r_.hidden : state(direction, b, step - 1);
      row.y = state(direction, b, step);
      row.c = s_.c + at * padded_;
      row.update = s_.update + at * padded_;
      row.reset = s_.reset + at * padded_;
      if (r_.byte_scales.empty()) continue;
      row.digits = s_.digits + at * digit_bytes(r_);
      table_.digits_of_state(row, r_.hidden);
    }
    return count;
  }

  /// Vectors [first, last) of units of `count` rows from sequence `from` on. `part` 1 is the second half of a gru.
  void step(int64_t direction, int64_t from, int64_t count, int64_t first, int64_t last, int part) const {
    RecurrentCall call{};
    call.rows = s_.rows + direction * r_.batch + from;
    call.row_count = count;
    call.first = first;
    call.last = last;
    call.hidden = r_.hidden;
    call.weights = o_.weights + direction * packed_size(table_, r_);
    if (part == 1) call.weights += 2 * padded_ * r_.hidden;
    if (o_.bias != nullptr) call.bias = o_.bias + direction * r_.hidden;
    if (o_.peepholes != nullptr) call.peepholes = o_.peepholes + direction * 3 * r_.hidden;
    call.activations = r_.activations[direction];
    call.clip = r_.clip;
    call.input_forget = r_.input_forget;
    if (!r_.byte_scales.empty()) {
      const ByteLayout layout(r_);
      const auto* packed = reinterpret_cast<const std::byte*>(o_.weights) + direction * layout.all;
      call.bytes = reinterpret_cast<const int8_t*>(packed);
      call.scales = reinterpret_cast<const float*>(packed + layout.scales);
      call.offsets = reinterpret_cast<const int32_t*>(packed + layout.offsets);
      return table_.lstm_of_bytes(call);
    }
    switch (r_.cell) {
      case RecurrentCell::rnn:
        return table_.rnn(call);
      case RecurrentCell::lstm:
        return table_.lstm(call);
      case RecurrentCell::gru_reset_after:
        return table_.gru_reset_after(call);
      case RecurrentCell::gru:
        return part == 0 ? table_.gru_gates(call) : table_.gru_candidate(call);
    }
  }
  int parts() const { return r_.cell == RecurrentCell::gru ? 2 : 1; }
  int64_t vectors() const { return vectors_of(table_, r_); }

  void end(int64_t direction, int64_t b) {
    const int64_t length = o_.lengths[b], at = direction * r_.batch + b;
    for (int64_t time = length; time < r_.steps; ++time)
      std::fill_n(o_.y + ((time * r_.directions + direction) * r_.batch + b) * r_.hidden, r_.hidden, 0.0f);
    const float* last = length > 0 ? state(direction, b, length - 1) : o_.initial_h + at * r_.hidden;
    std::copy_n(last, r_.hidden, o_.last_h + at * r_.hidden);
    if (r_.cell == RecurrentCell::lstm) std::copy_n(s_.c + at * padded_, r_.hidden, o_.last_c + at * r_.hidden);
  }

  /// Sequences [from, to) of a direction, from their first step to their last, by the calling thread.
  void whole(int64_t direction, int64_t from, int64_t to) {
    for (int64_t b = from; b < to; ++b) begin(direction, b);
    for (int64_t s = 0; s < r_.steps; ++s) {
      const int64_t count = prepare_step(direction, from, to, s);
      if (count == 0) break;
      for (int part = 0; part < parts(); ++part) step(direction, from, count, 0, vectors(), part);
    }
    for (int64_t b = from; b < to; ++b) end(direction, b);
  }

  /// All sequences, the units of each step shared among threads.
  void shared(ThreadTeam& team) {
    for (int64_t d = 0; d < r_.directions; ++d)
      for (int64_t b = 0; b < r_.batch; ++b) begin(d, b);
    const int64_t per_direction = std::max<int64_t>(1, team.size() / r_.directions);
    const int64_t grain = (vectors() + per_direction - 1) / per_direction, pieces = (vectors() + grain - 1) / grain;
    // A thread takes the same units in every step, if it is in time: their weights are in its cache.
    const int64_t all = r_.directions * pieces;
    std::atomic<uint64_t> taken{0};  // a bit for each piece, where there are as many
    const auto take = [&](int64_t index, int thread) {
      if (all > 64) return index;
      for (int64_t at = thread % all;; at = (at + 1) % all)
        if (const uint64_t bit = uint64_t{1} << at; (taken.fetch_or(bit, std::memory_order_relaxed) & bit) == 0)
          return at;
    };
    for (int64_t s = 0; s < r_.steps; ++s) {
      int64_t counts[2] = {0, 0};
      for (int64_t d = 0; d < r_.directions; ++d) counts[d] = prepare_step(d, 0, r_.batch, s);
      if (counts[0] == 0) break;  // the lengths are those of both directions
      for (int part = 0; part < parts(); ++part) {
        taken.store(0, std::memory_order_relaxed);
        parallel_for(team, all, 1, [&](int64_t index, int64_t, int thread) {
          const int64_t at = take(index, thread), d = at / pieces, first = at % pieces * grain;
          step(d, 0, counts[d], first, std::min(first + grain, vectors()), part);
        });
      }
    }
    for (int64_t d = 0; d < r_.directions; ++d)
      for (int64_t b = 0; b < r_.batch; ++b) end(d, b);
  }

 private:
  int64_t time_of(int64_t direction, int64_t b, int64_t step) const {
    return r_.reverse[direction] ? o_.lengths[b] - 1 - step : step;
  }
  float* state(int64_t direction, int64_t b, int64_t step) const {
    return o_.y + ((time_of(direction, b, step) * r_.directions + direction) * r_.batch + b) * r_.hidden;
  }
  const Recurrence& r_;
  const RecurrenceOperands& o_;
  const RecurrenceTable& table_;
  int64_t padded_;
  Scratch s_;
};

}  // namespace

std::optional<std::vector<float>> byte_scales(std::span<const float> weights, int64_t columns) {
  std::vector<float> scales;
  if (columns == 0) return scales;
  for (size_t at = 0; at < weights.size(); at += static_cast<size_t>(columns)) {
    const auto scale =
        byte_scale(weights.subspan(at, static_cast<size_t>(columns)), scales.empty() ? 0.0f : scales.back());
    if (!scale) return {};
    scales.push_back(*scale);
  }
  return scales;
}

bool takes_bytes(const Target& target, RecurrentCell cell) {
  return cell == RecurrentCell::lstm && target.isa >= Isa::avx512 && target.features.avx512_vnni;
}

int64_t recurrent_weights_bytes(Isa isa, const Recurrence& r) {
  if (!r.byte_scales.empty()) return align_bytes(r.directions * ByteLayout(r).all);
  return align_bytes(r.directions * packed_size(recurrence_table_of(isa), r) * static_cast<int64_t>(sizeof(float)));
}

void pack_recurrent_weights(Isa isa, ThreadTeam& team, const Recurrence& r, const float* weights, float* packed) {
  const RecurrenceTable& table = recurrence_table_of(isa);
  const int64_t gates = gates_of(r.cell);
  if (!r.byte_scales.empty()) {
    for (int64_t d = 0; d < r.directions; ++d)
      pack_bytes(team, r, weights + d * gates * r.hidden * r.hidden, r.byte_scales.data() + d * gates * r.hidden,
                 reinterpret_cast<std::byte*>(packed) + d * ByteLayout(r).all);
    return;
  }
  for (int64_t d = 0; d < r.directions; ++d) {
    const float* src = weights + d * gates * r.hidden * r.hidden;
    float* dst = packed + d * packed_size(table, r);
    if (r.cell == RecurrentCell::gru) {
      pack(team, table, r, 0, 2, src, dst);
      pack(team, table, r, 2, 1, src, dst + 2 * padded(table, r) * r.hidden);
    } else {
      pack(team, table, r, 0, gates, src, dst);
    }
  }
}

int64_t recurrence_scratch_bytes(Isa isa, const Recurrence& r) {
  const int64_t sequences = r.directions * r.batch;
  const int64_t arrays = r.cell == RecurrentCell::gru ? 2 : r.cell == RecurrentCell::lstm ? 1 : 0;
  return align_bytes(sequences * static_cast<int64_t>(sizeof(RecurrentRow))) +
         align_bytes(arrays * sequences * padded(recurrence_table_of(isa), r) * static_cast<int64_t>(sizeof(float))) +
         sequences * digit_bytes(r);
}

void recurrence_f32(Isa isa, ThreadTeam& team, const Recurrence& r, const RecurrenceOperands& operands,
                    std::byte* scratch) {
  Run run(isa, r, operands, scratch);
  const int64_t sequences = r.directions * r.batch, threads = team.size();
  const int64_t step = gates_of(r.cell) * r.hidden * r.hidden * sequences;
  if (threads > 1 && sequences < threads && step >= kSharedStep) return run.shared(team);
  // Sequences know nothing of each other.
  const int64_t tasks = threads > 1 && step * r.steps >= kSharedRun ? threads : 1;
  const int64_t per_direction = std::clamp<int64_t>(tasks / r.directions, 1, std::max<int64_t>(1, r.batch));
  const int64_t grain = (r.batch + per_direction - 1) / per_direction;
  if (grain == 0) return;
  const int64_t pieces = (r.batch + grain - 1) / grain;
  parallel_for(team, r.directions * pieces, tasks == 1 ? r.directions * pieces : 1,
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t at = begin; at < end; ++at) {
                   const int64_t from = at % pieces * grain;
                   run.whole(at / pieces, from, std::min(from + grain, r.batch));
                 }
               });
}

}  // namespace gregale::kernels
