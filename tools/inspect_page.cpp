// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/inspect_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "tile/program_executor.hpp"
#include "tools/command.hpp"
#include "tools/graph_trace.hpp"

namespace gregale::tools {
namespace {

using report::GraphDetail;
using report::GraphEdge;
using report::GraphLevel;
using report::GraphNode;
using report::GraphPage;
using report::GraphStep;

double bytes_of(const Type& type) { return type.shape.is_constant() ? static_cast<double>(type.bytes()) : 0; }
std::string typed(const Type& type) {
  return type.shape.is_constant() ? fmt::format("{}, {}", to_string(type), format_bytes(bytes_of(type)))
                                  : to_string(type);
}
bool is_data(const Node& node) { return node.op->name == kConstantOp || node.op->name == kReadOp; }

std::string text_of(const Attribute& attribute) {
  const auto text = [](const auto& v) -> std::string {
    using T = std::decay_t<decltype(v)>;
    if constexpr (std::is_same_v<T, Tensor>) {
      return to_string(v.type());
    } else if constexpr (std::is_same_v<T, DType>) {
      return std::string(name_of(v));
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>> || std::is_same_v<T, std::vector<double>>) {
      return fmt::format("[{}]", fmt::join(v, ", "));
    } else {
      return fmt::format("{}", v);
    }
  };
  return std::visit(text, attribute);
}

GraphNode::Kind kind_of(const Node& node) {
  const OpDef& op = *node.op;
  if (op.name == "fused") {
    GraphNode::Kind kind = GraphNode::Kind::other;
    for (const Node& each : node.regions[0].nodes()) {
      const GraphNode::Kind other = is_data(each) ? kind : kind_of(each);
      if (other == GraphNode::Kind::product) return other;
      if (kind == GraphNode::Kind::other || other == GraphNode::Kind::elementwise) kind = other;
    }
    return kind;
  }
  if (op.name == kWriteOp) return GraphNode::Kind::state;
  if (op.name == "matmul" || op.name.starts_with("conv")) return GraphNode::Kind::product;
  if (op.result_as_view || op.operand_as_view) return GraphNode::Kind::move;
  return op.express ? GraphNode::Kind::elementwise : GraphNode::Kind::other;
}

/// "matmul  f32[8,128,768]", a line an operator.
std::vector<std::string> operators_of(const Graph& graph) {
  std::vector<std::string> lines;
  for (const Node& node : graph.nodes())
    if (!is_data(node))
      lines.push_back(node.outputs.empty()
                          ? node.op->name
                          : fmt::format("{}  {}", node.op->name, to_string(graph.type(node.outputs[0]))));
  return lines;
}

/// Where the values of a level come from: a node of the level, or none (constants and state are told of, not drawn).
class LevelMaker {
 public:
  LevelMaker(const Graph& graph, std::string name, std::string caption) : graph_(graph) {
    level_.name = std::move(name);
    level_.caption = std::move(caption);
    maker_.assign(static_cast<size_t>(graph.value_count()), -1);
    for (const Value v : graph.inputs())
      set_maker(v, add({GraphNode::Kind::input, graph.name_of(v), {to_string(graph.type(v))}}));
  }

  int32_t add(GraphNode node) {
    level_.nodes.push_back(std::move(node));
    return static_cast<int32_t>(level_.nodes.size()) - 1;
  }
  int32_t maker(Value v) const { return maker_[static_cast<size_t>(v.id)]; }
  void set_maker(Value v, int32_t node) { maker_[static_cast<size_t>(v.id)] = node; }
  void connect(int32_t from, int32_t to, const Type& type) {
    if (from >= 0 && from != to && known_.insert({from, to, to_string(type)}).second)
      level_.edges.push_back({from, to, bytes_of(type), to_string(type)});
  }
  void connect(Value v, int32_t to) { connect(maker(v), to, graph_.type(v)); }

  /// Constants and variables among a node's operands.
  std::vector<GraphDetail> data_of(const Node& node) const {
    std::vector<GraphDetail> details;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int32_t p = graph_.producer(node.inputs[i]);
      if (p < 0) continue;
      const Node& made = graph_.nodes()[static_cast<size_t>(p)];
      if (!is_data(made)) continue;
      std::string what = "constant";
      if (made.op->name == kReadOp)
        what = graph_.variables()[static_cast<size_t>(std::get<int64_t>(made.attributes.at("variable")))].name;
      const std::vector<OperandDef>& operands = node.op->inputs;
      const std::string operand =
          operands.empty() ? fmt::format("operand {}", i) : operands[std::min(i, operands.size() - 1)].name;
      details.push_back({operand, fmt::format("{}, {}", what, typed(graph_.type(node.inputs[i])))});
    }
    return details;
  }

  GraphLevel finish() {
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      const Value v = graph_.outputs()[i];
      const bool named = i < graph_.output_names().size() && !graph_.output_names()[i].empty();
      connect(v, add({GraphNode::Kind::output,
                      named ? graph_.output_names()[i] : fmt::format("result {}", i),
                      {to_string(graph_.type(v))}}));
    }
    return std::move(level_);
  }

