// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/rans.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace gregale::codec {
namespace {

constexpr uint32_t kTotal = 1U << kRansBits;
constexpr int64_t kFewSymbols = int64_t{1} << 14;

}  // namespace

RansModel RansModel::from_counts(const std::array<uint32_t, kRansSymbols>& counts) {
  RansModel model;
  const uint64_t sum = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  if (sum == 0) {
    model.frequency[0] = kTotal;
    return model;
  }
  int64_t left = kTotal;
  for (size_t s = 0; s < counts.size(); ++s) {
    if (counts[s] == 0) continue;
    model.frequency[s] = static_cast<uint16_t>(std::max<uint64_t>(1, (counts[s] * uint64_t{kTotal} + sum / 2) / sum));
    left -= model.frequency[s];
  }
  // What rounding left over, or took too much, goes where it costs least: to the most frequent.
  while (left != 0) {
    auto most = std::max_element(model.frequency.begin(), model.frequency.end());
    const int64_t change = left > 0 ? left : std::max<int64_t>(left, -static_cast<int64_t>(*most / 2));
    *most = static_cast<uint16_t>(*most + change);
    left -= change;
  }
  return model;
}

void RansModel::write(ByteWriter& out) const {
  size_t last = frequency.size();
  while (last > 0 && frequency[last - 1] == 0) --last;
  out.varint(last);
  for (size_t s = 0; s < last; ++s) out.varint(frequency[s]);
}

RansModel RansModel::read(ByteReader& in) {
  RansModel model;
  const uint64_t count = in.varint_to(kRansSymbols, "too many symbols");
  uint64_t sum = 0;
  for (uint64_t s = 0; s < count; ++s) {
    model.frequency[s] = static_cast<uint16_t>(in.varint_to(kTotal - sum, "frequencies above their total"));
    sum += model.frequency[s];
  }
  if (sum != kTotal) in.fail("frequencies below their total");
  return model;
}

Bytes rans_encode(const RansVectors& vectors, const std::array<uint8_t, 256>& contexts,
                  const std::vector<RansModel>& models, Isa isa, Workspace& workspace) {
  std::vector<uint32_t> entries(models.size() * kRansSymbols);
  for (size_t m = 0; m < models.size(); ++m) {
    uint32_t start = 0;
    for (size_t s = 0; s < kRansSymbols; ++s) {
      const uint32_t f = models[m].frequency[s];
      entries[m * kRansSymbols + s] = f | start << 12;
      start += f;
    }
  }
  const uint32_t states = vectors.count * kRansLanes < kFewSymbols ? kRansFewStates : kRansStates;
  std::array<uint32_t, kRansStates> state;
  state.fill(1U << 16);
  const auto room = static_cast<size_t>((vectors.count + 1) * kRansLanes);
  const auto words = workspace.take<uint16_t>(room);
  const size_t count =
      rans_table(isa).encode(entries.data(), contexts.data(), vectors, state.data(), states, words.data());
  std::reverse(words.data(), words.data() + count);
  Bytes out(1 + 4 * states + 2 * count);
  out[0] = static_cast<std::byte>(states);
  std::memcpy(out.data() + 1, state.data(), 4 * states);
  std::memcpy(out.data() + 1 + 4 * states, words.data(), 2 * count);
  return out;
}

RansDecoder::RansDecoder(ByteSpan in, const std::vector<RansModel>& models, Isa isa, Workspace& workspace)
    : table_(rans_table(isa)), slots_(workspace.take<uint32_t>(models.size() << kRansBits)) {
  ByteReader reader(in);
  source_.state_count = reader.number<uint8_t>();
  if (source_.state_count != kRansFewStates && source_.state_count != kRansStates) reader.fail("no such coder");
  for (uint32_t s = 0; s < source_.state_count; ++s) source_.states[s] = reader.number<uint32_t>();
  const ByteSpan words = reader.take(reader.left() / 2 * 2);
  words_ = workspace.take<std::byte>(words.size() + kRansSlack);
  std::fill(std::copy(words.begin(), words.end(), words_.begin()), words_.end(), std::byte{0});
  source_.words = words_.data();
  source_.end = words.size();
  source_.slots = slots_.data();
  uint32_t* slot = slots_.begin();
  for (const RansModel& model : models)
    for (uint32_t s = 0; s < kRansSymbols; ++s)
      for (uint32_t i = 0; i < model.frequency[s]; ++i) *slot++ = s | i << 8 | (model.frequency[s] - 1U) << 20;
}

}  // namespace gregale::codec
