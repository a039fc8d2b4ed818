// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <format.pb.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "gregale/error.hpp"
#include "onnx/block.hpp"
#include "onnx/expansion.hpp"
#include "onnx/tensor_data.hpp"

namespace gregale::onnx {
namespace {

// A file may call functions that call functions: so many nodes in all, and calls so deep.
constexpr int64_t kMostNodes = 1'000'000;
constexpr int kDeepest = 64;
constexpr int64_t kNewestOpset = 27;

using Opsets = std::map<std::string, int64_t>;

std::string domain_of(const std::string& name) { return name == "ai.onnx" ? "" : name; }

Opsets read_opsets(const google::protobuf::RepeatedPtrField<format::OperatorSet>& sets) {
  Opsets opsets;
  for (const auto& s : sets) {
    GREGALE_CHECK(s.version() >= 1, corrupt_data, "[onnx] operator set '{}' has version {}", s.domain(), s.version());
    GREGALE_CHECK(!domain_of(s.domain()).empty() || s.version() <= kNewestOpset, unsupported,
                  "[onnx] operator set {} is newer than {}, the newest known here", s.version(), kNewestOpset);
    opsets[domain_of(s.domain())] = s.version();
  }
  return opsets;
}

/// Names that can be seen in a block, with the block around it.
struct Scope {
  Block* block;
  Scope* around = nullptr;
  std::unordered_map<std::string, int> slots{};
  std::unordered_map<int, Datum> known{};  ///< slots of initializers and of constants
  /// Attributes of the call, inside a function.
  const google::protobuf::RepeatedPtrField<format::Attribute>* arguments = nullptr;
  const format::Function* function = nullptr;
  const Opsets* opsets = nullptr;
  int depth = 0;

  int add(const std::string& name) {
    const int slot = static_cast<int>(block->slots());
    block->names.push_back(name);
    if (!name.empty()) slots[name] = slot;
    return slot;
  }
  /// A slot of this block for a name seen here; -1 where there is none.
  int find(const std::string& name) {
    if (const auto at = slots.find(name); at != slots.end()) return at->second;
    if (around == nullptr) return -1;
    const int outer = around->find(name);
    if (outer < 0) return -1;
    const int inner = add(name);
    // Weights stay weights in a body that runs by itself: its programs prepare them once.
    if (const auto at = around->known.find(outer); at != around->known.end()) {
      block->initializers.emplace_back(inner, at->second);
      known.emplace(inner, at->second);
    } else {
      block->captures.emplace_back(outer, inner);
    }
    return inner;
  }
};

class Reader {
 public:
  Reader(const format::Model& model, std::string folder) : model_(model), folder_(std::move(folder)) {
    for (const format::Function& f : model.functions())
      functions_[{domain_of(f.domain()), f.name(), f.overload()}] = &f;
  }

  ReadModel read() {
    const Opsets opsets = read_opsets(model_.opset_import());
    ReadModel result;
    result.block = std::make_shared<Block>();
    if (const auto at = opsets.find(""); at != opsets.end()) result.opset = at->second;
    Scope scope{.block = result.block.get(), .opsets = &opsets};
    read_graph(scope, model_.graph());
    result.parameters = parameters_;
    const auto note = [&](const char* key, const std::string& value) {
      if (!value.empty()) result.metadata[key] = value;
    };
    for (const auto& pair : model_.metadata_props()) result.metadata[pair.key()] = pair.value();
    note("producer", model_.producer_name());
    note("producer version", model_.producer_version());
    note("domain", model_.domain());
    note("documentation", model_.doc_string());
    note("IR version", std::to_string(model_.ir_version()));
    return result;
  }

 private:
  void define(Scope& scope, const std::string& name, const char* what) {
    GREGALE_CHECK(!name.empty(), corrupt_data, "[onnx] graph '{}' has an {} without a name", scope.block->name, what);
    GREGALE_CHECK(scope.slots.find(name) == scope.slots.end(), corrupt_data,
                  "[onnx] {} '{}' in graph '{}' is there twice", what, name, scope.block->name);
    scope.add(name);
  }