 private:
  const Graph& graph_;
  GraphLevel level_;
  std::vector<int32_t> maker_;
  std::set<std::tuple<int32_t, int32_t, std::string>> known_;
};

/// A graph as it is: a box a node.
GraphLevel graph_level(const Graph& graph, const std::vector<int32_t>& steps, const std::vector<bool>* exact,
                       bool named, std::string name, std::string caption) {
  LevelMaker maker(graph, std::move(name), std::move(caption));
  for (size_t n = 0; n < graph.nodes().size(); ++n) {
    const Node& node = graph.nodes()[n];
    if (is_data(node)) continue;
    GraphNode box{kind_of(node), node.op->name};
    box.step = steps[n];
    if (node.op->name == "fused") {
      box.group = true;
      if (box.step >= 0) box.label = fmt::format("{}: {}", box.step, node.regions[0].name());
      box.lines = operators_of(node.regions[0]);
    } else if (!node.outputs.empty()) {
      box.lines.push_back(to_string(graph.type(node.outputs[0])));
    }
    if (named && !node.outputs.empty()) box.name = graph.name_of(node.outputs[0]);
    if (node.op->name == kWriteOp) {
      const auto variable = static_cast<size_t>(std::get<int64_t>(node.attributes.at("variable")));
      box.lines.push_back(graph.variables()[variable].name);
    }
    for (const auto& [attribute, value] : node.attributes) box.details.push_back({attribute, text_of(value)});
    for (GraphDetail& d : maker.data_of(node)) box.details.push_back(std::move(d));
    if (exact != nullptr && box.step >= 0 && !(*exact)[n])
      box.details.push_back(
          {"note", "Not computed as such: the step is that of what it is made from, or of what reads it."});
    const int32_t at = maker.add(std::move(box));
    for (const Value v : node.inputs) maker.connect(v, at);
    for (const Value v : node.outputs) maker.set_maker(v, at);
  }
  return maker.finish();
}

std::string place_of(const Executable::Buffer& b) {
  if (std::string_view(b.place) != "arena")
    return fmt::format("{}, {}", b.place, format_bytes(static_cast<double>(b.bytes)));
  return fmt::format("arena + {}, {}, kept for steps {} to {}", b.offset, format_bytes(static_cast<double>(b.bytes)),
                     b.first, b.last);
}

/// "rows 1024 by 64": a dim's loops.
std::string loops_of(const tile::Dim& d) {
  return d.steps.empty() ? fmt::format("{} {}", d.name, d.extent)
                         : fmt::format("{} {} by {}", d.name, d.extent, fmt::join(d.steps, ", "));
}

double panel_bytes(const tile::TileProgram& program) {
  double bytes = 0;
  for (const tile::Buffer& b : program.buffers)
    if (b.scope == tile::Scope::panel) bytes += static_cast<double>(b.elements * size_of(b.dtype));
  return bytes;
}

GraphStep step_of(const Graph& graph, const Executable::Group& group, const GroupFigures& figures) {
  GraphStep step;
  step.label = group.body != nullptr ? group.body->name() : group.op;
  if (group.body != nullptr) {
    step.operators = operators_of(*group.body);
  } else if (group.node >= 0) {
    const Node& node = graph.nodes()[static_cast<size_t>(group.node)];
    step.operators.push_back(node.outputs.empty()
                                 ? node.op->name
                                 : fmt::format("{}  {}", node.op->name, to_string(graph.type(node.outputs[0]))));
  }
  step.lowering = group.program != nullptr ? "tile program" : "kernel: " + group.lowering;
  step.flops = figures.flops;
  step.predicted_bytes = figures.predicted;
  step.counted_bytes = figures.counted;
  step.least_bytes = figures.least;
  step.seconds = figures.time;
  step.predicted_seconds = figures.expected;
  step.ceiling_seconds = figures.ceiling;
  for (const auto& b : group.reads) step.memory.push_back({"reads", place_of(b)});
  for (const auto& b : group.writes) step.memory.push_back({"writes", place_of(b)});
  if (group.scratch_bytes > 0)
    step.memory.push_back({"scratch", format_bytes(static_cast<double>(group.scratch_bytes))});
  if (group.program != nullptr) {
    step.program = tile::print(group.program->program());
    if (const double panels = panel_bytes(group.program->program()); panels > 0)
      step.memory.push_back({"panels", format_bytes(panels) + " a thread"});
  }
  return step;
}

