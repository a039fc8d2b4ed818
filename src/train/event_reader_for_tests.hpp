// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "train/event_writer.hpp"

namespace gregale::train {

struct ReadEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string file_version, tag;
  float value = 0;
  bool restart = false;
};

/// Reads back what EventWriter writes, every checksum verified; throws std::runtime_error on anything else.
class EventReader {
 public:
  static std::vector<ReadEvent> read(std::string_view file) {
    std::vector<ReadEvent> events;
    while (!file.empty()) {
      std::string_view length_bytes = take(file, 8);
      auto length = fixed<uint64_t>(length_bytes);
      require(fixed<uint32_t>(take(file, 4)) == masked_crc32c(length_bytes), "checksum of a length");
      std::string_view event = take(file, length);
      require(fixed<uint32_t>(take(file, 4)) == masked_crc32c(event), "checksum of an event");
      events.push_back(read_event(event));
    }
    return events;
  }

 private:
  static void require(bool condition, const char* what) {
    if (!condition) throw std::runtime_error(what);
  }
  static std::string_view take(std::string_view& from, uint64_t count) {
    require(count <= from.size(), "truncated");
    std::string_view taken = from.substr(0, count);
    from.remove_prefix(count);
    return taken;
  }
  template <class T>
  static T fixed(std::string_view bytes) {
    T value;
    require(bytes.size() == sizeof(T), "size of a fixed field");
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  static uint64_t varint(std::string_view& from) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      auto byte = static_cast<uint8_t>(take(from, 1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw std::runtime_error("varint");
  }
  static ReadEvent read_event(std::string_view bytes) {
    ReadEvent event;
    while (!bytes.empty()) {
      switch (varint(bytes)) {  // field << 3 | wire type
        case 1 << 3 | 1:
          event.wall_time = fixed<double>(take(bytes, 8));
          break;
        case 2 << 3 | 0:
          event.step = static_cast<int64_t>(varint(bytes));
          break;
        case 3 << 3 | 2:
          event.file_version = take(bytes, varint(bytes));
          break;
        case 5 << 3 | 2: {
          std::string_view summary = take(bytes, varint(bytes));
          require(varint(summary) == (1 << 3 | 2), "summary");
          std::string_view value = take(summary, varint(summary));
          require(summary.empty() && varint(value) == (1 << 3 | 2), "tag");
          event.tag = take(value, varint(value));
          require(varint(value) == (2 << 3 | 5), "value");
          event.value = fixed<float>(value);
          break;
        }
        case 7 << 3 | 2: {
          std::string_view log = take(bytes, varint(bytes));
          event.restart = log == std::string_view("\x08\x01", 2);
          break;
        }
        default:
          throw std::runtime_error("unknown field");
      }
    }
    return event;
  }
};

}  // namespace gregale::train
