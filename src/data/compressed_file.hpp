// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gregale/codec.hpp"

namespace gregale::codec {
struct AutoencoderCounts;
}

/// netCDF files whose fields are compressed under a bound, by the HDF5 filter of hdf5/ (docs/compressed-files.md).
namespace gregale::data {

/// A codec that was made for one variable.
struct LearnedCodec {
  std::shared_ptr<const BlockCodec> codec;
  std::shared_ptr<const codec::AutoencoderCounts> counts;
  double seconds = 0;  ///< of training
};

struct CompressOptions {
  ErrorContract contract;                        ///< of every field
  std::map<std::string, ErrorContract> by_name;  ///< of single ones, by path: "SST", "/model/temp"
  std::string codec = "auto";
  int64_t chunk_bytes = 16 << 20;  ///< of values; one chunk is decompressed at once
  ThreadTeam* team = nullptr;
  std::string history;  ///< the line added to the file's attribute
  /// Told of bytes of values done, of how many, and the variable; may throw to stop, and nothing is written then.
  std::function<void(int64_t done, int64_t total, const std::string& variable)> progress;
  /// Where set, makes the codec of each variable that may change, from its values (of a large one the first chunk).
  /// Without a codec, `codec` serves.
  std::function<LearnedCodec(const std::string& variable, const Tensor& values, const std::vector<double>& missing)>
      learn = {};
};

/// What became of one compressed variable.
struct CompressedVariable {
  std::string path;
  Certificate certificate;  ///< found by decompressing each chunk as readers will; bytes_out: of the streams
  double encode_seconds = 0, decode_seconds = 0;  ///< of the whole team; each chunk is decompressed once
  LearnedCodec learned;
  double encode_gbs() const { return speed(encode_seconds); }
  double decode_gbs() const { return speed(decode_seconds); }

 private:
  double speed(double seconds) const {
    return seconds > 0 ? static_cast<double>(certificate.bytes_in) / seconds * 1e-9 : 0;
  }
};

struct CompressionReport {
  std::vector<CompressedVariable> variables;
  std::map<std::string, std::string> kept;  ///< path and why: "coordinate", "integer", ...
  int64_t file_bytes_in = 0, file_bytes_out = 0;
};

/// Writes `out` atomically. Throws ErrorCode::usage for names in `by_name` that are no field of the file, otherwise
/// what NetcdfFile, AtomicFile and encode() throw.
CompressionReport compress_file(const std::string& in, const std::string& out, const CompressOptions& options);

struct DecompressOptions {
  ThreadTeam* team = nullptr;
  std::string history;
  std::function<void(int64_t done, int64_t total, const std::string& variable)> progress;
};

/// The inverse: a netCDF-4 file that needs no filter, with the values as decompressed. Certificates have bytes and
/// hash.
CompressionReport decompress_file(const std::string& in, const std::string& out, const DecompressOptions& options);

}  // namespace gregale::data
