// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Constants that meet, and operands that elementwise operators broadcast themselves.
#include <algorithm>
#include <cmath>

#include "gregale/op.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

/// Whether all elements are zero or of ordinary size, so that products of them neither overflow nor underflow.
bool all_mild(const Tensor& t, bool zero_too) {
  if (is_integer(t.dtype())) return true;
  const auto fits = [&](double e) { return is_mild(e) || (zero_too && e == 0); };
  if (is_complex(t.dtype())) {
    const Tensor values = t.cast(DType::c128);
    const auto z = values.as<std::complex<double>>();
    return std::all_of(z.begin(), z.end(), [&](auto e) { return fits(std::abs(e)); });
  }
  const Tensor values = t.cast(DType::f64);
  const auto x = values.as<double>();
  return std::all_of(x.begin(), x.end(), fits);
}

/// x c, c x, x / c or -x with c constant: x, and c's value in the copy, made 1/c or -1 where need be.
struct ConstantFactor {
  Value base;
  Value factor;  ///< in the copy
};

std::optional<ConstantFactor> constant_factor(const Match& m, const Node& node) {
  const std::string& name = node.op->name;
  const DType dtype = m.type(node.outputs[0]).dtype;
  if (name == "neg") return ConstantFactor{node.inputs[0], ops::scalar(m.target, dtype, -1)};
  if (name == "div") {
    const Tensor* c = constant_of(m.graph(), node.inputs[1]);
    if (!c || !all_mild(*c, false)) return {};
    return ConstantFactor{node.inputs[0], ops::div(m.target, ops::scalar(m.target, dtype, 1), m.at(node.inputs[1]))};
  }
  if (name != "mul") return {};
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const Tensor* c = constant_of(m.graph(), node.inputs[1 - i]);
    if (c && all_mild(*c, true)) return ConstantFactor{node.inputs[i], m.at(node.inputs[1 - i])};
  }
  return {};
}

/// (x c1) c2 = x (c1 c2), with x / c and -x as factors too.
Value factor_of_factor(const Match& m) {
  const Node* inner = m.producer(m.in(m.is_constant(m.in(0)) && m.node.inputs.size() > 1 ? 1 : 0));
  if (!inner || !reassociates(m.result().dtype)) return {};
  const bool negates = m.node.op->name == "neg" && inner->op->name == "neg";
  const DType dtype = m.result().dtype;
  if (negates || dtype == DType::u64 || dtype == DType::u32 || dtype == DType::u16 || dtype == DType::u8) return {};
  const std::optional<ConstantFactor> outer = constant_factor(m, m.node);
  if (!outer || m.producer(outer->base) != inner) return {};
  const std::optional<ConstantFactor> first = constant_factor(m, *inner);
  if (!first) return {};
  return ops::mul(m.target, m.at(first->base), ops::mul(m.target, first->factor, outer->factor));
}

/// (x c + d) e = x (c e) + d e, as quantised layers have it: a scale, a bias, and the next scale to divide by.
Value factor_of_affine(const Match& m) {
  if (!is_real_float(m.result().dtype) || !reassociates(m.result().dtype)) return {};
  const std::optional<ConstantFactor> outer = constant_factor(m, m.node);
  const Node* sum = outer ? m.made_by(outer->base, "add") : nullptr;
  if (!sum) return {};
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const Tensor* d = constant_of(m.graph(), sum->inputs[1 - i]);
    const Node* product = m.producer(sum->inputs[i]);
    if (!d || !product || !all_mild(*d, true)) continue;
    const std::optional<ConstantFactor> inner = constant_factor(m, *product);
    if (!inner) continue;
    const Value scaled = ops::mul(m.target, m.at(inner->base), ops::mul(m.target, inner->factor, outer->factor));
    return ops::add(m.target, scaled, ops::mul(m.target, m.at(sum->inputs[1 - i]), outer->factor));
  }
  return {};
}

/// sign x + constant.
struct Shifted {
  Value base;
  int sign;
  Value constant;  ///< in the source, to be taken times constant_sign
  int constant_sign;
};

std::optional<Shifted> shifted(const Match& m, const Node& node) {
  const bool is_sum = node.op->name == "add";
  if (!is_sum && node.op->name != "sub") return {};
  if (m.is_constant(node.inputs[1])) return Shifted{node.inputs[0], 1, node.inputs[1], is_sum ? 1 : -1};
  if (m.is_constant(node.inputs[0])) return Shifted{node.inputs[1], is_sum ? 1 : -1, node.inputs[0], 1};
  return {};
}

