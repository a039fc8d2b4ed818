// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <zstd.h>

#include <algorithm>

#include "codec/block_codec.hpp"

namespace gregale::codec {
namespace {

constexpr int kLevel = 3;

/// Byte b of value i goes to b * count + i; in tiles, so that both sides stay in the cache.
void shuffle(const std::byte* src, std::byte* dst, size_t count, size_t width, bool back) {
  constexpr size_t kTile = 4096;
  for (size_t begin = 0; begin < count; begin += kTile) {
    const size_t end = std::min(count, begin + kTile);
    for (size_t b = 0; b < width; ++b)
      for (size_t i = begin; i < end; ++i) {
        if (back)
          dst[i * width + b] = src[b * count + i];
        else
          dst[b * count + i] = src[i * width + b];
      }
  }
}

}  // namespace

Bytes encode_exact(ByteSpan values, int64_t width, Workspace& workspace) {
  const auto shuffled = workspace.take<std::byte>(values.size());
  shuffle(values.data(), shuffled.data(), values.size() / static_cast<size_t>(width), static_cast<size_t>(width),
          false);
  Bytes out(ZSTD_compressBound(shuffled.size()));
  const size_t size = ZSTD_compress(out.data(), out.size(), shuffled.data(), shuffled.size(), kLevel);
  GREGALE_ASSERT(ZSTD_isError(size) == 0);
  out.resize(size);
  return out;
}

void decode_exact(ByteSpan in, std::span<std::byte> values, int64_t width, Workspace& workspace) {
  const auto shuffled = workspace.take<std::byte>(values.size());
  const size_t size = ZSTD_decompress(shuffled.data(), shuffled.size(), in.data(), in.size());
  if (ZSTD_isError(size) != 0 || size != values.size())
    throw_error(ErrorCode::corrupt_data, fmt::format("byte 0: what zstd packed is {}",
                                                     ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "too short"));
  shuffle(shuffled.data(), values.data(), values.size() / static_cast<size_t>(width), static_cast<size_t>(width), true);
}

}  // namespace gregale::codec
