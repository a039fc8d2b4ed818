// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/program_kernel.hpp"

#include "ops/common.hpp"
#include "tile/lower_region.hpp"
#include "tile/program_executor.hpp"

namespace gregale::ops {
namespace {

/// Results that may take an operand's memory: elementwise, both dense, and the operand read nowhere else.
std::vector<std::pair<int, int>> in_place_of(const tile::TileProgram& p, const NodeView& node) {
  std::vector<std::pair<int, int>> pairs;
  if (p.phases.size() != 1 || p.phases[0].stages.size() != 1 || p.phases[0].stages[0].calls.size() != 1) return pairs;
  const tile::Call& call = p.phases[0].stages[0].calls[0];
  const auto* express = std::get_if<tile::Express>(&call.what);
  if (express == nullptr) return pairs;
  const size_t inputs = call.operands.size() - express->expression.outputs().size();
  for (size_t o = inputs; o < call.operands.size(); ++o)
    for (size_t i = 0; i < inputs; ++i) {
      const tile::Operand &from = call.operands[i], &to = call.operands[o];
      int64_t readers = 0;
      for (size_t k = 0; k < inputs; ++k) readers += call.operands[k].buffer == from.buffer;
      const bool same = from.offset == 0 && to.offset == 0 && from.leading == to.leading &&
                        from.strides == to.strides && from.broadcast == to.broadcast &&
                        from.broadcast == kernels::Broadcast::none;
      const int output = to.buffer - static_cast<int>(node.input_count());
      if (same && readers == 1 && node.input(from.buffer) == node.outputs()[static_cast<size_t>(output)])
        pairs.emplace_back(output, from.buffer);
    }
  return pairs;
}

}  // namespace

Result<Kernel> program_kernel(const Graph& body, const NodeView& node, const Target& target,
                              const tile::ScheduleChoice& choice, bool in_parts) {
  const std::vector<tile::Given> given = tile::given_of(node, target, in_parts);
  Result<tile::LoweredRegion> lowered = tile::lower_region(body, target, given, choice);
  // A schedule that was chosen for another target may not fit this one.
  if (!lowered && !(choice == tile::ScheduleChoice{})) lowered = tile::lower_region(body, target, given);
  if (!lowered) return refuse(node, lowered.error().what());
  const auto cache = kernel_cache(target);
  tile::LoweredRegion region = std::move(lowered).value();
  Kernel kernel;
  kernel.in_place = in_place_of(region.program, node);
  for (tile::LoweredRegion::Packed& packed : region.packed) {
    const tile::Buffer& to = packed.pack.buffers[1];
    auto program = std::make_shared<const tile::CompiledProgram>(*cache, std::move(packed.pack));
    kernel.prepared.push_back({packed.input, to.elements * size_of(to.dtype),
                               [program](ThreadTeam& team, const void* operand, void* prepared) {
                                 const Tensor threads(DType::u8, Extents{program->thread_bytes() * team.size() + 64});
                                 const void* arguments[] = {operand, prepared};
                                 program->run(team, arguments, nullptr,
                                              static_cast<std::byte*>(const_cast<void*>(threads.data())));
                               }});
  }
  auto program = std::make_shared<const tile::CompiledProgram>(*cache, std::move(region.program));
  kernel.scratch_bytes = program->memory_bytes();
  kernel.thread_scratch_bytes = program->thread_bytes();
  kernel.program = program;
  kernel.run = [program, inputs = node.input_count(),
                outputs = static_cast<int64_t>(node.outputs().size())](const Launch& l) {
    const void* arguments[tile::kMaxBuffers];
    for (int64_t i = 0; i < inputs; ++i) arguments[i] = l.inputs[i];
    for (int64_t i = 0; i < outputs; ++i) arguments[inputs + i] = l.outputs[i];
    program->run(l.team, arguments, l.scratch, l.thread_scratch);
  };
  return kernel;
}

}  // namespace gregale::ops
