// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/expression_algebra.hpp"

#include <cmath>
#include <map>
#include <tuple>
#include <vector>

namespace gregale::tile {
namespace {

using kernels::Expression;
using kernels::ExprOp;
using Id = Expression::Id;

/// A value of the new expression times a power of two or its negative.
struct Scaled {
  Id base = -1;
  double factor = 1;
};

bool is_power_of_two(double x) {
  int exponent = 0;
  return std::isfinite(x) && std::abs(std::frexp(x, &exponent)) == 0.5;
}

class Rewriter {
 public:
  explicit Rewriter(const Expression& from) : from_(from), made_(from.nodes().size()) {}

  Expression run() {
    for (const Id output : from_.outputs()) {
      const Id id = whole(of(output));
      to_.output(id);
    }
    return std::move(to_);
  }

 private:
  const Expression::Node& node(Id id) const { return from_.nodes()[static_cast<size_t>(id)]; }

  /// Appends an operation once.
  Id add(ExprOp op, Id a, Id b = -1, Id c = -1) {
    const auto [at, isnew] = known_.try_emplace({op, a, b, c}, -1);
    if (isnew) at->second = to_.apply(op, a, b, c);
    return at->second;
  }
  Id constant(double value) {
    const auto [at, isnew] = constants_.try_emplace(value, -1);
    if (isnew) at->second = to_.constant(value);
    return at->second;
  }
  bool is_zero(const Scaled& x) const {
    const Expression::Node& n = to_.nodes()[static_cast<size_t>(x.base)];
    return n.op == ExprOp::constant && n.value == 0;
  }
  bool is_constant(const Scaled& x, double* value) const {
    const Expression::Node& n = to_.nodes()[static_cast<size_t>(x.base)];
    *value = n.value * x.factor;
    return n.op == ExprOp::constant;
  }

  Id whole(const Scaled& x) {
    double value = 0;
    if (x.factor == 1) return x.base;
    if (is_constant(x, &value)) return constant(value);
    return x.factor == -1 ? add(ExprOp::negate, x.base) : add(ExprOp::mul, x.base, constant(x.factor));
  }

  Scaled of(Id id) {
    Scaled& made = made_[static_cast<size_t>(id)];
    if (made.base < 0) made = make(id);
    return made;
  }

  Scaled make(Id id) {
    const Expression::Node n = node(id);
    if (n.op == ExprOp::input || n.op == ExprOp::parameter) {
      const auto [at, isnew] = leaves_.try_emplace({n.op, n.index}, -1);
      if (isnew) at->second = n.op == ExprOp::input ? to_.input(n.index) : to_.parameter(n.index);
      return {at->second, 1};
    }
    if (n.op == ExprOp::constant) return {constant(n.value), 1};
    const Scaled a = of(n.a);
    const Scaled b = n.b >= 0 ? of(n.b) : Scaled();
    switch (n.op) {
      case ExprOp::negate:
        return {a.base, -a.factor};
      case ExprOp::square:
        return {add(ExprOp::square, a.base), a.factor * a.factor};
      case ExprOp::mul: {
        double value = 0;
        if (is_constant(b, &value) && is_power_of_two(value)) return {a.base, a.factor * value};
        if (is_constant(a, &value) && is_power_of_two(value)) return {b.base, b.factor * value};
        return {add(ExprOp::mul, a.base, b.base), a.factor * b.factor};
      }
      case ExprOp::add:
        return sum(a, b);
      case ExprOp::sub:
        return sum(a, {b.base, -b.factor});
      case ExprOp::round_to:
        return {to_.round_to(static_cast<DType>(n.index), whole(a)), 1};
      default:
        return {add(n.op, whole(a), n.b >= 0 ? whole(b) : -1, n.c >= 0 ? whole(of(n.c)) : -1), 1};
    }
  }

  Scaled sum(const Scaled& a, const Scaled& b) {
    if (is_zero(a)) return b;
    if (is_zero(b)) return a;
    if (a.factor == b.factor) return {add(ExprOp::add, a.base, b.base), a.factor};
    if (a.factor == -b.factor)
      return a.factor > 0 ? Scaled{add(ExprOp::sub, a.base, b.base), a.factor}
                          : Scaled{add(ExprOp::sub, b.base, a.base), b.factor};
    // A factor for both would take an operation for each that has another.
    return {add(ExprOp::add, whole(a), whole(b)), 1};
  }

  const Expression& from_;
  Expression to_;
  std::vector<Scaled> made_;  ///< by node of from_
  std::map<std::tuple<ExprOp, Id, Id, Id>, Id> known_;
  std::map<double, Id> constants_;
  std::map<std::pair<ExprOp, int32_t>, Id> leaves_;
};

}  // namespace

Expression without_scales(const Expression& expression) { return Rewriter(expression).run(); }

}  // namespace gregale::tile
