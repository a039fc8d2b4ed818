// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"
#include "ops/elementwise.hpp"

namespace gregale::onnx {
namespace {

// --- activations: what takes several steps takes them in f32 at least ---

using Activation = std::function<Value(OnnxNode&, Value x)>;
OnnxMapping activation(const char* name, Activation f, int64_t since = 1, const char* domain = "") {
  return {name, since,
          [f = std::move(f)](OnnxNode& n) {
            const Value x = n.input(0);
            const DType dtype = n.graph().type(x).dtype;
            const bool narrow = dtype == DType::f16 || dtype == DType::bf16;
            const Value y = f(n, narrow ? ops::cast(n.graph(), x, DType::f32) : x);
            return std::vector{ops::cast(n.graph(), y, dtype)};
          },
          std::numeric_limits<int64_t>::max(), domain};
}

Value leaky(Graph& g, Value x, double slope) {
  if (slope == 0) return ops::relu(g, x);
  const Value steep = ops::mul(g, x, slope);
  return slope <= 1 ? ops::maximum(g, x, steep) : ops::minimum(g, x, steep);
}

/// x above 0, else scale (exp(x / width) - 1).
Value exponential(Graph& g, Value x, double scale, double width) {
  const Value zero = scalar_like(g, x, 0);
  const Value e = ops::exp(g, width == 1 ? x : ops::mul(g, x, 1 / width));
  const Value below = ops::mul(g, ops::add(g, e, -1.0), scale);
  return ops::select(g, ops::greater(g, x, zero), x, below);
}

Value hard_sigmoid(Graph& g, Value x, double alpha, double beta) {
  const Value line = ops::add(g, ops::mul(g, x, alpha), beta);
  return ops::minimum(g, ops::maximum(g, line, scalar_like(g, x, 0)), scalar_like(g, x, 1));
}

Value gelu_by_tanh(Graph& g, Value x) {
  const Value cubic = ops::mul(g, ops::add(g, ops::mul(g, ops::square(g, x), 0.044715), 1.0), x);
  const Value t = ops::tanh(g, ops::mul(g, cubic, std::sqrt(2 / M_PI)));
  return ops::mul(g, ops::mul(g, x, 0.5), ops::add(g, t, 1.0));
}

/// x tanh(log(1 + exp(x))): with e = exp(x), tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), and 1 where e is large.
Value mish(Graph& g, Value x) {
  const Value e = ops::exp(g, ops::minimum(g, x, scalar_like(g, x, 20)));
  const Value w = ops::mul(g, e, ops::add(g, e, 2.0));
  return ops::mul(g, x, ops::div(g, w, ops::add(g, w, 2.0)));
}

Value shrink(OnnxNode& n, Value x) {
  Graph& g = n.graph();
  const double lambda = n.real("lambd", 0.5), bias = n.real("bias", 0);
  const Value above = ops::greater(g, x, scalar_like(g, x, lambda)),
              below = ops::less(g, x, scalar_like(g, x, -lambda));
  return ops::select(g, below, ops::add(g, x, bias),
                     ops::select(g, above, ops::add(g, x, -bias), scalar_like(g, x, 0)));
}

/// Integers by way of f64, which no activation of theirs leaves.
OnnxMapping activation_of_numbers(const char* name, Activation f, int64_t since = 1) {
  return activation(
      name,
      [f = std::move(f)](OnnxNode& n, Value x) {
        const DType dtype = n.graph().type(x).dtype;
        return is_real_float(dtype) ? f(n, x) : ops::cast(n.graph(), f(n, ops::cast(n.graph(), x, DType::f64)), dtype);
      },
      since);
}

std::vector<Value> prelu(OnnxNode& n) {
  Graph& g = n.graph();
  const Value x = n.input(0);
  Value slope = n.input(1);
  // Before operator set 7 it was one number, or one for each channel.
  if (n.opset() < 7 && n.rank(1) == 1 && n.extents(1)[0] != 1 && n.rank(0) > 2) {
    Extents extents = n.extents(1);
    extents.resize(static_cast<size_t>(n.rank(0) - 1), 1);
    slope = ops::reshape(g, slope, Shape(std::move(extents)));
  }
  return {ops::select(g, ops::less(g, x, scalar_like(g, x, 0)), ops::mul(g, x, slope), x)};
}

/// Limits that are no limits, as exporters write them, are left out.
Value limited(Graph& g, Value x, double low, double high) {
  constexpr double most = std::numeric_limits<float>::max();
  if (low == 0) {
    x = ops::maximum(g, x, scalar_like(g, x, 0));
  } else if (low > -most) {
    x = ops::maximum(g, x, scalar_like(g, x, low));
  }
  return high < most ? ops::minimum(g, x, scalar_like(g, x, high)) : x;
}

std::vector<Value> clip(OnnxNode& n) {
  Graph& g = n.graph();
  Value x = n.input(0);
  if (n.has_input(1)) x = ops::maximum(g, x, as_scalar(n, 1));
  if (n.has_input(2)) x = ops::minimum(g, x, as_scalar(n, 2));
  return {x};
}

// --- arithmetic ---

std::vector<Value> power(OnnxNode& n) {
  Graph& g = n.graph();
  const Value a = n.input(0), b = ops::aligned_operand(n);
  const DType dtype = n.dtype(0), exponents = n.dtype(1);
  if (!is_real_float(dtype) && is_real_float(exponents)) {
    const Value real = ops::pow(g, ops::cast(g, a, DType::f64), ops::cast(g, b, DType::f64));
    return {ops::cast(g, real, dtype)};
  }
  if (is_real_float(dtype) && element_count(n.extents(1)) == 1 && n.rank(1) <= n.rank(0) && n.is_constant(1)) {
    const double e = n.constant_real(1);
    if (e == 1) return {a};
    if (e == 2) return {ops::square(g, a)};
    if (e == 3) return {ops::mul(g, a, ops::square(g, a))};
    if (e == 4) return {ops::square(g, ops::square(g, a))};
    if (e == 0.5) return {ops::sqrt(g, a)};
    if (e == -0.5) return {ops::rsqrt(g, a)};
    if (e == -1) return {ops::reciprocal(g, a)};
  }
  // Integers of another dtype are as many as its low bits say, but for a sign.
  return {ops::pow(g, a, ops::cast(g, b, dtype))};
}

std::vector<Value> modulo(OnnxNode& n) {
  const Value a = n.input(0), b = n.input(1);
  return {n.integer("fmod", 0) != 0 ? ops::fmod(n.graph(), a, b) : ops::mod(n.graph(), a, b)};
}

OnnxMapping of_all(const char* name, Value (*f)(Graph&, Value, Value), bool mean = false) {
  return {name, 1, [f, mean](OnnxNode& n) {
            const std::vector<Value> all = n.all_inputs();
            if (all.empty()) n.fail("it has no inputs");
            Value y = all[0];
            for (size_t i = 1; i < all.size(); ++i) y = f(n.graph(), y, all[i]);
            if (mean && all.size() > 1) y = ops::mul(n.graph(), y, 1.0 / static_cast<double>(all.size()));
            return std::vector{y};
          }};
}

OnnxMapping binary(const char* name, Value (*f)(Graph&, Value, Value)) {
  return {name, 1, [f](OnnxNode& n) { return std::vector{f(n.graph(), n.input(0), ops::aligned_operand(n))}; }};
}

std::vector<Value> is_infinite(OnnxNode& n) {
  Graph& g = n.graph();
  const Value x = n.input(0);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const bool positive = n.integer("detect_positive", 1) != 0, negative = n.integer("detect_negative", 1) != 0;
  if (positive && negative) return {ops::equal(g, ops::abs(g, x), scalar_like(g, x, infinity))};
  if (positive || negative) return {ops::equal(g, x, scalar_like(g, x, positive ? infinity : -infinity))};
  return {g.constant(Tensor(DType::boolean, n.extents(0)))};
}

bool is_unsigned(DType dtype) {
  return dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64;
}

std::vector<Value> sign(OnnxNode& n) {
  Graph& g = n.graph();
  if (is_unsigned(n.dtype(0))) return {ops::cast(g, ops::cast(g, n.input(0), DType::boolean), n.dtype(0))};
  return {ops::sign(g, n.input(0))};
}

std::vector<Value> shift(OnnxNode& n) {
  const std::string direction = n.string("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") n.fail("attribute 'direction' is neither LEFT nor RIGHT");
  const Value a = n.input(0), b = n.input(1);
  return {direction == "LEFT" ? ops::shift_left(n.graph(), a, b) : ops::shift_right(n.graph(), a, b)};
}

// --- dtypes ---

std::vector<Value> cast(OnnxNode& n) {
  // Before operator set 6 dtypes were named.
  if (n.has("to") && std::holds_alternative<std::string>(*n.attribute("to"))) {
    static constexpr const char* names[] = {"FLOAT",  "UINT8", "INT8",    "UINT16", "INT16",  "INT32", "INT64",
                                            "STRING", "BOOL",  "FLOAT16", "DOUBLE", "UINT32", "UINT64"};
    const std::string name = n.string("to", "");
    for (size_t i = 0; i < std::size(names); ++i)
      if (name == names[i]) return {ops::cast(n.graph(), n.input(0), dtype_of_onnx(static_cast<int64_t>(i) + 1))};
    n.fail(fmt::format("'to' is '{}'", name));
  }
  Graph& g = n.graph();
  const Value x = n.input(0);
  const DType to = dtype_of_onnx(n.required_integer("to"));
  // What is beyond an integer dtype's range the format leaves open: whole numbers are taken to be in it.
  const int32_t p = g.producer(x);
  const std::string made_by = p < 0 ? "" : g.nodes()[static_cast<size_t>(p)].op->name;
  const bool whole = made_by == "floor" || made_by == "ceil" || made_by == "round";
  return {ops::cast(g, x, to, whole && to == DType::i32)};
}

}  // namespace

std::vector<OnnxMapping> elementwise_mappings() {
  return {
      activation("LeakyRelu", [](OnnxNode& n, Value x) { return leaky(n.graph(), x, n.real("alpha", 0.01)); }),
      activation("Elu", [](OnnxNode& n, Value x) { return exponential(n.graph(), x, n.real("alpha", 1), 1); }),
      activation("Celu",
                 [](OnnxNode& n, Value x) {
                   const double alpha = n.real("alpha", 1);
                   if (alpha == 0) n.fail("alpha is 0");
                   return exponential(n.graph(), x, alpha, alpha);
                 }),
      activation("Selu",
                 [](OnnxNode& n, Value x) {
                   const double gamma = n.real("gamma", 1.05070102214813232421875),
                                alpha = n.real("alpha", 1.67326319217681884765625);
                   return ops::mul(n.graph(), exponential(n.graph(), x, alpha, 1), gamma);
                 }),
      activation("Gelu",
                 [](OnnxNode& n, Value x) {
                   const std::string by = n.string("approximate", "none");
                   if (by != "none" && by != "tanh") n.fail(fmt::format("approximate is '{}'", by));
                   return by == "tanh" ? gelu_by_tanh(n.graph(), x) : ops::gelu(n.graph(), x);
                 }),
      activation(
          "Gelu", [](OnnxNode& n, Value x) { return ops::gelu(n.graph(), x); }, 1, "com.microsoft"),
      activation(
          "FastGelu",
          [](OnnxNode& n, Value x) {
            if (n.has_input(1)) x = ops::add(n.graph(), x, ops::cast(n.graph(), n.input(1), n.graph().type(x).dtype));
            return gelu_by_tanh(n.graph(), x);
          },
          1, "com.microsoft"),
      activation(
          "QuickGelu",
          [](OnnxNode& n, Value x) {
            Graph& g = n.graph();
            return ops::mul(g, x, ops::sigmoid(g, ops::mul(g, x, n.real("alpha", 1.702))));
          },
          1, "com.microsoft"),
      activation("Mish", [](OnnxNode& n, Value x) { return mish(n.graph(), x); }),
      activation(
          "HardSigmoid",
          [](OnnxNode& n, Value x) { return hard_sigmoid(n.graph(), x, n.real("alpha", 0.2), n.real("beta", 0.5)); }),
      activation("HardSwish",
                 [](OnnxNode& n, Value x) { return ops::mul(n.graph(), x, hard_sigmoid(n.graph(), x, 1.0 / 6, 0.5)); }),
      activation("Swish",
                 [](OnnxNode& n, Value x) {
                   Graph& g = n.graph();
                   const double alpha = n.real("alpha", 1);
                   return alpha == 1 ? ops::silu(g, x) : ops::mul(g, x, ops::sigmoid(g, ops::mul(g, x, alpha)));
                 }),
      activation("Softsign",
                 [](OnnxNode& n, Value x) {
                   Graph& g = n.graph();
                   return ops::div(g, x, ops::add(g, ops::abs(g, x), 1.0));
                 }),
      activation("ThresholdedRelu",
                 [](OnnxNode& n, Value x) {
                   Graph& g = n.graph();
                   const Value above = ops::greater(g, x, scalar_like(g, x, n.real("alpha", 1)));
                   return ops::select(g, above, x, scalar_like(g, x, 0));
                 }),
      activation_of_numbers("Shrink", shrink),
      {"Relu", 1,
       [](OnnxNode& n) {
         Graph& g = n.graph();
         const Value x = n.input(0);
         return std::vector{is_real_float(n.dtype(0)) ? ops::relu(g, x) : ops::maximum(g, x, scalar_like(g, x, 0))};
       }},
      {"PRelu", 1, prelu},
      {"Clip", 1,
       [](OnnxNode& n) {
         constexpr double most = std::numeric_limits<float>::max();
         return std::vector{limited(n.graph(), n.input(0), n.real("min", -most), n.real("max", most))};
       }},
      {"Clip", 11, clip},
      {"Pow", 1, power},
      {"Mod", 1, modulo},
      of_all("Max", ops::maximum),
      of_all("Min", ops::minimum),
      of_all("Sum", ops::add),
      of_all("Mean", ops::add, true),
      binary("Xor", ops::not_equal),
      {"BitwiseNot", 1,
       [](OnnxNode& n) {
         Graph& g = n.graph();
         return std::vector{ops::bitwise_xor(g, n.input(0), integer_scalar(g, n.dtype(0), -1))};
       }},
      {"BitShift", 1, shift},
      {"IsInf", 1, is_infinite},
      {"Sign", 1, sign},
      {"Abs", 1,
       [](OnnxNode& n) { return std::vector{is_unsigned(n.dtype(0)) ? n.input(0) : ops::abs(n.graph(), n.input(0))}; }},
      {"Cast", 1, cast},
      {"CastLike", 1, [](OnnxNode& n) { return std::vector{ops::cast(n.graph(), n.input(0), n.dtype(1))}; }},
      {"Where", 1, [](OnnxNode& n) { return std::vector{ops::select(n.graph(), n.input(0), n.input(1), n.input(2))}; }},
  };
}

}  // namespace gregale::onnx
