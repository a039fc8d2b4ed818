// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/random.hpp"
#include "gregale/tensor.hpp"

/// Compression behind one contract: what may change is said beforehand, what did change is certified afterwards.
/// docs/codecs.md has the methods, the stream's format and figures.
namespace gregale {

/// What decompressed values owe the original ones. The first three hold for every single value.
struct ErrorContract {
  enum class Kind : uint8_t {
    exact,    ///< every bit
    abs_max,  ///< |x - x'| <= bound
    rel_max,  ///< |x - x'| <= bound * (max - min of the valid values of the array)
    rms,      ///< root of the mean squared error of the array <= bound
    unbiased  ///< rms <= bound, and the error of every value has expectation zero over keys (stochastic rounding)
  } kind = Kind::exact;
  double bound = 0;
  bool keep_zeros = false;     ///< zeros come back as the same zero
  bool keep_nonfinite = true;  ///< NaN (its bits) and infinities come back; otherwise they come back as anything
  /// Values that mean "no data": they come back exactly, and belong to no range, error or prediction. No other value
  /// becomes one of them.
  std::vector<double> missing = {};

  static ErrorContract lossless() { return {}; }
  static ErrorContract absolute(double bound) { return {Kind::abs_max, bound}; }
  static ErrorContract relative(double bound) { return {Kind::rel_max, bound}; }
};
const char* to_string(ErrorContract::Kind kind);

/// What compression did, found by decompressing and comparing. Errors are over valid finite values, in their unit.
struct Certificate {
  double bound = 0;                         ///< absolute; 0 where exact
  double max_error = 0, rms = 0, bias = 0;  ///< bias: the mean of x' - x
  double range = 0;                         ///< max - min
  int64_t values = 0, valid = 0;            ///< elements; those neither missing nor non-finite
  int64_t bytes_in = 0, bytes_out = 0;
  int64_t encode_ns = 0, decode_ns = 0;  ///< encode: without decompression and comparison
  uint64_t hash = 0;                     ///< XXH3 of the decompressed bytes
  std::string codec;                     ///< that most blocks use

  double ratio() const { return bytes_out > 0 ? static_cast<double>(bytes_in) / static_cast<double>(bytes_out) : 0; }
  /// 20 log10(range / rms) in dB; infinite where nothing changed.
  double psnr() const;
};

class BlockCodec;
/// Memory that calls work in and leave for the next one; calls of several threads may share it.
class CodecWorkspace;
std::shared_ptr<CodecWorkspace> make_codec_workspace();

/// The codecs that can be asked for by name: exact, quantize, split-frequency, predictive, zfp where it is built in.
const std::vector<std::shared_ptr<const BlockCodec>>& standard_codecs();
std::vector<std::string> codec_names();

struct EncodeOptions {
  /// A name from codec_names(), or "auto". A block that its codec cannot bring within the bound is stored exactly.
  std::string codec = "auto";
  ThreadTeam* team = nullptr;  ///< null: the calling thread. Bytes never depend on it
  RandomKey key;               ///< of stochastic rounding
  /// Codecs beside the standard ones, learned ones for example. Whoever decompresses needs them too.
  std::vector<std::shared_ptr<const BlockCodec>> more_codecs = {};
  CodecWorkspace* workspace = nullptr;  ///< null: one of this call
  /// False leaves the proof to the caller, who decompresses, compares and, where a value is off, encodes again with
  /// true: nothing is decompressed here, and the certificate has neither errors nor a hash. For contracts about single
  /// values.
  bool verify = true;
};

struct Encoded {
  std::vector<std::byte> bytes;
  Certificate certificate;
};

/// Compresses a real floating-point tensor (f64, f32, f16, bf16; any other element type only exactly) into a stream
/// that says of itself all that decode() needs. Rank up to 32; extents may be zero. Throws ErrorCode::invalid_argument
/// for an unknown codec or a bound that is not positive and finite, ErrorCode::dtype for a lossy contract on other
/// types.
Encoded encode(const Tensor& src, const ErrorContract& contract, const EncodeOptions& options = {});

struct DecodeOptions {
  ThreadTeam* team = nullptr;
  std::vector<std::shared_ptr<const BlockCodec>> more_codecs = {};
  /// A stream that claims more than this many decompressed bytes is refused before anything is allocated.
  int64_t max_bytes = INT64_MAX;
  CodecWorkspace* workspace = nullptr;  ///< null: one of this call
};

/// The inverse. Throws ErrorCode::corrupt_data, with the block and the byte, for anything that encode() cannot have
/// written.
Tensor decode(std::span<const std::byte> stream, const DecodeOptions& options = {});

/// The same into memory that is there. Throws ErrorCode::corrupt_data where the stream holds other elements or extents.
void decode_into(std::span<const std::byte> stream, Tensor& values, const DecodeOptions& options = {});

/// What a stream says of itself, without decompressing it.
struct StreamInfo {
  DType dtype = DType::f32;
  Extents extents;
  ErrorContract contract;
  double absolute_bound = 0;
  struct Block {
    std::string codec;
    int64_t offset = 0, bytes = 0;  ///< in the stream
  };
  std::vector<Block> blocks;
};
StreamInfo describe(std::span<const std::byte> stream);

/// Least and greatest of the finite values that are not missing; zeros where there are none.
struct ValueRange {
  double least = 0, greatest = 0;
  int64_t valid = 0;
  double width() const { return greatest - least; }
};
ValueRange value_range(const Tensor& values, const std::vector<double>& missing);

}  // namespace gregale
