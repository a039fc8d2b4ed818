// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/rans.hpp"

#include <algorithm>
#include <numeric>

namespace gregale::codec {
namespace {

constexpr uint32_t kTotal = 1U << kRansBits;

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

Bytes rans_encode(std::span<const uint8_t> symbols, std::span<const uint8_t> contexts,
                  std::span<const RansModel> models) {
  // x / frequency as a product: ceil(2^(32 + shift) / frequency) x >> (32 + shift), exact for all x below 2^32
  // (Granlund and Montgomery, PLDI 1994), with one bit more than 32 in the factor kept apart by x itself.
  struct Entry {
    uint32_t frequency, start, reciprocal, shift;
    uint64_t limit;
  };
  std::vector<Entry> table(models.size() * kRansSymbols);
  for (size_t m = 0; m < models.size(); ++m) {
    uint32_t start = 0;
    for (size_t s = 0; s < kRansSymbols; ++s) {
      const uint32_t f = models[m].frequency[s];
      Entry& e = table[m * kRansSymbols + s];
      e = {f, start, 0, 0, uint64_t{f} << 20};
      start += f;
      if (f == 0) continue;
      while ((1U << e.shift) < f) ++e.shift;
      e.reciprocal = static_cast<uint32_t>(((uint64_t{1} << (32 + e.shift)) + f - 1) / f - (uint64_t{1} << 32));
    }
  }
  std::vector<uint16_t> words(symbols.size() + 4);  // from the end
  size_t free = words.size();
  std::array<uint32_t, 4> states;
  states.fill(1U << 16);
  for (size_t i = symbols.size(); i-- > 0;) {
    const Entry& e = table[size_t{contexts[i]} * kRansSymbols + symbols[i]];
    uint32_t& x = states[i & 3];
    if (x >= e.limit) {
      words[--free] = static_cast<uint16_t>(x);
      x >>= 16;
    }
    const auto share = static_cast<uint32_t>(((uint64_t{x} * e.reciprocal >> 32) + x) >> e.shift);
    x = (share << kRansBits) + (x - share * e.frequency) + e.start;
  }
  Bytes out;
  out.reserve((words.size() - free) * 2 + 16);
  ByteWriter writer(out);
  for (const uint32_t x : states) writer.number(x);
  writer.raw(words.data() + free, (words.size() - free) * 2);
  return out;
}

RansDecoder::RansDecoder(ByteSpan in, std::span<const RansModel> models) : table_(models.size() << kRansBits) {
  ByteReader reader(in);
  for (uint32_t& x : states_) x = reader.number<uint32_t>();
  in_ = reader.take(reader.left() / 2 * 2);
  auto entry = table_.begin();
  for (const RansModel& model : models)
    for (uint32_t s = 0; s < kRansSymbols; ++s)
      for (uint32_t i = 0; i < model.frequency[s]; ++i) *entry++ = s | i << 7 | (model.frequency[s] - 1U) << 19;
}

}  // namespace gregale::codec
