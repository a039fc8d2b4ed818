// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/group_quantize.hpp"

#include <algorithm>

namespace gregale::codec {
namespace {

constexpr int64_t kGroupsAtOnce = 64;

}  // namespace

void quantize_groups(const float* src, int64_t count, int bits, const Rounding& rounding, Isa isa, ThreadTeam& team,
                     std::byte* dst) {
  const GroupTable& table = group_table(isa);
  parallel_for(team, group_count(count), kGroupsAtOnce, [&](int64_t begin, int64_t end, int) {
    for (int64_t g = begin; g < end; ++g)
      table.encode(src + g * kGroup, std::min(kGroup, count - g * kGroup), bits, rounding,
                   static_cast<uint64_t>(g * kGroup), dst + g * group_bytes(bits));
  });
}

void dequantize_groups(const std::byte* src, int64_t count, int bits, Isa isa, ThreadTeam& team, float* dst) {
  const GroupTable& table = group_table(isa);
  parallel_for(team, group_count(count), kGroupsAtOnce, [&](int64_t begin, int64_t end, int) {
    for (int64_t g = begin; g < end; ++g)
      table.decode(src + g * group_bytes(bits), std::min(kGroup, count - g * kGroup), bits, dst + g * kGroup);
  });
}

}  // namespace gregale::codec
