// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/op.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "tile/lower_region.hpp"

namespace gregale::passes {

/// The fused graph with schedule number `index` of each group (modulo how many there are). `tried` counts those that
/// are not the formulas' own and have a program.
inline Graph with_schedules(const Graph& graph, const Target& target, size_t index, int* tried = nullptr) {
  return rewrite(
      graph, [&](Graph& to, const Node& node, const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
        if (node.op->name != "fused") return {};
        const NodeView view = view_of(graph, node);
        const std::vector<tile::Given> given = tile::given_of(view, target, view.boolean("in_parts"));
        auto own = tile::lower_region(node.regions[0], target, given);
        if (!own) return {};
        const auto choices = tile::schedules_around(own.value().freedom);
        const tile::ScheduleChoice& choice = choices[index % choices.size()];
        auto other = tile::lower_region(node.regions[0], target, given, choice);
        if (tried != nullptr && other && !(other.value().program == own.value().program)) ++*tried;
        Attributes attributes = node.attributes;
        attributes["schedule"] = to_string(choice);
        return to.add(*node.op, inputs, attributes, node.regions);
      });
}

}  // namespace gregale::passes
