// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What matrix products take in: transposes, and scalars that move to the smallest tensor.
#include <algorithm>
#include <cmath>

#include "gregale/op.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

/// Constants up to this size are scaled when compiled rather than at every run.
constexpr int64_t kMaxScaled = 1 << 24;

bool flag(const Node& matmul, size_t operand) {
  return std::get<bool>(matmul.attributes.at(operand == 0 ? "transpose_a" : "transpose_b"));
}

/// Whether it exchanges the last two axes, and nothing else.
bool exchanges_last_two(const Node& transpose) {
  std::vector<int64_t> p = integers(transpose, "permutation");
  const auto rank = static_cast<int64_t>(p.size());
  if (rank < 2) return false;
  for (int64_t& a : p) a = a < 0 ? a + rank : a;
  for (int64_t a = 0; a + 2 < rank; ++a)
    if (p[static_cast<size_t>(a)] != a) return false;
  return p[static_cast<size_t>(rank) - 2] == rank - 1;
}

/// Also of transposes below elementwise operators, which then run on what is not transposed.
Value matmul_of_transposes(const Match& m) {
  std::vector<Value> operands{m.at(m.in(0)), m.at(m.in(1))};
  bool flags[2] = {flag(m.node, 0), flag(m.node, 1)}, changed = false;
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const std::optional<ElementwiseChain> chain = chain_above(m, m.in(i), "transpose");
    if (!chain || !exchanges_last_two(*chain->below)) continue;
    operands[i] = chain->again(m, m.at(chain->below->inputs[0]));
    flags[i] = !flags[i];
    changed = true;
  }
  return changed ? ops::matmul(m.target, operands[0], operands[1], flags[0], flags[1]) : Value();
}

/// (a b)' = b' a'.
Value transpose_of_matmul(const Match& m) {
  const Node* product = m.made_by(m.in(0), "matmul");
  if (!product || !exchanges_last_two(m.node)) return {};
  return ops::matmul(m.target, m.at(product->inputs[1]), m.at(product->inputs[0]), !flag(*product, 1),
                     !flag(*product, 0));
}

bool may_scale(const Match& m, const std::optional<Scaled>& s) {
  return s && is_mild(s->factor) && reassociates(m.result().dtype);
}

/// v times a factor; a constant is scaled here and now.
Value times(const Match& m, Value v, double factor) {
  const DType dtype = m.type(v).dtype;
  if (const Tensor* constant = constant_of(m.graph(), v); constant && constant->size() <= kMaxScaled) {
    RefArray array = RefArray::from(*constant);
    std::visit(
        [&](auto& values) {
          using T = typename std::decay_t<decltype(values)>::value_type;
          if constexpr (!std::is_same_v<T, int64_t>)
            for (T& e : values) e *= factor;
        },
        array.values);
    return m.target.constant(array.to_tensor());
  }
  return factor == -1 && !is_complex(dtype) ? ops::neg(m.target, m.at(v))
                                            : ops::mul(m.target, m.at(v), ops::scalar(m.target, dtype, factor));
}

/// Whether an operand times c is as exact as the product times c: not where it is of fewer digits than the result.
bool keeps_digits(const Match& m, Value operand, Value product, double c) {
  int exponent = 0;
  return m.type(operand).dtype == m.type(product).dtype || std::abs(std::frexp(c, &exponent)) == 0.5;
}

/// (c a) b = a (c b), either way round.
Value scale_to_other_operand(const Match& m) {
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const std::optional<Scaled> s = scaled(m, m.in(i));
    if (!may_scale(m, s) || m.in(0) == m.in(1)) continue;
    if (!keeps_digits(m, m.in(1 - i), m.node.outputs[0], s->factor)) continue;
    std::vector<Value> operands(2);
    operands[i] = m.at(s->base);
    operands[1 - i] = times(m, m.in(1 - i), s->factor);
    return m.target.add1(*m.node.op, std::move(operands), m.node.attributes);
  }
  return {};
}

/// (c a) b = c (a b), c being the factors of both.
Value scale_to_product(const Match& m) {
  const std::optional<Scaled> a = scaled(m, m.in(0)), b = scaled(m, m.in(1));
  const bool of_a = may_scale(m, a), of_b = may_scale(m, b);
  const double factor = (of_a ? a->factor : 1) * (of_b ? b->factor : 1);
  if ((!of_a && !of_b) || !is_mild(factor)) return {};
  const Value product =
      m.target.add1(*m.node.op, {m.at(of_a ? a->base : m.in(0)), m.at(of_b ? b->base : m.in(1))}, m.node.attributes);
  return ops::mul(m.target, product, ops::scalar(m.target, m.result().dtype, factor));
}

/// c (a b) = (c a) b or a (c b).
template <size_t operand>
Value scale_to_operand(const Match& m) {
  const std::optional<Scaled> s = scaled(m, m.node.outputs[0]);
  const Node* product = may_scale(m, s) ? m.made_by(s->base, "matmul") : nullptr;
  if (!product || !keeps_digits(m, product->inputs[operand], s->base, s->factor)) return {};
  return m.again(*product, operand, times(m, product->inputs[operand], s->factor));
}

}  // namespace

std::vector<Rule> matmul_rules() {
  return {
      {"matmul of transposes", {"matmul"}, matmul_of_transposes, true},
      {"transpose of matmul", {"transpose"}, transpose_of_matmul},
      {"scale moved to the other operand", {"matmul"}, scale_to_other_operand},
      {"scale moved to the product", {"matmul"}, scale_to_product},
      {"scale moved to an operand", {"mul", "div", "neg"}, scale_to_operand<0>},
      {"scale moved to an operand", {"mul", "div", "neg"}, scale_to_operand<1>},
  };
}

}  // namespace gregale::passes
