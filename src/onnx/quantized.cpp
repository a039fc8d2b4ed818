// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/quantized.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/inference.hpp"
#include "onnx/window.hpp"
#include "ops/common.hpp"

namespace gregale::onnx {
namespace {

constexpr double kExact = 0x1p24;  ///< whole numbers up to here are f32
constexpr double kFarthest = 255;  ///< from its zero point, of 8 bits
constexpr int64_t kLargest = int64_t{1} << 30;

/// Where sums over k of products must be cut, with b [outer, k, inner] known: the ends of the parts.
std::vector<int64_t> cuts_of_known(const std::vector<double>& b, int64_t outer, int64_t k, int64_t inner) {
  std::vector<int64_t> ends;
  std::vector<double> sums(static_cast<size_t>(outer * inner), 0);
  const double most = kExact / kFarthest;
  for (int64_t i = 0; i < k; ++i) {
    const auto magnitude = [&](int64_t s) {
      return std::abs(b[static_cast<size_t>((s / inner * k + i) * inner + s % inner)]);
    };
    bool full = false;
    for (int64_t s = 0; s < outer * inner && !full; ++s) full = sums[static_cast<size_t>(s)] + magnitude(s) > most;
    // A window alone may be too long; then its sum is rounded as those of f32 are.
    if (full && i > (ends.empty() ? 0 : ends.back())) {
      ends.push_back(i);
      std::fill(sums.begin(), sums.end(), 0.0);
    }
    for (int64_t s = 0; s < outer * inner; ++s) sums[static_cast<size_t>(s)] += magnitude(s);
  }
  ends.push_back(k);
  return ends;
}

std::vector<int64_t> cuts_of_unknown(int64_t k, int64_t terms_each) {
  const auto most = static_cast<int64_t>(kExact / (kFarthest * kFarthest)) / terms_each;
  std::vector<int64_t> ends;
  for (int64_t end = std::max<int64_t>(1, most); end < k; end += std::max<int64_t>(1, most)) ends.push_back(end);
  ends.push_back(k);
  return ends;
}

std::vector<double> reals_of_constant(const Tensor& t) {
  const Tensor wide = t.cast(DType::f64);
  const auto values = wide.as<double>();
  return {values.begin(), values.end()};
}

/// The elements of a known operand less its zero point, which `place` finds for each of them.
std::vector<double> centred(Graph& g, Value v, Value zero, const std::function<int64_t(int64_t)>& place) {
  std::vector<double> values = reals_of_constant(*constant_of(g, v));
  if (!zero.valid()) return values;
  const std::vector<double> zeros = reals_of_constant(*constant_of(g, zero));
  for (size_t e = 0; e < values.size(); ++e)
    values[e] -= zeros.size() == 1 ? zeros[0] : zeros[static_cast<size_t>(place(static_cast<int64_t>(e)))];
  return values;
}

/// One zero point, or `count` of them.
void check_zeros(OnnxNode& n, Value zero, int64_t count) {
  if (!zero.valid()) return;
  const int64_t own = n.graph().type(zero).shape.elements();
  if (own != 1 && own != count) n.fail(fmt::format("there are {} zero points for {} places", own, count));
}

/// Integers as f32, less their zero point.
Value reals_of(Graph& g, Value integers, Value zero, const std::function<Value(Value)>& shape_zero) {
  const Value x = ops::cast(g, integers, DType::f32);
  return zero.valid() ? ops::sub(g, x, shape_zero(ops::cast(g, zero, DType::f32))) : x;
}

bool is_known(const Graph& g, Value v) { return !v.valid() || constant_of(g, v) != nullptr; }

/// Weights as floats, made here and not in every run: the compiler folds no constants that are as large.
Value weights_of(OnnxNode& n, const std::vector<double>& values, const Extents& extents, DType dtype) {
  Tensor t(DType::f32, extents);
  const auto to = t.as<float>();
  for (size_t i = 0; i < values.size(); ++i) to[i] = static_cast<float>(values[i]);
  return n.graph().constant(dtype == DType::f32 ? std::move(t) : t.cast(dtype));
}

bool is_byte(const Graph& g, Value v) { return g.type(v).dtype == DType::u8 || g.type(v).dtype == DType::i8; }
void check_bytes(OnnxNode& n, Value v) {
  if (!is_byte(n.graph(), v)) n.fail(fmt::format("an operand is {}, not of 8 bits", to_string(n.graph().type(v))));
}

}  // namespace

IntegerRange range_of(OnnxNode& n, DType dtype) {
  switch (dtype) {
    case DType::u8:
      return {0, 255};
    case DType::i8:
      return {-128, 127};
    case DType::u16:
      return {0, 65535};
    case DType::i16:
      return {-32768, 32767};
    default:
      n.unsupported(fmt::format("quantising to {}", name_of(dtype)));
  }
}

bool is_zero(OnnxNode& n, int64_t i) {
  if (!n.has_input(i)) return true;
  if (!n.is_constant(i)) return false;
  const std::vector<double> all = n.constant_reals(i);
  return std::all_of(all.begin(), all.end(), [](double v) { return v == 0; });
}

Value along_axis(OnnxNode& n, int64_t input, const Extents& extents, int64_t axis, int64_t block) {
  Graph& g = n.graph();
  const Extents own = n.extents(input);
  const auto rank = static_cast<int64_t>(extents.size());
  if (element_count(own) == 1) return as_scalar(n, input);
  axis = axis_in(n, axis, rank);
  const auto at = static_cast<size_t>(axis);
  if (own.size() == 1 && block == 0) {
    if (own[0] != extents[at])
      n.fail(fmt::format("input {} has {} elements for {} places along axis {}", input, own[0], extents[at], axis));
    Extents shape(extents.size(), 1);
    shape[at] = own[0];
    return ops::reshape(g, n.input(input), Shape(std::move(shape)));
  }
  if (own.size() != extents.size()) n.fail(fmt::format("input {} has rank {}, not {}", input, own.size(), rank));
  const int64_t blocks = own[at];
  if (block == 0 && blocks > 0) block = (extents[at] + blocks - 1) / blocks;
  if (block < 1 || block > kLargest || blocks < 1 || (extents[at] + block - 1) / block != blocks)
    n.fail(fmt::format("{} blocks of {} are not {} places", blocks, block, extents[at]));
  Extents apart = own, spread = own, whole = own;
  apart.insert(apart.begin() + axis + 1, 1);
  spread.insert(spread.begin() + axis + 1, block);
  whole[at] = blocks * block;
  const Value wide = ops::broadcast_to(g, ops::reshape(g, n.input(input), Shape(apart)), Shape(spread));
  return ops::slice_axis(g, ops::reshape(g, wide, Shape(whole)), axis, 0, extents[at]);
}

Value known_input(OnnxNode& n, int64_t i) {
  const Value v = n.input(i);
  if (constant_of(n.graph(), v) != nullptr || !n.is_constant(i)) return v;
  return n.graph().constant(n.constant(i));
}

Value quantized(OnnxNode& n, Value x, Value zero, DType dtype) {
  Graph& g = n.graph();
  const IntegerRange range = range_of(n, dtype);
  Value y = ops::round(g, x);
  if (zero.valid()) y = ops::add(g, y, zero);
  y = ops::minimum(g, ops::maximum(g, y, scalar_like(g, y, range.low)), scalar_like(g, y, range.high));
  return ops::cast(g, y, dtype, true);
}

DynamicallyQuantized dynamically_quantized(OnnxNode& n, Value x) {
  Graph& g = n.graph();
  if (element_count(g.type(x).shape.extents()) == 0) n.fail("there is no element to quantise");
  const Value none = ops::scalar(g, DType::f32, 0);
  const Value low = ops::minimum(g, ops::min(g, x), none), high = ops::maximum(g, ops::max(g, x), none);
  const Value width = ops::sub(g, high, low);
  // All zeros are 0 on any scale.
  const Value scale = ops::select(g, ops::equal(g, width, none), ops::scalar(g, DType::f32, 1),
                                  ops::div(g, width, ops::scalar(g, DType::f32, 255)));
  const Value wanted = ops::neg(g, ops::div(g, low, scale));
  const Value zero = ops::round(g, ops::minimum(g, ops::maximum(g, wanted, none), ops::scalar(g, DType::f32, 255)));
  return {quantized(n, ops::div(g, x, scale), zero, DType::u8), scale, zero};
}

Value sum_as_reals(Graph& g, const Parts& parts) {
  Value sum = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) sum = ops::add(g, sum, parts[i]);
  return sum;
}