/// What runs: a box a step. Views are no steps: who reads one reads what it shows.
GraphLevel tiled_level(const Executable& program, const std::vector<Executable::Group>& groups,
                       const std::vector<GroupFigures>& figures, const std::vector<int32_t>& steps) {
  const Graph& graph = program.graph();
  LevelMaker maker(graph, "tiled",
                   "The steps that run, in boxes of their own: time, share of the ceiling (the bar), bytes, loops with "
                   "their tile sizes, memory.");
  std::vector<int32_t> box_of(groups.size());
  for (size_t s = 0; s < groups.size(); ++s) {
    const Executable::Group& group = groups[s];
    const GroupFigures& f = figures[s];
    const GraphNode::Kind kind =
        group.node < 0 ? GraphNode::Kind::move : kind_of(graph.nodes()[static_cast<size_t>(group.node)]);
    GraphNode box{kind, fmt::format("{}: {}", s, group.body != nullptr ? group.body->name() : group.op)};
    box.group = true;
    box.step = static_cast<int32_t>(s);
    const double time = f.time > 0 ? f.time : f.expected;
    box.lines.push_back(fmt::format("{}{:.3g} ms{}", f.time > 0 ? "" : "predicted ", time * 1e3,
                                    time > 0 ? fmt::format(", {:.0f} % of its ceiling", 100 * f.ceiling / time) : ""));
    box.lines.push_back(fmt::format("{} past L2, at least {}", format_bytes(f.predicted), format_bytes(f.least)));
    if (group.program != nullptr) {
      const tile::TileProgram& tiles = group.program->program();
      for (const tile::Dim& d : tiles.dims) box.lines.push_back(loops_of(d));
      if (const double panels = panel_bytes(tiles); panels > 0)
        box.lines.push_back(fmt::format("panels of {} a thread", format_bytes(panels)));
    } else {
      box.lines.push_back("kernel: " + group.lowering);
    }
    box_of[s] = maker.add(std::move(box));
  }
  for (size_t n = 0; n < graph.nodes().size(); ++n) {
    const Node& node = graph.nodes()[n];
    if (is_data(node)) continue;
    const int32_t step = steps[n];
    if (step < 0) {  // a view, or a write in place
      for (const Value v : node.outputs)
        for (const Value from : node.inputs)
          if (maker.maker(v) < 0) maker.set_maker(v, maker.maker(from));
      continue;
    }
    for (const Value v : node.inputs) maker.connect(v, box_of[static_cast<size_t>(step)]);
    for (const Value v : node.outputs) maker.set_maker(v, box_of[static_cast<size_t>(step)]);
  }
  for (size_t s = 0; s < groups.size(); ++s) {  // copies belong to no node: they read what another step left there
    if (groups[s].node >= 0) continue;
    for (const auto& read : groups[s].reads)
      for (size_t w = s; w-- > 0;) {
        const auto& writes = groups[w].writes;
        if (std::none_of(writes.begin(), writes.end(), [&](const auto& b) {
              return std::string_view(b.place) == "arena" && std::string_view(read.place) == "arena" &&
                     b.offset == read.offset && b.first == read.first;
            }))
          continue;
        maker.connect(box_of[w], box_of[s], Type(DType::u8, Shape{read.bytes}));
        break;
      }
  }
  return maker.finish();
}

}  // namespace

GroupFigures& GroupFigures::operator+=(const GroupFigures& other) {
  for (double GroupFigures::*each :
       {&GroupFigures::predicted, &GroupFigures::counted, &GroupFigures::least, &GroupFigures::flops,
        &GroupFigures::joules, &GroupFigures::time, &GroupFigures::ceiling, &GroupFigures::expected})
    this->*each += other.*each;
  return *this;
}

GraphPage make_graph_page(const Graph& source, const CompileOptions& options, const Executable& program,
                          const std::vector<GroupFigures>& figures) {
  const GraphTrace trace = trace_graph(source, options, program);
  const std::vector<Executable::Group> groups = program.groups();
  GREGALE_CHECK(figures.size() == groups.size(), invalid_argument, "[graph page] {} figures for {} groups",
                figures.size(), groups.size());
  GraphPage page;
  GroupFigures total;
  for (size_t s = 0; s < groups.size(); ++s) {
    page.steps.push_back(step_of(program.graph(), groups[s], figures[s]));
    total += figures[s];
  }
  page.levels.push_back(
      graph_level(source, trace.source_steps, &trace.exact, true, "imported",
                  "The graph as it was given. Constants and state are listed with the operators that read them."));
  page.levels.push_back(
      graph_level(trace.rewritten, trace.rewritten_steps, nullptr, false, "rewritten",
                  "After folding, simplification, layouts and precision, before operators are grouped."));
  page.levels.push_back(
      graph_level(program.graph(), trace.program_steps, nullptr, true, "fused",
                  "Groups of operators that run as one tile program each, with the operators in them."));
  page.levels.push_back(tiled_level(program, groups, figures, trace.program_steps));

  const double time = total.time > 0 ? total.time : total.expected;
  page.summary = {{total.time > 0 ? "measured" : "predicted", fmt::format("{:.4g} ms", time * 1e3)},
                  {"ceiling", fmt::format("{:.4g} ms", total.ceiling * 1e3)},
                  {"of the ceiling", time > 0 ? fmt::format("{:.0f} %", 100 * total.ceiling / time) : "–"},
                  {"arithmetic", fmt::format("{:.4g} Gflop", program.flops() * 1e-9)},
                  {"bytes past L2, predicted", format_bytes(total.predicted)},
                  {"counted", format_bytes(total.counted)},
                  {"lower bound", format_bytes(total.least)},
                  {"for intermediate results", format_bytes(static_cast<double>(program.arena_bytes()))},
                  {"that run", fmt::format("{} steps", groups.size())}};
  return page;
}

}  // namespace gregale::tools
