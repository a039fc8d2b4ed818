// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Compiled expressions: planning, the two passes of the generator, the kernel.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "kernels/expression/expression_generator.hpp"

namespace gregale::kernels::expression {
namespace {

using Id = Expression::Id;

/// Costs more than storing and loading it.
bool is_heavy(ExprOp op) {
  return is_transcendental(op) || op == ExprOp::div || op == ExprOp::sqrt || op == ExprOp::reciprocal ||
         op == ExprOp::reciprocal_sqrt;
}

bool varies(const Analysis& analysis, Id id) {
  const Broadcast shape = analysis.nodes[static_cast<size_t>(id)].shape;
  return shape == Broadcast::none || shape == Broadcast::row;
}

class StagePlanner {
 public:
  StagePlanner(const ExpressionDesc& desc, const Analysis& analysis, Plan* plan)
      : nodes_(desc.expression.nodes()), analysis_(analysis), plan_(plan), made_in_(nodes_.size(), -1) {
    heavy_.resize(nodes_.size(), false);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      heavy_[i] = is_heavy(nodes_[i].op);
      for (Id id : {nodes_[i].a, nodes_[i].b, nodes_[i].c}) {
        if (id >= 0 && varies(analysis, id) && heavy_[static_cast<size_t>(id)]) heavy_[i] = true;
      }
    }
  }
  /// Marks what stage computes for the sink `id`, and what it takes from scratch.
  void visit(Id id, int stage) {
    const auto i = static_cast<size_t>(id);
    if (!varies(analysis_, id)) return;
    Plan::Stage& now = plan_->stages[static_cast<size_t>(stage)];
    if (now.loaded[i] || made_in_[i] == stage) return;
    if (made_in_[i] >= 0 && made_in_[i] < stage && heavy_[i] && !analysis_.nodes[i].mask) {
      now.loaded[i] = true;
      if (std::find(plan_->saved.begin(), plan_->saved.end(), id) == plan_->saved.end()) {
        plan_->saved.push_back(id);
        plan_->saved_in.push_back(made_in_[i]);
      }
      return;
    }
    made_in_[i] = stage;
    for (Id operand : {nodes_[i].a, nodes_[i].b, nodes_[i].c}) {
      if (operand >= 0) visit(operand, stage);
    }
  }

 private:
  const std::vector<Expression::Node>& nodes_;
  const Analysis& analysis_;
  Plan* plan_;
  std::vector<int> made_in_;
  std::vector<bool> heavy_;
};

}  // namespace

Plan plan_of(const ExpressionDesc& desc, const Analysis& analysis) {
  const auto& nodes = desc.expression.nodes();
  Plan plan;
  plan.level.resize(nodes.size(), 0);
  int last = 0;
  bool all_full = true;  // every operand is a full tile or a scalar
  for (const auto* list : {&desc.inputs, &desc.outputs}) {
    for (const ExpressionOperand& operand : *list) {
      if (operand.broadcast == Broadcast::row || operand.broadcast == Broadcast::column) all_full = false;
    }
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!analysis.nodes[i].used) continue;
    int& level = plan.level[i];
    for (Id id : {nodes[i].a, nodes[i].b, nodes[i].c}) {
      if (id >= 0) level = std::max(level, plan.level[static_cast<size_t>(id)]);
    }
    if (is_row_reduction(nodes[i].op)) {
      last = std::max(last, level);
      ++level;
      plan.has_row_reductions = true;
    } else if (is_column_reduction(nodes[i].op)) {
      plan.column_reductions.push_back(static_cast<Id>(i));
      last = std::max(last, level);
    } else if (is_all_reduction(nodes[i].op)) {
      plan.all_reductions.push_back(static_cast<Id>(i));
      last = std::max(last, level);
    }
  }
  for (size_t i = 0; i < desc.outputs.size(); ++i) {
    if (desc.outputs[i].broadcast != Broadcast::none) continue;
    last = std::max(last, plan.level[static_cast<size_t>(desc.expression.outputs()[i])]);
  }
  plan.columns_outermost = !plan.has_row_reductions && !plan.column_reductions.empty();
  plan.flat = all_full && !plan.has_row_reductions && plan.column_reductions.empty() && plan.all_reductions.empty();
  plan.stages.resize(static_cast<size_t>(last) + 1);
  for (Plan::Stage& stage : plan.stages) stage.loaded.resize(nodes.size(), false);
  StagePlanner planner(desc, analysis, &plan);
  for (int stage = 0; stage <= last; ++stage) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!analysis.nodes[i].used || !is_row_reduction(nodes[i].op) || plan.level[i] != stage + 1) continue;
      plan.stages[static_cast<size_t>(stage)].reductions.push_back(static_cast<Id>(i));
      planner.visit(nodes[i].a, stage);
    }
  }
  for (const auto* list : {&plan.column_reductions, &plan.all_reductions}) {
    for (Id id : *list) planner.visit(nodes[static_cast<size_t>(id)].a, last);
  }
  for (size_t i = 0; i < desc.outputs.size(); ++i) {
    if (desc.outputs[i].broadcast == Broadcast::none) planner.visit(desc.expression.outputs()[i], last);
  }
  plan.scratch_rows = static_cast<int>(plan.saved.size());
  if (!plan.columns_outermost) plan.scratch_rows += static_cast<int>(plan.column_reductions.size());
  return plan;
}

