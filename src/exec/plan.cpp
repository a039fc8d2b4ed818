// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "exec/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/log.hpp"
#include "gregale/error.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "kernels/kernel_cache.hpp"

namespace gregale {
namespace {

Kernel copy_kernel(int64_t bytes) {
  Kernel kernel;
  kernel.run = [bytes](const Launch& launch) {
    if (bytes > 0) std::memcpy(launch.outputs[0], launch.inputs[0], static_cast<size_t>(bytes));
  };
  return kernel;
}

int64_t attribute(const Node& node, const char* name) { return std::get<int64_t>(node.attributes.at(name)); }

class Planner {
 public:
  Planner(Graph graph, const Target& target) : target_(target), plan_(std::make_unique<Executable::Plan>()) {
    plan_->graph = std::move(graph);
    plan_->isa = target.isa;
    if (target_.kernels == nullptr) target_.kernels = std::make_shared<kernels::KernelCache>(target);
  }

  std::unique_ptr<Executable::Plan> run() {
    choose();
    find_roots();
    find_last_uses();
    for (int64_t n = 0; n < node_count(); ++n) assign(n);
    finish();
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      Step& step = plan_->steps[s];
      if (step.kernel.scratch_bytes > 0) {
        const int64_t when = step_time_[s];
        step.scratch = add_storage({Storage::Kind::arena, 0, step.kernel.scratch_bytes, when, when, 0, {}});
      }
      plan_->thread_bytes = std::max(plan_->thread_bytes, step.kernel.thread_scratch_bytes);
      step.first_operand = plan_->operand_count;
      plan_->operand_count += static_cast<int64_t>(step.inputs.size() + step.outputs.size());
    }
    plan_->arena_bytes = place_storages(plan_->storages);
    if (log_enabled("memory")) log_fullest();
    return std::move(plan_);
  }

 private:
  /// What lives when the most does.
  void log_fullest() const {
    const auto bytes_at = [&](int64_t time) {
      int64_t bytes = 0;
      for (const Storage& s : plan_->storages)
        if (s.kind == Storage::Kind::arena && s.first <= time && time <= s.last) bytes += s.bytes;
      return bytes;
    };
    int64_t when = 0;
    for (int64_t n = 0; n <= node_count(); ++n)
      if (bytes_at(n) > bytes_at(when)) when = n;
    log_line("memory", fmt::format("{}: arena {} bytes; {} live at node {} of {}, of which", graph().name(),
                                   plan_->arena_bytes, bytes_at(when), when, node_count()));
    std::vector<std::pair<int64_t, std::string>> lines;
    for (const Step& step : plan_->steps)
      for (const int32_t id : step.outputs) {
        const Storage& s = plan_->storages[static_cast<size_t>(id)];
        if (s.kind != Storage::Kind::arena || when < s.first || s.last < when) continue;
        const std::string name =
            step.node >= 0 && !node(step.node).regions.empty() ? node(step.node).regions[0].name() : step.op;
        lines.emplace_back(s.bytes, fmt::format("  {} bytes from node {} to {}: {}", s.bytes, s.first, s.last, name));
      }
    std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    constexpr size_t kMostLines = 60;
    for (size_t i = 0; i < std::min(lines.size(), kMostLines); ++i) log_line("memory", lines[i].second);
  }

  // A buffer's owner: what a value's bytes come from once views and reads are looked through.
  struct Root {
    enum class Kind : uint8_t { value, variable } kind = Kind::value;
    int64_t index = 0;
    friend auto operator<=>(const Root&, const Root&) = default;
  };

  const Graph& graph() const { return plan_->graph; }
  int64_t node_count() const { return static_cast<int64_t>(graph().nodes().size()); }
  const Node& node(int64_t n) const { return graph().nodes()[static_cast<size_t>(n)]; }
  static size_t at(Value v) { return static_cast<size_t>(v.id); }

  void choose() {
    choices_.resize(graph().nodes().size());
    for (int64_t n = 0; n < node_count(); ++n) {
      const std::string& name = node(n).op->name;
      if (name == kReadOp || name == kWriteOp || name == kConstantOp) continue;
      const NodeView view = view_of(graph(), node(n));
      choices_[static_cast<size_t>(n)] = choose_kernel(view, target_);
      plan_->flops += (node(n).op->cost ? node(n).op->cost(view) : default_cost(view)).flops;
    }
  }

