// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The loops of the code generator: rows, and stages over a row's columns.
//
// Registers: rdx is the first column of the block; rax, rcx and rdi are scratch; pointers to operands are in the
// others, and in the frame where these do not suffice.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "kernels/expression/expression_generator.hpp"

namespace gregale::kernels::expression {

using Xbyak::Address;

namespace {
constexpr int kPointerRegisters[] = {8, 9, 10, 11, 6, 3, 12, 13, 14, 15};  // r8 to r11, rsi; then what must be saved
constexpr size_t kFreePointerRegisters = 5;

bool is_row_output(const ExpressionDesc& desc, size_t i) {
  const auto id = static_cast<size_t>(desc.expression.outputs()[i]);
  return desc.outputs[i].broadcast == Broadcast::row && !is_column_reduction(desc.expression.nodes()[id].op);
}
}  // namespace

int64_t Generator::row_step(const ExpressionOperand& operand) const {
  switch (operand.broadcast) {
    case Broadcast::none:
      if (operand.leading == kAtCall) return -1;
      return operand.dtype == DType::boolean ? operand.leading / 8 : operand.leading * size_of(operand.dtype);
    case Broadcast::column:
      return operand.dtype == DType::boolean ? 0 : size_of(operand.dtype);
    default:
      return 0;
  }
}

Address Generator::at(const Pointer& pointer, int u) {
  const int width = lanes();
  if (pointer.dtype == DType::boolean) {
    mov(rax, rdx);
    shr(rax, 3);
    if (pointer.reg < 0) {
      add(rax, ptr[rsp + pointer.at]);
      return ptr[rax + u * width / 8];
    }
    return ptr[rax + Xbyak::Reg64(pointer.reg) + u * width / 8];
  }
  const int element = static_cast<int>(size_of(pointer.dtype));
  if (pointer.reg < 0) {
    mov(rax, ptr[rsp + pointer.at]);
    return ptr[rax + rdx * element + u * width * element];
  }
  return ptr[Xbyak::Reg64(pointer.reg) + rdx * element + u * width * element];
}

/// Where reading goes on beyond long computations: past them the processor's own prefetcher does not look far enough.
/// Not from row to row of a narrow tile, whose rows may share few cache sets.
int Generator::ahead_of(const ExpressionOperand& operand) const {
  constexpr int64_t kAhead = 2048;
  const bool read_once = operand.broadcast == Broadcast::none || (operand.broadcast == Broadcast::row && m_ == 1);
  if (!read_once || operand.dtype == DType::boolean || plan_.columns_outermost) return 0;
  const bool follows = m_ == 1 || (n_ != kAtCall && operand.leading == n_);
  return follows || n_ == kAtCall || n_ * size_of(operand.dtype) >= kAhead ? kAhead : 0;
}

void Generator::fetch(const Pointer& pointer) {
  if (pointer.ahead == 0 || lanes_ != Lanes::all) return;
  const int bytes = lanes() * static_cast<int>(size_of(pointer.dtype));
  for (int at_byte = 0; at_byte < unroll_ * bytes; at_byte += 64)
    prefetcht0(ptr[at(pointer, at_byte / bytes).getRegExp() + pointer.ahead]);
}

Address Generator::first(const Pointer& pointer) {
  if (pointer.reg >= 0) return ptr[Xbyak::Reg64(pointer.reg)];
  mov(rax, ptr[rsp + pointer.at]);
  return ptr[rax];
}

/// rdi holds the call.
void Generator::load_pointer(Pointer* pointer, size_t index, bool output) {
  const ExpressionOperand& operand = output ? desc_.outputs[index] : desc_.inputs[index];
  pointer->dtype = operand.dtype;
  pointer->step = row_step(operand);
  if (!output) pointer->ahead = ahead_of(operand);
  const auto list = output ? offsetof(ExpressionCall, outputs) : offsetof(ExpressionCall, inputs);
  mov(rax, ptr[rdi + static_cast<int>(list)]);
  mov(rax, ptr[rax + static_cast<int>(8 * index)]);
  if (pointer->reg >= 0) {
    mov(Xbyak::Reg64(pointer->reg), rax);
  } else {
    pointer->at = frame_quad();
    mov(ptr[rsp + pointer->at], rax);
  }
  if (plan_.columns_outermost) {
    pointer->base_at = frame_quad();
    mov(ptr[rsp + pointer->base_at], rax);
  }
  if (pointer->step >= 0) return;
  const auto leading = output ? offsetof(ExpressionCall, output_leading) : offsetof(ExpressionCall, input_leading);
  mov(rax, ptr[rdi + static_cast<int>(leading)]);
  mov(rax, ptr[rax + static_cast<int>(8 * index)]);
  if (operand.dtype == DType::boolean) {
    sar(rax, 3);
  } else if (size_of(operand.dtype) > 1) {
    shl(rax, std::countr_zero(static_cast<uint64_t>(size_of(operand.dtype))));
  }
  pointer->step_at = frame_quad();
  mov(ptr[rsp + pointer->step_at], rax);
}

void Generator::advance() {
  for (auto* list : {&inputs_, &outputs_}) {
    for (const Pointer& pointer : *list) {
      if (pointer.step == 0) continue;
      if (pointer.step > 0 && pointer.step < (int64_t{1} << 31)) {
        if (pointer.reg >= 0) {
          add(Xbyak::Reg64(pointer.reg), static_cast<uint32_t>(pointer.step));
        } else {
          add(qword[rsp + pointer.at], static_cast<uint32_t>(pointer.step));
        }
        continue;
      }
      if (pointer.step > 0) {
        mov(rax, pointer.step);
      } else {
        mov(rax, ptr[rsp + pointer.step_at]);
      }
      if (pointer.reg >= 0) {
        add(Xbyak::Reg64(pointer.reg), rax);
      } else {
        add(ptr[rsp + pointer.at], rax);
      }
    }
  }
  inc(qword[rsp + row_at_]);
}

void Generator::reset_rows() {
  mov(qword[rsp + row_at_], 0);
  if (!plan_.columns_outermost) return;
  for (auto* list : {&inputs_, &outputs_}) {
    for (const Pointer& pointer : *list) {
      if (pointer.step == 0) continue;
      if (pointer.reg >= 0) {
        mov(Xbyak::Reg64(pointer.reg), ptr[rsp + pointer.base_at]);
      } else {
        mov(rax, ptr[rsp + pointer.base_at]);
        mov(ptr[rsp + pointer.at], rax);
      }
    }
  }
}

void Generator::prologue() {
  inputs_.resize(desc_.inputs.size());
  outputs_.resize(desc_.outputs.size());
  scratch_.resize(static_cast<size_t>(plan_.scratch_rows));
  size_t next = 0;
  for (auto* list : {&inputs_, &outputs_, &scratch_}) {
    for (Pointer& pointer : *list) {
      if (next < std::size(kPointerRegisters)) pointer.reg = kPointerRegisters[next++];
    }
  }
  if (next > kFreePointerRegisters) {
    enter({rbx, r12, r13, r14, r15}, settings_.frame_bytes);
  } else {
    enter({}, settings_.frame_bytes);
  }
  buffer_at = frame_vector();
  tail_mask_at = frame_vector();
  x_at_ = frame_vector();
  y_at_ = frame_vector();
  for (int* quad : {&tail_count_at, &tail_bits_at, &call_at_, &m_at_, &n_at_, &row_at_, &main_limit_at_,
                    &single_limit_at_, &sums_limit_at_}) {
    *quad = frame_quad();
  }
  for (size_t i = 0; i < settings_.pinned_constants.size(); ++i) {
    const int reg = constants_[i].reg;
    constants_[i].reg = -1;
    const Arg from = constant(constants_[i].key);
    load(v(reg), ptr[rip + *from.label]);
    constants_[i].reg = reg;
  }
  mov(ptr[rsp + call_at_], rdi);
  for (auto* list : {&inputs_, &outputs_}) {
    for (size_t i = 0; i < list->size(); ++i) load_pointer(&(*list)[i], i, list == &outputs_);
  }
  // Extents.
  const auto extent = [&](int64_t fixed, size_t offset, int at) {
    if (fixed == kAtCall) {
      mov(rax, ptr[rdi + static_cast<int>(offset)]);
    } else {
      mov(rax, fixed);
    }
    mov(ptr[rsp + at], rax);
  };
  extent(desc_.m, offsetof(ExpressionCall, m), m_at_);
  extent(desc_.n, offsetof(ExpressionCall, n), n_at_);
  if (plan_.flat) {
    bool never = false, known = desc_.m != kAtCall && desc_.n != kAtCall;
    for (const auto* list : {&desc_.inputs, &desc_.outputs}) {
      for (const ExpressionOperand& operand : *list) {
        if (operand.broadcast != Broadcast::none) continue;
        if (operand.leading == kAtCall) known = false;
        if (operand.leading != kAtCall && desc_.n != kAtCall && operand.leading != desc_.n) never = true;
      }
    }
    if (desc_.m == 1) {
    } else if (known && !never) {
      m_ = 1;
      n_ = desc_.m * desc_.n;
      mov(qword[rsp + m_at_], 1);
      mov(rax, n_);
      mov(ptr[rsp + n_at_], rax);
    } else if (!never) {
      m_ = n_ = kAtCall;
      Xbyak::Label apart;
      for (const bool output : {false, true}) {
        const auto& operands = output ? desc_.outputs : desc_.inputs;
        for (size_t i = 0; i < operands.size(); ++i) {
          if (operands[i].broadcast != Broadcast::none) continue;
          if (operands[i].leading == kAtCall) {
            const auto list =
                output ? offsetof(ExpressionCall, output_leading) : offsetof(ExpressionCall, input_leading);
            mov(rcx, ptr[rdi + static_cast<int>(list)]);
            mov(rcx, ptr[rcx + static_cast<int>(8 * i)]);
          } else {
            mov(rcx, operands[i].leading);
          }
          cmp(rcx, ptr[rsp + n_at_]);
          jne(apart, T_NEAR);
        }
      }
      mov(rax, ptr[rsp + n_at_]);
      imul(rax, ptr[rsp + m_at_]);
      mov(ptr[rsp + n_at_], rax);
      mov(qword[rsp + m_at_], 1);
      L(apart);
    }
  }
  mov(rcx, ptr[rsp + n_at_]);
  if (n_ == kAtCall) {
    lea(rax, ptr[rcx - settings_.unroll * lanes()]);
    mov(ptr[rsp + main_limit_at_], rax);
    lea(rax, ptr[rcx - lanes()]);
    mov(ptr[rsp + single_limit_at_], rax);
    lea(rax, ptr[rcx - kSums * lanes()]);
    mov(ptr[rsp + sums_limit_at_], rax);
  }
  if (plan_.scratch_rows > 0) {
    mov(rax, ptr[rdi + static_cast<int>(offsetof(ExpressionCall, scratch))]);
    lea(rdi, ptr[rcx * element_bytes() + 63]);
    and_(rdi, -64);
    for (Pointer& pointer : scratch_) {
      pointer.dtype = desc_.compute;
      if (pointer.reg >= 0) {
        mov(Xbyak::Reg64(pointer.reg), rax);
      } else {
        pointer.at = frame_quad();
        mov(ptr[rsp + pointer.at], rax);
      }
      add(rax, rdi);
    }
  }
  if (n_ == kAtCall || n_ % lanes() != 0) {
    and_(ecx, lanes() - 1);
    const int temp = take_vector();
    set_tail(temp);
    give_vector(temp);
  }
}

/// Runs `body` for blocks of columns, then for single vectors, then for the tail. A block is `turns` times `unroll`
/// vectors; `turn` follows each of them. How a column's place in the block follows from its number depends on n alone.
/// `limit_at`: the last column at which a block may begin, where n is known at the call alone.
template <class Body, class Turn>
void Generator::blocks_of_columns(int unroll, int turns, int limit_at, Body&& body, Turn&& turn) {
  const auto step = static_cast<int64_t>(unroll) * turns * lanes();
  const bool fixed = n_ != kAtCall;
  const int64_t main_end = fixed ? n_ / step * step : 0;
  const int64_t single_end = fixed ? n_ / lanes() * lanes() : 0;
  const auto run = [&](int vectors, Lanes which, bool counts) {
    unroll_ = vectors;
    lanes_ = which;
    main_body_ = counts;
    body();
    main_body_ = false;
    lanes_ = Lanes::all;
    unroll_ = unroll;
  };
  xor_(edx, edx);
  if (!fixed || main_end > 0) {
    Xbyak::Label again, done;
    if (!fixed) {
      cmp(qword[rsp + limit_at], 0);
      jl(done, T_NEAR);
    }
    L(again);
    for (int i = 0; i < turns; ++i) {
      run(unroll, Lanes::all, true);
      add(rdx, static_cast<uint32_t>(unroll * lanes()));
      turn();
    }
    if (!fixed) {
      cmp(rdx, ptr[rsp + limit_at]);
      jle(again, T_NEAR);
    } else if (main_end > step) {
      cmp(rdx, static_cast<uint32_t>(main_end));
      jl(again, T_NEAR);
    }
    L(done);
  }
  if (step > lanes() && (!fixed || single_end > main_end)) {
    Xbyak::Label again, done;
    if (!fixed) {
      cmp(rdx, ptr[rsp + single_limit_at_]);
      jg(done, T_NEAR);
    }
    L(again);
    run(1, Lanes::all, fixed && main_end == 0);
    add(rdx, lanes());
    if (!fixed) {
      cmp(rdx, ptr[rsp + single_limit_at_]);
      jle(again, T_NEAR);
    } else if (single_end > main_end + lanes()) {
      cmp(rdx, static_cast<uint32_t>(single_end));
      jl(again, T_NEAR);
    }
    L(done);
  }
  if (!fixed || n_ > single_end) {
    Xbyak::Label none;
    if (!fixed) {
      cmp(dword[rsp + tail_count_at], 0);
      je(none, T_NEAR);
    }
    run(1, Lanes::tail, false);
    L(none);
  }
}

template <class Body>
void Generator::columns(Body&& body) {
  blocks_of_columns(settings_.unroll, 1, main_limit_at_, body, [] {});
}

void Generator::store_output(size_t output) {
  const Id id = desc_.expression.outputs()[output];
  const Pointer& pointer = outputs_[output];
  bool temporary = false;
  if (facts(id).mask) {
    const Group mask = mask_of(id, &temporary);
    each([&](int u) { store_mask(at(pointer, u), mask[u], lanes_); });
    if (temporary) give(mask, true);
    return;
  }
  const Group x = in_vector(id, &temporary);
  const int temp = take_vector();
  each([&](int u) { store_as(pointer.dtype, at(pointer, u), x[u], lanes_, temp, stream_); });
  give_vector(temp);
  if (temporary) give(x);
}

/// The nodes of one stage for the block of columns at rdx, and what becomes of them.
void Generator::body(const std::vector<Id>& reductions, size_t stage, bool with_outputs, bool row_outputs,
                     std::vector<Folding>* foldings) {
  first_stage_ = stage == 0;
  const std::vector<bool>* loaded = row_outputs ? nullptr : &plan_.stages[stage].loaded;
  std::vector<Id> sinks = reductions;
  for (Id& id : sinks) id = node(id).a;
  std::vector<size_t> stored;
  if (with_outputs) {
    for (Id id : plan_.column_reductions) sinks.push_back(node(id).a);
    for (Id id : plan_.all_reductions) sinks.push_back(node(id).a);
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const bool wanted =
        row_outputs ? is_row_output(desc_, i) : with_outputs && desc_.outputs[i].broadcast == Broadcast::none;
    if (!wanted) continue;
    stored.push_back(i);
    sinks.push_back(desc_.expression.outputs()[i]);
  }
  order_.clear();
  std::vector<bool> seen(values_.size(), false);
  for (Id id : sinks) order_of(id, &order_, &seen, loaded);
  const auto is_loaded = [&](Id id) { return loaded != nullptr && (*loaded)[static_cast<size_t>(id)]; };
  for (Id id : order_) value(id).uses = 0;
  size_t last_load = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    const Id id = order_[i];
    if (is_loaded(id)) continue;
    if (node(id).op == ExprOp::input && facts(id).shape == Broadcast::none) last_load = i;
    for (Id operand : {node(id).a, node(id).b, node(id).c}) {
      if (operand >= 0) ++value(operand).uses;
    }
  }
  for (Id id : sinks) ++value(id).uses;

