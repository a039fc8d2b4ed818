// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "codec/rans.hpp"
#include "codec/residuals_isa.hpp"

/// Codes the quantised residuals of a predictor: integers, mostly small, each with a key (below 256) that says what
/// kind it is: where it stands and how large those around it were. Keys whose integers are distributed alike share a
/// context.
namespace gregale::codec {

class ResidualEncoder {
 public:
  /// For about `count` residuals.
  ResidualEncoder(size_t count, Isa isa, Workspace& workspace);
  /// Where the keys of the next row go: all have the same upper four bits. Up to the next multiple of 32 may be
  /// written.
  uint8_t* keys(int64_t count);
  /// That row. `valid`: null, or which of them are coded; others become 0. All are read up to the next multiple of 16.
  template <class Int>
  void add(Int* residuals, int64_t count, const uint8_t* valid);
  void finish(ByteWriter& out);

 private:
  using Counts = std::array<uint32_t, kRansSymbols>;
  void reserve(size_t vectors);
  void reserve_rest(size_t count);
  Buffer<Counts> counted() const;

  Isa isa_;
  const ResidualTable& table_;
  Workspace& workspace_;
  size_t room_ = 0, vectors_ = 0;  ///< in vectors of 16
  Buffer<uint8_t> symbols_, keys_;
  Buffer<uint16_t> masks_;
  Buffer<std::byte> bytes_;  ///< the rest of large ones
  RestSink rest_;
};

class ResidualDecoder {
 public:
  /// Throws ErrorCode::corrupt_data.
  ResidualDecoder(ByteReader& in, Isa isa, Workspace& workspace);
  /// The row that was added in the same place; what is not valid is 0. All are written up to the next multiple of 16.
  template <class Int>
  void next(Int* residuals, const uint8_t* keys, int64_t count, const uint8_t* valid);
  /// Throws ErrorCode::corrupt_data where more was read than there was.
  void finish() const;

 private:
  const ResidualTable& table_;
  std::array<uint8_t, 256> context_{};
  std::unique_ptr<RansDecoder> rans_;
  std::vector<uint8_t> symbols_;  ///< of a row
  Buffer<std::byte> bits_;
  RestBits rest_;
};

}  // namespace gregale::codec