Value sum_as_integers(Graph& g, const Parts& parts) {
  Value sum = ops::cast(g, parts[0], DType::i32, true);
  for (size_t i = 1; i < parts.size(); ++i) sum = ops::add(g, sum, ops::cast(g, parts[i], DType::i32, true));
  return sum;
}

IntegerOperands integer_operands(OnnxNode& n, int64_t a, int64_t b, int64_t a_zero, int64_t b_zero) {
  const auto zero = [&](int64_t i) { return is_zero(n, i) ? Value() : known_input(n, i); };
  return {known_input(n, a), known_input(n, b), zero(a_zero), zero(b_zero)};
}

Parts integer_matmul(OnnxNode& n, const IntegerOperands& o, bool exact) {
  Graph& g = n.graph();
  check_bytes(n, o.a);
  check_bytes(n, o.b);
  const auto extents = [&](Value v) { return g.type(v).shape.extents(); };
  const Extents a_extents = extents(o.a), b_extents = extents(o.b);
  if (a_extents.empty() || b_extents.empty()) n.fail("an operand is a scalar");
  const bool row = a_extents.size() == 1, column = b_extents.size() == 1;
  const int64_t k = a_extents.back(), columns = column ? 1 : b_extents.back();
  if (k != (column ? b_extents[0] : b_extents[b_extents.size() - 2])) n.fail("the inner extents differ");
  Value a = reals_of(g, o.a, o.a_zero, [&](Value zero) {
    // One for each row.
    const Extents own = extents(zero);
    if (own.size() != 1 || own[0] == 1) return zero;
    return ops::reshape(g, zero, Shape{own[0], 1});
  });
  Value b;
  std::vector<int64_t> ends;
  const int64_t most_zeros = o.b_zero.valid() ? g.type(o.b_zero).rank() : 0;
  if (is_known(g, o.b) && is_known(g, o.b_zero) && most_zeros <= 1) {
    const int64_t outer = k * columns == 0 ? 0 : element_count(b_extents) / (k * columns);
    check_zeros(n, o.b_zero, columns);
    const std::vector<double> all = centred(g, o.b, o.b_zero, [&](int64_t e) { return e % columns; });
    ends = exact ? cuts_of_known(all, outer, k, columns) : std::vector{k};
    b = weights_of(n, all, b_extents, DType::bf16);
  } else {
    b = ops::cast(g, reals_of(g, o.b, o.b_zero, [](Value zero) { return zero; }), DType::bf16);
    ends = exact ? cuts_of_unknown(k, 1) : std::vector{k};
  }
  // Differences of bytes have eight digits: bf16 holds them, and units of bf16 sum their products in f32.
  a = ops::cast(g, a, DType::bf16);
  if (row) a = ops::reshape(g, a, Shape{1, k});
  if (column) b = ops::reshape(g, b, Shape{k, 1});
  Parts parts;
  int64_t begin = 0;
  const int64_t rank_a = g.type(a).rank(), rank_b = g.type(b).rank();
  for (const int64_t end : ends) {
    const bool whole = ends.size() == 1;
    Value part = ops::matmul(g, whole ? a : ops::slice_axis(g, a, rank_a - 1, begin, end),
                             whole ? b : ops::slice_axis(g, b, rank_b - 2, begin, end), false, false, true);
    if (row || column) {
      Extents extents = g.type(part).shape.extents();
      if (column) extents.pop_back();
      if (row) extents.erase(extents.end() - (column ? 1 : 2));
      part = ops::reshape(g, part, Shape(std::move(extents)));
    }
    parts.push_back(part);
    begin = end;
  }
  return parts;
}