  const auto consumed = [&](Id id) {
    Value& x = value(id);
    if (is_uniform(id) || --x.uses > 0) return;
    if (x.state == State::registers) give(x.group, facts(id).mask);
    x.state = State::none;
  };
  const auto use = [&](Id id, bool last) {
    for (Folding& folding : *foldings) {
      if (node(folding.id).a != id) continue;
      if (is_row_reduction(node(folding.id).op)) {
        fold(&folding, arg(id));
      } else if (is_column_reduction(node(folding.id).op)) {
        fold_column(&folding, arg(id));
      } else {
        fold(&folding, arg(id));
      }
      consumed(id);
    }
    if (!last) return;
    for (size_t output : stored) {
      if (desc_.expression.outputs()[output] != id) continue;
      store_output(output);
      consumed(id);
    }
  };
  std::vector<Id> pending;
  for (position_ = 0; position_ < order_.size(); ++position_) {
    const Id id = order_[position_];
    if (is_loaded(id)) {
      const auto slot =
          static_cast<size_t>(std::find(plan_.saved.begin(), plan_.saved.end(), id) - plan_.saved.begin());
      const Group d = take();
      each([&](int u) { load(v(d[u]), at(scratch_[slot], u)); });
      value(id).state = State::registers;
      value(id).group = d;
    } else {
      emit(id);
      for (size_t slot = 0; slot < plan_.saved.size(); ++slot) {
        if (row_outputs || plan_.saved[slot] != id || plan_.saved_in[slot] != static_cast<int>(stage)) continue;
        bool temporary = false;
        const Group x = in_vector(id, &temporary);
        each([&](int u) { vmovups(at(scratch_[slot], u), v(x[u])); });
        if (temporary) give(x);
      }
    }
    // Outputs may be inputs too: nothing is stored while there is something to load.
    const bool may_store = position_ >= last_load;
    current_ = -1;
    use(id, may_store);
    if (!may_store && value(id).uses > 0) pending.push_back(id);
    if (!may_store) continue;
    for (Id waiting : pending) {
      for (size_t output : stored) {
        if (desc_.expression.outputs()[output] != waiting) continue;
        store_output(output);
        consumed(waiting);
      }
    }
    pending.clear();
  }
  // Sinks that no column changes.
  for (size_t i = 0; i < sinks.size(); ++i) {
    const Id id = sinks[i];
    if (!is_uniform(id) || std::find(sinks.begin(), sinks.begin() + static_cast<int64_t>(i), id) !=
                               sinks.begin() + static_cast<int64_t>(i)) {
      continue;
    }
    use(id, true);
  }
}

