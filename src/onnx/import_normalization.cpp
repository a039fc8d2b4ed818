// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

bool is_narrow(DType d) { return d == DType::f16 || d == DType::bf16; }
/// What statistics of elements of dtype d are computed in.
DType wide(DType d) { return is_narrow(d) ? DType::f32 : d; }

Value ones(Graph& g, DType dtype, Extents extents) { return g.constant(Tensor::full(dtype, std::move(extents), 1)); }
Value zeros(Graph& g, DType dtype, Extents extents) { return g.constant(Tensor::full(dtype, std::move(extents), 0)); }

double epsilon_of(const OnnxNode& n, double otherwise) {
  const double epsilon = n.real("epsilon", otherwise);
  if (!(epsilon >= 0)) n.fail(fmt::format("epsilon is {}; it must be at least 0", epsilon));
  return epsilon;
}

void check_real_float(OnnxNode& n, int64_t i) {
  if (!is_real_float(n.dtype(i))) n.fail(fmt::format("input {} is {}; floats are needed", i, to_string(n.type(i))));
}

/// [1, 2, ...] but one: the axes that statistics of channels are taken over.
std::vector<int64_t> axes_but_channel(int64_t rank) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < rank; ++i)
    if (i != 1) axes.push_back(i);
  return axes;
}

/// Input i with one number a channel (axis 1 of x) as what broadcasts over x.
Extents channel_extents(const Extents& x) {
  Extents e(std::max<size_t>(x.size(), 1) - (x.size() > 1 ? 1 : 0), 1);
  if (x.size() > 1) e[0] = x[1];
  return e;
}

Value parameter(OnnxNode& n, int64_t i, const Extents& extents, DType dtype) {
  if (element_count(n.extents(i)) != element_count(extents))
    n.fail(fmt::format("input {} is {}; {} numbers are needed", i, to_string(n.type(i)), element_count(extents)));
  check_real_float(n, i);
  return cast_to(n.graph(), ops::reshape(n.graph(), n.input(i), extents), dtype);
}

// --- BatchNormalization ---

/// Whether statistics come from the batch. Before operator set 14 the outputs say so.
bool is_training(OnnxNode& n) {
  if (n.opset() >= 14) return n.integer("training_mode", 0) != 0;
  if (n.opset() < 7 && n.integer("is_test", 0) != 0) return false;
  for (int64_t i = 1; i < n.output_count(); ++i)
    if (n.has_output(i)) return true;
  return false;
}

std::vector<Value> batch_normalization(OnnxNode& n) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  const Value x = n.input(0);
  const Extents extents = n.extents(0);
  const DType dtype = n.dtype(0);
  if (extents.empty()) n.fail("X is a scalar");
  const double epsilon = epsilon_of(n, 1e-5);
  // Numbers per element of an example, where an old model says so; else per channel.
  const bool spatial = n.integer("spatial", 1) != 0;
  const Extents per = spatial ? channel_extents(extents) : Extents(extents.begin() + 1, extents.end());

  if (!is_training(n)) {
    bool known = true;
    for (int64_t i = 1; i <= 4; ++i) known = known && n.is_constant(i);
    if (known) {  // one product and one sum
      std::vector<double> numbers[4];
      const auto count = static_cast<size_t>(element_count(per));
      for (int64_t i = 0; i < 4; ++i) {
        numbers[i] = n.constant_reals(i + 1);
        if (numbers[i].size() != count)
          n.fail(fmt::format("input {} is {}; {} numbers are needed", i + 1, to_string(n.type(i + 1)), count));
      }
      auto& [scale, bias, mean, variance] = numbers;
      for (size_t i = 0; i < count; ++i) {
        scale[i] /= std::sqrt(variance[i] + epsilon);
        bias[i] -= mean[i] * scale[i];
      }
      const auto constant = [&](const std::vector<double>& v) { return g.constant(Tensor::from(v, per).cast(dtype)); };
      return {ops::add(g, ops::mul(g, x, constant(scale)), constant(bias))};
    }
    const DType statistics = wide(dtype);
    const Value scale = ops::mul(g, parameter(n, 1, per, statistics),
                                 ops::rsqrt(g, ops::add(g, parameter(n, 4, per, statistics), epsilon)));
    const Value bias =
        ops::sub(g, parameter(n, 2, per, statistics), ops::mul(g, parameter(n, 3, per, statistics), scale));
    return {cast_to(g, ops::add(g, ops::mul(g, cast_to(g, x, statistics), scale), bias), dtype)};
  }

  const DType statistics = wide(dtype);
  const std::vector<int64_t> axes =
      spatial && extents.size() > 1 ? axes_but_channel(static_cast<int64_t>(extents.size())) : std::vector<int64_t>{0};
  const Value wide_x = cast_to(g, x, statistics);
  const Value mean = ops::mean(g, wide_x, axes, true);
  const Value centred = ops::sub(g, wide_x, mean);
  const Value variance = ops::mean(g, ops::square(g, centred), axes, true);
  const Value scale = ops::mul(g, parameter(n, 1, per, statistics), ops::rsqrt(g, ops::add(g, variance, epsilon)));
  const Value y = ops::add(g, ops::mul(g, centred, scale), parameter(n, 2, per, statistics));
  const double momentum = n.real("momentum", 0.9);
  const auto as_input = [&](Value v, int64_t i) { return cast_to(g, ops::reshape(g, v, n.extents(i)), n.dtype(i)); };
  const auto running = [&](int64_t i, Value current) {
    const Value before = parameter(n, i, per, statistics);
    const Value flat = ops::reshape(g, current, per);
    return as_input(ops::add(g, ops::mul(g, before, momentum), ops::mul(g, flat, 1 - momentum)), i);
  };
  return {cast_to(g, y, dtype), running(3, mean), running(4, variance), as_input(mean, 3), as_input(variance, 4)};
}

