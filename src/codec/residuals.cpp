// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/residuals.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gregale::codec {
namespace {

using Counts = std::array<uint32_t, kRansSymbols>;
constexpr size_t kMostContexts = 24;
constexpr uint32_t kFew = 48;

/// n log2 n.
double entropy_of(uint32_t n) {
  static const std::vector<double> table = [] {
    std::vector<double> t(1 << 14, 0);
    for (size_t i = 2; i < t.size(); ++i) t[i] = static_cast<double>(i) * std::log2(static_cast<double>(i));
    return t;
  }();
  return n < table.size() ? table[n] : n * std::log2(static_cast<double>(n));
}

struct Cluster {
  Counts counts{};
  uint32_t sum = 0;
  size_t end = 0;  ///< of the symbols that come
  double cost = 0;
  std::vector<uint8_t> keys;
};

/// Bits that the symbols of both take, coded with the frequencies they have together, and those of the table.
double cost_of(const Cluster& a, const Cluster& b) {
  double bits = entropy_of(a.sum + b.sum);
  const size_t end = std::max(a.end, b.end);
  int used = 0;
  for (size_t s = 0; s < end; ++s) {
    const uint32_t c = a.counts[s] + b.counts[s];
    bits -= entropy_of(c);
    used += c > 0 ? 1 : 0;
  }
  return bits + 9.0 * used;
}

void merge(Cluster& a, const Cluster& b) {
  a.cost = cost_of(a, b);
  a.end = std::max(a.end, b.end);
  a.sum += b.sum;
  for (size_t s = 0; s < a.end; ++s) a.counts[s] += b.counts[s];
  a.keys.insert(a.keys.end(), b.keys.begin(), b.keys.end());
}

/// Merges what is cheaper together, the best pair first, until no pair gains and there are at most `most`: of
/// neighbours alone, or of any two.
void merge(std::vector<Cluster*>& clusters, bool neighbours, size_t most) {
  const auto gain = [&](size_t i, size_t j) {
    return clusters[i]->cost + clusters[j]->cost - cost_of(*clusters[i], *clusters[j]);
  };
  // gains[i][j - i - 1]
  std::vector<std::vector<double>> gains(clusters.size());
  const auto last = [&](size_t i) { return neighbours ? std::min(i + 2, clusters.size()) : clusters.size(); };
  for (size_t i = 0; i < clusters.size(); ++i)
    for (size_t j = i + 1; j < last(i); ++j) gains[i].push_back(gain(i, j));
  while (clusters.size() > 1) {
    size_t a = 0, b = 1;
    double best = -INFINITY;
    for (size_t i = 0; i < clusters.size(); ++i)
      for (size_t j = 0; j < gains[i].size(); ++j)
        if (gains[i][j] > best) best = gains[i][j], a = i, b = i + 1 + j;
    if (best < 0 && clusters.size() <= most) break;
    merge(*clusters[a], *clusters[b]);
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(b));
    gains.erase(gains.begin() + static_cast<std::ptrdiff_t>(b));
    for (size_t i = 0; i < clusters.size(); ++i) {
      if (!neighbours && i < b) gains[i].erase(gains[i].begin() + static_cast<std::ptrdiff_t>(b - i - 1));
      if (neighbours) gains[i].resize(last(i) - i - 1);
      for (size_t j = i + 1; j < last(i); ++j)
        if (i == a || j == a) gains[i][j - i - 1] = gain(i, j);
    }
  }
}

}  // namespace

ResidualEncoder::ResidualEncoder(size_t count, Isa isa, Workspace& workspace)
    : isa_(isa), table_(residual_table(isa)), workspace_(workspace) {
  reserve(count / 16 + count / 128 + 64);
}

void ResidualEncoder::reserve(size_t vectors) {
  const auto grow = [&]<class T>(Buffer<T>& buffer, size_t lanes) {
    auto larger = workspace_.take<T>(vectors * lanes);
    std::copy_n(buffer.data(), vectors_ * lanes, larger.data());
    buffer = std::move(larger);
  };
  grow(symbols_, 16);
  grow(keys_, 16);
  grow(masks_, 1);
  room_ = vectors;
}