// Values that are the same in a whole row or tile -------------------------------------------------------------------

void Generator::keep_uniform(Id id, int reg) {
  Value& kept = value(id);
  kept.state = State::uniform;
  if (kept.pinned >= 0) {
    load(v(kept.pinned), v(reg));
    return;
  }
  if (kept.at == 0) kept.at = frame_vector();
  if (facts(id).mask && wide()) {
    kmovw(ptr[rsp + kept.at], k(reg));
  } else {
    vmovups(ptr[rsp + kept.at], v(reg));
  }
}

void Generator::uniforms(Broadcast shape, int level) {
  const int unroll = unroll_;
  const Lanes lanes_before = lanes_;
  const bool main_before = main_body_;
  unroll_ = 1;
  lanes_ = Lanes::all;
  main_body_ = false;
  for (size_t i = 0; i < values_.size(); ++i) {
    const auto id = static_cast<Id>(i);
    const Expression::Node& n = node(id);
    if (!facts(id).used || !is_uniform(id) || facts(id).shape != shape || plan_.level[i] != level) continue;
    if (n.op == ExprOp::constant || is_reduction(n.op)) continue;
    const bool mask = facts(id).mask;
    Group result;
    if (n.op == ExprOp::parameter) {
      result = take();
      mov(rax, ptr[rsp + call_at_]);
      mov(rax, ptr[rax + static_cast<int>(offsetof(ExpressionCall, parameters))]);
      broadcast_as(DType::f64, result[0], ptr[rax + 8 * n.index]);
    } else if (n.op == ExprOp::input && !mask) {
      result = take();
      const Pointer& pointer = inputs_[static_cast<size_t>(n.index)];
      broadcast_as(pointer.dtype, result[0], first(pointer));
    } else if (n.op == ExprOp::input) {
      result = take(true);
      const Address data = first(inputs_[static_cast<size_t>(n.index)]);
      lea(rax, data);
      if (shape == Broadcast::column) {
        mov(rcx, ptr[rsp + row_at_]);
        mov(rdi, rcx);
        shr(rdi, 3);
        movzx(eax, byte[rax + rdi]);
        and_(ecx, 7);
        shr(eax, cl);
      } else {
        movzx(eax, byte[rax]);
      }
      and_(eax, 1);
      neg(eax);
      if (wide()) {
        kmovw(k(result[0]), eax);
      } else {
        vmovd(Xbyak::Xmm(result[0]), eax);
        vpbroadcastd(v(result[0]), Xbyak::Xmm(result[0]));
      }
    } else {
      current_ = id;
      result = emit_value(id);
      current_ = -1;
    }
    keep_uniform(id, result[0]);
    give(result, mask);
  }
  unroll_ = unroll;
  lanes_ = lanes_before;
  main_body_ = main_before;
}

