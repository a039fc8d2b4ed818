// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/event_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "gregale/error.hpp"

namespace gregale::train {
namespace {

static_assert(std::endian::native == std::endian::little,
              "fixed-width fields are little-endian, and written as they are");

constexpr size_t kBuffer = 64 * 1024;

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ (value & 1 ? 0x82f63b78u : 0u);  // the polynomial, reflected
    table[byte] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

template <class T>
void append_fixed(std::string& out, T value) {
  std::array<char, sizeof(T)> bytes{};
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}
void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Protocol buffers: a field is its number and wire type, then its value.
enum Wire : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void append_tag(std::string& out, uint64_t field, Wire wire) { append_varint(out, field << 3 | wire); }
void append_bytes(std::string& out, uint64_t field, std::string_view bytes) {
  append_tag(out, field, kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

// message Event { double wall_time = 1; int64 step = 2; oneof { string file_version = 3; Summary summary = 5;
//                 SessionLog session_log = 7; } }
std::string event_header(int64_t step) {
  std::string event;
  append_tag(event, 1, kFixed64);
  append_fixed(event, std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  append_tag(event, 2, kVarint);
  append_varint(event, static_cast<uint64_t>(step));
  return event;
}

}  // namespace

uint32_t crc32c(std::string_view bytes, uint32_t seed) {
  uint32_t sum = ~seed;
  for (char c : bytes) sum = kCrcTable[(sum ^ static_cast<uint8_t>(c)) & 0xff] ^ (sum >> 8);
  return ~sum;
}

uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

EventWriter::EventWriter(const std::string& folder) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') std::strcpy(host.data(), "localhost");
  for (char& c : host)
    if (c == '/') c = '_';
  auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string name = fmt::format("events.out.tfevents.{:010}.{}", seconds, host.data());
  // Two starts within a second must not share a file.
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    path_ = (std::filesystem::path(folder) / (attempt == 0 ? name : fmt::format("{}.{}", name, attempt))).string();
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    GREGALE_CHECK(descriptor_ >= 0 || (errno == EEXIST && attempt < 1000), io, "cannot write {}: {}", path_,
                  std::strerror(errno));
  }
  std::string event = event_header(0);
  append_bytes(event, 3, "brain.Event:2");
  add_event(event);
}

EventWriter::~EventWriter() {
  try {
    flush();
  } catch (const Error&) {  // said in the header
  }
  ::close(descriptor_);
}

void EventWriter::add_scalar(std::string_view tag, int64_t step, double value) {
  // message Summary { message Value { string tag = 1; float simple_value = 2; } repeated Value value = 1; }
  std::string item;
  append_bytes(item, 1, tag);
  append_tag(item, 2, kFixed32);
  append_fixed(item, static_cast<float>(value));
  std::string summary;
  append_bytes(summary, 1, item);
  std::string event = event_header(step);
  append_bytes(event, 5, summary);
  add_event(event);
}

void EventWriter::mark_restart(int64_t step) {
  // message SessionLog { enum SessionStatus { START = 1; } SessionStatus status = 1; }
  std::string log;
  append_tag(log, 1, kVarint);
  append_varint(log, 1);
  std::string event = event_header(step);
  append_bytes(event, 7, log);
  add_event(event);
}

void EventWriter::add_event(std::string_view event) {
  std::string length;
  append_fixed(length, static_cast<uint64_t>(event.size()));
  pending_ += length;
  append_fixed(pending_, masked_crc32c(length));
  pending_ += event;
  append_fixed(pending_, masked_crc32c(event));
  if (pending_.size() >= kBuffer) flush();
}

void EventWriter::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    int error = written < 0 ? errno : EIO;
    if (written <= 0) {
      // Kept, so that a later flush continues exactly here: the file never holds half a record followed by another.
      pending_.erase(0, pending_.size() - rest.size());
      throw_error(ErrorCode::io, fmt::format("cannot write {}: {}", path_, std::strerror(error)));
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  pending_.clear();
}

}  // namespace gregale::train
