// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The state of this thread's AMX tiles. A configuration costs as much as ten tile products, and tiles that hold data
/// cost every context switch 8 KB, so that kernels configure lazily and the outermost scope releases.
namespace gregale::kernels {

/// What ldtilecfg reads (Intel SDM, palette 1): eight tiles of up to 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

/// A loop over calls of tile kernels holds one; every kernel holds one of its own, which is then for nothing. The
/// outermost of a thread releases the tiles, where they were used.
class TileScope {
 public:
  TileScope();
  ~TileScope();
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;

  /// Makes `config` the thread's, unless it is already. Inside a scope only.
  static void use(const TileConfig& config);
};

}  // namespace gregale::kernels
