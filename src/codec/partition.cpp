// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/partition.hpp"

#include <algorithm>
#include <cstring>

namespace gregale::codec {

BlockExtents as_four(const Extents& extents) {
  BlockExtents four{1, 1, 1, 1};
  const size_t rank = extents.size();
  for (size_t i = 0; i < rank; ++i) {
    const size_t at = rank - i <= 4 ? 4 - (rank - i) : 0;
    four[at] *= extents[i];
  }
  return four;
}

BlockExtents block_extents(const BlockExtents& array) {
  constexpr int64_t kWorthTwo = int64_t{1} << 17;
  BlockExtents block = array;
  // The slowest that is not short, so that blocks are contiguous if they can be, and rows long.
  const auto halve = [&] {
    const int64_t longest = *std::max_element(block.begin(), block.end());
    int64_t& e = *std::find_if(block.begin(), block.end(), [&](int64_t n) { return 4 * n >= longest; });
    e = (e + 1) / 2;
  };
  if (count_of(block) >= kWorthTwo) halve();
  while (count_of(block) > kBlockValues) halve();
  for (int64_t& e : block) e = std::max<int64_t>(e, 1);
  return block;
}

Partition::Partition(const BlockExtents& array, const BlockExtents& block) : array_(array), block_(block), grid_{} {
  for (size_t d = 0; d < 4; ++d) grid_[d] = (array[d] + block[d] - 1) / block[d];
}

Partition::Box Partition::box(int64_t index) const {
  Box box{};
  for (size_t d = 4; d-- > 0;) {
    box.begin[d] = index % grid_[d] * block_[d];
    box.extents[d] = std::min(block_[d], array_[d] - box.begin[d]);
    index /= grid_[d];
  }
  return box;
}

std::optional<size_t> Partition::dense(const Box& box, int64_t width) const {
  bool whole = true;  // all dimensions so far, from the fastest
  int64_t place = 0, stride = 1;
  for (size_t d = 4; d-- > 0;) {
    if (!whole && box.extents[d] > 1) return std::nullopt;
    whole &= box.extents[d] == array_[d];
    place += box.begin[d] * stride;
    stride *= array_[d];
  }
  return static_cast<size_t>(place * width);
}

template <class Copy>
void Partition::rows(const Box& box, Copy copy) const {
  const auto& b = box.begin;
  const auto& e = box.extents;
  int64_t dense = 0;
  for (int64_t i = 0; i < e[0]; ++i)
    for (int64_t j = 0; j < e[1]; ++j)
      for (int64_t k = 0; k < e[2]; ++k, dense += e[3])
        copy((((b[0] + i) * array_[1] + b[1] + j) * array_[2] + b[2] + k) * array_[3] + b[3], dense);
}

void Partition::gather(const std::byte* array, const Box& box, std::byte* dense, int64_t width) const {
  const auto bytes = static_cast<size_t>(box.extents[3] * width);
  rows(box, [&](int64_t at, int64_t to) { std::memcpy(dense + to * width, array + at * width, bytes); });
}

void Partition::scatter(const std::byte* dense, const Box& box, std::byte* array, int64_t width) const {
  const auto bytes = static_cast<size_t>(box.extents[3] * width);
  rows(box, [&](int64_t at, int64_t from) { std::memcpy(array + at * width, dense + from * width, bytes); });
}

}  // namespace gregale::codec
