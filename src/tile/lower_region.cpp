// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/lower_region.hpp"

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

Result<LoweredRegion> lower_region(const Graph& region, const Target& target, const std::vector<bool>& constant,
                                   const ScheduleChoice& choice) {
  if (has_convolution(region)) return lower_convolution(region, target, constant);
  if (wants_boxes(region))
    if (auto lowered = lower_boxes(region, target)) return lowered;
  return lowered_or_refused([&] { return RegionLowering(region, target, constant, choice).run(); });
}

}  // namespace gregale::tile
