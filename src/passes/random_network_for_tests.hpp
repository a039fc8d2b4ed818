// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <optional>

#include "gregale/ops.hpp"
#include "gregale/random.hpp"

/// Networks drawn at random: what compiled programs are held to the interpreter on.
namespace gregale::passes {

/// The seeds of a property test: GREGALE_FUZZ_GRAPHS of them (or `count`), from GREGALE_FUZZ_FIRST (or 0) on.
struct Seeds {
  uint32_t first = 0, end = 0;
  explicit Seeds(uint32_t count) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    count /= 3;  // ten times slower, and what sanitizers look for does not wait for the sixtieth network
#endif
    const auto given = [](const char* name, uint32_t otherwise) {
      const char* text = std::getenv(name);
      return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
    };
    first = given("GREGALE_FUZZ_FIRST", 0);
    end = first + given("GREGALE_FUZZ_GRAPHS", count);
  }
  /// body(seed) for each until one fails; how to run that one alone is said.
  template <class Body>
  void each(Body&& body) const {
    for (uint32_t seed = first; seed < end && !testing::Test::HasFailure(); ++seed) {
      SCOPED_TRACE(fmt::format("GREGALE_FUZZ_FIRST={} GREGALE_FUZZ_GRAPHS=1", seed));
      body(seed);
    }
  }
};

/// One network of the kind that its seed says. Its first axis is a batch of samples that know nothing of each other.
/// Extents are odd, values are used more than once, some leave the graph on the way, and weights are constants or
/// inputs. What is drawn depends on the seed alone, not on the batch. All functions are continuous: next to a jump, any
/// rounding may fall on either side.
class RandomNetwork {
 public:
  enum class Kind : uint8_t { rows, perceptron, spectral, convolutional };
  static constexpr uint32_t kKinds = 4;

  enum class Weights : uint8_t { some_fed, some_variable };  ///< where they are no constants

  /// Without a batch, it is 1 to 3 samples.
  explicit RandomNetwork(uint32_t seed, std::optional<Dim> batch = {}, Weights weights = Weights::some_fed)
      : seed_(seed),
        weights_(weights),
        kind_(static_cast<Kind>(seed % kKinds)),
        graph_(fmt::format("network{}", seed)) {
    const Dim drawn(1 + static_cast<int64_t>(pick(3)));
    batch_ = batch ? *batch : drawn;
    switch (kind_) {
      case Kind::rows:
        rows();
        break;
      case Kind::perceptron:
        perceptron();
        break;
      case Kind::spectral:
        spectral();
        break;
      case Kind::convolutional:
        convolutional();
        break;
    }
    std::vector<Value> outputs{pool_.back()};
    const Value other = any();
    if (!(other == outputs[0]) && graph_.producer(other) >= 0) outputs.push_back(other);
    graph_.set_outputs(outputs);
  }

  const Graph& graph() const { return graph_; }
  Kind kind() const { return kind_; }
  /// Values for the inputs of samples [first, first + count) of one endless batch.
  std::vector<Tensor> inputs(int64_t first, int64_t count) const {
    std::vector<Tensor> tensors;
    for (const Input& input : inputs_) {
      Extents extents;
      for (const Dim& d : input.shape.dims()) extents.push_back(input.batched && extents.empty() ? count : d.value());
      tensors.push_back(values(extents, input.scale, input.stream, input.batched ? first : 0));
    }
    return tensors;
  }
  std::vector<Tensor> inputs() const { return inputs(0, batch_.value()); }
  /// What the variables hold.
  const VariableValues& state() const { return state_; }

 private:
  struct Input {
    Shape shape;
    double scale;
    uint32_t stream;
    bool batched;
  };

  // --- drawing ---
  uint64_t pick(uint64_t n) { return random_below({seed_, 1, 0}, draws_++, n); }
  int64_t size(int64_t most) { return 1 + static_cast<int64_t>(pick(static_cast<uint64_t>(most))); }
  bool one_in(uint64_t n) { return pick(n) == 0; }
  Value any() { return pool_[pick(pool_.size())]; }

