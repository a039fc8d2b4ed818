// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Algebra over real numbers, after Niu et al., "DNNFusion: accelerating deep neural networks execution with advanced
// operator fusion", PLDI 2021: associativity, distributivity, inverse functions.
#include <cmath>

#include "gregale/op.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

/// a + (-b), (-a) + b, a - (-b).
Value sum_with_negative(const Match& m) {
  const bool is_sum = m.node.op->name == "add";
  if (const Node* b = m.made_by(m.in(1), "neg")) {
    const Value x = m.at(m.in(0)), y = m.at(b->inputs[0]);
    return is_sum ? ops::sub(m.target, x, y) : ops::add(m.target, x, y);
  }
  const Node* a = is_sum ? m.made_by(m.in(0), "neg") : nullptr;
  return a ? ops::sub(m.target, m.at(m.in(1)), m.at(a->inputs[0])) : Value();
}

Value negative_difference(const Match& m) {
  const Node* d = m.made_by(m.in(0), "sub");
  return d ? ops::sub(m.target, m.at(d->inputs[1]), m.at(d->inputs[0])) : Value();
}

Value product_of_negatives(const Match& m) {
  const Node *a = m.made_by(m.in(0), "neg"), *b = m.made_by(m.in(1), "neg");
  return a && b ? m.target.add1(*m.node.op, {m.at(a->inputs[0]), m.at(b->inputs[0])}) : Value();
}

/// a c + b c = (a + b) c, with - for +, / for *; also of a and b the same.
Value distributive(const Match& m) {
  const Node *a = m.producer(m.in(0)), *b = m.producer(m.in(1));
  if (!a || !b || a == b || a->op != b->op || !reassociates(m.result().dtype)) return {};
  const bool divides = a->op->name == "div";
  if (!divides && a->op->name != "mul") return {};
  for (const size_t i : {size_t{1}, size_t{0}})
    for (const size_t j : {size_t{1}, size_t{0}}) {
      if (a->inputs[i] != b->inputs[j] || (divides && (i == 0 || j == 0))) continue;
      const Value sum = m.target.add1(*m.node.op, {m.at(a->inputs[1 - i]), m.at(b->inputs[1 - j])});
      return m.target.add1(*a->op, {sum, m.at(a->inputs[i])});
    }
  return {};
}

/// x + x = 2 x: x is read once. Not of complex x, where 2 + 0i times infinity has a NaN in it.
Value sum_with_itself(const Match& m) {
  if (m.in(0) != m.in(1) || is_complex(m.result().dtype)) return {};
  return ops::mul(m.target, m.at(m.in(0)), ops::scalar(m.target, m.result().dtype, 2));
}

bool is_real(const Match& m) { return is_real_float(m.result().dtype); }

/// b (1 / a), (1 / a) b = b / a.
Value product_with_reciprocal(const Match& m) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (const Node* r = m.made_by(m.in(i), "reciprocal"))
      return ops::div(m.target, m.at(m.in(1 - i)), m.at(r->inputs[0]));
  return {};
}

/// 1 / x; b / (1 / a) = b a.
Value quotient(const Match& m) {
  if (!is_real(m)) return {};
  if (m.is_uniform(m.in(0), 1) && m.type(m.in(1)) == m.result()) return ops::reciprocal(m.target, m.at(m.in(1)));
  const Node* r = m.made_by(m.in(1), "reciprocal");
  return r ? ops::mul(m.target, m.at(m.in(0)), m.at(r->inputs[0])) : Value();
}

/// 1 / sqrt(x) = rsqrt(x), 1 / rsqrt(x) = sqrt(x).
Value reciprocal_of_root(const Match& m) {
  if (const Node* root = m.made_by(m.in(0), "sqrt")) return ops::rsqrt(m.target, m.at(root->inputs[0]));
  const Node* inverse = m.made_by(m.in(0), "rsqrt");
  return inverse ? ops::sqrt(m.target, m.at(inverse->inputs[0])) : Value();
}

