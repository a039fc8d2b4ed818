// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "codec/rans.hpp"

/// Codes the quantised residuals of a predictor: integers, mostly small, each with a key (below 256) that says what
/// kind it is: where it stands and how large those around it were. Keys whose integers are distributed alike share a
/// context.
namespace gregale::codec {

class ResidualEncoder {
 public:
  /// For at most `count` residuals.
  explicit ResidualEncoder(size_t count) : tokens_(count), keys_(count) {}
  /// A row of them. `valid`: null, or which of them are coded, `step` apart.
  template <class Int>
  void add(const Int* residuals, const uint8_t* keys, int64_t count, const uint8_t* valid, int64_t step);
  void finish(ByteWriter& out);

  static constexpr uint64_t kSmall = 24;

 private:
  static uint64_t folded(int64_t residual) {  // 0, -1, 1, -2, ... as 0, 1, 2, 3, ...
    return (static_cast<uint64_t>(residual) << 1) ^ static_cast<uint64_t>(residual >> 63);
  }
  uint8_t large(uint64_t v);

  std::vector<uint8_t> tokens_, keys_;
  size_t count_ = 0;
  std::vector<uint64_t> bits_;  ///< the rest of large ones
  uint64_t filled_ = 0;
};

class ResidualDecoder {
 public:
  /// Throws ErrorCode::corrupt_data.
  explicit ResidualDecoder(ByteReader& in);
  /// The row that was added in the same place; what is not valid is 0.
  template <class Int>
  void next(Int* residuals, const uint8_t* keys, int64_t count, const uint8_t* valid, int64_t step);
  /// Throws ErrorCode::corrupt_data where more was read than there was.
  void finish() const;

 private:
  uint64_t large(uint32_t token);
  std::array<uint32_t, 256> context_{};
  std::unique_ptr<RansDecoder> rans_;
  std::vector<int32_t> places_;  ///< of the valid ones of a row
  ByteSpan bits_;
  uint64_t at_ = 0;
};

}  // namespace gregale::codec
