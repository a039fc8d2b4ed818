// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gregale/type.hpp"

namespace gregale::data {

/// An array cut into equal boxes, the last ones of a dimension smaller; boxes are numbered slowest dimension first.
class ChunkGrid {
 public:
  ChunkGrid(Extents extents, Extents chunk);
  int64_t size() const { return size_; }
  struct Box {
    Extents start, extents;
    int64_t values = 1;
  };
  Box box(int64_t index) const;

 private:
  Extents extents_, chunk_, counts_;
  int64_t size_ = 1;
};

/// The box of at most about `bytes` that is best read or written at once: multiples of `unit` (the chunks of a file;
/// empty: single values), whole fast dimensions first. With `even`, the one dimension that is cut is cut evenly, and
/// slower ones are single: then boxes in order are the array in order.
Extents choose_box(const Extents& extents, const Extents& unit, int64_t element_bytes, int64_t bytes, bool even);

}  // namespace gregale::data
