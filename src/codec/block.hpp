// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/block_codec.hpp"

/// One block of a stream, from the elements as they are in memory to bytes that are certified, and back.
namespace gregale::codec {

/// Ids of what a block can be beside the codecs' own.
enum BlockKind : uint8_t { kExactBlock = 0, kConstantBlock = 1, kFirstCodec = 16 };

struct BlockStatistics {
  int64_t valid = 0;
  double least = 0, greatest = 0;              ///< of valid values, where there are some
  double max_error = 0, squares = 0, sum = 0;  ///< of x' - x over valid values
  int64_t encode_ns = 0, decode_ns = 0;
};

struct EncodedBlock {
  uint8_t kind = kExactBlock;
  Bytes bytes;
  BlockStatistics statistics;
};

/// `values`: the block's elements, dense. `contract` is absolute; `codec` null: exact. `isa`: for speed. `decoded` gets
/// what a reader will see; where it is empty, nothing is verified.
EncodedBlock encode_block(ByteSpan values, DType dtype, const BlockExtents& extents, const ErrorContract& contract,
                          double bound, const BlockCodec* codec, const RandomKey& key, Isa isa, Workspace& workspace,
                          std::span<std::byte> decoded);

/// `codec`: of `kind`, null for the first two. Throws ErrorCode::corrupt_data with the byte in the block.
void decode_block(uint8_t kind, ByteSpan in, DType dtype, const BlockExtents& extents, const BlockCodec* codec,
                  std::span<std::byte> values, Workspace& workspace);

}  // namespace gregale::codec
