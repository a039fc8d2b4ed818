// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/tile_scope.hpp"

#include <cstring>

namespace gregale::kernels {
namespace {

struct ThreadTiles {
  TileConfig config;
  bool configured = false;
  int depth = 0;
};
thread_local ThreadTiles tiles;

}  // namespace

TileScope::TileScope() { ++tiles.depth; }

TileScope::~TileScope() {
  if (--tiles.depth > 0 || !tiles.configured) return;
  tiles.configured = false;
#if defined(__x86_64__)
  asm volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0xc0");  // tilerelease
#endif
}

void TileScope::use(const TileConfig& config) {
  if (tiles.configured && std::memcmp(&tiles.config, &config, sizeof config) == 0) return;
  tiles.config = config;
  tiles.configured = true;
#if defined(__x86_64__)
  asm volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0x00" : : "a"(&tiles.config) : "memory");  // ldtilecfg [rax]
#endif
}

}  // namespace gregale::kernels
