// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gregale::train {

/// CRC-32C (Castagnoli; RFC 3720 appendix B.4): crc32c("123456789") is 0xe3069283. `seed` continues an earlier sum.
uint32_t crc32c(std::string_view bytes, uint32_t seed = 0);
/// As TFRecord files store it: rotated by 15 bits, plus a constant, so that sums of sums are no trouble.
uint32_t masked_crc32c(std::string_view bytes);

/// A TensorBoard event file: TFRecords (length, its masked CRC-32C, bytes, their masked CRC-32C; little-endian) of
/// `Event` protocol buffers (tensorflow/core/util/event.proto, version "brain.Event:2"), scalars only.
///
/// Each run, and each resumption of one, writes a file of its own, `events.out.tfevents.TIME.HOST`; TensorBoard shows
/// all files of a folder as one run. Events are kept in memory until flush() or 64 KiB; what a kill leaves
/// half-written, readers ignore. Not for use from several threads. Errors are ErrorCode::io, naming the file.
class EventWriter {
 public:
  /// Creates the file in `folder`, which must exist.
  explicit EventWriter(const std::string& folder);
  /// Flushes; failures are lost there, so call flush() where they matter.
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  /// `tag` is what TensorBoard calls the curve; a slash groups ("loss/train"). Stored as float32.
  void add_scalar(std::string_view tag, int64_t step, double value);
  /// For a resumed run: TensorBoard forgets what earlier files say about `step` and later ones.
  void mark_restart(int64_t step);
  void flush();

  const std::string& path() const { return path_; }

 private:
  void add_event(std::string_view event);

  std::string path_;
  std::string pending_;
  int descriptor_ = -1;
};

}  // namespace gregale::train