// Loops -------------------------------------------------------------------------------------------------------------

void Generator::stage(size_t index) {
  const bool last = index + 1 == plan_.stages.size();
  const auto& reductions = plan_.stages[index].reductions;
  std::vector<Folding> foldings;
  const bool sums = std::any_of(reductions.begin(), reductions.end(), [&](Id id) {
    const Fold fold = fold_of(node(id).op);
    return fold == Fold::sum || fold == Fold::sum_squares;
  });
  unroll_ = sums ? kSums : settings_.unroll;
  for (Id id : reductions) foldings.push_back(start_folding(id, true));
  const size_t of_rows = foldings.size();
  if (last) {
    for (const auto* list : {&plan_.column_reductions, &plan_.all_reductions}) {
      for (Id id : *list) {
        Folding folding;
        folding.id = id;
        folding.fold = fold_of(node(id).op);
        foldings.push_back(folding);
      }
    }
  }
  bool any = !foldings.empty();
  for (const ExpressionOperand& output : desc_.outputs) any = any || (last && output.broadcast == Broadcast::none);
  const auto all = [&] { body(reductions, index, last, false, &foldings); };
  if (any && sums) {
    // Vectors one by one, added to the accumulators in turn: so the order of a sum depends on n alone, however much of
    // the row else is computed beside it.
    blocks_of_columns(1, kSums, sums_limit_at_, all, [&] {
      for (size_t i = 0; i < of_rows; ++i) std::swap(foldings[i].acc.r[0], foldings[i].acc.r[1]);
    });
  } else if (any) {
    columns(all);
  }
  unroll_ = sums ? kSums : settings_.unroll;
  for (size_t i = 0; i < of_rows; ++i) finish_folding(&foldings[i]);
  unroll_ = settings_.unroll;
}

