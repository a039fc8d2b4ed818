// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "codec/bytes.hpp"
#include "codec/rans_isa.hpp"
#include "codec/workspace.hpp"

/// Range asymmetric numeral systems (J. Duda, arXiv 1311.2540) with frequencies that are known beforehand: an entropy
/// coder whose decoder takes a few cycles a symbol. Many coders take turns on one stream (F. Giesen, arXiv 1402.3392),
/// so that they fill vectors.
namespace gregale::codec {

inline constexpr int kRansSymbols = 128;

/// How often each symbol of one context comes, scaled to 2048; what occurs has at least 1.
struct RansModel {
  std::array<uint16_t, kRansSymbols> frequency{};
  /// From counts; all zero gives everything to symbol 0.
  static RansModel from_counts(const std::array<uint32_t, kRansSymbols>& counts);
  void write(ByteWriter& out) const;
  static RansModel read(ByteReader& in);
};

/// `contexts`: the model of every key.
Bytes rans_encode(const RansVectors& vectors, const std::array<uint8_t, 256>& contexts,
                  const std::vector<RansModel>& models, Isa isa, Workspace& workspace);

/// Symbols in order. Reading beyond the end gives symbols that mean nothing; overrun() says so.
class RansDecoder {
 public:
  RansDecoder(ByteSpan in, const std::vector<RansModel>& models, Isa isa, Workspace& workspace);

  /// RansTable::decode.
  void decode(const uint8_t* contexts, const uint8_t* keys, const uint8_t* valid, int64_t count, uint8_t* symbols) {
    table_.decode(source_, contexts, keys, valid, count, symbols);
  }
  bool overrun() const { return source_.at > source_.end; }

 private:
  const RansTable& table_;
  RansSource source_;
  Buffer<std::byte> words_;
  Buffer<uint32_t> slots_;
};

}  // namespace gregale::codec