// --- what normalises rows ---

/// x as rows of `count` elements with mean 0 and variance 1 each.
Value standardize_rows(Graph& g, Value x, int64_t rows, int64_t count, double epsilon) {
  const DType dtype = g.type(x).dtype;
  return ops::layer_norm(g, ops::reshape(g, x, Extents{rows, count}), ones(g, dtype, {count}), zeros(g, dtype, {count}),
                         epsilon);
}

int64_t count_of(const Extents& e, size_t from, size_t to) {
  return element_count(Extents(e.begin() + static_cast<int64_t>(from), e.begin() + static_cast<int64_t>(to)));
}

std::vector<Value> instance_normalization(OnnxNode& n) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  const Extents e = n.extents(0);
  if (e.size() < 2) n.fail(fmt::format("X is {}; it needs a batch and channels", to_string(n.type(0))));
  const Extents per = channel_extents(e);
  const Value normal = standardize_rows(g, n.input(0), e[0] * e[1], count_of(e, 2, e.size()), epsilon_of(n, 1e-5));
  const DType dtype = n.dtype(0);
  return {
      ops::add(g, ops::mul(g, ops::reshape(g, normal, e), parameter(n, 1, per, dtype)), parameter(n, 2, per, dtype))};
}

std::vector<Value> group_normalization(OnnxNode& n) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  const Extents e = n.extents(0);
  if (e.size() < 2) n.fail(fmt::format("X is {}; it needs a batch and channels", to_string(n.type(0))));
  const int64_t groups = n.required_integer("num_groups");
  if (groups < 1 || e[1] % groups != 0) n.fail(fmt::format("{} channels make no {} groups", e[1], groups));
  const int64_t count = e[1] / groups * count_of(e, 2, e.size());
  const Value normal = standardize_rows(g, n.input(0), e[0] * groups, count, epsilon_of(n, 1e-5));
  const DType dtype = n.dtype(0);
  // Numbers are those of channels; before operator set 21 of groups.
  const bool of_groups = n.opset() < 21;
  const Extents per = of_groups ? Extents{groups, 1} : channel_extents(e);
  const Extents shape = of_groups ? Extents{e[0], groups, count} : e;
  const Value y = ops::add(g, ops::mul(g, ops::reshape(g, normal, shape), parameter(n, 1, per, dtype)),
                           parameter(n, 2, per, dtype));
  return {ops::reshape(g, y, e)};
}

/// Where the axes begin that are normalised together.
size_t first_axis(OnnxNode& n) {
  if (n.rank(0) == 0) n.fail("X is a scalar");
  return static_cast<size_t>(normalize_axis(n.integer("axis", -1), n.rank(0), n.op_type()));
}