/// Whether a and sign b add up without cancelling: then x + a + b and x + (a + b) differ by rounding only. (1 + x) - 1
/// rounds x on purpose.
bool adds_up(const Match& m, Value a, Value b, int sign) {
  const Tensor &s = *constant_of(m.graph(), a), &t = *constant_of(m.graph(), b);
  if (is_integer(s.dtype())) return true;
  if (!is_real_float(s.dtype())) return false;
  const std::optional<double> u = m.uniform(a), v = m.uniform(b);
  if (u && v) return std::abs(*u + sign * *v) >= 0.125 * (std::abs(*u) + std::abs(*v));
  // Elements of one sign throughout, or a look at each pair where the shapes agree.
  const Tensor p = s.cast(DType::f64), q = t.cast(DType::f64);
  const auto x = p.as<double>(), y = q.as<double>();
  const auto all = [](auto range, int of) {
    return std::all_of(range.begin(), range.end(), [&](double e) { return of * e >= 0; });
  };
  if ((all(x, 1) && all(y, sign)) || (all(x, -1) && all(y, -sign))) return true;
  if (s.extents() != t.extents()) return false;
  for (size_t i = 0; i < x.size(); ++i)
    if (!(std::abs(x[i] + sign * y[i]) >= 0.125 * (std::abs(x[i]) + std::abs(y[i])))) return false;
  return true;
}

/// (x + c1) + c2 = x + (c1 + c2), with - for + anywhere.
Value shift_of_shift(const Match& m) {
  const DType dtype = m.result().dtype;
  if (!reassociates(dtype)) return {};
  const std::optional<Shifted> outer = shifted(m, m.node);
  if (!outer || m.is_constant(outer->base)) return {};
  const Node* made = m.producer(outer->base);
  const std::optional<Shifted> inner = made ? shifted(m, *made) : std::nullopt;
  if (!inner) return {};
  // outer.sign (inner.sign x + ci) + co
  const int sign = outer->sign * inner->sign, ci_sign = outer->sign * inner->constant_sign;
  if (!adds_up(m, inner->constant, outer->constant, ci_sign * outer->constant_sign)) return {};
  Value a = m.at(inner->constant), b = m.at(outer->constant);
  if (ci_sign < 0) a = ops::neg(m.target, a);
  if (outer->constant_sign < 0) b = ops::neg(m.target, b);
  const Value sum = ops::add(m.target, a, b), x = m.at(inner->base);
  return sign > 0 ? ops::add(m.target, x, sum) : ops::sub(m.target, sum, x);
}

/// Operand i broadcasts to the result even if only what it was broadcast from, or a scalar, stands in its place.
bool keeps_result(const Match& m, size_t i, const Shape& operand) {
  Shape shape = operand;
  for (size_t j = 0; j < m.node.inputs.size(); ++j)
    if (j != i) shape = broadcast(shape, m.type(m.in(j)).shape, "simplify");
  return shape == m.result().shape;
}

Value smaller_operand(const Match& m) {
  for (size_t i = 0; i < m.node.inputs.size(); ++i) {
    const Node* made = m.producer(m.in(i));
    if (!made) continue;
    if (made->op->name == "broadcast_to" && keeps_result(m, i, m.type(made->inputs[0]).shape))
      return m.again(m.node, i, m.at(made->inputs[0]));
    if (m.type(m.in(i)).rank() == 0 || !m.is_constant(m.in(i)) || !keeps_result(m, i, Shape{})) continue;
    const std::optional<double> value = m.uniform(m.in(i));
    if (value && (*value != 0 || is_nonnegative(m.graph(), m.in(i))))
      return m.again(m.node, i, ops::scalar(m.target, m.type(m.in(i)).dtype, *value));
  }
  return {};
}

}  // namespace

std::vector<Rule> constant_rules() {
  return {
      {"factor of a factor", {"mul", "div", "neg"}, factor_of_factor},
      {"factor of x c + d", {"mul", "div"}, factor_of_affine},
      {"(x + c) + d", {"add", "sub"}, shift_of_shift},
      {"operand not broadcast",
       {"add", "sub", "mul", "div", "pow", "maximum", "minimum", "equal", "not_equal", "less", "less_equal", "greater",
        "greater_equal", "select", "complex"},
       smaller_operand},
  };
}

}  // namespace gregale::passes
