// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "gregale/ops.hpp"

/// Pieces of programs that simplification looks for, with operands drawn at random; throws Error where they do not fit.
namespace gregale::passes {

class RandomPatterns {
 public:
  using Below = std::function<uint64_t(uint64_t)>;
  using Values = std::function<Tensor(const Extents&)>;
  RandomPatterns(Graph& graph, Below below, Values values)
      : g(graph), below(std::move(below)), values(std::move(values)) {}

  static constexpr uint64_t kCount = 18;

  Value draw(Value x, Value y) {
    using namespace ops;
    const DType dtype = g.type(x).dtype;
    switch (below(kCount)) {
      case 0:
        return identity(x);
      case 1:
        return layout(elementwise(layout(x)));
      case 2:
        return layout(elementwise(elementwise(layout(x))));
      case 3:
        return coin() ? factor(factor(x)) : factor(add(g, factor(x), scalar_or_row(x)));
      case 4:
        return shift(shift(x));
      case 5:
        if (coin() && shape(x).rank() == 2) return matmul(g, factor(x), g.constant(values({shape(x)[1].value(), 4})));
        return matmul(g, maybe_scaled(maybe_transposed(x)), maybe_scaled(maybe_transposed(y)), coin(), coin());
      case 6:
        return maybe_transposed(
            any_of({factor(matmul(g, x, maybe_transposed(y), coin(), coin())), matmul(g, x, y, coin(), coin())}));
      case 7:
        return pieces(x, y);
      case 8: {  // a shared factor
        const Value c = any_of({x, y, tanh(g, y), scalar(g, dtype, 0.75)});
        const Value a = coin() ? mul(g, x, c) : mul(g, c, x), b = coin() ? mul(g, c, y) : mul(g, y, c);
        return coin() ? add(g, a, b) : sub(g, a, b);
      }
      case 9:
        return complex_parts(x, y);
      case 10:
        return mul(g, exp(g, tanh(g, x)), coin() ? exp(g, tanh(g, y)) : exp(g, tanh(g, x)));
      case 11:
        return power(positive(x), y);
      case 12:
        if (const uint64_t kind = below(8); kind < 4) return reduced(reduced(x, kind), kind);
        return reduced(any_of({factor(x), transposed(x), neg(g, x)}));
      case 13:
        return products(x);
      case 14: {  // constants as large as what they meet
        const double c[] = {0, 1, -0.5};
        const Value t =
            coin() ? g.constant(Tensor::full(dtype, extents(x), c[below(3)])) : broadcast_to(g, y, shape(x));
        return any_of({add(g, x, t), mul(g, tanh(g, x), t), maximum(g, x, t), sub(g, t, x)});
      }
      case 15:
        return nothing_moves(x);
      case 16: {  // transposed alike
        const Value t = any_of({tanh(g, x), mul(g, x, y)});
        if (shape(t) != shape(x) || shape(x).rank() < 2) return {};
        std::vector<int64_t> p;
        for (int64_t a = shape(x).rank(); a-- > 0;) p.push_back(a);
        const Value a = transpose(g, x, p), b = transpose(g, t, p);
        return any_of({add(g, a, b), sub(g, a, b), mul(g, a, b)});
      }
      default: {
        const Value t = tanh(g, x);
        return any_of({mul(g, t, t), maximum(g, t, scalar(g, dtype, 0)), square(g, abs(g, t)), add(g, x, x),
                       add(g, x, neg(g, y)), neg(g, sub(g, x, y)), relu(g, relu(g, x)), mul(g, neg(g, t), neg(g, t)),
                       abs(g, exp(g, t))});
      }
    }
  }

 private:
  bool coin() { return below(2) == 1; }
  Value any_of(std::vector<Value> all) { return all[below(all.size())]; }
  const Shape& shape(Value v) const { return g.type(v).shape; }
  Extents extents(Value v) const { return shape(v).extents(); }