/// Room for the rest of `count` more.
void ResidualEncoder::reserve_rest(size_t count) {
  const auto used = static_cast<size_t>(rest_.at - bytes_.data());
  if (used + (count + 1) * 8 <= bytes_.size()) return;
  auto larger = workspace_.take<std::byte>(std::max(2 * bytes_.size(), used + (4 * count + 1) * 8));
  std::copy_n(bytes_.data(), used, larger.data());
  bytes_ = std::move(larger);
  rest_.at = bytes_.data() + used;
}

uint8_t* ResidualEncoder::keys(int64_t count) {
  const auto vectors = static_cast<size_t>(count + 31) / 32 * 2;
  if (vectors_ + vectors > room_) reserve((vectors_ + vectors) * 3 / 2);
  return keys_.data() + vectors_ * 16;
}

template <class Int>
void ResidualEncoder::add(Int* residuals, int64_t count, const uint8_t* valid) {
  const auto vectors = static_cast<size_t>((count + 15) / 16);
  reserve_rest(vectors * 16);
  uint8_t* const symbols = symbols_.data() + vectors_ * 16;
  uint16_t* const masks = masks_.data() + vectors_;
  if constexpr (sizeof(Int) == 4) {
    table_.fold(residuals, valid, count, symbols, masks, rest_);
  } else {
    for (size_t n = 0; n < vectors; ++n) {
      uint32_t there = 0;
      for (size_t l = 0; l < 16; ++l) {
        const auto i = static_cast<int64_t>(n * 16 + l);
        const bool is = i < count && (valid == nullptr || valid[i] != 0);
        there |= (is ? 1U : 0U) << l;
        if (!is) residuals[i] = 0;
        const uint64_t v = folded(residuals[i]);
        symbols[i] = v < kSmall ? static_cast<uint8_t>(v) : put_large(v, rest_);
      }
      masks[n] = static_cast<uint16_t>(there);
    }
  }
  vectors_ += vectors;
}

/// How often each symbol comes with each key.
Buffer<ResidualEncoder::Counts> ResidualEncoder::counted() const {
  auto counts = workspace_.take<Counts>(256),
       others = workspace_.take<Counts>(256);  // two, so that equal neighbours do not wait for each other
  for (const auto* all : {&counts, &others}) std::fill(all->begin(), all->end(), Counts{});
  for (size_t n = 0; n < vectors_; ++n) {
    const uint8_t *symbols = symbols_.data() + n * 16, *keys = keys_.data() + n * 16;
    if (masks_[n] == 0xFFFF) {
      for (size_t l = 0; l < 16; l += 2) {
        ++counts[keys[l]][symbols[l]];
        ++others[keys[l + 1]][symbols[l + 1]];
      }
    } else {
      for (uint32_t m = masks_[n]; m != 0; m &= m - 1) {
        const auto l = static_cast<size_t>(std::countr_zero(m));
        ++counts[keys[l]][symbols[l]];
      }
    }
  }
  for (size_t k = 0; k < 256; ++k)
    for (size_t s = 0; s < kRansSymbols; ++s) counts[k][s] += others[k][s];
  return counts;
}