void Generator::store_columns() {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (desc_.outputs[i].broadcast != Broadcast::column) continue;
    const int temp = take_vector();
    with(arg(desc_.expression.outputs()[i]), 0, [&](const Operand& o) { load(v(temp), o); });
    store_one_as(outputs_[i].dtype, first(outputs_[i]), temp);
    give_vector(temp);
  }
}

template <class Body>
void Generator::each_row(Body&& body) {
  Xbyak::Label again, done;
  if (m_ == 0) return;
  if (m_ == kAtCall) {
    cmp(qword[rsp + m_at_], 0);
    jle(done, T_NEAR);
  }
  L(again);
  body();
  if (m_ != 1) {
    advance();
    mov(rax, ptr[rsp + row_at_]);
    cmp(rax, ptr[rsp + m_at_]);
    jl(again, T_NEAR);
  }
  L(done);
}

void Generator::rows_of_stages() {
  reset_rows();
  each_row([&] {
    uniforms(Broadcast::column, 0);
    for (size_t i = 0; i < plan_.stages.size(); ++i) {
      stage(i);
      uniforms(Broadcast::column, static_cast<int>(i) + 1);
    }
    store_columns();
  });
}

void Generator::columns_of_rows() {
  columns([&] {
    reset_rows();
    std::vector<Folding> foldings;
    for (Id id : plan_.column_reductions) foldings.push_back(start_folding(id, false));
    for (Id id : plan_.all_reductions) {
      Folding folding;
      folding.id = id;
      folding.fold = fold_of(node(id).op);
      foldings.push_back(folding);
    }
    each_row([&] {
      uniforms(Broadcast::column, 0);
      body({}, 0, true, false, &foldings);
    });
    for (const Folding& folding : foldings) {
      if (!is_column_reduction(node(folding.id).op)) continue;
      const int temp = take_vector();
      for (size_t i = 0; i < outputs_.size(); ++i) {
        if (desc_.expression.outputs()[i] != folding.id) continue;
        each([&](int u) { store_as(outputs_[i].dtype, at(outputs_[i], u), folding.acc[u], lanes_, temp, false); });
      }
      give_vector(temp);
      give(folding.acc);
    }
  });
  // Columns are written once, even where there are no columns to run over.
  const bool columns_out = std::any_of(desc_.outputs.begin(), desc_.outputs.end(), [](const ExpressionOperand& output) {
    return output.broadcast == Broadcast::column;
  });
  if (!columns_out) return;
  reset_rows();
  each_row([&] {
    uniforms(Broadcast::column, 0);
    store_columns();
  });
}

