// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Registers, values and single nodes of the code generator.
#include "kernels/expression/expression_generator.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "gregale/error.hpp"

namespace gregale::kernels::expression {

Generator::Generator(const Target& target, bool wide, const ExpressionDesc& desc, const Analysis& analysis,
                     const Plan& plan, const Settings& settings)
    : VectorAssembler(target, wide, desc.compute == DType::f64),
      desc_(desc),
      analysis_(analysis),
      plan_(plan),
      settings_(settings),
      m_(desc.m),
      n_(desc.n) {
  values_.resize(desc.expression.nodes().size());
  uniform_uses_.resize(values_.size(), 0);
  free_vectors_ = wide ? 0xffffffffu : 0xffffu;
  free_masks_ = wide ? 0xf8u : 0u;  // k3 to k7
  // What is pinned sits at the top.
  int top = vector_registers();
  for (const ConstantKey& key : settings.pinned_constants) {
    Constant constant;
    constant.key = key;
    constant.reg = --top;
    constants_.push_back(constant);
    free_vectors_ &= ~(1u << top);
  }
  for (Id id : settings.pinned_uniforms) {
    value(id).pinned = --top;
    free_vectors_ &= ~(1u << top);
  }
}

int Generator::frame_vector(int count) {
  frame_ = (frame_ + 63) / 64 * 64;
  const int at = frame_;
  frame_ += 64 * count;
  return at;
}
int Generator::frame_quad() {
  const int at = frame_;
  frame_ += 8;
  return at;
}

int Generator::take_vector() {
  while (free_vectors_ == 0) evict(false);
  const int r = std::countr_zero(free_vectors_);
  free_vectors_ &= ~(1u << r);
  highest_vector_ = std::max(highest_vector_, r + 1);
  return r;
}
int Generator::take_mask() {
  if (!wide()) return take_vector();
  while (free_masks_ == 0) evict(true);
  const int r = std::countr_zero(free_masks_);
  free_masks_ &= ~(1u << r);
  return r;
}
void Generator::give_mask(int r) {
  if (wide()) {
    free_masks_ |= 1u << r;
  } else {
    give_vector(r);
  }
}
Group Generator::take(bool mask) {
  Group group;
  each([&](int u) { group.r[static_cast<size_t>(u)] = static_cast<int8_t>(mask ? take_mask() : take_vector()); });
  return group;
}
void Generator::give(const Group& group, bool mask) {
  each([&](int u) { mask ? give_mask(group[u]) : give_vector(group[u]); });
}

int Generator::next_use(Id id) const {
  for (size_t i = position_; i < order_.size(); ++i) {
    const Expression::Node& user = node(order_[i]);
    if (user.a == id || user.b == id || user.c == id) return static_cast<int>(i);
  }
  return static_cast<int>(order_.size());
}

/// Moves the value that is needed last to the frame.
void Generator::evict(bool mask) {
  Id victim = -1;
  int farthest = -1;
  for (size_t i = 0; i < values_.size(); ++i) {
    const auto id = static_cast<Id>(i);
    if (values_[i].state != State::registers || (facts(id).mask && wide()) != mask) continue;
    if (current_ >= 0) {
      const Expression::Node& user = node(current_);
      if (user.a == id || user.b == id || user.c == id) continue;
    }
    const int use = next_use(id);
    if (use > farthest) {
      farthest = use;
      victim = id;
    }
  }
  if (victim < 0) throw Pressure{};
  Value& spilled = value(victim);
  spilled.at = frame_vector(unroll_);
  each([&](int u) {
    if (mask) {
      kmovw(ptr[rsp + (spilled.at + 64 * u)], k(spilled.group[u]));
    } else {
      vmovups(ptr[rsp + (spilled.at + 64 * u)], v(spilled.group[u]));
    }
  });
  give(spilled.group, facts(victim).mask);
  spilled.state = State::frame;
  ++spills_;
}

Arg Generator::constant(const ConstantKey& key) {
  auto found = std::find_if(constants_.begin(), constants_.end(), [&](const Constant& c) { return c.key == key; });
  if (found == constants_.end()) {
    Constant constant;
    constant.key = key;
    constants_.push_back(constant);
    found = constants_.end() - 1;
  }
  if (main_body_) found->uses += unroll_;
  Arg arg;
  if (found->reg >= 0 && found->label != nullptr) {
    arg.kind = Arg::Kind::pinned;
    arg.reg = found->reg;
    return arg;
  }
  if (found->label == nullptr) {
    switch (key.kind) {
      case ConstantKey::Kind::u32:
        found->label = &pool_u32(static_cast<uint32_t>(key.bits));
        break;
      case ConstantKey::Kind::u64:
        found->label = &pool_f64(std::bit_cast<double>(key.bits));
        break;
      case ConstantKey::Kind::table:
        found->label = &pool(erf_table(static_cast<int>(key.bits)), 64);
        break;
    }
  }
  arg.kind = Arg::Kind::constant;
  arg.label = found->label;
  return arg;
}
Arg Generator::bits(uint32_t value) { return constant({ConstantKey::Kind::u32, value}); }
Arg Generator::c(float value) { return bits(std::bit_cast<uint32_t>(value)); }
Arg Generator::whole(uint64_t value) {
  return f64() ? constant({ConstantKey::Kind::u64, value}) : bits(static_cast<uint32_t>(value));
}
Arg Generator::number(double value) {
  return f64() ? constant({ConstantKey::Kind::u64, std::bit_cast<uint64_t>(value)}) : c(static_cast<float>(value));
}

Arg Generator::arg(Id id) {
  if (node(id).op == ExprOp::constant) return number(node(id).value);
  const Value& from = value(id);
  Arg arg;
  switch (from.state) {
    case State::registers:
      return of(from.group);
    case State::frame:
      arg.kind = Arg::Kind::frame;
      arg.at = from.at;
      arg.step = 64;
      return arg;
    case State::uniform:
      if (main_body_) uniform_uses_[static_cast<size_t>(id)] += unroll_;
      if (from.pinned >= 0) {
        arg.kind = Arg::Kind::pinned;
        arg.reg = from.pinned;
      } else {
        arg.kind = Arg::Kind::frame;
        arg.at = from.at;
      }
      return arg;
    case State::none:
      break;
  }
  GREGALE_ASSERT(false && "a value is used before it exists");
  return arg;
}

void Generator::copy(const Group& d, const Arg& a) {
  each([&](int u) {
    with(a, u, [&](const Operand& o) {
      if (!(o.isMEM() == false && o.getIdx() == d[u])) load(v(d[u]), o);
    });
  });
}
void Generator::compare_each(const Group& mask, const Group& a, const Arg& b, uint8_t predicate) {
  each([&](int u) { with(b, u, [&](const Operand& o) { compare(mask[u], v(a[u]), o, predicate); }); });
}
void Generator::merge_each(const Group& d, const Group& mask, const Arg& yes) {
  each([&](int u) { with(yes, u, [&](const Operand& o) { merge(v(d[u]), mask[u], o); }); });
}

/// True where `user` is the last to read `id`, whose registers may then take the result.
bool Generator::dies(Id id, Id user) {
  const Expression::Node& n = node(user);
  const int here = (n.a == id) + (n.b == id) + (n.c == id);
  return in_registers(id) && value(id).uses == here;
}

/// Gives back what `user` read last. A group that became the result is not the operand's any more.
void Generator::release(Id user) {
  const Expression::Node& n = node(user);
  for (Id id : {n.a, n.b, n.c}) {
    if (id < 0) continue;
    Value& operand = value(id);
    if (operand.state == State::uniform || node(id).op == ExprOp::constant) continue;
    if (--operand.uses > 0) continue;
    if (operand.state == State::registers) give(operand.group, facts(id).mask);
    operand.state = State::none;
  }
}

/// `id` as vectors in registers; `temporary` tells that they are to be given back.
Group Generator::in_vector(Id id, bool* temporary) {
  *temporary = !in_registers(id);
  if (!*temporary) return value(id).group;
  const Group d = take();
  copy(d, arg(id));
  return d;
}
Group Generator::mask_of(Id id, bool* temporary) {
  *temporary = !in_registers(id);
  if (!*temporary) return value(id).group;
  const Group d = take(true);
  const Arg from = arg(id);
  if (!wide()) {
    copy(d, from);
  } else {
    each([&](int u) { kmovw(k(d[u]), ptr[rsp + (from.at + u * from.step)]); });
  }
  return d;
}

Group Generator::binary(Op f, Id user, Id a, Id b, bool commutes) {
  if (commutes && !in_registers(a) && in_registers(b)) std::swap(a, b);
  const Arg y = arg(b);
  Group d, x;
  if (in_registers(a)) {
    x = value(a).group;
    if (dies(a, user)) {
      d = x;
      value(a).state = State::none;
    } else if (dies(b, user)) {
      d = value(b).group;
      value(b).state = State::none;
    } else {
      d = take();
    }
  } else {
    d = take();
    copy(d, arg(a));
    x = d;
  }
  op(f, d, x, y);
  return d;
}

/// A constant by whose reciprocal one may divide.
std::optional<float> Generator::known_divisor(Id id) const {
  if (!wide() || f64() || node(id).op != ExprOp::constant) return {};
  const auto divisor = static_cast<float>(node(id).value);
  const float magnitude = std::abs(divisor);
  return magnitude > 0x1p-40f && magnitude < 0x1p40f ? std::optional(divisor) : std::nullopt;
}

/// x / divisor, rounded once, in a third of the division's time: the product with the reciprocal, and what it leaves
/// over (which is exact) divided the same way (Markstein, "Computation of elementary functions on the IBM RISC
/// System/6000 processor", 1990). Where nothing is left over, or the product is no number, it stands.
Group Generator::divide_by(float divisor, Id of_id) {
  const float reciprocal = 1.0f / divisor;
  bool temporary = false;
  const Group x = in_vector(of_id, &temporary);
  const Group product = take(), rest = take(), stands = take(true);
  op(&VectorAssembler::mul_, product, x, c(reciprocal));
  copy(rest, of(x));
  op(&VectorAssembler::fnma231, rest, product, c(divisor));
  constexpr uint8_t kNanZeroOrInfinite = 0x9f;
  each([&](int u) { vfpclassps(k(stands[u]), v(rest[u]), kNanZeroOrInfinite); });
  op(&VectorAssembler::fma132, rest, product, c(reciprocal));
  merge_each(rest, stands, of(product));
  give(stands, true);
  give(product);
  if (temporary) give(x);
  return rest;
}

/// max and min with NaN where either operand is.
Group Generator::extremum(Op f, Id user, Id a, Id b) {
  // The instruction gives its second operand where one is NaN: only the first needs care, and a constant none.
  if (node(b).op == ExprOp::constant && !std::isnan(node(b).value)) std::swap(a, b);
  if (node(a).op == ExprOp::constant && !std::isnan(node(a).value)) {
    const Group d = take();
    copy(d, arg(a));
    op(f, d, d, arg(b));
    return d;
  }
  bool temporary = false;
  const Group x = in_vector(a, &temporary);
  const Group d = take();
  op(f, d, x, arg(b));
  const Group mask = take(true);
  compare_each(mask, x, of(x), kUnordered);
  merge_each(d, mask, of(x));
  give(mask, true);
  if (temporary) give(x);
  (void)user;
  return d;
}

Group Generator::multiply_add(Id user) {
  const Expression::Node& n = node(user);
  Id a = n.a, b = n.b;
  if (!in_registers(a) && in_registers(b)) std::swap(a, b);
  Group d;
  if (dies(n.c, user) && n.c != a && n.c != b && in_registers(a)) {
    d = value(n.c).group;
    value(n.c).state = State::none;
    op(&VectorAssembler::fma231, d, value(a).group, arg(b));
    return d;
  }
  if (dies(b, user) && b != a && b != n.c && in_registers(a)) std::swap(a, b);
  if (in_registers(b) && dies(a, user) && a != b && a != n.c) {
    d = value(a).group;
    value(a).state = State::none;
    op(&VectorAssembler::fma213, d, value(b).group, arg(n.c));
    return d;
  }
  d = take();
  if (in_registers(a)) {
    copy(d, arg(n.c));
    op(&VectorAssembler::fma231, d, value(a).group, arg(b));
    return d;
  }
  copy(d, arg(a));
  bool temporary = false;
  const Group y = in_vector(b, &temporary);
  op(&VectorAssembler::fma213, d, y, arg(n.c));
  if (temporary) give(y);
  return d;
}

Group Generator::comparison(Id user, uint8_t predicate) {
  bool temporary = false;
  const Group x = in_vector(node(user).a, &temporary);
  const Group mask = take(true);
  compare_each(mask, x, arg(node(user).b), predicate);
  if (temporary) give(x);
  return mask;
}

Group Generator::select(Id user) {
  const Expression::Node& n = node(user);
  bool temporary = false;
  const Group mask = mask_of(n.a, &temporary);
  Group d;
  if (dies(n.c, user) && n.c != n.b) {
    d = value(n.c).group;
    value(n.c).state = State::none;
  } else {
    d = take();
    copy(d, arg(n.c));
  }
  merge_each(d, mask, arg(n.b));
  if (temporary) give(mask, true);
  return d;
}

Group Generator::load_input(Id id) {
  const Pointer& pointer = inputs_[static_cast<size_t>(node(id).index)];
  const bool mask = facts(id).mask;
  const Group d = take(mask);
  const int temp = take_vector();
  each([&](int u) {
    if (mask) {
      load_mask(d[u], at(pointer, u), lanes_, rdx, temp);
    } else {
      load_as(pointer.dtype, d[u], at(pointer, u), lanes_, temp);
    }
  });
  give_vector(temp);
  if (first_stage_) fetch(pointer);
  return d;
}

Group Generator::emit_value(Id id) {
  const Expression::Node& n = node(id);
  const auto unary = [&](auto&& f) {  // f(d, x) with x in registers; d may be x
    bool temporary = false;
    const Group x = in_vector(n.a, &temporary);
    Group d = x;
    if (!temporary) {
      if (dies(n.a, id)) {
        value(n.a).state = State::none;
      } else {
        d = take();
      }
    }
    f(d, x);
    return d;
  };
  const auto function = [&](auto&& f) {  // d not among x's registers
    bool temporary = false;
    const Group x = in_vector(n.a, &temporary);
    const Group d = take();
    f(d, x);
    if (temporary) give(x);
    return d;
  };
  const uint64_t sign_bit = f64() ? uint64_t{1} << 63 : uint64_t{1} << 31;
  switch (n.op) {
    case ExprOp::input:
      return load_input(id);
    case ExprOp::negate:
      return unary([&](const Group& d, const Group& x) { op(&VectorAssembler::xor_bits, d, x, whole(sign_bit)); });
    case ExprOp::abs:
      return unary([&](const Group& d, const Group& x) { op(&VectorAssembler::and_bits, d, x, whole(sign_bit - 1)); });
    case ExprOp::square:
      return unary([&](const Group& d, const Group& x) { op(&VectorAssembler::mul_, d, x, of(x)); });
    case ExprOp::sqrt:
      return unary([&](const Group& d, const Group& x) { each([&](int u) { sqrt_(v(d[u]), v(x[u])); }); });
    case ExprOp::reciprocal:
      return function([&](const Group& d, const Group& x) {
        copy(d, number(1));
        op(&VectorAssembler::div_, d, d, of(x));
      });
    case ExprOp::reciprocal_sqrt:
      return function([&](const Group& d, const Group& x) {
        const Group root = take();
        each([&](int u) { sqrt_(v(root[u]), v(x[u])); });
        copy(d, number(1));
        op(&VectorAssembler::div_, d, d, of(root));
        give(root);
      });
    case ExprOp::exp:
      return function([&](const Group& d, const Group& x) { exp_(d, of(x)); });
    case ExprOp::log:
      return function([&](const Group& d, const Group& x) { log_(d, x); });
    case ExprOp::tanh:
      return function([&](const Group& d, const Group& x) { tanh_(d, x); });
    case ExprOp::erf:
      return function([&](const Group& d, const Group& x) { erf_(d, x); });
    case ExprOp::sigmoid:
      return function([&](const Group& d, const Group& x) { sigmoid_(d, x); });
    case ExprOp::sin:
      return function([&](const Group& d, const Group& x) { sin_cos(d, x, 0); });
    case ExprOp::cos:
      return function([&](const Group& d, const Group& x) { sin_cos(d, x, 1); });
    case ExprOp::relu:
      return function([&](const Group& d, const Group& x) {
        copy(d, number(0));
        op(&VectorAssembler::max_, d, d, of(x));
      });
    case ExprOp::sign:
      return function([&](const Group& d, const Group& x) {
        const Group one = take(), mask = take(true);
        op(&VectorAssembler::and_bits, one, x, whole(sign_bit));
        op(&VectorAssembler::or_bits, one, one, number(1));
        // 0 < |x| instead of an ordered x != 0, which valgrind takes for the unordered one.
        const Group magnitude = take();
        op(&VectorAssembler::and_bits, magnitude, x, whole(sign_bit - 1));
        copy(d, number(0));
        compare_each(mask, d, of(magnitude), kLess);
        give(magnitude);
        copy(d, of(x));
        merge_each(d, mask, of(one));
        give(mask, true);
        give(one);
      });
    case ExprOp::round:
      return unary([&](const Group& d, const Group& x) { each([&](int u) { whole_(v(d[u]), v(x[u]), kNearest); }); });
    case ExprOp::floor:
      return unary([&](const Group& d, const Group& x) { each([&](int u) { whole_(v(d[u]), v(x[u]), kDown); }); });
    case ExprOp::ceil:
      return unary([&](const Group& d, const Group& x) { each([&](int u) { whole_(v(d[u]), v(x[u]), kUp); }); });
    case ExprOp::round_to:
      return function([&](const Group& d, const Group& x) {
        copy(d, of(x));
        const int t1 = take_vector(), t2 = take_vector();
        each([&](int u) { round_as(static_cast<DType>(n.index), d[u], t1, t2); });
        give_vector(t2);
        give_vector(t1);
      });
    case ExprOp::add:
      return binary(&VectorAssembler::add_, id, n.a, n.b, true);
    case ExprOp::sub:
      return binary(&VectorAssembler::sub_, id, n.a, n.b, false);
    case ExprOp::mul:
      return binary(&VectorAssembler::mul_, id, n.a, n.b, true);
    case ExprOp::div:
      if (const std::optional<float> divisor = known_divisor(n.b)) return divide_by(*divisor, n.a);
      return binary(&VectorAssembler::div_, id, n.a, n.b, false);
    case ExprOp::max:
      return extremum(&VectorAssembler::max_, id, n.a, n.b);
    case ExprOp::min:
      return extremum(&VectorAssembler::min_, id, n.a, n.b);
    case ExprOp::greater:
      return comparison(id, kGreater);
    case ExprOp::greater_equal:
      return comparison(id, kGreaterEqual);
    case ExprOp::less:
      return comparison(id, kLess);
    case ExprOp::less_equal:
      return comparison(id, kLessEqual);
    case ExprOp::equal:
      return comparison(id, kEqual);
    case ExprOp::not_equal:
      return comparison(id, kNotEqual);
    case ExprOp::mask_and:
    case ExprOp::mask_or: {
      bool temporary_a = false, temporary_b = false;
      const Group a = mask_of(n.a, &temporary_a), b = mask_of(n.b, &temporary_b);
      const Group d = take(true);
      each([&](int u) { n.op == ExprOp::mask_and ? mask_and(d[u], a[u], b[u]) : mask_or(d[u], a[u], b[u]); });
      if (temporary_a) give(a, true);
      if (temporary_b) give(b, true);
      return d;
    }
    case ExprOp::mask_not: {
      bool temporary = false;
      const Group a = mask_of(n.a, &temporary);
      const Group d = take(true);
      each([&](int u) { mask_not(d[u], a[u], d[u] == a[u] ? 0 : d[u]); });
      if (temporary) give(a, true);
      return d;
    }
    case ExprOp::multiply_add:
      return multiply_add(id);
    case ExprOp::select:
      return select(id);
    default:
      break;
  }
  GREGALE_ASSERT(false && "an operation without code");
  return {};
}

void Generator::emit(Id id) {
  current_ = id;
  const int uses = value(id).uses;
  const Group group = emit_value(id);
  release(id);
  Value& result = value(id);
  result.state = State::registers;
  result.group = group;
  result.uses = uses;
  current_ = -1;
}

/// Appends what `id` needs and is computed for each column, operands first.
void Generator::order_of(Id id, std::vector<Id>* order, std::vector<bool>* seen, const std::vector<bool>* loaded) {
  if (is_uniform(id) || (*seen)[static_cast<size_t>(id)]) return;
  (*seen)[static_cast<size_t>(id)] = true;
  if (loaded == nullptr || !(*loaded)[static_cast<size_t>(id)]) {
    for (Id operand : {node(id).a, node(id).b, node(id).c}) {
      if (operand >= 0) order_of(operand, order, seen, loaded);
    }
  }
  order->push_back(id);
}

Settings Generator::improved() const {
  Settings settings = settings_;
  settings.frame_bytes = frame_;
  int room = vector_registers() - highest_vector_;
  struct Candidate {
    int uses;
    bool constant;
    size_t index;
  };
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < constants_.size(); ++i) {
    if (constants_[i].uses > 0) candidates.push_back({constants_[i].uses, true, i});
  }
  for (size_t i = 0; i < uniform_uses_.size(); ++i) {
    if (uniform_uses_[i] > 0 && !facts(static_cast<Id>(i)).mask) candidates.push_back({uniform_uses_[i], false, i});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.uses > b.uses; });
  for (const Candidate& candidate : candidates) {
    if (room-- <= 0) break;
    if (candidate.constant) {
      settings.pinned_constants.push_back(constants_[candidate.index].key);
    } else {
      settings.pinned_uniforms.push_back(static_cast<Id>(candidate.index));
    }
  }
  return settings;
}

}  // namespace gregale::kernels::expression