/// A scale or bias that is one number for each element of the normalised axes, flattened; an invalid Value where it
/// also varies along the others.
Value flat_parameter(OnnxNode& n, int64_t i, const Extents& normalized) {
  Graph& g = n.graph();
  Extents e = n.extents(i);
  while (e.size() > normalized.size() && e.front() == 1) e.erase(e.begin());
  if (e.size() > normalized.size()) return {};
  const Extents flat{element_count(normalized)};
  Value v = n.input(i);
  if (e != normalized) v = ops::broadcast_to(g, ops::reshape(g, v, e), normalized);
  return ops::reshape(g, v, flat);
}

DType stash_dtype(const OnnxNode& n) { return dtype_of_onnx(n.integer("stash_type", 1)); }

struct RowNorm {
  Value y, mean, inverse_deviation;
};

/// LayerNormalization of x, whose scale and bias are inputs `scale` and `bias` of the node.
RowNorm layer_normalization(OnnxNode& n, Value x, size_t axis, int64_t scale, int64_t bias, double epsilon,
                            int64_t mean_output) {
  Graph& g = n.graph();
  const Type type = g.type(x);
  const Extents e = type.shape.extents();
  const Extents normalized(e.begin() + static_cast<int64_t>(axis), e.end());
  const int64_t rows = count_of(e, 0, axis), count = element_count(normalized);
  const Extents flat = normalized.size() == 1 ? e : Extents{rows, count};
  const bool has_bias = n.has_input(bias);
  if (n.dtype(scale) != type.dtype || (has_bias && n.dtype(bias) != type.dtype))
    n.fail("X, Scale and B are not of one dtype");
  RowNorm r;
  const Value gamma = flat_parameter(n, scale, normalized);
  const Value beta = has_bias ? flat_parameter(n, bias, normalized) : zeros(g, type.dtype, {count});
  const Value x_rows = normalized.size() == 1 ? x : ops::reshape(g, x, flat);
  if (gamma.valid() && beta.valid()) {
    r.y = ops::reshape(g, ops::layer_norm(g, x_rows, gamma, beta, epsilon), e);
  } else {
    const Value normal =
        ops::layer_norm(g, x_rows, ones(g, type.dtype, {count}), zeros(g, type.dtype, {count}), epsilon);
    r.y = ops::mul(g, ops::reshape(g, normal, e), n.input(scale));
    if (has_bias) r.y = ops::add(g, r.y, n.input(bias));
    if (g.type(r.y) != type) n.fail("Scale or B do not broadcast to X");
  }
  if (!n.has_output(mean_output) && !n.has_output(mean_output + 1)) return r;
  std::vector<int64_t> axes(normalized.size());
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(axis));
  const DType stash = stash_dtype(n);
  const Value wide_x = cast_to(g, x, wide(type.dtype));
  const Value mean = ops::mean(g, wide_x, axes, true);
  const Value variance = ops::mean(g, ops::square(g, ops::sub(g, wide_x, mean)), axes, true);
  r.mean = cast_to(g, mean, stash);
  r.inverse_deviation = cast_to(g, ops::rsqrt(g, ops::add(g, variance, epsilon)), stash);
  return r;
}

std::vector<Value> outputs_of(const RowNorm& r) {
  if (!r.mean.valid()) return {r.y};
  return {r.y, r.mean, r.inverse_deviation};
}

/// x / sqrt(mean(x^2) + epsilon) over the axes from `axis` on, times input `scale`.
RowNorm rms_normalization(OnnxNode& n, Value x, size_t axis, int64_t scale, double epsilon) {
  Graph& g = n.graph();
  const Type type = g.type(x);
  std::vector<int64_t> axes(static_cast<size_t>(type.rank()) - axis);
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(axis));
  const Value wide_x = cast_to(g, x, wide(type.dtype));
  RowNorm r;
  r.inverse_deviation = ops::rsqrt(g, ops::add(g, ops::mean(g, ops::square(g, wide_x), axes, true), epsilon));
  const Value normal = cast_to(g, ops::mul(g, wide_x, r.inverse_deviation), n.dtype(scale));
  r.y = ops::mul(g, normal, n.input(scale));
  if (g.type(r.y).shape != type.shape) n.fail("the scale does not broadcast to X");
  return r;
}