void Generator::rows(bool stream) {
  stream_ = stream;
  plan_.columns_outermost ? columns_of_rows() : rows_of_stages();
  if (stream) sfence();
  stream_ = false;
}

void Generator::epilogue() {
  unroll_ = settings_.unroll;
  for (size_t i = 0; i < plan_.all_reductions.size(); ++i) {
    Folding folding = start_folding(plan_.all_reductions[i], true);
    each([&](int u) { load(v(folding.acc[u]), ptr[rsp + (all_at_[i] + 64 * u)]); });
    if (folding.ordered >= 0) {
      each([&](int u) {
        const int mask = take_mask();
        compare(mask, v(folding.acc[u]), v(folding.acc[u]), kOrdered);
        mask_and(folding.ordered, folding.ordered, mask);
        give_mask(mask);
      });
    }
    finish_folding(&folding);
  }
  unroll_ = 1;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (desc_.outputs[i].broadcast != Broadcast::scalar) continue;
    const int temp = take_vector();
    with(arg(desc_.expression.outputs()[i]), 0, [&](const Operand& o) { load(v(temp), o); });
    store_one_as(outputs_[i].dtype, first(outputs_[i]), temp);
    give_vector(temp);
  }
  bool row_outputs = false;
  for (size_t i = 0; i < outputs_.size(); ++i) row_outputs = row_outputs || is_row_output(desc_, i);
  if (row_outputs) {
    std::vector<Folding> none;
    columns([&] { body({}, 0, false, true, &none); });
  }
  if (plan_.columns_outermost || plan_.column_reductions.empty()) return;
  columns([&] {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const Id id = desc_.expression.outputs()[i];
      if (!is_column_reduction(node(id).op)) continue;
      const auto index =
          static_cast<size_t>(std::find(plan_.column_reductions.begin(), plan_.column_reductions.end(), id) -
                              plan_.column_reductions.begin());
      const Group x = take();
      const int temp = take_vector();
      each([&](int u) {
        load(v(x[u]), at(scratch_[plan_.saved.size() + index], u));
        store_as(outputs_[i].dtype, at(outputs_[i], u), x[u], lanes_, temp, false);
      });
      give_vector(temp);
      give(x);
    }
  });
}