  Tensor values(const Extents& extents, double scale, uint32_t stream, int64_t first = 0) const {
    Tensor t(DType::f32, extents);
    uint64_t i =
        extents.empty() || extents[0] == 0 ? 0 : static_cast<uint64_t>(first * (element_count(extents) / extents[0]));
    for (float& v : t.as<float>())
      v = static_cast<float>(scale * (2 * random_uniform(RandomKey{seed_, 2, stream}, i++) - 1));
    return t;
  }
  Value input(const Shape& shape, double scale, bool batched) {
    inputs_.push_back({shape, scale, ++stream_, batched});
    return graph_.add_input(fmt::format("x{}", inputs_.size()), Type(DType::f32, shape));
  }
  Value weights(const Extents& extents, double scale) {
    if (one_in(5)) {
      if (weights_ == Weights::some_fed) return input(Shape(extents), scale, false);
      const std::string name = fmt::format("w{}", state_.size());
      state_[name] = values(extents, scale, ++stream_);
      return graph_.read(graph_.add_variable(name, Type(DType::f32, Shape(extents))));
    }
    return graph_.constant(values(extents, scale, ++stream_));
  }

  // --- pieces ---
  const Shape& shape(Value v) const { return graph_.type(v).shape; }
  int64_t extent(Value v, int64_t axis) const { return shape(v)[axis < 0 ? axis + shape(v).rank() : axis].value(); }
  int64_t last(Value v) const { return extent(v, -1); }

  Value linear(Value x, int64_t out) {
    const bool turned = one_in(4);
    const double scale = 1 / std::sqrt(static_cast<double>(last(x)));
    const Extents w = turned ? Extents{out, last(x)} : Extents{last(x), out};
    Value y = ops::matmul(graph_, x, weights(w, scale), false, turned);
    if (pick(3) > 0) y = ops::add(graph_, y, weights({out}, 0.5));
    return y;
  }
  Value unary(Value x) {
    switch (pick(7)) {
      case 0:
        return ops::gelu(graph_, x);
      case 1:
        return ops::relu(graph_, x);
      case 2:
        return ops::tanh(graph_, x);
      case 3:
        return ops::sigmoid(graph_, x);
      case 4:
        return ops::softshrink(graph_, x, 0.1);
      case 5:
        return ops::mul(graph_, ops::silu(graph_, x), 0.7);
      default:  // |x - 0.2| + 0.2
        return ops::select(graph_, ops::greater(graph_, x, ops::scalar(graph_, DType::f32, 0.2)), x,
                           ops::add(graph_, ops::neg(graph_, x), 0.4));
    }
  }
  Value norm(Value x) { return ops::layer_norm(graph_, x, weights({last(x)}, 1), weights({last(x)}, 0.3), 1e-3); }
  Value residual(Value x) {
    const Value z = any();
    return shape(z) == shape(x) ? ops::add(graph_, x, ops::mul(graph_, z, 0.5)) : unary(x);
  }
  Value attention(Value x) {
    const int64_t l = extent(x, 1), d = last(x) / heads_;
    const auto split = [&](Value v) {
      return ops::transpose(graph_, ops::reshape(graph_, v, Shape{batch_, l, heads_, d}), {0, 2, 1, 3});
    };
    const Value q = split(linear(x, last(x))), k = split(one_in(2) ? x : linear(x, last(x))), v = split(x);
    const Value p = ops::softmax(graph_, ops::mul(graph_, ops::matmul(graph_, q, k, false, true), 0.3));
    const Value c = ops::transpose(graph_, ops::matmul(graph_, p, v), {0, 2, 1, 3});
    return ops::reshape(graph_, c, shape(x));
  }

  // --- kinds ---

  /// [batch, positions, features] through products, heads, norms and elementwise operators.
  void rows() {
    const int64_t l = size(40);
    heads_ = size(3);
    width_ = heads_ * size(20);
    Value x = input(Shape{batch_, l, width_}, 1, true);
    if (one_in(3)) x = ops::add(graph_, x, input(Shape{l, width_}, 1, false));
    pool_.push_back(x);
    if (one_in(2)) pool_.push_back(input(Shape{batch_, l, width_}, 1, true));
    for (uint64_t i = 0, count = 2 + pick(14); i < count; ++i) pool_.push_back(row_step(any()));
  }
  Value row_step(Value x) {
    const bool whole = shape(x).rank() == 3;
    switch (pick(11)) {
      case 0:
      case 1:
        return linear(x, one_in(2) ? width_ : size(90));
      case 2:
      case 3:
        return unary(x);
      case 4:
        return residual(x);
      case 5:
        return norm(x);
      case 6:
        return whole && last(x) % heads_ == 0 ? attention(x) : unary(x);
      case 7:
        return ops::sub(graph_, x, ops::mean(graph_, x, {-1}, true));
      case 8: {
        if (!whole || !batch_.is_constant()) return unary(x);
        const int64_t l = extent(x, 1);
        const Value y = linear(ops::reshape(graph_, x, Shape{batch_.value() * l, last(x)}), width_);
        return one_in(2) ? ops::reshape(graph_, unary(y), Shape{batch_, l, width_}) : y;
      }
      case 9:
        return ops::mul(graph_, ops::softmax(graph_, x), x);
      default:
        return last(x) > 2 ? ops::slice_axis(graph_, unary(x), shape(x).rank() - 1, 1, last(x) - 1) : unary(x);
    }
  }

