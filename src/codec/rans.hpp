// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "codec/bytes.hpp"

/// Range asymmetric numeral systems (J. Duda, arXiv 1311.2540) with frequencies that are known beforehand: an entropy
/// coder whose decoder takes a few cycles a symbol. Four coders take turns on one stream, so that they overlap.
namespace gregale::codec {

inline constexpr int kRansBits = 12;  ///< frequencies of a context add up to 4096
inline constexpr int kRansSymbols = 128;

/// How often each symbol of one context comes, scaled to 4096; what occurs has at least 1.
struct RansModel {
  std::array<uint16_t, kRansSymbols> frequency{};
  /// From counts; all zero gives everything to symbol 0.
  static RansModel from_counts(const std::array<uint32_t, kRansSymbols>& counts);
  void write(ByteWriter& out) const;
  static RansModel read(ByteReader& in);
};

/// Symbols and contexts of equal length, as bytes.
Bytes rans_encode(std::span<const uint8_t> symbols, std::span<const uint8_t> contexts,
                  std::span<const RansModel> models);

/// Symbols in order. Reading beyond the end gives symbols that mean nothing; overrun() says so.
class RansDecoder {
 public:
  RansDecoder(ByteSpan in, std::span<const RansModel> models);

  /// The next `count` symbols; the context of the i-th is context(i), and take(i, symbol) gets it.
  template <class Context, class Take>
  void decode(int64_t count, Context&& context, Take&& take) {
    const uint32_t* const table = table_.data();
    const std::byte* const words = in_.data();
    size_t at = at_;
    const auto step = [&](int64_t i, uint32_t& state, auto&& refill) {
      const uint32_t entry = table[context(i) << kRansBits | (state & ((1U << kRansBits) - 1))];
      state = ((entry >> 19) + 1) * (state >> kRansBits) + (entry >> 7 & 0xFFF);
      refill(state);
      take(i, entry & 127);
    };
    const auto carefully = [&](uint32_t& state) {
      if (state >= (1U << 16)) return;
      uint16_t word = 0;
      if (at < in_.size()) std::memcpy(&word, words + at, 2);
      at += 2;
      state = state << 16 | word;
    };
    int64_t i = 0;
    for (; i < count && turn_ != 0; ++i, turn_ = (turn_ + 1) & 3) step(i, states_[turn_], carefully);
    uint32_t a = states_[0], b = states_[1], c = states_[2], d = states_[3];
    const auto four = [&](auto&& refill) {
      step(i, a, refill);
      step(i + 1, b, refill);
      step(i + 2, c, refill);
      step(i + 3, d, refill);
    };
    // Whether a word is due is a coin toss, so it is always read, and there must be one.
    const auto freely = [&](uint32_t& state) {
      uint16_t word;
      std::memcpy(&word, words + at, 2);
      const bool due = state < (1U << 16);
      state = due ? state << 16 | word : state;
      at += due ? 2 : 0;
    };
    for (; i + 4 <= count && at + 8 <= in_.size(); i += 4) four(freely);
    for (; i + 4 <= count; i += 4) four(carefully);
    states_ = {a, b, c, d};
    for (; i < count; ++i, turn_ = (turn_ + 1) & 3) step(i, states_[turn_], carefully);
    at_ = at;
  }
  bool overrun() const { return at_ > in_.size(); }

 private:
  ByteSpan in_;  ///< whole words
  size_t at_ = 0;
  std::array<uint32_t, 4> states_{};
  uint32_t turn_ = 0;
  std::vector<uint32_t> table_;  ///< a context's 4096 slots: symbol, offset in it << 7, frequency - 1 << 19
};

}  // namespace gregale::codec