void Generator::generate() {
  prologue();
  unroll_ = settings_.unroll;
  for (Id id : plan_.all_reductions) {
    all_at_.push_back(frame_vector(settings_.unroll));
    const Group start = take();
    copy(start, number(start_of(fold_of(node(id).op))));
    each([&](int u) { vmovups(ptr[rsp + (all_at_.back() + 64 * u)], v(start[u])); });
    give(start);
  }
  if (!plan_.columns_outermost) {
    for (size_t i = 0; i < plan_.column_reductions.size(); ++i) {
      columns([&] {
        const int start = take_vector();
        with(number(start_of(fold_of(node(plan_.column_reductions[i]).op))), 0,
             [&](const Operand& o) { load(v(start), o); });
        each([&](int u) { vmovups(at(scratch_[plan_.saved.size() + i], u), v(start)); });
        give_vector(start);
      });
    }
  }
  uniforms(Broadcast::scalar, 0);
  if (desc_.stream) {
    Xbyak::Label unaligned, done;
    xor_(eax, eax);
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (desc_.outputs[i].broadcast != Broadcast::none || desc_.outputs[i].dtype == DType::boolean) continue;
      const Pointer& pointer = outputs_[i];
      pointer.reg >= 0 ? or_(rax, Xbyak::Reg64(pointer.reg)) : or_(rax, ptr[rsp + pointer.at]);
      if (m_ == 1) continue;
      if (pointer.step >= 0) {
        mov(rcx, pointer.step);
        or_(rax, rcx);
      } else {
        or_(rax, ptr[rsp + pointer.step_at]);
      }
    }
    test(eax, bytes() - 1);
    jnz(unaligned, T_NEAR);
    rows(true);
    jmp(done, T_NEAR);
    L(unaligned);
    rows(false);
    L(done);
  } else {
    rows(false);
  }
  epilogue();
  leave();
  out_of_line_functions();
}

}  // namespace gregale::kernels::expression
