// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Weights of bytes: which are, and that a layer gives with them what it gives with f32. (The layers themselves are
// tested as operators.)
#include "kernels/recurrence/recurrence.hpp"

#include <cmath>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

/// Rows of whole numbers in [-most, most] times a scale for each row.
std::vector<float> byte_weights(int64_t rows, int64_t columns, int most, unsigned seed) {
  std::vector<float> weights = testing::randoms(rows * columns, seed, -1, 1);
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 0.3f / static_cast<float>(most) / static_cast<float>(1 + r % 7);
    for (int64_t i = 0; i < columns; ++i) {
      float& w = weights[static_cast<size_t>(r * columns + i)];
      w = std::nearbyint(w * static_cast<float>(most)) * scale;
    }
  }
  return weights;
}

TEST(Recurrence, FindsBytesAmongWeights) {
  for (const int most : {1, 5, 127}) {
    const std::vector<float> weights = byte_weights(9, 40, most, 1);
    const auto scales = byte_scales(weights, 40);
    ASSERT_TRUE(scales) << most;
    for (size_t i = 0; i < weights.size(); ++i) {
      const float scale = (*scales)[i / 40], whole = std::nearbyint(weights[i] / scale);
      EXPECT_LE(std::abs(whole), 127);
      EXPECT_EQ(whole * scale, weights[i]);
    }
  }
  std::vector<float> zeros(80, 0.0f);
  EXPECT_EQ(byte_scales(zeros, 40), std::vector<float>(2, 0.0f));
  zeros[3] = NAN;
  EXPECT_FALSE(byte_scales(zeros, 40));
  EXPECT_FALSE(byte_scales(testing::randoms(80, 2), 40));
  std::vector<float> off = byte_weights(2, 40, 100, 3);
  off[50] = std::nextafter(off[50], 1.0f);
  EXPECT_FALSE(byte_scales(off, 40)) << "the last bit counts";
}

class Layer {
 public:
  Layer(int64_t batch, int64_t directions, int64_t hidden, int64_t steps) {
    r_.cell = RecurrentCell::lstm;
    r_.steps = steps;
    r_.batch = batch;
    r_.directions = directions;
    r_.hidden = hidden;
    for (auto& a : r_.activations) {
      a[0] = {Activation::sigmoid, 0, 0};
      a[1] = a[2] = {Activation::tanh, 0, 0};
    }
    gates_ = testing::randoms(steps * batch * directions * 4 * hidden, 4, -2, 2);
    h_ = testing::randoms(directions * batch * hidden, 5, -1, 1);
    c_ = testing::randoms(directions * batch * hidden, 6);
    peepholes_ = testing::randoms(directions * 3 * hidden, 7);
    for (int64_t b = 0; b < batch; ++b) lengths_.push_back(std::max<int64_t>(0, steps - 3 * b));
  }
  std::vector<float>& h() { return h_; }
  int64_t rows() const { return r_.directions * 4 * r_.hidden; }
  /// The states after all steps, then the last ones and the cells.
  std::vector<float> run(const std::vector<float>& weights, bool bytes, int threads) {
    Recurrence r = r_;
    if (bytes) r.byte_scales = byte_scales(weights, r.hidden).value();
    const auto team = make_thread_team(threads);
    constexpr Isa kIsa = Isa::avx512;
    const AlignedBytes packed(recurrent_weights_bytes(kIsa, r)), scratch(recurrence_scratch_bytes(kIsa, r));
    auto* prepared = reinterpret_cast<float*>(packed.data());
    pack_recurrent_weights(kIsa, *team, r, weights.data(), prepared);
    const auto state = static_cast<size_t>(r.directions * r.batch * r.hidden);
    std::vector<float> y(static_cast<size_t>(r.steps) * state + 2 * state);
    RecurrenceOperands o;
    o.gates = gates_.data();
    o.weights = prepared;
    o.initial_h = h_.data();
    o.initial_c = c_.data();
    o.peepholes = peepholes_.data();
    o.lengths = lengths_.data();
    o.y = y.data();
    o.last_h = y.data() + static_cast<size_t>(r.steps) * state;
    o.last_c = o.last_h + state;
    recurrence_f32(kIsa, *team, r, o, scratch.data());
    return y;
  }

 private:
  struct AlignedBytes {
    explicit AlignedBytes(int64_t bytes) : memory(static_cast<size_t>(bytes) + 64) {}
    std::byte* data() const {
      const auto at = reinterpret_cast<uintptr_t>(memory.data());
      return const_cast<std::byte*>(memory.data()) + (64 - at % 64) % 64;
    }
    std::vector<std::byte> memory;
  };
  Recurrence r_;
  std::vector<float> gates_, h_, c_, peepholes_;
  std::vector<int64_t> lengths_;
};

TEST(Recurrence, BytesGiveWhatFloatsGive) {
  const Target target = Target::detect();
  if (!takes_bytes(target, RecurrentCell::lstm)) GTEST_SKIP() << "no products of bytes here";
  EXPECT_FALSE(takes_bytes(target, RecurrentCell::gru));
  struct Case {
    int64_t batch, directions, hidden, steps;
  };
  for (const Case& c : {Case{1, 1, 16, 60}, {1, 2, 37, 40}, {3, 1, 130, 30}, {2, 2, 5, 50}, {1, 1, 203, 80}}) {
    Layer layer(c.batch, c.directions, c.hidden, c.steps);
    const std::vector<float> weights = byte_weights(layer.rows(), c.hidden, 127, 8);
    const std::vector<float> floats = layer.run(weights, false, 1), bytes = layer.run(weights, true, 1);
    EXPECT_EQ(bytes, layer.run(weights, true, 2)) << "threads change bits";
    for (size_t i = 0; i < floats.size(); ++i)
      ASSERT_NEAR(bytes[i], floats[i], 2e-6) << "hidden " << c.hidden << ", element " << i;
  }
}

TEST(Recurrence, BytesOfStatesOfEverySize) {
  if (!takes_bytes(Target::detect(), RecurrentCell::lstm)) GTEST_SKIP() << "no products of bytes here";
  Layer layer(1, 1, 24, 1);
  const std::vector<float> weights = byte_weights(layer.rows(), 24, 127, 9);
  for (const float size : {0.0f, 1e-38f, 1e-5f, 300.0f, 3e38f}) {
    layer.h() = testing::randoms(24, 10, -1, 1);
    for (float& h : layer.h()) h *= size;
    const std::vector<float> floats = layer.run(weights, false, 1), bytes = layer.run(weights, true, 1);
    for (size_t i = 0; i < floats.size(); ++i) ASSERT_NEAR(bytes[i], floats[i], 1e-5) << "states of " << size;
  }
  for (const float bad : {NAN, INFINITY}) {
    layer.h()[7] = bad;
    for (const float y : layer.run(weights, true, 1)) ASSERT_TRUE(std::isnan(y)) << "a state of " << bad;
  }
}

}  // namespace
}  // namespace gregale::kernels
