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
void merge(std::vector<Cluster>& clusters, bool neighbours, size_t most) {
  const auto gain = [&](size_t i, size_t j) {
    return clusters[i].cost + clusters[j].cost - cost_of(clusters[i], clusters[j]);
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
    merge(clusters[a], clusters[b]);
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

uint8_t ResidualEncoder::large(uint64_t v) {
  const auto width = static_cast<uint64_t>(std::bit_width(v));  // at least 5
  const uint64_t rest = v & ((uint64_t{1} << (width - 2)) - 1), shift = filled_ % 64;
  if (shift == 0) bits_.push_back(0);
  bits_.back() |= rest << shift;
  if (shift + width - 2 > 64) bits_.push_back(rest >> (64 - shift));
  filled_ += width - 2;
  return static_cast<uint8_t>(kSmall + (width - 5) * 2 + (v >> (width - 2) & 1));
}

template <class Int>
void ResidualEncoder::add(const Int* residuals, const uint8_t* keys, int64_t count, const uint8_t* valid,
                          int64_t step) {
  GREGALE_ASSERT(count_ + static_cast<size_t>(count) <= tokens_.size());
  uint8_t* const tokens = tokens_.data() + count_;
  uint8_t* const to = keys_.data() + count_;
  if (valid == nullptr) {
    uint64_t greatest = 0;
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t v = folded(residuals[i]);
      greatest |= v;
      tokens[i] = static_cast<uint8_t>(v);
      to[i] = keys[i];
    }
    if (greatest >= 16)  // one of them may be above kSmall
      for (int64_t i = 0; i < count; ++i)
        if (const uint64_t v = folded(residuals[i]); v >= kSmall) tokens[i] = large(v);
    count_ += static_cast<size_t>(count);
    return;
  }
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t v = folded(residuals[i]);
    if (valid[i * step] == 0) continue;
    tokens[n] = v < kSmall ? static_cast<uint8_t>(v) : large(v);
    to[n++] = keys[i];
  }
  count_ += static_cast<size_t>(n);
}

void ResidualEncoder::finish(ByteWriter& out) {
  tokens_.resize(count_);
  keys_.resize(count_);
  std::vector<Cluster> clusters(256);
  for (size_t i = 0; i < tokens_.size(); ++i) ++clusters[keys_[i]].counts[tokens_[i]];
  for (size_t key = 0; key < clusters.size(); ++key) {
    Cluster& c = clusters[key];
    c.keys = {static_cast<uint8_t>(key)};
    for (size_t s = 0; s < c.counts.size(); ++s) {
      c.sum += c.counts[s];
      if (c.counts[s] > 0) c.end = s + 1;
    }
    c.cost = cost_of(c, Cluster{});
  }
  std::erase_if(clusters, [](const Cluster& c) { return c.sum == 0; });
  merge(clusters, true, kMostContexts);
  merge(clusters, false, kMostContexts);

  std::array<uint8_t, 256> context{};
  std::vector<RansModel> models;
  for (size_t c = 0; c < clusters.size(); ++c) {
    models.push_back(RansModel::from_counts(clusters[c].counts));
    for (const uint8_t key : clusters[c].keys) context[key] = static_cast<uint8_t>(c);
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
  for (uint8_t& key : keys_) key = context[key];
  out.part(tables);
  out.part({reinterpret_cast<const std::byte*>(bits_.data()), (filled_ + 7) / 8});
  out.part(rans_encode(tokens_, keys_, models));
}

ResidualDecoder::ResidualDecoder(ByteReader& in) {
  ByteReader tables(in.part());
  const uint64_t count = tables.varint_to(kMostContexts, "too many contexts");
  if (count == 0) tables.fail("no contexts");
  for (size_t key = 0; key < 256;) {
    const auto context = tables.number<uint8_t>();
    const size_t run = tables.number<uint8_t>() + size_t{1};
    if (context >= count || key + run > 256) tables.fail("no such context");
    std::fill_n(context_.begin() + key, run, context);
    key += run;
  }
  std::vector<RansModel> models;
  for (uint64_t m = 0; m < count; ++m) models.push_back(RansModel::read(tables));
  bits_ = in.part();
  rans_ = std::make_unique<RansDecoder>(in.part(), models);
}

template <class Int>
void ResidualDecoder::next(Int* residuals, const uint8_t* keys, int64_t count, const uint8_t* valid, int64_t step) {
  const auto residual = [&](uint32_t token) {
    const uint64_t v = token < ResidualEncoder::kSmall ? token : large(token);
    return static_cast<Int>(static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1));
  };
  if (valid == nullptr) {
    rans_->decode(
        count, [&](int64_t i) { return context_[keys[i]]; },
        [&](int64_t i, uint32_t token) { residuals[i] = residual(token); });
    return;
  }
  places_.resize(std::max(places_.size(), static_cast<size_t>(count)));
  int64_t n = 0;
  for (int64_t i = 0; i < count; ++i) {
    residuals[i] = 0;
    places_[static_cast<size_t>(n)] = static_cast<int32_t>(i);
    n += valid[i * step] != 0 ? 1 : 0;
  }
  const int32_t* const places = places_.data();
  rans_->decode(
      n, [&](int64_t i) { return context_[keys[places[i]]]; },
      [&](int64_t i, uint32_t token) { residuals[places[i]] = residual(token); });
}

uint64_t ResidualDecoder::large(uint32_t token) {
  const uint64_t width = (token - ResidualEncoder::kSmall) / 2 + 5, top = (token - ResidualEncoder::kSmall) & 1;
  uint64_t rest = 0;
  for (uint64_t taken = 0; taken < width - 2;) {  // bit by byte
    const uint64_t byte = at_ / 8, shift = at_ % 8, some = std::min<uint64_t>(8 - shift, width - 2 - taken);
    if (byte < bits_.size())
      rest |= (static_cast<uint64_t>(bits_[byte]) >> shift & ((uint64_t{1} << some) - 1)) << taken;
    taken += some;
    at_ += some;
  }
  return (uint64_t{2} | top) << (width - 2) | rest;
}

void ResidualDecoder::finish() const {
  if (rans_->overrun() || at_ > bits_.size() * 8)
    throw_error(ErrorCode::corrupt_data, fmt::format("byte {}: residuals end too early", at_ / 8));
}

template void ResidualEncoder::add(const int32_t*, const uint8_t*, int64_t, const uint8_t*, int64_t);
template void ResidualEncoder::add(const int64_t*, const uint8_t*, int64_t, const uint8_t*, int64_t);
template void ResidualDecoder::next(int32_t*, const uint8_t*, int64_t, const uint8_t*, int64_t);
template void ResidualDecoder::next(int64_t*, const uint8_t*, int64_t, const uint8_t*, int64_t);

}  // namespace gregale::codec
