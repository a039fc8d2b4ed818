// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "gregale/codec.hpp"

namespace gregale::hdf5 {

/// What a dataset's filter knows of its chunks; HDF5 keeps it beside the dataset as 32-bit numbers ("cd_values").
struct ChunkParameters {
  DType dtype = DType::f32;
  bool swapped = false;  ///< the file's byte order is not this processor's
  Extents chunk;
  ErrorContract contract;
  /// Values outside are no data (CF's valid_min, valid_max); decompressed values are moved into it, and so never cease
  /// to be data. Whoever compresses lists the values outside as missing.
  double valid_low = -std::numeric_limits<double>::infinity();
  double valid_high = std::numeric_limits<double>::infinity();

  int64_t bytes() const;
  /// All of it, recognised by its first number.
  std::vector<unsigned> numbers() const;
  static bool is_complete(std::span<const unsigned> numbers);
  /// Throws ErrorCode::corrupt_data.
  static ChunkParameters parse(std::span<const unsigned> numbers);
};

/// What users write who ask HDF5 for the filter: nothing (exact), or kind, digits, exponent: 1 5 3 is an absolute
/// bound of 5e-3; kinds are those of ErrorContract. A relative one is relative to the range of each chunk. Throws
/// ErrorCode::invalid_argument.
ErrorContract parse_request(std::span<const unsigned> numbers);

/// The stream of a chunk's values; `values` may be smaller than the chunk at the array's end.
Encoded encode_chunk(const Tensor& values, const ChunkParameters& parameters, const EncodeOptions& options = {});
/// The values of a stream, with the extents they were encoded with. Throws ErrorCode::corrupt_data where they cannot
/// belong to this dataset.
Tensor decode_chunk(std::span<const std::byte> stream, const ChunkParameters& parameters,
                    const DecodeOptions& options = {});
/// The same into memory that is there. HDF5's own writers hand over whole chunks, also at the array's end: of these the
/// first values of every dimension are taken.
void decode_chunk_into(std::span<const std::byte> stream, const ChunkParameters& parameters, Tensor& values,
                       const DecodeOptions& options = {});
/// Spreads values over a whole chunk, zeros behind them.
void pad_chunk(const Tensor& values, const Extents& chunk, std::span<std::byte> out);
/// The first values of every dimension: HDF5 hands whole chunks to its filters, also at the array's end. Throws
/// ErrorCode::corrupt_data where there are fewer.
Tensor crop(const Tensor& values, const Extents& extents);

/// Reverses the bytes of every element.
void swap_bytes(std::span<std::byte> bytes, int64_t width);

}  // namespace gregale::hdf5