  void find_roots() {
    roots_.resize(static_cast<size_t>(graph().value_count()));
    for (Value v : graph().inputs()) roots_[at(v)] = {Root::Kind::value, v.id};
    std::map<std::pair<int64_t, int64_t>, Root> versions;  // (variable, version) -> root
    final_write_.assign(graph().variables().size(), Value{});
    for (int64_t n = 0; n < node_count(); ++n) {
      const Node& nd = node(n);
      for (Value o : nd.outputs) roots_[at(o)] = {Root::Kind::value, o.id};
      if (nd.op->name == kWriteOp) {
        versions[{attribute(nd, "variable"), attribute(nd, "version")}] = roots_[at(nd.inputs[0])];
        final_write_[static_cast<size_t>(attribute(nd, "variable"))] = nd.inputs[0];
      } else if (nd.op->name == kReadOp) {
        const int64_t version = attribute(nd, "version");
        roots_[at(nd.outputs[0])] = version == 0 ? Root{Root::Kind::variable, attribute(nd, "variable")}
                                                 : versions.at({attribute(nd, "variable"), version});
      } else if (choices_[static_cast<size_t>(n)].kernel.view) {
        roots_[at(nd.outputs[0])] = roots_[at(nd.inputs[0])];
      }
    }
  }

  void find_last_uses() {
    const int64_t end = node_count();
    for (int64_t n = 0; n < end; ++n)
      if (node(n).op->name != kWriteOp)
        for (Value v : node(n).inputs) last_use_[roots_[at(v)]] = n;
    for (Value v : graph().outputs()) last_use_[roots_[at(v)]] = end;
    for (size_t i = 0; i < final_write_.size(); ++i) {
      if (!final_write_[i].valid()) continue;
      const Root root = roots_[at(final_write_[i])];
      if (root == Root{Root::Kind::variable, static_cast<int64_t>(i)}) continue;  // written back unchanged
      last_use_[root] = end;
      writes_[root].push_back(static_cast<int64_t>(i));
    }
  }

  int64_t last_use(Root root) const {
    auto found = last_use_.find(root);
    return found == last_use_.end() ? -1 : found->second;
  }

  int32_t add_storage(Storage s) {
    plan_->storages.push_back(std::move(s));
    return static_cast<int32_t>(plan_->storages.size()) - 1;
  }

  int32_t storage_of(Root root) {
    auto found = storage_.find(root);
    if (found != storage_.end()) return found->second;
    Storage s;
    if (root.kind == Root::Kind::variable) {
      s.kind = Storage::Kind::variable;
      s.index = root.index;
      s.bytes = graph().variables()[static_cast<size_t>(root.index)].type.bytes();
    } else {
      const Value v{static_cast<int32_t>(root.index)};
      GREGALE_ASSERT(graph().producer(v) < 0);  // results got theirs in assign()
      s.kind = Storage::Kind::input;
      while (!(graph().inputs()[static_cast<size_t>(s.index)] == v)) ++s.index;
      s.bytes = graph().type(v).bytes();
    }
    return storage_[root] = add_storage(std::move(s));
  }
  int32_t storage_of(Value v) { return storage_of(roots_[at(v)]); }

  /// Where the operands of node n that have this root stand.
  std::vector<int> operands_at(int64_t n, Root root) const {
    std::vector<int> where;
    for (size_t i = 0; i < node(n).inputs.size(); ++i)
      if (roots_[at(node(n).inputs[i])] == root) where.push_back(static_cast<int>(i));
    return where;
  }

  static bool may_share(const Kernel& kernel, int output, int input) {
    for (const auto& [o, i] : kernel.in_place)
      if (o == output && i == input) return true;
    return false;
  }