Parts integer_convolution(OnnxNode& n, const IntegerOperands& o, bool exact) {
  Graph& g = n.graph();
  check_bytes(n, o.a);
  check_bytes(n, o.b);
  const Extents xs = g.type(o.a).shape.extents(), ws = g.type(o.b).shape.extents();
  if (xs.size() < 3 || xs.size() != ws.size()) n.fail(fmt::format("ranks {} and {}", xs.size(), ws.size()));
  if (xs.size() > 5) n.unsupported(fmt::format("convolution of {} axes", xs.size() - 2));
  const std::vector<int64_t> kernel(ws.begin() + 2, ws.end());
  if (n.integers("kernel_shape", kernel) != kernel) n.fail("kernel_shape is not that of the weights");
  const Window window = window_of(n, {xs.begin() + 2, xs.end()}, kernel);
  const int64_t groups = n.integer("group", 1);
  if (groups < 1 || groups > xs[1] || xs[1] % groups != 0 || xs[1] / groups != ws[1])
    n.fail(fmt::format("{} groups of {} channels for weights of {}", groups, xs[1], ws[1]));
  const Value x = reals_of(g, o.a, o.a_zero, [](Value zero) { return zero; });
  Value w;
  const int64_t taps = element_count(kernel), each = ws[1] * taps;
  std::vector<int64_t> ends;
  if (is_known(g, o.b) && is_known(g, o.b_zero) && each > 0) {
    check_zeros(n, o.b_zero, ws[0]);
    const std::vector<double> all = centred(g, o.b, o.b_zero, [&](int64_t e) { return e / each; });
    w = weights_of(n, all, ws, DType::f32);
    // One number for each channel: the sum of its window.
    std::vector<double> channels(static_cast<size_t>(ws[0] * ws[1]), 0);
    for (size_t i = 0; i < all.size(); ++i) channels[i / static_cast<size_t>(taps)] += std::abs(all[i]);
    ends = cuts_of_known(channels, ws[0], ws[1], 1);
  } else {
    w = reals_of(g, o.b, o.b_zero, [&](Value zero) {
      const Extents own = g.type(zero).shape.extents();
      if (own.size() != 1 || own[0] == 1) return zero;
      Extents shape(ws.size(), 1);
      shape[0] = own[0];
      return ops::reshape(g, zero, Shape(std::move(shape)));
    });
    ends = cuts_of_unknown(ws[1], std::max<int64_t>(1, taps));
  }
  if (!exact) ends = {ws[1]};
  if (ends.size() == 1) return {convolution(n, x, w, window, groups)};
  Parts parts;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    Value part = x;
    if (groups == 1) {
      part = ops::slice_axis(g, x, 1, begin, end);
    } else {  // the same channels of every group
      Extents apart = xs, joined = xs;
      apart[1] = ws[1];
      apart.insert(apart.begin() + 1, groups);
      joined[1] = groups * (end - begin);
      part = ops::slice_axis(g, ops::reshape(g, x, Shape(apart)), 2, begin, end);
      part = ops::reshape(g, part, Shape(joined));
    }
    parts.push_back(convolution(n, part, ops::slice_axis(g, w, 1, begin, end), window, groups));
    begin = end;
  }
  return parts;
}