  Value identity(Value x) {
    using namespace ops;
    const DType dtype = g.type(x).dtype;
    const std::vector<int64_t> none(static_cast<size_t>(shape(x).rank()), 0);
    switch (below(10)) {
      case 0:
        return add(g, x, 0.0);
      case 1:
        return mul(g, x, 1.0);
      case 2:
        return neg(g, neg(g, x));
      case 3:
        return div(g, sub(g, x, scalar(g, dtype, 0)), scalar(g, dtype, 1));
      case 4:
        return stop_gradient(g, x);
      case 5:
        return pad(g, x, none, none);
      case 6:
        return slice(g, x, none, extents(x));
      case 7:
        return none.empty() ? x : concat(g, {x}, 0);
      case 8:
        return dtype == DType::f64 ? x : cast(g, cast(g, x, DType::f64), dtype);
      default:
        return pow(g, x, scalar(g, dtype, 1));
    }
  }

  Value nothing_moves(Value x) {
    using namespace ops;
    const DType dtype = g.type(x).dtype;
    const auto cast_node = [&](Value v) {
      return g.add1(standard_ops().at("cast"), {v}, {{"dtype", g.type(v).dtype}});
    };
    const Value flags = is_nan(g, x);
    const Shape same = shape(x);
    Shape wider = same;
    wider.dims().insert(wider.dims().begin(), Dim(1));
    switch (below(7)) {
      case 0:
        return cast_node(x);
      case 6:
        return transposed(transposed(x));
      case 5: {  // a sum of integers that are made of numbers, and numbers again
        const auto whole = [&](Value v) { return cast(g, round(g, mul(g, tanh(g, v), 9.0)), DType::i32, true); };
        const Value moved = reshape(g, reshape(g, whole(x), wider), same),
                    other = coin() ? whole(x) : whole(tanh(g, x));
        return cast(g, add(g, coin() ? moved : whole(x), coin() ? other : scalar(g, DType::i32, 3)), dtype);
      }
      case 1:
        return select(g, cast(g, cast(g, flags, dtype), DType::boolean), neg(g, x), x);
      case 2:
        return coin() ? broadcast_to(g, x, wider) : sum_to(g, reshape(g, x, wider), same);
      case 3:
        return reverse(g, reshape(g, x, wider), {0});
      default:
        return shape(x).rank() ? reverse(g, reverse(g, x, {0}), {coin() ? 0 : -1}) : x;
    }
  }

  Value transposed(Value x) {
    std::vector<int64_t> p;
    for (int64_t a = 0; a < shape(x).rank(); ++a) p.push_back(a);
    for (size_t i = p.size(); i > 1; --i) std::swap(p[i - 1], p[below(i)]);
    return ops::transpose(g, x, p);
  }
  Value maybe_transposed(Value x) {
    const int64_t rank = shape(x).rank();
    if (rank < 2 || coin()) return x;
    std::vector<int64_t> p;
    for (int64_t a = 0; a < rank; ++a) p.push_back(a);
    std::swap(p[p.size() - 2], p[p.size() - 1]);
    return ops::transpose(g, x, p);
  }
  Value layout(Value x) {
    const int64_t n = shape(x).elements();
    switch (below(4)) {
      case 0:
        return ops::reshape(g, x, n % 2 ? Shape{1, n} : Shape{2, n / 2});
      case 1:
        return ops::reshape(g, x, n % 3 ? Shape{n} : Shape{n / 3, 1, 3});
      default:
        return transposed(x);
    }
  }
  Value elementwise(Value x) {
    switch (below(5)) {
      case 0:
        return ops::tanh(g, x);
      case 1:
        return ops::neg(g, x);
      case 2:
        return ops::mul(g, x, 0.5);
      case 3:
        return ops::add(g, x, x);
      default:
        return ops::relu(g, x);
    }
  }

  Value scalar_or_row(Value x) {
    const double c[] = {0.5, -2, 1, -1, 0.3, 1.25};
    if (shape(x).rank() && coin()) return g.constant(values({shape(x)[shape(x).rank() - 1].value()}));
    return ops::scalar(g, g.type(x).dtype, c[below(6)]);
  }
  Value factor(Value x) {
    const Value c = scalar_or_row(x);
    switch (below(4)) {
      case 0:
        return ops::neg(g, x);
      case 1:
        return ops::div(g, x, ops::scalar(g, g.type(x).dtype, coin() ? 4 : 3));
      case 2:
        return ops::mul(g, c, x);
      default:
        return ops::mul(g, x, c);
    }
  }
  Value maybe_scaled(Value x) { return coin() ? factor(x) : x; }
  Value shift(Value x) {
    const Value c = scalar_or_row(x);
    return any_of({ops::add(g, x, c), ops::add(g, c, x), ops::sub(g, x, c), ops::sub(g, c, x)});
  }