  /// [batch, features], as emulators of columns are.
  void perceptron() {
    width_ = one_in(8) ? 200 + size(700) : size(120);  // now and then with long sums
    pool_.push_back(input(Shape{batch_, Dim(size(100))}, 1, true));
    for (uint64_t i = 0, count = 2 + pick(8); i < count; ++i) {
      const Value x = one_in(3) ? any() : pool_.back();
      switch (pick(6)) {
        case 0:
        case 1:
          pool_.push_back(unary(linear(x, one_in(2) ? width_ : size(150))));
          break;
        case 2:
          pool_.push_back(norm(x));
          break;
        case 3:
          pool_.push_back(residual(x));
          break;
        case 4:
          pool_.push_back(ops::add(graph_, linear(unary(linear(x, size(70))), last(x)), x));
          break;
        default:
          pool_.push_back(one_in(2) ? ops::concat(graph_, {x, unary(x)}, 1) : ops::softmax(graph_, linear(x, width_)));
      }
    }
  }

  /// [batch, h, w, channels] through Fourier filters with a perceptron a block of channels, as AFNO's.
  void spectral() {
    const int64_t h = size(9), w = size(11), blocks = size(3);
    width_ = blocks * size(6);
    Value x = input(Shape{batch_, h, w, one_in(2) ? width_ : size(9)}, 1, true);
    if (last(x) != width_) x = linear(x, width_);
    if (one_in(2)) x = ops::add(graph_, x, weights({h, w, width_}, 0.5));
    pool_.push_back(x);
    for (uint64_t i = 0, count = 1 + pick(2); i < count; ++i) {
      const Value y = one_in(3) ? x : norm(x);
      x = ops::add(graph_, x, one_in(3) ? modes_scaled(y) : filter(y, blocks));
      pool_.push_back(x);
      if (pick(3) > 0) {
        x = ops::add(graph_, x, linear(unary(linear(norm(x), size(30))), width_));
        pool_.push_back(x);
      }
    }
    if (one_in(2)) pool_.push_back(linear(x, size(9)));
  }
  struct Transform {
    std::vector<int64_t> axes;
    std::string norm;
  };
  Transform transform() {
    static const char* const kNorms[] = {"ortho", "backward", "forward"};
    return {one_in(4) ? std::vector<int64_t>{2} : std::vector<int64_t>{1, 2}, kNorms[one_in(2) ? pick(3) : 0]};
  }
  /// Every mode multiplied by a complex number of its own.
  Value modes_scaled(Value x) {
    const Transform t = transform();
    const Value z = ops::rfft(graph_, x, t.axes, t.norm);
    const Extents modes{extent(z, 1), extent(z, 2), last(x)};
    const Value c = ops::complex(graph_, weights(modes, 1), weights(modes, 1));
    return ops::irfft(graph_, ops::mul(graph_, z, c), t.axes, extent(x, 2), t.norm);
  }
  Value filter(Value x, int64_t blocks) {
    const Transform t = transform();
    const int64_t h = extent(x, 1), w = extent(x, 2), c = last(x), in = c / blocks, hidden = size(2 * in);
    const Value z = ops::rfft(graph_, x, t.axes, t.norm);
    const int64_t columns = extent(z, 2);
    // A batch of constant extent is one axis with the modes, or one of its own.
    const bool merge = one_in(2) && batch_.is_constant();
    const Shape split =
        merge ? Shape{batch_.value() * h * columns, blocks, in} : Shape{batch_, h * columns, blocks, in};
    const std::vector<int64_t> swap = merge ? std::vector<int64_t>{1, 0, 2} : std::vector<int64_t>{0, 2, 1, 3};
    const int64_t axis = merge ? 2 : 3;
    Value v = ops::concat(
        graph_, {ops::reshape(graph_, ops::real(graph_, z), split), ops::reshape(graph_, ops::imag(graph_, z), split)},
        axis);
    v = ops::transpose(graph_, v, swap);
    const double scale = 1 / std::sqrt(static_cast<double>(2 * in));
    v = ops::matmul(graph_, v, weights({blocks, 2 * in, 2 * hidden}, scale));
    v = ops::relu(graph_, ops::add(graph_, v, weights({blocks, 1, 2 * hidden}, 0.3)));
    v = ops::matmul(graph_, v, weights({blocks, 2 * hidden, 2 * in}, scale));
    v = ops::softshrink(graph_, ops::add(graph_, v, weights({blocks, 1, 2 * in}, 0.3)), 0.05);
    v = ops::transpose(graph_, v, swap);
    const Shape joined{batch_, h, columns, c};
    const Value re = ops::reshape(graph_, ops::slice_axis(graph_, v, axis, 0, in), joined);
    const Value im = ops::reshape(graph_, ops::slice_axis(graph_, v, axis, in, 2 * in), joined);
    return ops::irfft(graph_, ops::complex(graph_, re, im), t.axes, w, t.norm);
  }

