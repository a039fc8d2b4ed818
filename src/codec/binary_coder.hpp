// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "codec/bytes.hpp"

/// Adaptive binary arithmetic coding: G. N. N. Martin's range coder with carries, as LZMA has it. Each bit is coded
/// with the share of zeros that its model has seen lately.
namespace gregale::codec {

class BitModel {
 public:
  static constexpr int kBits = 12, kRate = 4;
  uint32_t zero() const { return zero_; }
  void update(bool bit) {
    const uint32_t less = zero_ - (zero_ >> kRate), more = zero_ + (((1U << kBits) - zero_) >> kRate);
    zero_ = static_cast<uint16_t>(bit ? less : more);
  }

 private:
  uint16_t zero_ = 1U << (kBits - 1);
};

class BinaryEncoder {
 public:
  /// Writes from `out` on: at most two bytes a bit and eight.
  explicit BinaryEncoder(std::byte* out) : out_(out) {}
  void encode(BitModel& model, bool bit) {
    const uint32_t bound = (range_ >> BitModel::kBits) * model.zero();
    low_ += bit ? bound : 0;
    range_ = bit ? range_ - bound : bound;
    model.update(bit);
    while (range_ < (1U << 24)) {
      range_ <<= 8;
      shift();
    }
  }
  /// The end of what was written; nothing may be encoded afterwards.
  std::byte* finish() {
    for (int i = 0; i < 5; ++i) shift();
    return out_;
  }

 private:
  void shift() {
    if (low_ < 0xFF000000U || low_ > 0xFFFFFFFFU) {
      const auto carry = static_cast<uint8_t>(low_ >> 32);
      if (begun_) *out_++ = static_cast<std::byte>(cache_ + carry);
      for (; pending_ > 0; --pending_) *out_++ = static_cast<std::byte>(0xFF + carry);
      begun_ = true;
      cache_ = static_cast<uint8_t>(low_ >> 24);
    } else {
      ++pending_;
    }
    low_ = (low_ & 0x00FFFFFFU) << 8;
  }

  std::byte* out_;
  uint64_t low_ = 0;
  uint32_t range_ = 0xFFFFFFFFU;
  uint64_t pending_ = 0;
  uint8_t cache_ = 0;
  bool begun_ = false;
};

class BinaryDecoder {
 public:
  explicit BinaryDecoder(ByteSpan in) : in_(in) {
    for (int i = 0; i < 4; ++i) code_ = code_ << 8 | next();
  }
  bool decode(BitModel& model) {
    const uint32_t bound = (range_ >> BitModel::kBits) * model.zero();
    const bool bit = code_ >= bound;
    if (bit) {
      code_ -= bound;
      range_ -= bound;
    } else {
      range_ = bound;
    }
    model.update(bit);
    while (range_ < (1U << 24)) {
      range_ <<= 8;
      code_ = code_ << 8 | next();
    }
    return bit;
  }

 private:
  uint32_t next() { return at_ < in_.size() ? static_cast<uint32_t>(in_[at_++]) : 0; }

  ByteSpan in_;
  size_t at_ = 0;
  uint32_t range_ = 0xFFFFFFFFU, code_ = 0;
};

/// Bytes as eight binary decisions, most significant first, each with its own model.
struct ByteModel {
  std::array<BitModel, 256> models;
  void encode(BinaryEncoder& coder, uint8_t value) {
    uint32_t node = 1;
    for (int b = 7; b >= 0; --b) {
      const bool bit = (value >> b & 1) != 0;
      coder.encode(models[node], bit);
      node = node << 1 | (bit ? 1 : 0);
    }
  }
  uint8_t decode(BinaryDecoder& coder) {
    uint32_t node = 1;
    while (node < 256) node = node << 1 | (coder.decode(models[node]) ? 1 : 0);
    return static_cast<uint8_t>(node);
  }
};

}  // namespace gregale::codec
