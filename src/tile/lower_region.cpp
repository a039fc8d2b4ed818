// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/lower_region.hpp"

#include <algorithm>
#include <span>

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

namespace {

bool is_of_bytes(std::span<const bf16> values) {
  return std::all_of(values.begin(), values.end(), [](bf16 value) {
    const float x = to_f32(value);
    return x >= -128 && x <= 127 && x == static_cast<float>(static_cast<int>(x));
  });
}

}  // namespace

Given given(const Tensor* constant, const Target& target, bool in_parts) {
  if (constant == nullptr) return Given::later;
  if (constant->dtype() == DType::bf16 && kernels::has_tiles(target) && is_of_bytes(constant->as<bf16>()))
    return Given::bytes;
  const bool asks = in_parts && kernels::has_tiles(target) && constant->dtype() == DType::f32;
  return asks && kernels::parts_hold(constant->as<float>()) ? Given::in_parts : Given::constant;
}

std::vector<Given> given_of(const NodeView& node, const Target& target, bool in_parts) {
  std::vector<Given> all;
  for (int64_t i = 0; i < node.input_count(); ++i) all.push_back(given(node.constant(i), target, in_parts));
  return all;
}

Result<LoweredRegion> lower_region(const Graph& region, const Target& target, const std::vector<Given>& given,
                                   const ScheduleChoice& choice) {
  if (has_convolution(region)) return lower_convolution(region, target, given);
  if (wants_boxes(region))
    if (auto lowered = lower_boxes(region, target)) return lowered;
  return lowered_or_refused([&] { return RegionLowering(region, target, given, choice).run(); });
}

}  // namespace gregale::tile