// --- the rest ---

/// sums[i] = x[i] + ... + x[i + window - 1] along an axis, in about 2 log2(window) additions.
Value window_sums(Graph& g, Value x, int64_t axis, int64_t window, int64_t results) {
  Value power = x, sum;  // sums of 2^k elements, and of what the lower bits of the window say
  int64_t summed = 0;
  for (int64_t bit = 1;; bit *= 2) {
    if ((window & bit) != 0) {
      const Value part = ops::slice_axis(g, power, axis, summed, summed + results);
      sum = sum.valid() ? ops::add(g, sum, part) : part;
      summed += bit;
    }
    if (bit > window / 2) return sum;
    const int64_t count = g.type(power).shape[axis].value() - bit;
    power = ops::add(g, ops::slice_axis(g, power, axis, 0, count), ops::slice_axis(g, power, axis, bit, bit + count));
  }
}

std::vector<Value> lrn(OnnxNode& n) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  const Extents e = n.extents(0);
  if (e.size() < 2) n.fail(fmt::format("X is {}; it needs a batch and channels", to_string(n.type(0))));
  const int64_t size = n.required_integer("size");
  if (size < 1) n.fail(fmt::format("size is {}; it must be at least 1", size));
  if (element_count(e) == 0) return {n.input(0)};
  const int64_t before = std::min((size - 1) / 2, e[1] - 1), after = std::min(size / 2, e[1] - 1);
  std::vector<int64_t> low(e.size(), 0), high(e.size(), 0);
  low[1] = before;
  high[1] = after;
  const Value x = cast_to(g, n.input(0), wide(n.dtype(0)));
  const Value squares = ops::pad(g, ops::square(g, x), low, high);
  const Value sums = window_sums(g, squares, 1, before + after + 1, e[1]);
  const double alpha = n.real("alpha", 1e-4), beta = n.real("beta", 0.75), bias = n.real("bias", 1);
  const Value base = ops::add(g, ops::mul(g, sums, alpha / static_cast<double>(size)), bias);
  Value scale;
  if (beta == 0.75 && bias >= 0 && alpha >= 0) {  // no exponentials in the case that networks have
    const Value root = ops::rsqrt(g, base);
    scale = ops::mul(g, root, ops::sqrt(g, root));
  } else {
    scale = ops::pow(g, base, ops::scalar(g, g.type(base).dtype, -beta));
  }
  return {cast_to(g, ops::mul(g, x, scale), n.dtype(0))};
}

std::vector<Value> lp_normalization(OnnxNode& n) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  const int64_t p = n.integer("p", 2);
  if (p != 1 && p != 2) n.fail(fmt::format("p is {}, neither 1 nor 2", p));
  const DType dtype = n.dtype(0);
  const Value x = cast_to(g, n.input(0), wide(dtype));
  const std::vector<int64_t> axis{n.integer("axis", -1)};
  Value norm =
      p == 1 ? ops::sum(g, ops::abs(g, x), axis, true) : ops::sqrt(g, ops::sum(g, ops::square(g, x), axis, true));
  // Nothing but zeros stays that.
  const Value zero = ops::scalar(g, g.type(x).dtype, 0), one = ops::scalar(g, g.type(x).dtype, 1);
  norm = ops::select(g, ops::equal(g, norm, zero), one, norm);
  return {cast_to(g, ops::div(g, x, norm), dtype)};
}

std::vector<Value> mean_variance_normalization(OnnxNode& n) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  const DType dtype = n.dtype(0);
  std::vector<int64_t> axes{0, 2, 3};
  bool divides = true;
  if (n.opset() < 9) {
    if (n.integer("across_channels", 0) != 0) axes = {0, 1, 2, 3};
    divides = n.integer("normalize_variance", 1) != 0;
  } else {
    axes = n.integers("axes", axes);
  }
  const Value x = cast_to(g, n.input(0), wide(dtype));
  const Value centred = axes.empty() ? x : ops::sub(g, x, ops::mean(g, x, axes, true));
  if (!divides) return {cast_to(g, centred, dtype)};
  const Value square = ops::square(g, centred);
  const Value deviation = ops::sqrt(g, axes.empty() ? square : ops::mean(g, square, axes, true));
  return {cast_to(g, ops::div(g, centred, ops::add(g, deviation, 1e-9)), dtype)};
}

