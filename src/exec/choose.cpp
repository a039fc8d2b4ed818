// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstring>

#include "base/log.hpp"
#include "exec/plan.hpp"
#include "gregale/error.hpp"
#include "ir/interpret.hpp"

namespace gregale {
namespace {

std::string describe_node(const NodeView& node) {
  std::string text = node.op().name + "(";
  for (int64_t i = 0; i < node.input_count(); ++i) text += (i ? ", " : "") + to_string(node.input(i));
  return text + ")";
}

/// The oracle as a kernel: converts, runs the reference, rounds. It allocates, which describe() makes known.
Kernel reference_kernel(const NodeView& view) {
  struct Owned {  // what the view points to must outlive the graph it came from
    Attributes attributes;
    std::vector<Graph> regions;
    std::vector<Type> inputs, outputs;
    const OpDef* op;
  };
  auto owned =
      std::make_shared<Owned>(Owned{view.attributes(), view.regions(), view.inputs(), view.outputs(), &view.op()});
  Kernel kernel;
  kernel.run = [owned](const Launch& launch) {
    NodeView node(*owned->op, owned->inputs, owned->attributes, owned->regions);
    node.set_outputs(owned->outputs);
    std::vector<RefArray> inputs;
    for (size_t i = 0; i < owned->inputs.size(); ++i)
      inputs.push_back(RefArray::from(Tensor::borrow(const_cast<void*>(launch.inputs[i]), owned->inputs[i].dtype,
                                                     owned->inputs[i].shape.extents())));
    const std::vector<RefArray> outputs = run_reference(node, inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Tensor t = outputs[i].to_tensor();
      if (t.bytes() > 0) std::memcpy(launch.outputs[i], t.data(), static_cast<size_t>(t.bytes()));
    }
  };
  return kernel;
}

}  // namespace

Choice choose_kernel(const NodeView& node, const Target& target) {
  const bool log = log_enabled("kernels");
  std::string refusals;
  for (const Lowering& candidate : node.op().lowerings) {
    Result<Kernel> made = candidate.make(node, target);
    if (made) {
      if (log) log_line("kernels", fmt::format("{} -> {}{}", describe_node(node), candidate.name, refusals));
      return {candidate.name, std::move(made).value(), false};
    }
    if (log) refusals += fmt::format("; {}: {}", candidate.name, made.error().message());
  }
  if (log) log_line("kernels", fmt::format("{} -> reference{}", describe_node(node), refusals));
  return {"reference", reference_kernel(node), true};
}

}  // namespace gregale