void ResidualEncoder::finish(ByteWriter& out) {
  std::vector<Cluster> storage;
  storage.reserve(256);
  {
    const Buffer<Counts> counts = counted();
    for (size_t key = 0; key < 256; ++key) {
      Cluster c;
      for (size_t symbol = 0; symbol < kRansSymbols; ++symbol) {
        c.sum += counts[key][symbol];
        if (counts[key][symbol] > 0) c.end = symbol + 1;
      }
      if (c.sum == 0) continue;
      std::copy_n(counts[key].begin(), c.end, c.counts.begin());
      c.keys = {static_cast<uint8_t>(key)};
      // Few have no table of their own, whatever they are.
      if (!storage.empty() && (c.sum < kFew || storage.back().sum < kFew)) {
        merge(storage.back(), c);
      } else {
        c.cost = cost_of(c, Cluster{});
        storage.push_back(std::move(c));
      }
    }
  }
  std::vector<Cluster*> clusters;
  for (Cluster& c : storage) clusters.push_back(&c);
  merge(clusters, true, kMostContexts);
  merge(clusters, false, kMostContexts);

  std::array<uint8_t, 256> context{};
  std::vector<RansModel> models;
  for (size_t c = 0; c < clusters.size(); ++c) {
    models.push_back(RansModel::from_counts(clusters[c]->counts));
    for (const uint8_t key : clusters[c]->keys) context[key] = static_cast<uint8_t>(c);
  }
  if (models.empty()) models.push_back(RansModel::from_counts({}));
  Bytes tables;
  ByteWriter writer(tables);
  writer.varint(models.size());
  for (size_t key = 0; key < 256;) {  // runs
    size_t end = key;
    while (end < 256 && context[end] == context[key]) ++end;
    writer.number(context[key]);
    writer.number(static_cast<uint8_t>(end - key - 1));
    key = end;
  }
  for (const RansModel& m : models) m.write(writer);
  reserve_rest(1);
  rest_.put(0, rest_.filled > 0 ? 8 - rest_.filled : 0);
  out.part(tables);
  out.part({bytes_.data(), static_cast<size_t>(rest_.at - bytes_.data())});
  const RansVectors vectors{symbols_.data(), keys_.data(), masks_.data(), static_cast<int64_t>(vectors_)};
  out.part(rans_encode(vectors, context, models, isa_, workspace_));
}

ResidualDecoder::ResidualDecoder(ByteReader& in, Isa isa, Workspace& workspace) : table_(residual_table(isa)) {
  ByteReader tables(in.part());
  const uint64_t count = tables.varint_to(kMostContexts, "too many contexts");
  if (count == 0) tables.fail("no contexts");
  for (size_t key = 0; key < 256;) {
    const auto context = tables.number<uint8_t>();
    const size_t run = tables.number<uint8_t>() + size_t{1};
    if (context >= count || key + run > 256) tables.fail("no such context");
    std::fill_n(context_.begin() + static_cast<std::ptrdiff_t>(key), run, context);
    key += run;
  }
  std::vector<RansModel> models;
  for (uint64_t m = 0; m < count; ++m) models.push_back(RansModel::read(tables));
  const ByteSpan bits = in.part();
  bits_ = workspace.take<std::byte>(bits.size() + kBitsSlack);
  std::fill(std::copy(bits.begin(), bits.end(), bits_.begin()), bits_.end(), std::byte{0});
  rest_ = {bits_.data(), 0, bits.size() * 8};
  rans_ = std::make_unique<RansDecoder>(in.part(), models, isa, workspace);
}

template <class Int>
void ResidualDecoder::next(Int* residuals, const uint8_t* keys, int64_t count, const uint8_t* valid) {
  const auto room = static_cast<size_t>((count + 15) / 16 * 16);
  if (symbols_.size() < room) symbols_.resize(room);
  rans_->decode(context_.data() + (keys[0] & 0xF0), keys, valid, count, symbols_.data());
  if constexpr (sizeof(Int) == 4) {
    table_.unfold(symbols_.data(), static_cast<int64_t>(room), rest_, residuals);
  } else {
    for (size_t i = 0; i < room; ++i)
      residuals[i] = unfolded(symbols_[i] < kSmall ? symbols_[i] : take_large(symbols_[i], rest_));
  }
}

void ResidualDecoder::finish() const {
  if (rans_->overrun() || rest_.at > rest_.end)
    throw_error(ErrorCode::corrupt_data, fmt::format("byte {}: residuals end too early", rest_.at / 8));
}

template void ResidualEncoder::add(int32_t*, int64_t, const uint8_t*);
template void ResidualEncoder::add(int64_t*, int64_t, const uint8_t*);
template void ResidualDecoder::next(int32_t*, const uint8_t*, int64_t, const uint8_t*);
template void ResidualDecoder::next(int64_t*, const uint8_t*, int64_t, const uint8_t*);

}  // namespace gregale::codec
