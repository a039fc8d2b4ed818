// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "ir/core_ops.hpp"
#include "passes/random_patterns_for_tests.hpp"

/// Small random programs: what every pass and the planner are held to the interpreter on.
namespace gregale::passes {

class RandomGraph {
 public:
  /// `dtype`, f32 or f64, is that of all that is not an index.
  explicit RandomGraph(uint32_t seed, DType dtype = DType::f32)
      : seed_(seed), dtype_(dtype), graph_(fmt::format("random{}", seed)) {
    for (const Extents& e : {Extents{2, 3}, Extents{3, 2}, Extents{6}, Extents{1, 3}, Extents{}}) add_input(e);
    key_ = graph_.add_input("key", Type(DType::i64, Shape{2}));
    for (const char* name : {"a", "b"}) graph_.add_variable(name, Type(dtype_, Shape{2, 3}));
    graph_.add_variable("c", Type(dtype_, Shape{6}));
    const uint64_t count = 4 + below(20);
    for (uint64_t i = 0; i < count; ++i) try_step();
    finish();
  }

  const Graph& graph() const { return graph_; }

  /// Inputs of one run.
  std::vector<Tensor> inputs(uint32_t run) const {
    std::vector<Tensor> tensors;
    for (Value v : graph_.inputs())
      tensors.push_back(v == key_ ? Tensor::from<int64_t>({seed_, run}, {2})
                                  : values(graph_.type(v).shape.extents(), 100 * run + static_cast<uint32_t>(v.id)));
    return tensors;
  }
  /// Fresh tensors for the variables.
  VariableValues state() const {
    return {{"a", values({2, 3}, 90)}, {"b", values({2, 3}, 91)}, {"c", values({6}, 92)}};
  }

 private:
  uint64_t below(uint64_t n) { return random_below({seed_, 1, 0}, draws_++, n); }
  /// One time in two a recent one, so that what belongs together meets.
  Value any() {
    const uint64_t n = pool_.size();
    return pool_[below(2) ? below(n) : n - 1 - below(std::min<uint64_t>(n, 3))];
  }
  const Shape& shape(Value v) const { return graph_.type(v).shape; }

  Tensor values(const Extents& extents, uint32_t stream) const {
    Tensor t(DType::f32, extents);
    for (uint64_t i = 0; float& x : t.as<float>()) x = 2 * random_uniform(RandomKey{seed_, 2, stream}, i++) - 1;
    return t.cast(dtype_);
  }

  void add_input(const Extents& extents) {
    pool_.push_back(graph_.add_input(fmt::format("x{}", pool_.size()), Type(dtype_, Shape(extents))));
  }

  void try_step() {
    try {
      const Value v = step();
      if (v.valid() && shape(v).elements() > 0 && shape(v).elements() <= 200) pool_.push_back(v);
    } catch (const Error& e) {  // what does not fit together is refused: no step
      if (e.code() == ErrorCode::internal) throw;
    }
  }

  Value step() {
    using namespace ops;
    Graph& g = graph_;
    const Value x = any(), y = any();
    const int64_t rank = shape(x).rank();
    const auto axis = static_cast<int64_t>(below(static_cast<uint64_t>(std::max<int64_t>(rank, 1))));
    const uint64_t kind = below(48);
    if (kind >= 32)
      return RandomPatterns(
                 g, [this](uint64_t n) { return below(n); },
                 [this](const Extents& e) { return values(e, 60 + static_cast<uint32_t>(below(4))); })
          .draw(x, y);
    if (rank == 0 && kind >= 15 && kind <= 20) return {};  // these need an axis
    switch (kind) {
      case 0:
        return tanh(g, x);
      case 1:
        return gelu(g, x);
      case 2:
        return relu(g, neg(g, x));
      case 3:
        return sigmoid(g, sin(g, x));
      case 4:
      case 5:
        return add(g, x, y);
      case 6:
        return sub(g, x, y);
      case 7:
      case 8:
        return mul(g, mul(g, x, 0.5), y);
      case 9:
        return maximum(g, x, y);
      case 10:
        return sum(g, x, rank ? std::vector<int64_t>{axis} : std::vector<int64_t>{}, below(2) == 1);
      case 11:
        return mean(g, x, {});
      case 12:
        return max(g, x, rank ? std::vector<int64_t>{axis} : std::vector<int64_t>{}, true);
      case 13:
      case 14:
        return reshape(g, x, other_shape(shape(x)));
      case 15: {
        std::vector<int64_t> permutation;
        for (int64_t a = rank; a-- > 0;) permutation.push_back(a);
        return transpose(g, x, permutation);
      }
      case 16:
        return slice_axis(g, x, axis, static_cast<int64_t>(below(2)), shape(x)[axis].value());
      case 17:
        return concat(g, {x, y, x}, axis);
      case 18:
        return softmax(g, x, axis);
      case 19: {
        std::vector<int64_t> low(static_cast<size_t>(rank), 1), high(static_cast<size_t>(rank), 0);
        return pad(g, x, low, high, below(2) ? "zero" : "periodic");
      }
      case 20:
        return matmul(g, x, y, below(2) == 1, below(2) == 1);
      case 21:
        return constant();
      case 22:
        return add(g, constant(), constant());
      case 23:
        return g.read(static_cast<int64_t>(below(3)));
      case 24:
        return old_version();
      case 25:
        write(static_cast<int64_t>(below(3)), x);
        return {};
      case 26:
        return dropout(g, x, key_, 0.25, static_cast<int64_t>(below(4)));
      case 27:
        return repeated(x);
      case 28:
        if (rank == 0) return {};
        return update_slice(g, x, slice_axis(g, x, axis, 0, 1), std::vector<int64_t>(static_cast<size_t>(rank), 0));
      case 29: {  // it could work in place on its first operand, were that not the last one too
        const Value t = reshape(g, tanh(g, x), Shape{shape(x).elements()});
        std::vector<int64_t> next;
        for (int64_t i = 0; i < shape(t)[0].value(); ++i) next.push_back((i + 1) % shape(t)[0].value());
        const auto n = static_cast<int64_t>(next.size());
        return scatter_add(g, t, g.constant(Tensor::from<int64_t>(next, {n})), t, 0);
      }
      default: {
        const Extents last{rank ? shape(x)[rank - 1].value() : 1};
        return layer_norm(g, x, g.constant(values(last, 93)), g.constant(values(last, 94)), 0.1);
      }
    }
  }

