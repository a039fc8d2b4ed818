// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/atomic_file.hpp"
#include "gregale/tensor.hpp"

namespace gregale::data {

/// safetensors files (github.com/huggingface/safetensors, "Format"): 8 bytes of little-endian header length, a JSON
/// header
/// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {"key": "text"}},
/// then the bytes of the tensors, row-major and little-endian, end to end without holes.
///
/// What this project adds, within the format: the header is padded with blanks so that the data begin at a multiple of
/// 64; tensors are ordered by element size (largest first, so that all are aligned to their element), then name; and
/// two checksums in the metadata, verified on reading where present: `sha256` (tensors_sha256 below) and
/// `sha256_metadata` (all other metadata, `sha256` included).
using NamedTensors = std::map<std::string, Tensor>;
using Metadata = std::map<std::string, std::string>;

struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  Extents extents;
  int64_t begin = 0;  ///< bytes from the start of the data
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  ///< in the order of their bytes
  Metadata metadata;                 ///< checksums included
  int64_t data_offset = 0;           ///< where in the file the data begin
  int64_t data_bytes = 0;
};

struct Safetensors {
  NamedTensors tensors;
  Metadata metadata;   ///< without the two checksums
  std::string sha256;  ///< of the tensors as read, empty where `verify` was off
};

struct SafetensorsReadOptions {
  /// Map the file instead of reading it: tensors whose bytes lie at a multiple of 64 share the mapping (copy-on-write,
  /// so writing to them changes no file), others are copied. Only for files that nobody truncates meanwhile: that is a
  /// SIGBUS. Files replaced by rename, as write_safetensors does, are safe.
  bool map = false;
  bool verify = true;  ///< check the checksums
};

/// Reads a whole file. Errors name the file: `io` where it cannot be read; `corrupt_data` where it is not well formed
/// (truncation names the byte), where a name occurs twice, bytes overlap or leave holes, a boolean is neither 0 nor 1,
/// or a checksum does not match; `unsupported` for an element type that has no DType.
Safetensors read_safetensors(const std::string& path, const SafetensorsReadOptions& options = {});
/// The header alone, all its bounds checked against the file's size.
SafetensorsHeader read_safetensors_header(const std::string& path);

/// Writes atomically (AtomicFile): on failure throws `io`, and the file that was there is untouched. `metadata` must
/// not hold the two checksums' keys; c128 is refused (`unsupported`: the format has no name for it).
void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata = {},
                       const SinkFactory& open = open_file_sink);

/// A checksum of names, dtypes, extents and bytes that does not depend on order in a file or on metadata: the
/// `weights_sha256` of train.json.
std::string tensors_sha256(const NamedTensors& tensors);

/// The format's names ("F32", "BOOL"); from_name throws `unsupported`.
std::string safetensors_name_of(DType dtype);
DType dtype_from_safetensors_name(const std::string& name);

}  // namespace gregale::data