  Value pieces(Value x, Value y) {
    using namespace ops;
    if (shape(x).rank() == 0) return {};
    const auto axis = static_cast<int64_t>(below(static_cast<uint64_t>(shape(x).rank())));
    const int64_t n = shape(x)[axis].value();
    const auto cut = static_cast<int64_t>(below(static_cast<uint64_t>(n) + 1));
    const Value head = slice_axis(g, x, axis, 0, cut), tail = slice_axis(g, x, axis, cut, n);
    if (coin()) return coin() ? concat(g, {head, tail}, axis) : concat(g, {head, tail, head}, axis);
    if (coin()) {
      std::vector<int64_t> some(static_cast<size_t>(shape(x).rank()), 1), stops = extents(x);
      for (int64_t& stop : stops) ++stop;
      return slice(g, pad(g, x, some, some, "zero"), some, stops);
    }
    const Value all = concat(g, {x, coin() ? y : tanh(g, x), concat(g, {x, x}, axis)}, axis);
    const auto at = static_cast<int64_t>(below(static_cast<uint64_t>(shape(all)[axis].value())));
    const auto steps = static_cast<int64_t>(1 + below(2));
    const int64_t stop = std::min(at + n, shape(all)[axis].value());
    return slice_axis(g, slice_axis(g, all, axis, at, stop, steps), axis, 0, coin() ? 1 : INT64_MAX);
  }

  Value complex_parts(Value x, Value y) {
    using namespace ops;
    const Value z = complex(g, x, y), w = coin() ? conj(g, conj(g, z)) : conj(g, z);
    const Value u = coin() ? complex(g, real(g, w), imag(g, w)) : mul(g, w, cast(g, tanh(g, x), g.type(z).dtype));
    return any_of({real(g, u), imag(g, u), abs(g, conj(g, z)), imag(g, z), real(g, cast(g, x, g.type(z).dtype))});
  }

  Value positive(Value x) {
    const Value t = ops::tanh(g, x);
    return ops::add(g, coin() ? ops::square(g, t) : ops::mul(g, t, t), 0.5);
  }
  Value power(Value p, Value y) {
    using namespace ops;
    const double exponents[] = {2, 1, 0.5, -1, -0.5, 3};
    const DType dtype = g.type(p).dtype;
    return any_of({pow(g, p, scalar(g, dtype, exponents[below(6)])), mul(g, reciprocal(g, p), y),
                   reciprocal(g, sqrt(g, p)), div(g, scalar(g, dtype, 1), p), div(g, y, reciprocal(g, p)),
                   reciprocal(g, rsqrt(g, p)), abs(g, p), relu(g, p)});
  }

  Value reduced(Value x) { return reduced(x, below(4)); }
  Value reduced(Value x, uint64_t kind) {
    const int64_t rank = shape(x).rank();
    const std::vector<int64_t> axes =
        rank ? std::vector<int64_t>{static_cast<int64_t>(below(static_cast<uint64_t>(rank)))} : std::vector<int64_t>{};
    const bool keep = coin();
    switch (kind) {
      case 0:
        return ops::mean(g, x, axes, keep);
      case 1:
        return ops::max(g, x, axes, keep);
      case 2:
        return ops::min(g, x, axes, keep);
      default:
        return ops::sum(g, x, axes, keep);
    }
  }

  /// Several products with constants, deep enough for joining them to save something.
  Value products(Value x) {
    using namespace ops;
    const Value left = reshape(g, x, Shape{1, shape(x).elements()});
    const int64_t k = shape(left)[1].value();
    const bool transposed = coin();
    const auto one = [&](int64_t n) {
      return matmul(g, left, g.constant(values(transposed ? Extents{n, k} : Extents{k, n})), false, transposed);
    };
    const Value a = one(1), b = one(2), c = one(1);
    return tanh(g, add(g, mul(g, a, b), c));
  }

  Graph& g;
  Below below;
  Values values;
};

}  // namespace gregale::passes
