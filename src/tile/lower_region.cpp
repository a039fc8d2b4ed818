// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/lower_region.hpp"

#include <cstring>

#include "kernels/contraction/contraction_kernel.hpp"
#include "tile/lower_boxes.hpp"
#include "tile/lower_convolution.hpp"
#include "tile/region_lowering.hpp"

namespace gregale::tile {

LoweredRegion RegionLowering::run() {
  place_values();
  delay_expressions();
  collect_work();
  find_outputs();
  fold_epilogues();
  find_pairs();
  find_rows();
  declare_buffers();
  std::vector<Stage> stages;
  for (size_t i = 0; i < work_.size(); ++i) emit(i, stages);
  finish(std::move(stages));
  return std::move(out_);
}

Given given(const Tensor* constant, const Target& target, bool in_parts) {
  if (constant == nullptr) return Given::later;
  if (!in_parts || !kernels::has_tiles(target) || constant->dtype() != DType::f32) return Given::constant;
  // Below, the last part would be denormal, which tiles take for zero.
  constexpr int32_t kTooLarge = (127 + 63) << 23, kTooSmall = (127 - 100) << 23;
  int32_t outside = 0;  // comparisons that every instruction set has in vectors
  for (const float x : constant->as<float>()) {
    int32_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    bits &= 0x7fffffff;
    outside |= (bits >= kTooLarge ? 1 : 0) | (bits < kTooSmall && bits != 0 ? 1 : 0);
  }
  return outside == 0 ? Given::in_parts : Given::constant;
}

Result<LoweredRegion> lower_region(const Graph& region, const Target& target, const std::vector<Given>& given,
                                   const ScheduleChoice& choice) {
  if (has_convolution(region)) return lower_convolution(region, target, given);
  if (wants_boxes(region))
    if (auto lowered = lower_boxes(region, target)) return lowered;
  return lowered_or_refused([&] { return RegionLowering(region, target, given, choice).run(); });
}

}  // namespace gregale::tile
