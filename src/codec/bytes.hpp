// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "gregale/error.hpp"

/// Little-endian bytes of a stream, written and read. Reading trusts nothing: what runs over the end or is out of range
/// throws ErrorCode::corrupt_data with the byte.
namespace gregale::codec {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}
  void raw(const void* data, size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), bytes, bytes + size);
  }
  void bytes(ByteSpan data) { raw(data.data(), data.size()); }
  template <class T>
  void number(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    raw(&value, sizeof value);
  }
  /// LEB128: seven bits a byte, least significant first.
  void varint(uint64_t value) {
    for (; value >= 128; value >>= 7) number(static_cast<uint8_t>(value | 128));
    number(static_cast<uint8_t>(value));
  }
  /// A part with its length in front.
  void part(ByteSpan data) {
    varint(data.size());
    bytes(data);
  }

 private:
  Bytes& out_;
};

class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}
  size_t position() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  [[noreturn]] void fail(const char* what) const {
    throw_error(ErrorCode::corrupt_data, fmt::format("byte {}: {}", at_, what));
  }
  ByteSpan take(size_t size) {
    if (size > left()) fail("the stream ends too early");
    const ByteSpan part = bytes_.subspan(at_, size);
    at_ += size;
    return part;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = number<uint8_t>();
      if (shift == 63 && byte > 1) fail("a number has more than 64 bits");
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
  /// A varint that must not exceed `greatest`.
  uint64_t varint_to(uint64_t greatest, const char* what) {
    const size_t begin = at_;
    const uint64_t value = varint();
    if (value > greatest) {
      at_ = begin;
      fail(what);
    }
    return value;
  }
  ByteSpan part() { return take(static_cast<size_t>(varint_to(left(), "a part is longer than the stream"))); }
  ByteSpan rest() { return take(left()); }

 private:
  ByteSpan bytes_;
  size_t at_ = 0;
};

}  // namespace gregale::codec
