// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"

/// Draws are functions of the node's seed, or of its place in the graph where it has none: a model gives the same
/// numbers in every run.
namespace gregale::onnx {
namespace {

Value key_of(OnnxNode& n) {
  // Of Dropout it is an integer, of the others a float.
  const OnnxAttribute* given = n.attribute("seed");
  const bool integer = given != nullptr && std::holds_alternative<int64_t>(*given);
  const int64_t seed = integer ? n.integer("seed", 0) : std::bit_cast<int32_t>(static_cast<float>(n.real("seed", 0)));
  return n.graph().constant(Tensor::from<int64_t>({seed, 0}, {2}));
}
/// Nodes with one seed have streams of their own.
int64_t stream_of(OnnxNode& n) { return n.graph().value_count(); }

Value uniform(OnnxNode& n, const Extents& extents) {
  return ops::random_uniform(n.graph(), key_of(n), Shape(extents), stream_of(n));
}

/// The attribute `shape`, or the shape of the operand.
Extents drawn_extents(OnnxNode& n, bool like) {
  if (like) return n.extents(0);
  const std::vector<int64_t> shape = n.required_integers("shape");
  for (int64_t e : shape)
    if (e < 0) n.fail(fmt::format("shape holds {}", e));
  return Extents(shape.begin(), shape.end());
}

DType drawn_dtype(OnnxNode& n, bool like) {
  const int64_t number = n.integer("dtype", 0);
  if (number != 0) return dtype_of_onnx(number);
  return like ? n.dtype(0) : DType::f32;
}

OnnxMapping draw(const char* name, bool normal, bool like) {
  return {name, 1, [normal, like](OnnxNode& n) {
            Graph& g = n.graph();
            const Extents extents = drawn_extents(n, like);
            Value y;
            if (normal) {
              y = ops::random_normal(g, key_of(n), Shape(extents), stream_of(n));
              y = ops::add(g, ops::mul(g, y, n.real("scale", 1)), n.real("mean", 0));
            } else {
              const double low = n.real("low", 0), high = n.real("high", 1);
              y = ops::add(g, ops::mul(g, uniform(n, extents), high - low), low);
            }
            return std::vector{ops::cast(g, y, drawn_dtype(n, like))};
          }};
}

std::vector<Value> bernoulli(OnnxNode& n) {
  Graph& g = n.graph();
  const Value yes = ops::less(g, uniform(n, n.extents(0)), ops::cast(g, n.input(0), DType::f32));
  return {ops::cast(g, yes, drawn_dtype(n, true))};
}

/// Draws from the classes whose logarithms of probabilities, up to a constant, are x [batch, classes]: how many of the
/// cumulated probabilities a uniform number is above.
std::vector<Value> multinomial(OnnxNode& n) {
  Graph& g = n.graph();
  if (n.rank(0) != 2) n.fail(fmt::format("its operand has rank {}", n.rank(0)));
  const int64_t batch = n.extents(0)[0], classes = n.extents(0)[1], count = n.integer("sample_size", 1);
  if (classes == 0 || count < 0) n.fail(fmt::format("{} draws of {} classes", count, classes));
  const DType dtype = dtype_of_onnx(n.integer("dtype", 6));
  if (dtype != DType::i32 && dtype != DType::i64) n.fail(fmt::format("draws as {}", name_of(dtype)));
  const Value p = ops::softmax(g, ops::cast(g, n.input(0), DType::f32), 1);
  const Value up_to = ops::reshape(g, ops::cumulative(g, p, 1), Shape{batch, 1, classes});
  // Less the last one, which is 1 but for rounding.
  const Value bounds = ops::slice_axis(g, up_to, 2, 0, classes - 1);
  const Value above = ops::greater_equal(g, uniform(n, {batch, count, 1}), bounds);
  return {ops::sum(g, ops::cast(g, above, dtype), {2})};
}

/// y and the mask, which is boolean, or of x's dtype in operator sets 7 to 9.
std::vector<Value> dropout(OnnxNode& n, double ratio, bool training, DType mask_dtype) {
  Graph& g = n.graph();
  const Value x = n.input(0);
  if (ratio < 0 || ratio >= 1) {
    if (training) n.fail(fmt::format("ratio is {}", ratio));
    ratio = 0;
  }
  if (!training || ratio == 0) {
    std::vector<Value> results{x};
    if (n.has_output(1))
      results.push_back(ops::broadcast_to(g, g.constant(Tensor::full(mask_dtype, {}, 1)), Shape(n.extents(0))));
    return results;
  }
  const Value draws = uniform(n, n.extents(0));
  const Value kept = ops::greater_equal(g, draws, scalar_like(g, draws, ratio));
  const Value y = ops::select(g, kept, ops::mul(g, x, 1 / (1 - ratio)), scalar_like(g, x, 0));
  return {y, ops::cast(g, kept, mask_dtype)};
}

}  // namespace

std::vector<OnnxMapping> random_mappings() {
  return {
      draw("RandomNormal", true, false),
      draw("RandomNormalLike", true, true),
      draw("RandomUniform", false, false),
      draw("RandomUniformLike", false, true),
      {"Bernoulli", 1, bernoulli},
      {"Multinomial", 1, multinomial},
      {"Dropout", 1,
       [](OnnxNode& n) { return dropout(n, n.real("ratio", 0.5), n.integer("is_test", 0) == 0, n.dtype(0)); }},
      {"Dropout", 7, [](OnnxNode& n) { return dropout(n, 0, false, n.opset() < 10 ? n.dtype(0) : DType::boolean); }},
      {"Dropout", 12,
       [](OnnxNode& n) {
         const bool training = n.has_input(2) && n.constant_integer(2) != 0;
         const double ratio = training && n.has_input(1) ? n.constant_real(1) : 0.5;
         return dropout(n, ratio, training, DType::boolean);
       }},
  };
}

}  // namespace gregale::onnx
