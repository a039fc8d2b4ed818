// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <memory>

#include "ops/common.hpp"
#include "tile/convolution_weights.hpp"

namespace gregale::ops {

/// The lowering of a convolution's gradient in its weights, with channels last, of planes (tile::Conv2d) and volumes
/// (tile::Conv3d): operands of f32 or bf16, sums of f32.
template <class Problem>
Result<Kernel> weights_gradient_kernel(const NodeView& node, const Target& target, const Problem& problem) {
  const DType dtype = node.input(0).dtype;
  if (dtype != DType::f32 && dtype != DType::bf16)
    return refuse(node, fmt::format("f32 or bf16 needed, not {}", name_of(dtype)));
  if (node.outputs()[0].dtype != DType::f32) return refuse(node, "sums are f32");
  auto program = std::make_shared<const tile::Conv2dWeightsGradient>(*kernel_cache(target), problem, dtype);
  Kernel k;
  k.scratch_bytes = program->scratch_bytes();
  k.thread_scratch_bytes = program->thread_scratch_bytes();
  k.run = [program](const Launch& l) {
    program->run(l.team, l.inputs[0], l.inputs[1], static_cast<float*>(l.outputs[0]), l.scratch, l.thread_scratch);
  };
  return k;
}

}  // namespace gregale::ops