/// The sum of an input, what skips a block, and perhaps a bias; normalised.
std::vector<Value> skip_normalization(OnnxNode& n, bool rms) {
  Graph& g = n.graph();
  check_real_float(n, 0);
  if (n.rank(0) == 0) n.fail("the input is a scalar");
  Value x = ops::add(g, n.input(0), n.input(1));
  const int64_t bias = rms ? 3 : 4;
  if (n.has_input(bias)) x = ops::add(g, x, n.input(bias));
  if (g.type(x) != n.type(0)) n.fail("the operands do not have the shape of the first");
  const auto axis = static_cast<size_t>(n.rank(0) - 1);
  const double epsilon = epsilon_of(n, 1e-12);
  RowNorm r = rms ? rms_normalization(n, x, axis, 2, epsilon) : layer_normalization(n, x, axis, 2, 3, epsilon, 1);
  if (!r.mean.valid()) r.mean = r.inverse_deviation = x;  // results that nobody asks for
  if (rms && (n.has_output(1) || n.has_output(2))) n.unsupported("it gives no statistics");
  return {r.y, r.mean, r.inverse_deviation, x};
}

Value fast_gelu(Graph& g, Value x) {
  const Value cube = ops::mul(g, ops::mul(g, ops::mul(g, x, x), x), 0.044715);
  const Value t = ops::tanh(g, ops::mul(g, ops::add(g, x, cube), std::sqrt(2 / M_PI)));
  return ops::mul(g, ops::mul(g, x, 0.5), ops::add(g, t, 1.0));
}

}  // namespace

std::vector<OnnxMapping> normalization_mappings() {
  const auto layer = [](OnnxNode& n) {
    check_real_float(n, 0);
    return outputs_of(layer_normalization(n, n.input(0), first_axis(n), 1, 2, epsilon_of(n, 1e-5), 1));
  };
  const auto rms = [](OnnxNode& n) {
    check_real_float(n, 0);
    if (n.has_output(1) || n.has_output(2)) n.unsupported("it gives no statistics");
    return std::vector{rms_normalization(n, n.input(0), first_axis(n), 1, epsilon_of(n, 1e-5)).y};
  };
  const int64_t last = std::numeric_limits<int64_t>::max();
  return {
      {"BatchNormalization", 1, batch_normalization},
      {"InstanceNormalization", 1, instance_normalization},
      {"GroupNormalization", 18, group_normalization},
      {"LayerNormalization", 1, layer},  // some exporters wrote it before it was standard
      {"SimplifiedLayerNormalization", 1, rms},
      {"RMSNormalization", 23, rms},
      {"LRN", 1, lrn},
      {"LpNormalization", 1, lp_normalization},
      {"MeanVarianceNormalization", 1, mean_variance_normalization},
      {"SkipLayerNormalization", 1, [](OnnxNode& n) { return skip_normalization(n, false); }, last, "com.microsoft"},
      {"SkipSimplifiedLayerNormalization", 1, [](OnnxNode& n) { return skip_normalization(n, true); }, last,
       "com.microsoft"},
      {"BiasGelu", 1,
       [](OnnxNode& n) { return std::vector{ops::gelu(n.graph(), ops::add(n.graph(), n.input(0), n.input(1)))}; }, last,
       "com.microsoft"},
      {"FastGelu", 1,
       [](OnnxNode& n) {
         Graph& g = n.graph();
         return std::vector{fast_gelu(g, n.has_input(1) ? ops::add(g, n.input(0), n.input(1)) : n.input(0))};
       },
       last, "com.microsoft"},
      {"QuickGelu", 1,
       [](OnnxNode& n) {
         Graph& g = n.graph();
         const Value x = n.input(0);
         return std::vector{ops::mul(g, x, ops::sigmoid(g, ops::mul(g, x, n.real("alpha", 1.702))))};
       },
       last, "com.microsoft"},
  };
}

}  // namespace gregale::onnx
