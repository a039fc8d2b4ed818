// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/operators.hpp"

#include <algorithm>
#include <map>

#include "gregale/ops.hpp"

namespace gregale::onnx {
namespace {

using Key = std::pair<std::string, std::string>;  // domain, name

struct Registry {
  std::map<Key, std::vector<OnnxMapping>> mappings;  // of one operator, the newest first
  std::map<Key, std::vector<HostOp>> host;
  std::vector<Coverage> coverage;
};

Registry make_registry() {
  Registry r;
  const auto add = [&](std::vector<OnnxMapping> family, const std::string& how) {
    for (OnnxMapping& m : family) {
      r.coverage.push_back({m.domain, m.name, m.since, how});
      r.mappings[{m.domain, m.name}].push_back(std::move(m));
    }
  };
  for (const OpDef* op : ops::standard_ops().all()) add(op->onnx, op->name);
  for (auto* family :
       {elementwise_mappings, layout_mappings, indexing_mappings, reduction_mappings, contraction_mappings,
        normalization_mappings, pooling_mappings, image_mappings, recurrent_mappings, attention_mappings, loss_mappings,
        quantization_mappings, signal_mappings, random_mappings})
    add(family(), "in operators");
  // What the tracer does itself, whatever kind of value it is.
  for (const auto& [name, since] : {std::pair("Identity", 1), std::pair("Optional", 15),
                                    std::pair("OptionalGetElement", 15), std::pair("OptionalHasElement", 15)})
    r.coverage.push_back({"", name, since, "in operators"});
  for (auto* family : {shape_host_ops, string_host_ops, feature_host_ops, sequence_host_ops, control_host_ops})
    for (HostOp& h : family()) {
      r.coverage.push_back(
          {h.domain, h.name, h.since, h.of_strings ? "between programs, of strings" : "between programs"});
      r.host[{h.domain, h.name}].push_back(std::move(h));
    }
  const auto newest_first = [](auto& versions) {
    std::stable_sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) { return a.since > b.since; });
  };
  for (auto& [key, versions] : r.mappings) newest_first(versions);
  for (auto& [key, versions] : r.host) newest_first(versions);
  std::stable_sort(r.coverage.begin(), r.coverage.end(), [](const Coverage& a, const Coverage& b) {
    return std::tie(a.domain, a.name, a.since) < std::tie(b.domain, b.name, b.since);
  });
  return r;
}

const Registry& registry() {
  static const Registry r = make_registry();
  return r;
}

}  // namespace

const OnnxMapping* find_mapping(const BlockNode& node) {
  const auto at = registry().mappings.find({node.domain, node.op_type});
  if (at == registry().mappings.end()) return nullptr;
  for (const OnnxMapping& m : at->second)
    if (m.since <= node.opset && node.opset <= m.until) return &m;
  return nullptr;
}

const HostOp* find_host_op(const BlockNode& node, bool strings) {
  const auto at = registry().host.find({node.domain, node.op_type});
  if (at == registry().host.end()) return nullptr;
  for (const HostOp& h : at->second)
    if (h.since <= node.opset && (strings || !h.of_strings) && (!h.only || h.only(node))) return &h;
  return nullptr;
}

std::vector<Coverage> coverage() { return registry().coverage; }

}  // namespace gregale::onnx