namespace {

/// Scale or zero point as one number for all; nothing where there are more.
bool is_one(const Graph& g, Value v) { return !v.valid() || g.type(v).shape.elements() == 1; }

/// Whether v, of the weights w, is one number or a list along their axis `axis`.
bool goes_along(const Graph& g, const OnnxQuantized& w, Value v, int64_t axis) {
  return is_one(g, v) || (w.axis == axis && g.type(v).rank() == 1);
}

/// Inputs 0 and 1 where both were quantised in 8 bits, the latter known and along its axis `axis`.
std::optional<std::pair<OnnxQuantized, OnnxQuantized>> quantized_pair(OnnxNode& n, int64_t axis) {
  const Graph& g = n.graph();
  const OnnxQuantized *a = n.quantized(0), *b = n.quantized(1);
  if (a == nullptr || b == nullptr || n.dtype(0) != DType::f32 || n.dtype(1) != DType::f32) return {};
  if (!is_byte(g, a->integers) || !is_byte(g, b->integers) || !is_one(g, a->scale) || !is_one(g, a->zero)) return {};
  if (!is_known(g, b->integers) || !is_known(g, b->zero)) return {};
  if (!goes_along(g, *b, b->scale, axis) || !goes_along(g, *b, b->zero, axis)) return {};
  return std::pair{*a, *b};
}

/// The sums times both scales; those of b go along an axis of the result that `behind` others follow.
Value scaled_sum(OnnxNode& n, Value sum, const OnnxQuantized& a, const OnnxQuantized& b, int64_t behind) {
  Graph& g = n.graph();
  const auto shaped = [&](Value v) {
    Extents shape;
    if (!is_one(g, v)) {
      shape.assign(static_cast<size_t>(behind + 1), 1);
      shape[0] = g.type(v).shape.elements();
    }
    return ops::reshape(g, ops::cast(g, v, DType::f32), Shape(std::move(shape)));
  };
  return ops::mul(g, sum, ops::mul(g, shaped(a.scale), shaped(b.scale)));
}

/// v as a constant with its two axes exchanged.
Value transposed_constant(Graph& g, Value v) {
  const Tensor& from = *constant_of(g, v);
  const int64_t rows = from.extents()[0], columns = from.extents()[1];
  Tensor to(from.dtype(), {columns, rows});
  const auto* src = static_cast<const uint8_t*>(from.data());
  auto* dst = static_cast<uint8_t*>(to.data());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) dst[c * rows + r] = src[r * columns + c];
  return g.constant(std::move(to));
}

}  // namespace

Value matmul_of_quantized(OnnxNode& n, bool transposed_b) {
  Graph& g = n.graph();
  if (n.rank(0) < 2 || n.rank(1) != 2) return {};
  const auto pair = quantized_pair(n, transposed_b ? 0 : 1);
  if (!pair) return {};
  const auto& [a, b] = *pair;
  const Value weights = transposed_b ? transposed_constant(g, b.integers) : b.integers;
  const Value sum = sum_as_reals(g, integer_matmul(n, {a.integers, weights, a.zero, b.zero}, false));
  return scaled_sum(n, sum, a, b, 0);
}

Value convolution_of_quantized(OnnxNode& n) {
  Graph& g = n.graph();
  const auto pair = quantized_pair(n, 0);
  if (!pair || n.integer("group", 1) != 1) return {};
  const auto& [x, w] = *pair;
  const Value sum = sum_as_reals(g, integer_convolution(n, {x.integers, w.integers, x.zero, w.zero}, false));
  return scaled_sum(n, sum, x, w, n.rank(0) - 2);
}

}  // namespace gregale::onnx