  void read_graph(Scope& scope, const format::Graph& graph) {
    Block& block = *scope.block;
    block.name = graph.name();
    std::map<std::string, Datum> values;
    const auto add_value = [&](const std::string& name, Datum value) {
      if (const Tensor* t = value.tensor()) parameters_ += t->size();
      GREGALE_CHECK(values.emplace(name, std::move(value)).second, corrupt_data,
                    "[onnx] initializer '{}' in graph '{}' is there twice", name, block.name);
    };
    for (const auto& t : graph.initializer()) add_value(t.name(), read_tensor(t, folder_));
    for (const auto& t : graph.sparse_initializer()) add_value(t.values().name(), read_sparse_tensor(t, folder_));
    for (const auto& info : graph.input()) {
      define(scope, info.name(), "input");
      if (values.count(info.name()) > 0) continue;  // files before IR version 4 list their weights among the inputs
      block.inputs.push_back(scope.slots.at(info.name()));
      block.input_ports.push_back(read_port(info.name(), info.type()));
    }
    for (auto& [name, value] : values) {
      if (scope.slots.find(name) == scope.slots.end()) define(scope, name, "initializer");
      scope.known.emplace(scope.slots.at(name), value);
      block.initializers.emplace_back(scope.slots.at(name), std::move(value));
    }
    read_nodes(scope, graph.node());
    for (const auto& info : graph.output()) {
      const int slot = scope.find(info.name());
      GREGALE_CHECK(slot >= 0, corrupt_data, "[onnx] output '{}' of graph '{}' is made by no node", info.name(),
                    block.name);
      block.outputs.push_back(slot);
      block.output_ports.push_back(read_port(info.name(), info.type()));
    }
    note_uses(block);
  }

  /// A function as it stands at one call, with the call's attributes.
  std::shared_ptr<Block> read_function(const format::Function& f, const format::Node& call, int depth) {
    GREGALE_CHECK(depth < kDeepest, corrupt_data, "[onnx] function '{}' is called too deeply, or by itself", f.name());
    auto block = std::make_shared<Block>();
    block->name = f.name();
    Opsets opsets = read_opsets(f.opset_import());
    Scope scope{
        .block = block.get(), .arguments = &call.attribute(), .function = &f, .opsets = &opsets, .depth = depth + 1};
    for (const auto& name : f.input()) {
      define(scope, name, "input");
      block->inputs.push_back(scope.slots.at(name));
      block->input_ports.push_back({.name = name});
    }
    read_nodes(scope, f.node());
    for (const auto& name : f.output()) {
      const int slot = scope.find(name);
      GREGALE_CHECK(slot >= 0, corrupt_data, "[onnx] output '{}' of function '{}' is made by no node", name, f.name());
      block->outputs.push_back(slot);
      block->output_ports.push_back({.name = name});
    }
    note_uses(*block);
    return block;
  }

  void read_nodes(Scope& scope, const google::protobuf::RepeatedPtrField<format::Node>& nodes) {
    nodes_ += nodes.size();
    GREGALE_CHECK(nodes_ <= kMostNodes, corrupt_data,
                  "[onnx] more than {} nodes, functions where they are called counted", kMostNodes);
    std::set<std::string> later;  // to tell a name that is made too late from one that is not made at all
    for (const format::Node& n : nodes) later.insert(n.output().begin(), n.output().end());
    for (const format::Node& n : nodes) {
      BlockNode node;
      node.name = n.name();
      node.op_type = n.op_type();
      node.domain = domain_of(n.domain());
      node.label = fmt::format("node '{}' ({})",
                               !n.name().empty()     ? n.name()
                               : n.output_size() > 0 ? n.output(0)
                                                     : std::string(),
                               n.op_type());
      try {
        read_node(scope, n, node, later);
      } catch (Error& e) {
        throw e.add_context(node.label);
      }
      scope.block->nodes.push_back(std::move(node));
    }
  }

  void read_node(Scope& scope, const format::Node& n, BlockNode& node, const std::set<std::string>& later) {
    if (const auto at = scope.opsets->find(node.domain); at != scope.opsets->end()) node.opset = at->second;
    for (const std::string& name : n.input()) {
      const int slot = name.empty() ? -1 : scope.find(name);
      GREGALE_CHECK(name.empty() || slot >= 0, corrupt_data, "[onnx] input '{}' {}", name,
                    later.count(name) > 0 ? "is made by a later node: the graph has a cycle, or is out of order"
                                          : "is made by no node");
      node.inputs.push_back(slot);
    }
    while (!node.inputs.empty() && node.inputs.back() < 0) node.inputs.pop_back();
    for (const format::Attribute& a : n.attribute()) {
      try {
        read_attribute(scope, a, node);
      } catch (Error& e) {
        throw e.add_context(fmt::format("attribute '{}'", a.name()));
      }
    }
    if (const auto f = functions_.find({node.domain, n.op_type(), n.overload()}); f != functions_.end())
      node.function = read_function(*f->second, n, scope.depth);
    for (const std::string& name : n.output()) {
      if (!name.empty()) define(scope, name, "result");
      node.outputs.push_back(name.empty() ? -1 : scope.slots.at(name));
    }
    if (node.op_type == "Constant" && node.domain.empty() && node.outputs.size() == 1 && node.outputs[0] >= 0)
      if (const auto at = node.attributes.find("value"); at != node.attributes.end())
        if (const auto* t = std::get_if<Tensor>(&at->second)) scope.known.emplace(node.outputs[0], *t);
  }

