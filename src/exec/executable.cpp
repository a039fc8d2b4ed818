// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "exec/plan.hpp"
#include "exec/shapes.hpp"
#include "gregale/error.hpp"
#include "ir/inference.hpp"

namespace gregale {

Executable::Executable(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
Executable::Executable(std::unique_ptr<Shapes> shapes) : shapes_(std::move(shapes)) {}
Executable::Executable(Executable&&) noexcept = default;
Executable& Executable::operator=(Executable&&) noexcept = default;
Executable::~Executable() = default;

const Executable::Plan& Executable::plan(const char* who) const {
  GREGALE_CHECK(plan_ != nullptr, shape, "[{}] '{}' is symbolic: ask the program that bind() gives for its extents",
                who, graph().name());
  return *plan_;
}

const Graph& Executable::graph() const { return plan_ ? plan_->graph : shapes_->source(); }
int64_t Executable::arena_bytes() const { return plan_ ? plan_->arena_bytes : shapes_->arena_bytes(); }
double Executable::flops() const { return plan("flops").flops; }
int64_t Executable::compilations() const { return plan_ ? 1 : shapes_->compilations(); }

int64_t Executable::prepared_bytes() const {
  if (plan_) return plan_->prepared_bytes;
  int64_t bytes = 0;
  for (const auto& program : shapes_->kept()) bytes += program->prepared_bytes();
  return bytes;
}

std::shared_ptr<const Executable> Executable::bind(const std::map<std::string, int64_t>& extents) const {
  GREGALE_CHECK(shapes_ != nullptr, invalid_argument, "[bind] '{}' has no symbolic dims", graph().name());
  return shapes_->bind(extents);
}

int64_t Executable::kept_bytes() const { return plan("kept_bytes").kept_bytes; }
const std::string& Executable::keep() const { return plan("keep").keep; }

int64_t Executable::reference_steps() const {
  int64_t count = 0;
  for (const Step& s : plan("reference_steps").steps) count += s.reference;
  return count;
}

std::vector<Tensor> Executable::make_outputs() const {
  std::vector<Tensor> outputs;
  for (Value v : graph().outputs()) outputs.emplace_back(graph().type(v).dtype, graph().type(v).shape.extents());
  return outputs;
}

std::vector<Tensor> Executable::make_outputs(const std::vector<Tensor>& inputs, const VariableValues* state) const {
  return shapes_ ? shapes_->find(inputs, state)->make_outputs() : make_outputs();
}

namespace {

const char* name_of(Storage::Kind kind) {
  static constexpr const char* kNames[] = {"arena", "input", "output", "variable", "constant"};
  return kNames[static_cast<size_t>(kind)];
}

/// Pages of the arena that hold nothing between forward and backward pass go back to the system.
void give_back(const Executable::Plan& plan, std::byte* base) {
  std::vector<std::pair<int64_t, int64_t>> alive;
  for (const Storage& s : plan.storages)
    if (is_kept(plan, s)) alive.emplace_back(s.offset, s.offset + s.bytes);
  std::sort(alive.begin(), alive.end());
  alive.emplace_back(plan.arena_bytes, plan.arena_bytes);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  int64_t free = 0;
  for (const auto& [begin, end] : alive) {
    const uintptr_t first = (reinterpret_cast<uintptr_t>(base + free) + page - 1) / page * page;
    const uintptr_t last = reinterpret_cast<uintptr_t>(base + begin) / page * page;
    if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
    free = std::max(free, end);
  }
}

// The check costs nothing while it holds: no message is built.
void check_fits(const Tensor& t, const Type& type, const char* kind, const std::string& name) {
  bool fits = t.dtype() == type.dtype && t.rank() == type.rank();
  for (int64_t a = 0; fits && a < t.rank(); ++a)
    fits = type.shape[a].is_constant() && type.shape[a].bound() == t.extent(a);
  GREGALE_CHECK(fits, shape, "[run] {} '{}' is {}, got {}", kind, name, to_string(type), to_string(t.type()));
}

}  // namespace

void Executable::run(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
                     VariableValues* state) const {
  if (shapes_) return shapes_->find(inputs, state)->run(context, inputs, outputs, state);
  execute(context, inputs, outputs, state, nullptr);
}

void Executable::profile(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
                         VariableValues* state, std::vector<double>& seconds) const {
  seconds.resize(plan("profile").steps.size(), 0);
  execute(context, inputs, outputs, state, seconds.data());
}

void Executable::execute(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
                         VariableValues* state, double* seconds) const {
  const Plan& plan = *plan_;
  const Graph& g = plan.graph;
  GREGALE_CHECK(inputs.size() == g.inputs().size() && outputs.size() == g.outputs().size(), invalid_argument,
                "[run] '{}' takes {} inputs and gives {} outputs, got {} and {}", g.name(), g.inputs().size(),
                g.outputs().size(), inputs.size(), outputs.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    check_fits(inputs[i], g.type(g.inputs()[i]), "input", g.name_of(g.inputs()[i]));
  for (size_t i = 0; i < outputs.size(); ++i) check_fits(outputs[i], g.type(g.outputs()[i]), "output", g.name());
  GREGALE_CHECK(g.variables().empty() || state != nullptr, invalid_argument,
                "[run] '{}' has variables and needs their values", g.name());

  // One piece of the context's arena: intermediate results, then storage pointers and every step's operand pointers,
  // then the threads' scratch.
  const int64_t table = (plan.arena_bytes + 63) / 64 * 64;
  const auto pointer_count = static_cast<int64_t>(plan.storages.size()) + plan.operand_count;
  const int64_t pointers = (pointer_count * static_cast<int64_t>(sizeof(void*)) + 63) / 64 * 64;
  std::byte* base = context.arena().reserve(table + pointers + plan.thread_bytes * context.team().size());
  void** storage = reinterpret_cast<void**>(base + table);
  void** operands = storage + plan.storages.size();

  for (size_t i = 0; i < plan.storages.size(); ++i) {
    const Storage& s = plan.storages[i];
    switch (s.kind) {
      case Storage::Kind::arena:
        storage[i] = base + s.offset;
        break;
      case Storage::Kind::input:
        storage[i] = const_cast<void*>(inputs[static_cast<size_t>(s.index)].data());
        break;
      case Storage::Kind::output:
        storage[i] = outputs[static_cast<size_t>(s.index)].data();
        break;
      case Storage::Kind::constant:
        storage[i] = const_cast<void*>(s.constant.data());
        break;
      case Storage::Kind::variable: {
        const Variable& v = g.variables()[static_cast<size_t>(s.index)];
        auto at = state->find(v.name);
        GREGALE_CHECK(at != state->end(), invalid_argument, "[run] variable '{}' has no value", v.name);
        check_fits(at->second, v.type, "variable", v.name);
        storage[i] = at->second.data();
        break;
      }
    }
  }
  for (const Step& step : plan.steps) {
    if (context.boundary() && &step - plan.steps.data() == plan.boundary) {
      give_back(plan, base);
      context.boundary()();
    }
    void** in = operands + step.first_operand;
    void** out = in + step.inputs.size();
    for (size_t i = 0; i < step.inputs.size(); ++i) in[i] = storage[step.inputs[i]];
    for (size_t i = 0; i < step.outputs.size(); ++i) out[i] = storage[step.outputs[i]];
    TraceSpan span(context.trace(), "step", step.op);
    const auto begin = seconds != nullptr ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
    step.kernel.run({const_cast<const void* const*>(in), out,
                     step.scratch < 0 ? nullptr : static_cast<std::byte*>(storage[step.scratch]), context.team(),
                     base + table + pointers});
    if (seconds != nullptr)
      *seconds++ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
}

std::vector<Tensor> Executable::run(ExecutionContext& context, const std::vector<Tensor>& inputs,
                                    VariableValues* state) const {
  if (shapes_) return shapes_->find(inputs, state)->run(context, inputs, state);
  std::vector<Tensor> outputs = make_outputs();
  run(context, inputs, outputs, state);
  return outputs;
}

std::vector<Executable::Group> Executable::groups() const {
  std::vector<Group> groups;
  // A storage lives from node to node of the graph; copies run after all of them.
  const std::vector<Step>& steps = plan("groups").steps;
  const auto runs = [&](const Step& step) {
    return step.node >= 0 ? int64_t{step.node} : static_cast<int64_t>(graph().nodes().size());
  };
  const auto step_from = [&](int64_t node) {
    return std::lower_bound(steps.begin(), steps.end(), node,
                            [&](const Step& step, int64_t n) { return runs(step) < n; }) -
           steps.begin();
  };
  for (const Step& step : steps) {
    Group group;
    group.op = step.op;
    group.lowering = step.lowering;
    group.program = step.kernel.program.get();
    group.node = step.node;
    if (step.node >= 0) {
      const Node& node = graph().nodes()[static_cast<size_t>(step.node)];
      const NodeView view = view_of(graph(), node);
      group.flops = (node.op->cost ? node.op->cost(view) : default_cost(view)).flops;
      if (node.op->name == "fused") group.body = &node.regions[0];
    }
    const auto buffers = [&](const std::vector<int32_t>& ids) {
      std::vector<Buffer> list;
      for (const int32_t id : ids) {
        const Storage& s = plan_->storages[static_cast<size_t>(id)];
        group.operand_bytes += s.bytes;
        Buffer buffer{name_of(s.kind), s.bytes};
        if (s.kind == Storage::Kind::arena)
          buffer = {buffer.place, s.bytes, s.offset, step_from(s.first), step_from(s.last + 1) - 1};
        list.push_back(buffer);
      }
      return list;
    };
    group.reads = buffers(step.inputs);
    group.writes = buffers(step.outputs);
    if (step.scratch >= 0) group.scratch_bytes = plan_->storages[static_cast<size_t>(step.scratch)].bytes;
    groups.push_back(std::move(group));
  }
  return groups;
}

std::string Executable::describe() const {
  if (shapes_) {
    const auto kept = shapes_->kept();
    std::string text = fmt::format("{}: symbolic, {} programs kept of {} compiled, at most {} bytes of arena\n",
                                   graph().name(), kept.size(), compilations(), arena_bytes());
    for (const auto& program : kept) text += program->describe();
    return text;
  }
  std::string text =
      fmt::format("{}: {} steps for {}, {} bytes of arena, {:.4g} Gflop, {} steps by reference\n", graph().name(),
                  plan_->steps.size(), to_string(plan_->isa), arena_bytes(), flops() * 1e-9, reference_steps());
  if (!plan_->keep.empty()) text += plan_->keep + '\n';
  for (size_t i = 0; i < plan_->steps.size(); ++i) {
    const Step& step = plan_->steps[i];
    text += fmt::format("{:5} {:<18} {:<24}", i, step.op, step.lowering);
    for (int32_t id : step.outputs) {
      const Storage& s = plan_->storages[static_cast<size_t>(id)];
      text += fmt::format(" {} bytes in {} {}", s.bytes, name_of(s.kind),
                          s.kind == Storage::Kind::arena ? s.offset : s.index);
    }
    text += '\n';
  }
  return text;
}

}  // namespace gregale