  /// A variable's own memory for result k of node n, where it is what the variable will hold and nothing reads the old
  /// version afterwards.
  int32_t try_variable(int64_t n, int k, Root root) {
    auto found = writes_.find(root);
    if (found == writes_.end()) return -1;
    for (const int64_t variable : found->second) {
      const Root old{Root::Kind::variable, variable};
      if (last_use(old) > n) continue;
      const std::vector<int> operands = operands_at(n, old);
      if (operands.empty() ||
          (operands.size() == 1 && may_share(choices_[static_cast<size_t>(n)].kernel, k, operands[0])))
        return storage_of(old);
    }
    return -1;
  }

  int32_t try_output(Root root) {
    const auto& outputs = graph().outputs();
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Value v = outputs[i];
      if (roots_[at(v)] != root) continue;
      direct_outputs_.insert(static_cast<int64_t>(i));
      return add_storage({Storage::Kind::output, static_cast<int64_t>(i), graph().type(v).bytes(), 0, 0, 0, {}});
    }
    return -1;
  }

  int32_t try_in_place(int64_t n, int k, Root root) {
    const Kernel& kernel = choices_[static_cast<size_t>(n)].kernel;
    const int64_t bytes = graph().type(Value{static_cast<int32_t>(root.index)}).bytes();
    for (const auto& [o, i] : kernel.in_place) {
      if (o != k) continue;
      const Root operand = roots_[at(node(n).inputs[static_cast<size_t>(i)])];
      if (operand.kind != Root::Kind::value || last_use(operand) != n || operands_at(n, operand).size() != 1) continue;
      const int32_t s = storage_of(operand);
      Storage& storage = plan_->storages[static_cast<size_t>(s)];
      if (storage.kind != Storage::Kind::arena || storage.bytes < bytes || taken_.count({n, s})) continue;
      taken_.insert({n, s});
      storage.last = std::max(storage.last, last_use(root));
      return s;
    }
    return -1;
  }

  void assign(int64_t n) {
    const Node& nd = node(n);
    if (nd.op->name == kReadOp || nd.op->name == kWriteOp) return;
    Choice& choice = choices_[static_cast<size_t>(n)];
    if (nd.op->name == kConstantOp) {
      Storage s;
      s.kind = Storage::Kind::constant;
      s.constant = std::get<Tensor>(nd.attributes.at("value"));
      s.bytes = s.constant.bytes();
      storage_[roots_[at(nd.outputs[0])]] = add_storage(std::move(s));
      return;
    }
    if (choice.kernel.view) return;
    Step step;
    step.op = nd.op->name;
    step.lowering = choice.name;
    step.reference = choice.reference;
    step.node = static_cast<int32_t>(n);
    for (Value v : nd.inputs) step.inputs.push_back(storage_of(v));
    for (const Kernel::Prepared& wanted : choice.kernel.prepared) prepare(wanted, step);
    for (size_t k = 0; k < nd.outputs.size(); ++k) {
      const Root root = roots_[at(nd.outputs[k])];
      int32_t s = try_variable(n, static_cast<int>(k), root);
      if (s < 0) s = try_output(root);
      if (s < 0) s = try_in_place(n, static_cast<int>(k), root);
      if (s < 0)
        s = add_storage(
            {Storage::Kind::arena, 0, graph().type(nd.outputs[k]).bytes(), n, std::max(n, last_use(root)), 0, {}});
      storage_[root] = s;
      step.outputs.push_back(s);
    }
    step.kernel = std::move(choice.kernel);
    add_step(std::move(step), n);
  }

  /// A constant operand in the form its kernel wants.
  void prepare(const Kernel::Prepared& wanted, Step& step) {
    int32_t& operand = step.inputs[static_cast<size_t>(wanted.input)];
    GREGALE_ASSERT(plan_->storages[static_cast<size_t>(operand)].kind == Storage::Kind::constant);
    Storage prepared;
    prepared.kind = Storage::Kind::constant;
    prepared.bytes = wanted.bytes;
    prepared.constant = Tensor(DType::u8, Extents{wanted.bytes});
    const auto team = make_thread_team(1, TeamKind::caller);
    wanted.make(*team, plan_->storages[static_cast<size_t>(operand)].constant.data(), prepared.constant.data());
    plan_->prepared_bytes += wanted.bytes;
    operand = add_storage(std::move(prepared));
  }