  Shape other_shape(const Shape& s) {
    const int64_t n = s.elements();
    if (n % 2 == 0 && below(2)) return Shape{n / 2, 2};
    return below(2) ? Shape{n} : Shape{1, n};
  }

  Value constant() {
    const Extents shapes[] = {{2, 3}, {6}, {3}, {}};
    return graph_.constant(values(shapes[below(4)], 80 + static_cast<uint32_t>(below(3))));
  }

  Value old_version() {
    const auto variable = static_cast<int64_t>(below(3));
    const auto version = static_cast<int64_t>(below(static_cast<uint64_t>(graph_.version(variable)) + 1));
    return graph_.add1(core::read_op(), {}, {{"variable", variable}, {"version", version}});
  }

  Value repeated(Value x) {
    Graph body("body");
    const Value carried = body.add_input("x", graph_.type(x)), captured = body.add_input("y", graph_.type(x));
    body.set_outputs({ops::tanh(body, ops::add(body, carried, ops::gelu(body, captured)))});
    return ops::repeat(graph_, static_cast<int64_t>(below(3)), {x}, {x}, body)[0];
  }

  /// x in the variable's type: itself, a view or a computed one.
  void write(int64_t variable, Value x) {
    const Type& type = graph_.variables()[static_cast<size_t>(variable)].type;
    if (shape(x).elements() == 6)
      x = shape(x) == type.shape ? x : ops::reshape(graph_, x, type.shape);
    else
      x = ops::broadcast_to(graph_, ops::mean(graph_, x), type.shape);
    graph_.write(variable, x);
  }

  void finish() {
    const Value a = graph_.read(0), b = graph_.read(1);
    switch (below(9)) {
      case 0:  // a swap
        graph_.write(0, b);
        graph_.write(1, a);
        break;
      case 1:  // from an input, which is also returned
        graph_.write(0, pool_[0]);
        outputs_.push_back(pool_[0]);
        break;
      case 2: {  // one value for two variables, returned too, with an old version
        const Value sum = ops::add(graph_, a, b);
        graph_.write(0, sum);
        graph_.write(1, sum);
        outputs_ = {sum, a};
        break;
      }
      case 3:  // in place, as optimisers do, and then written again
        graph_.write(1, ops::add(graph_, ops::mul(graph_, b, 0.9), a));
        graph_.write(0, ops::sub(graph_, a, graph_.read(1)));
        graph_.write(1, ops::mul(graph_, graph_.read(1), 0.5));
        break;
      case 4:  // variables round in a circle, one of them through a view
        graph_.write(2, ops::reshape(graph_, a, Shape{6}));
        graph_.write(0, b);
        graph_.write(
            1,
            ops::reshape(graph_, graph_.add1(core::read_op(), {}, {{"variable", int64_t{2}}, {"version", int64_t{0}}}),
                         Shape{2, 3}));
        break;
      case 5:  // a constant, and itself
        graph_.write(0, graph_.constant(values({2, 3}, 95)));
        graph_.write(1, b);
        break;
      case 6:  // a variable from what reads another one late
        graph_.write(0, ops::tanh(graph_, a));
        graph_.write(1, ops::mul(graph_, graph_.read(0), a));
        outputs_.push_back(b);
        break;
      case 7:  // from themselves, by operators that cannot work in place
        graph_.write(0, ops::matmul(graph_, a, graph_.constant(values({3, 3}, 97))));
        graph_.write(1, ops::reverse(graph_, b, {1}));
        break;
      default:
        break;
    }
    outputs_.push_back(pool_.back());
    const uint64_t count = 1 + below(4);
    for (uint64_t i = 0; i < count; ++i) outputs_.push_back(any());
    if (below(2)) {  // a view
      const Value x = any();
      outputs_.push_back(ops::reshape(graph_, x, Shape{shape(x).elements()}));
    }
    if (below(3) == 0) outputs_.push_back(outputs_.front());
    if (below(3) == 0) outputs_.push_back(graph_.constant(values({3}, 96)));
    if (below(3) == 0) outputs_.push_back(graph_.read(static_cast<int64_t>(below(3))));
    graph_.set_outputs(outputs_);
  }

  uint32_t seed_;
  DType dtype_;
  uint64_t draws_ = 0;
  Graph graph_;
  Value key_;
  std::vector<Value> pool_, outputs_;
};

}  // namespace gregale::passes
