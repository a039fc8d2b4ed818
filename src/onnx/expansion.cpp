// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/expansion.hpp"

#include <fmt/format.h>

#include <array>

#include "gregale/error.hpp"

namespace gregale::onnx {
namespace {

/// Messages of format.proto.
enum Message : uint8_t {
  none,
  model,
  graph,
  node,
  attribute,
  tensor,
  sparse,
  info,
  type,
  dense,
  shape,
  dim,
  wrapped,
  pair,
  set,
  function
};

/// A field that holds messages, or packed numbers.
struct Field {
  Message in;
  uint32_t number;
  Message holds;
};
constexpr std::array kMessages = {
    Field{model, 7, graph},       Field{model, 8, set},          Field{model, 14, pair},
    Field{model, 25, function},   Field{graph, 1, node},         Field{graph, 5, tensor},
    Field{graph, 11, info},       Field{graph, 12, info},        Field{graph, 13, info},
    Field{graph, 15, sparse},     Field{node, 5, attribute},     Field{attribute, 5, tensor},
    Field{attribute, 6, graph},   Field{attribute, 10, tensor},  Field{attribute, 11, graph},
    Field{attribute, 14, type},   Field{attribute, 15, type},    Field{attribute, 22, sparse},
    Field{attribute, 23, sparse}, Field{tensor, 13, pair},       Field{sparse, 1, tensor},
    Field{sparse, 2, tensor},     Field{info, 2, type},          Field{type, 1, dense},
    Field{type, 4, wrapped},      Field{type, 5, wrapped},       Field{type, 8, dense},
    Field{type, 9, wrapped},      Field{dense, 2, shape},        Field{shape, 1, dim},
    Field{wrapped, 1, type},      Field{wrapped, 2, type},       Field{function, 7, node},
    Field{function, 9, set},      Field{function, 11, attribute}};

// What one message takes, protobuf's object and ours together, and one string; rather too much.
constexpr int64_t kMessageBytes = 640, kStringBytes = 96;
constexpr int64_t kSlack = int64_t{128} << 20;
constexpr int kDeepestMessage = 100;  // protobuf's own limit

class Scanner {
 public:
  explicit Scanner(std::string_view file) : file_(file), budget_(4 * static_cast<int64_t>(file.size()) + kSlack) {}

  void scan(Message message, size_t at, size_t end, int depth) {
    if (depth > kDeepestMessage) refuse(at, "messages are nested too deeply");
    spend(at, kMessageBytes);
    while (at < end) {
      const size_t begin = at;
      const uint64_t tag = varint(at, end);
      switch (tag & 7) {
        case 0:
          varint(at, end);
          spend(begin, 16);  // a repeated number in a vector that grows
          break;
        case 1:
          at += 8;
          spend(begin, 16);
          break;
        case 5:
          at += 4;
          spend(begin, 8);
          break;
        case 2: {
          const uint64_t length = varint(at, end);
          if (length > end - at) refuse(begin, "a field goes beyond its message");
          const Message inner = held(message, static_cast<uint32_t>(tag >> 3));
          if (inner != none)
            scan(inner, at, at + length, depth + 1);
          else
            spend(begin,
                  kStringBytes + growth(message, static_cast<uint32_t>(tag >> 3)) * static_cast<int64_t>(length));
          at += length;
          break;
        }
        default:
          refuse(begin, "no field begins here");
      }
      if (at > end) refuse(begin, "a field goes beyond its message");
    }
  }

 private:
  static Message held(Message in, uint32_t number) {
    for (const Field& f : kMessages)
      if (f.in == in && f.number == number) return f.holds;
    return none;
  }
  /// Bytes in memory for one in the file: packed integers of one byte become eight, in protobuf's object and in ours.
  static int64_t growth(Message in, uint32_t number) {
    if (in == tensor && (number == 5 || number == 7 || number == 11 || number == 1)) return 16;
    if ((in == attribute || in == sparse) && (number == 8 || number == 3)) return 16;
    return 2;
  }
  uint64_t varint(size_t& at, size_t end) {
    const size_t begin = at;
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at >= end) refuse(begin, "a number is cut short");
      const auto byte = static_cast<unsigned char>(file_[at++]);
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    refuse(begin, "a number is too long");
  }
  void spend(size_t at, int64_t bytes) {
    if ((budget_ -= bytes) < 0) refuse(at, "its messages would take far more memory than the file has bytes");
  }
  [[noreturn]] void refuse(size_t at, const char* why) const {
    throw_error(ErrorCode::corrupt_data,
                fmt::format("[onnx] no ONNX model, or a truncated one: byte {} of {}: {}", at, file_.size(), why));
  }

  std::string_view file_;
  int64_t budget_;
};

}  // namespace

void check_expansion(std::string_view file) { Scanner(file).scan(model, 0, file.size(), 0); }

}  // namespace gregale::onnx