  void add_step(Step step, int64_t time) {
    plan_->steps.push_back(std::move(step));
    step_time_.push_back(time);
  }

  void add_copy(const char* what, int32_t from, int32_t to, int64_t time) {
    Step step;
    step.op = what;
    step.lowering = "copy";
    step.kernel = copy_kernel(plan_->storages[static_cast<size_t>(to)].bytes);
    step.inputs = {from};
    step.outputs = {to};
    add_step(std::move(step), time);
  }

  /// Results and variables that could not be written where they belong are copied there after the last node: first
  /// the outputs, then old versions that other variables take over (to temporaries, so that a swap works), then the
  /// variables.
  void finish() {
    const int64_t end = node_count();
    for (size_t i = 0; i < graph().outputs().size(); ++i) {
      const Value v = graph().outputs()[i];
      if (direct_outputs_.count(static_cast<int64_t>(i))) continue;
      const int32_t from = storage_of(v);
      const int32_t to =
          add_storage({Storage::Kind::output, static_cast<int64_t>(i), graph().type(v).bytes(), 0, 0, 0, {}});
      add_copy("output", from, to, end);
    }
    std::vector<std::pair<int32_t, int32_t>> copies;
    for (const auto& [root, variables] : writes_)
      for (int64_t variable : variables) {
        const int32_t to = storage_of(Root{Root::Kind::variable, variable});
        int32_t from = storage_of(root);
        if (from == to) continue;
        if (plan_->storages[static_cast<size_t>(from)].kind == Storage::Kind::variable &&
            root.kind == Root::Kind::variable) {
          const int32_t saved =
              add_storage({Storage::Kind::arena, 0, plan_->storages[static_cast<size_t>(from)].bytes, end, end, 0, {}});
          add_copy("save", from, saved, end);
          from = saved;
        }
        copies.emplace_back(from, to);
      }
    for (const auto& [from, to] : copies) add_copy("write", from, to, end);
  }

  Target target_;
  std::unique_ptr<Executable::Plan> plan_;
  std::vector<Choice> choices_;
  std::vector<Root> roots_;
  std::map<Root, int64_t> last_use_;
  std::map<Root, std::vector<int64_t>> writes_;  // root -> variables whose final version it is
  std::vector<Value> final_write_;
  std::map<Root, int32_t> storage_;
  std::set<int64_t> direct_outputs_;
  std::set<std::pair<int64_t, int32_t>> taken_;
  std::vector<int64_t> step_time_;
};

}  // namespace

std::unique_ptr<Executable::Plan> make_plan(Graph graph, const Target& target) {
  return Planner(std::move(graph), target).run();
}

bool is_kept(const Executable::Plan& plan, const Storage& s) {
  if (s.kind != Storage::Kind::arena || plan.boundary < 0) return false;
  const int32_t node = plan.steps[static_cast<size_t>(plan.boundary)].node;
  const int64_t time = node >= 0 ? node : static_cast<int64_t>(plan.graph.nodes().size());
  return s.first < time && s.last >= time;
}

void find_boundary(Executable::Plan& plan, int loss) {
  const int32_t end = plan.graph.producer(plan.graph.outputs()[static_cast<size_t>(loss)]);
  for (size_t s = 0; s < plan.steps.size() && plan.boundary < 0; ++s)
    if (plan.steps[s].node < 0 || plan.steps[s].node > end) plan.boundary = static_cast<int64_t>(s);
  for (const Storage& s : plan.storages)
    if (is_kept(plan, s)) plan.kept_bytes += s.bytes;
  if (!log_enabled("memory")) return;
  for (const Step& step : plan.steps)
    for (const int32_t id : step.outputs)
      if (const Storage& s = plan.storages[static_cast<size_t>(id)]; is_kept(plan, s) && s.bytes > 0)
        log_line("memory",
                 fmt::format("kept: {} bytes of {} from node {} to {}", s.bytes,
                             step.node >= 0 && !plan.graph.nodes()[static_cast<size_t>(step.node)].regions.empty()
                                 ? plan.graph.nodes()[static_cast<size_t>(step.node)].regions[0].name()
                                 : step.op,
                             s.first, s.last));
}

}  // namespace gregale