/// exp(a) exp(b) = exp(a + b), exp(a) / exp(b) = exp(a - b).
Value product_of_exponentials(const Match& m) {
  const Node *a = m.made_by(m.in(0), "exp"), *b = m.made_by(m.in(1), "exp");
  if (!a || !b) return {};
  const Value x = m.at(a->inputs[0]), y = m.at(b->inputs[0]);
  return ops::exp(m.target, m.node.op->name == "mul" ? ops::add(m.target, x, y) : ops::sub(m.target, x, y));
}

Value square_of(const Match& m) {
  if (m.in(0) != m.in(1) || is_complex(m.result().dtype)) return {};
  return ops::square(m.target, m.at(m.in(0)));
}

/// Exponents 1, 2, -1, and, of what is not negative, 1/2 and -1/2: of -inf a power is infinite, a root NaN.
Value power(const Match& m) {
  const std::optional<double> exponent = m.uniform(m.in(1));
  if (!exponent || m.type(m.in(0)) != m.result()) return {};
  const Value x = m.at(m.in(0));
  if (*exponent == 1) return x;
  if (*exponent == 2) return ops::square(m.target, x);
  if (*exponent == -1) return ops::reciprocal(m.target, x);
  if (std::abs(*exponent) != 0.5 || !is_nonnegative(m.graph(), m.in(0))) return {};
  return *exponent > 0 ? ops::sqrt(m.target, x) : ops::rsqrt(m.target, x);
}

Value maximum_with_zero(const Match& m) {
  if (!is_real(m)) return {};
  for (const size_t i : {size_t{0}, size_t{1}})
    if (m.is_uniform(m.in(1 - i), 0) && m.type(m.in(i)) == m.result()) return ops::relu(m.target, m.at(m.in(i)));
  return {};
}

/// sum(c x) = c sum(x), for mean too, and for max and min where c is positive.
Value reduction_of_scaled(const Match& m) {
  const std::string& name = m.node.op->name;
  const std::optional<Scaled> x = scaled(m, m.in(0));
  if (!x || !is_mild(x->factor)) return {};
  const DType dtype = m.result().dtype;
  if (!reassociates(dtype) || (is_integer(dtype) && name != "sum" && name != "sum_to")) return {};
  if ((name == "max" || name == "min") && x->factor < 0) return {};
  const Value reduced = m.again(m.node, 0, m.at(x->base));
  return x->factor == -1 ? ops::neg(m.target, reduced)
                         : ops::mul(m.target, reduced, ops::scalar(m.target, dtype, x->factor));
}

/// x (-1).
Value negation(const Match& m) {
  if (is_complex(m.result().dtype)) return {};  // there is no kernel that negates complex numbers
  for (const size_t i : {size_t{0}, size_t{1}})
    if (m.is_uniform(m.in(1 - i), -1) && m.type(m.in(i)) == m.result()) return ops::neg(m.target, m.at(m.in(i)));
  return {};
}

}  // namespace

std::vector<Rule> algebra_rules() {
  return {
      {"sum with a negative", {"add", "sub"}, sum_with_negative},
      {"-(a - b)", {"neg"}, negative_difference},
      {"(-a)(-b)", {"mul", "div"}, product_of_negatives},
      {"a c + b c", {"add", "sub"}, distributive},
      {"x + x", {"add"}, sum_with_itself},
      {"product with a reciprocal", {"mul"}, product_with_reciprocal},
      {"quotient", {"div"}, quotient},
      {"reciprocal of a root", {"reciprocal"}, reciprocal_of_root},
      {"exp(a) exp(b)", {"mul", "div"}, product_of_exponentials},
      {"x x", {"mul"}, square_of},
      {"power", {"pow"}, power},
      {"maximum with 0", {"maximum"}, maximum_with_zero},
      {"sum of scaled values", {"sum", "mean", "max", "min", "sum_to"}, reduction_of_scaled},
      {"x (-1)", {"mul"}, negation},
  };
}

}  // namespace gregale::passes