  /// [batch, channels, h, w] through convolutions with what follows them in residual networks.
  void convolutional() {
    Value x = input(Shape{batch_, size(6), 3 + size(12), 3 + size(12)}, 1, true);
    x = convolution(x, size(20));
    pool_.push_back(x);
    for (uint64_t i = 0, count = 1 + pick(4); i < count; ++i) {
      switch (pick(6)) {
        case 0:
          if (extent(x, 2) >= 3 && extent(x, 3) >= 3) {
            const int64_t stride = size(2);
            x = ops::max_pool2d(graph_, x,
                                {.kernel = {3, one_in(2) ? 3 : 2}, .strides = {stride, 2}, .pads = {1, 1, 1, 0}});
          }
          break;
        case 1:  // normalised over the channels, as layer norm of channels-last values
          x = ops::transpose(graph_, norm(ops::transpose(graph_, x, {0, 2, 3, 1})), {0, 3, 1, 2});
          break;
        case 2: {  // a block around which its input goes
          const Value y = convolution(x, extent(x, 1), true);
          x = ops::relu(graph_, ops::add(graph_, convolution(y, extent(x, 1), true), x));
          break;
        }
        case 3:
          x = residual(x);
          break;
        default:
          x = convolution(x, size(24));
      }
      pool_.push_back(x);
    }
    if (one_in(3)) return;
    x = ops::mean(graph_, x, {2, 3});
    pool_.push_back(linear(x, size(12)));
  }
  Value convolution(Value x, int64_t out, bool same = false) {
    const int64_t c = extent(x, 1);
    const int64_t groups = one_in(4) ? (out % c == 0 || same ? c : 1) : 1;  // depthwise now and then
    const int64_t r = same ? 3 : size(std::min<int64_t>(3, extent(x, 2))),
                  s = same ? 3 : size(std::min<int64_t>(3, extent(x, 3)));
    ops::Conv2dOptions options;
    options.groups = groups;
    options.pads = {r / 2, s / 2, r / 2, one_in(4) && !same ? 0 : s / 2};
    if (!same && one_in(3)) options.strides = {size(2), size(2)};
    if (!same && one_in(6) && extent(x, 2) > 2 * r && extent(x, 3) > 2 * s) options.dilations = {2, 1};
    const double scale = 1 / std::sqrt(static_cast<double>(c / groups * r * s));
    Value y = ops::conv2d(graph_, x, weights({out, c / groups, r, s}, scale), options);
    if (one_in(3)) y = ops::mul(graph_, y, weights({out, 1, 1}, 1));
    if (pick(4) > 0) y = ops::add(graph_, y, weights({out, 1, 1}, 0.5));
    return one_in(4) ? y : unary(y);
  }

  uint32_t seed_;
  Weights weights_;
  Kind kind_;
  uint64_t draws_ = 0;
  uint32_t stream_ = 0;
  Dim batch_{1};
  int64_t heads_ = 1, width_ = 1;
  Graph graph_;
  std::vector<Input> inputs_;
  VariableValues state_;
  std::vector<Value> pool_;
};

/// Every instruction set this machine has, in turn, each with all kinds of networks.
inline Target target_in_turn(uint32_t seed) {
  constexpr Isa kIsas[] = {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx};
  return Target::detect().capped(std::min(Target::detect().isa, kIsas[seed / RandomNetwork::kKinds % 4]));
}

}  // namespace gregale::passes