namespace {

class JitKernel final : public ExpressionKernel {
 public:
  JitKernel(jit::Code code, Isa isa, int64_t n, int64_t row_bytes, int scratch_rows, std::string blocking)
      : code_(std::move(code)), n_(n), row_bytes_(row_bytes), scratch_rows_(scratch_rows) {
    function_ = code_.entry<Function>();
    info_.implementation = to_string(isa);
    info_.isa = isa;
    info_.code_bytes = static_cast<int64_t>(code_.bytes());
    info_.blocking = std::move(blocking);
  }
  int64_t scratch_bytes(int64_t n) const override {
    if (n_ != kAtCall) n = n_;
    return scratch_rows_ * align_bytes(n * row_bytes_);
  }

 private:
  jit::Code code_;
  int64_t n_, row_bytes_;
  int scratch_rows_;
};

/// Why the generator cannot make it; empty where it can.
std::string reason_against(const Target& target, const ExpressionDesc& desc, const Analysis& analysis, bool wide) {
  const bool f64 = desc.compute == DType::f64;
  const auto& nodes = desc.expression.nodes();
  bool halves = false;
  for (const auto* list : {&desc.inputs, &desc.outputs}) {
    for (const ExpressionOperand& operand : *list) halves = halves || operand.dtype == DType::f16;
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!analysis.nodes[i].used) continue;
    if (f64 && is_transcendental(nodes[i].op)) return fmt::format("no vectors for {} in f64", name_of(nodes[i].op));
    halves = halves || (nodes[i].op == ExprOp::round_to && nodes[i].index == static_cast<int32_t>(DType::f16));
  }
  if (halves && !target.features.f16c && !wide) return "the target has no F16C";
  for (const ExpressionOperand& output : desc.outputs) {
    if (output.dtype != DType::boolean) continue;
    if (output.broadcast != Broadcast::none) return "a mask is stored by row, column or scalar";
    if (!wide && f64) return "masks of four lanes are not whole bytes";
  }
  return "";
}

Result<std::shared_ptr<ExpressionKernel>> make_jit(const Target& target, const ExpressionDesc& desc, bool wide) {
  const Isa needed = wide ? Isa::avx512 : Isa::avx2;
  if (target.isa < needed) return refusal(fmt::format("the target is {}", to_string(target.isa)));
  const Analysis analysis = analyse(desc);
  if (std::string reason = reason_against(target, desc, analysis, wide); !reason.empty()) {
    return refusal(std::move(reason));
  }
  const Plan plan = plan_of(desc, analysis);
  bool heavy = false, masks = false;
  for (size_t i = 0; i < analysis.nodes.size(); ++i) {
    heavy = heavy || is_transcendental(desc.expression.nodes()[i].op);
    masks = masks || analysis.nodes[i].mask;
  }
  Settings settings;
  settings.unroll = wide ? (heavy ? 2 : 4) : (heavy ? 1 : 2);
  if (!wide && desc.compute == DType::f64 && masks) settings.unroll = 1;
  for (;; settings.unroll /= 2) {
    try {
      Generator first(target, wide, desc, analysis, plan, settings);
      first.generate();
      if (first.spills() > 0 && settings.unroll > 1) continue;
      const Settings better = first.improved();
      Generator second(target, wide, desc, analysis, plan, better);
      second.generate();
      static std::atomic<int64_t> number{0};
      jit::Code code = second.finish(fmt::format("expression-{}-{}", to_string(needed), number.fetch_add(1)));
      const int lanes = second.lanes();
      std::string blocking =
          fmt::format("{} vectors of {} lanes, {} {} of columns{}{}", settings.unroll, lanes, plan.stages.size(),
                      plan.stages.size() == 1 ? "pass" : "passes", plan.columns_outermost ? ", columns outermost" : "",
                      first.spills() > 0 ? fmt::format(", {} spills", first.spills()) : "");
      const int64_t element = desc.compute == DType::f64 ? 8 : 4;
      return std::shared_ptr<ExpressionKernel>(std::make_shared<JitKernel>(std::move(code), needed, desc.n, element,
                                                                           plan.scratch_rows, std::move(blocking)));
    } catch (const Pressure&) {
      if (settings.unroll == 1) return refusal("registers do not suffice");
    } catch (const Xbyak::Error& error) {
      throw_error(ErrorCode::internal, fmt::format("[expression] {}: {} (a bug in Gregale; please report it)",
                                                   to_string(desc), error.what()));
    }
  }
}

}  // namespace

Result<std::shared_ptr<ExpressionKernel>> make_avx512(const Target& target, const ExpressionDesc& desc) {
  return make_jit(target, desc, true);
}
Result<std::shared_ptr<ExpressionKernel>> make_avx2(const Target& target, const ExpressionDesc& desc) {
  return make_jit(target, desc, false);
}

}  // namespace gregale::kernels::expression
