// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/chunk_grid.hpp"

#include <algorithm>
#include <utility>

namespace gregale::data {

ChunkGrid::ChunkGrid(Extents extents, Extents chunk) : extents_(std::move(extents)), chunk_(std::move(chunk)) {
  for (size_t d = 0; d < extents_.size(); ++d) {
    counts_.push_back((extents_[d] + chunk_[d] - 1) / chunk_[d]);
    size_ *= counts_[d];
  }
}

ChunkGrid::Box ChunkGrid::box(int64_t index) const {
  Box box{Extents(extents_.size()), Extents(extents_.size())};
  for (size_t d = extents_.size(); d-- > 0;) {
    box.start[d] = index % counts_[d] * chunk_[d];
    box.extents[d] = std::min(chunk_[d], extents_[d] - box.start[d]);
    box.values *= box.extents[d];
    index /= counts_[d];
  }
  return box;
}

Extents choose_box(const Extents& extents, const Extents& unit, int64_t element_bytes, int64_t bytes, bool even) {
  Extents box(extents.size(), 1);
  int64_t size = element_bytes;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (!unit.empty()) box[d] = std::clamp<int64_t>(extents[d], 1, unit[d]);
    size *= box[d];
  }
  for (size_t d = extents.size(); d-- > 0;) {
    const int64_t times = std::max<int64_t>(bytes / size, 1);
    const int64_t whole = std::max<int64_t>(extents[d], 1), one = box[d];
    box[d] = times >= (whole + one - 1) / one ? whole : one * times;
    if (box[d] < whole && even) {
      const int64_t pieces = (whole + box[d] - 1) / box[d];
      box[d] = (whole + pieces - 1) / pieces;
      break;
    }
    size = size / one * box[d];
  }
  return box;
}

}  // namespace gregale::data
