// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "codec/block_codec.hpp"

/// How an array is cut into blocks: boxes of at most four dimensions, which threads work on alone.
namespace gregale::codec {

/// Any extents as four: the slowest ones together, or ones in front.
BlockExtents as_four(const Extents& extents);

/// Halves the longest extent until a block has at most kBlockValues, and arrays that are worth it two blocks.
BlockExtents block_extents(const BlockExtents& array);
inline constexpr int64_t kBlockValues = int64_t{1} << 20;

/// The boxes of an array, in order.
class Partition {
 public:
  Partition(const BlockExtents& array, const BlockExtents& block);
  int64_t size() const { return count_of(grid_); }
  struct Box {
    BlockExtents begin, extents;
  };
  Box box(int64_t index) const;

  /// Where a box begins, in bytes, if its values lie together in the array.
  std::optional<size_t> dense(const Box& box, int64_t width) const;
  /// Copies box <-> array, `width` bytes a value.
  void gather(const std::byte* array, const Box& box, std::byte* dense, int64_t width) const;
  void scatter(const std::byte* dense, const Box& box, std::byte* array, int64_t width) const;

 private:
  template <class Copy>
  void rows(const Box& box, Copy copy) const;
  BlockExtents array_, block_, grid_;
};

}  // namespace gregale::codec