  void read_attribute(Scope& scope, const format::Attribute& given, BlockNode& node) {
    const format::Attribute* from = &given;
    if (!given.ref_attr_name().empty()) {  // in a function: what the call says, or the default
      GREGALE_CHECK(scope.arguments != nullptr, corrupt_data, "[onnx] refers to '{}' outside of a function",
                    given.ref_attr_name());
      const auto find =
          [&](const google::protobuf::RepeatedPtrField<format::Attribute>& all) -> const format::Attribute* {
        const auto at =
            std::find_if(all.begin(), all.end(), [&](const auto& a) { return a.name() == given.ref_attr_name(); });
        return at == all.end() ? nullptr : &*at;
      };
      from = find(*scope.arguments);
      if (from == nullptr) from = find(scope.function->attribute_proto());
      if (from == nullptr) return;
    }
    const format::Attribute& a = *from;
    const std::string& name = given.name();
    const auto strings = [&] { return std::vector<std::string>(a.strings().begin(), a.strings().end()); };
    switch (kind_of(a)) {
      case 1:
        node.attributes[name] = double{a.f()};
        break;
      case 2:
        node.attributes[name] = int64_t{a.i()};
        break;
      case 3:
        node.attributes[name] = a.s();
        break;
      case 4: {
        const Datum value = read_tensor(a.t(), folder_);
        if (const Tensor* t = value.tensor()) {
          node.attributes[name] = *t;
        } else {
          node.attributes[name] = value.strings()->values;
          node.attributes[name + ".extents"] = value.strings()->extents;
        }
        break;
      }
      case 5: {
        auto body = std::make_shared<Block>();
        GREGALE_CHECK(scope.depth < kDeepest, corrupt_data, "[onnx] graphs are nested too deeply");
        Scope inner{.block = body.get(),
                    .around = &scope,
                    .arguments = scope.arguments,
                    .function = scope.function,
                    .opsets = scope.opsets,
                    .depth = scope.depth + 1};
        read_graph(inner, a.g());
        node.bodies[name] = std::move(body);
        break;
      }
      case 6:
        node.attributes[name] = std::vector<double>(a.floats().begin(), a.floats().end());
        break;
      case 7:
        node.attributes[name] = std::vector<int64_t>(a.ints().begin(), a.ints().end());
        break;
      case 8:
        node.attributes[name] = strings();
        break;
      case 11:
        node.attributes[name] = read_sparse_tensor(a.sparse_tensor(), folder_);
        break;
      case 13:
        node.types[name] = read_port(name, a.tp());
        break;
      default:
        throw_error(ErrorCode::unsupported, fmt::format("[onnx] an attribute of kind {}", a.type()));
    }
  }

  /// The kind of an attribute; files of IR version 1 and 2 may leave it out.
  static int32_t kind_of(const format::Attribute& a) {
    if (a.type() != 0) return a.type();
    if (a.has_f()) return 1;
    if (a.has_i()) return 2;
    if (a.has_s()) return 3;
    if (a.has_t()) return 4;
    if (a.has_g()) return 5;
    if (a.floats_size() > 0) return 6;
    if (a.strings_size() > 0) return 8;
    return 7;  // an empty list
  }

  /// A slot is read by the nodes that name it and by those whose bodies capture it.
  static void note_uses(Block& block) {
    block.last_use.assign(static_cast<size_t>(block.slots()), -1);
    for (size_t i = 0; i < block.nodes.size(); ++i) {
      for (int s : block.nodes[i].inputs)
        if (s >= 0) block.last_use[static_cast<size_t>(s)] = static_cast<int>(i);
      for (const auto& [name, body] : block.nodes[i].bodies)
        for (const auto& [outer, inner] : body->captures)
          block.last_use[static_cast<size_t>(outer)] = static_cast<int>(i);
    }
    for (int s : block.outputs) block.last_use[static_cast<size_t>(s)] = static_cast<int>(block.nodes.size());
  }

  const format::Model& model_;
  std::string folder_;
  std::map<std::tuple<std::string, std::string, std::string>, const format::Function*> functions_;
  int64_t nodes_ = 0, parameters_ = 0;
};

}  // namespace

ReadModel read_model(std::string_view bytes, const std::string& folder) {
  format::Model model;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(std::min<size_t>(bytes.size(), INT32_MAX)));
  GREGALE_CHECK(bytes.size() <= INT32_MAX, unsupported,
                "[onnx] a file of {} bytes: above 2 GiB weights are kept in files of their own", bytes.size());
  check_expansion(bytes);
  GREGALE_CHECK(model.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage() && model.has_graph(),
                corrupt_data, "[onnx] no ONNX model, or a truncated one");
  return Reader(model, folder).read();
}

}  // namespace gregale::onnx
