// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/quantized.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

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

/// The elements of operand i less its zero point, operand `zero`, which `place` finds for each of [outer, k, inner].
std::vector<double> centred(OnnxNode& n, int64_t i, int64_t zero, const std::function<int64_t(int64_t)>& place) {
  std::vector<double> values = n.constant_reals(i);
  if (is_zero(n, zero)) return values;
  const std::vector<double> zeros = n.constant_reals(zero);
  for (size_t e = 0; e < values.size(); ++e)
    values[e] -= zeros.size() == 1 ? zeros[0] : zeros[static_cast<size_t>(place(static_cast<int64_t>(e)))];
  return values;
}

/// One zero point, or `count` of them.
void check_zeros(OnnxNode& n, int64_t i, int64_t count) {
  if (!n.has_input(i)) return;
  const int64_t own = element_count(n.extents(i));
  if (own != 1 && own != count) n.fail(fmt::format("input {} has {} zero points for {} places", i, own, count));
}

bool is_known(OnnxNode& n, int64_t i) { return !n.has_input(i) || n.is_constant(i); }

/// Weights as floats, made here and not in every run: the compiler folds no constants that are as large.
Value constant_of(OnnxNode& n, const std::vector<double>& values, const Extents& extents, DType dtype) {
  Tensor t(DType::f32, extents);
  const auto to = t.as<float>();
  for (size_t i = 0; i < values.size(); ++i) to[i] = static_cast<float>(values[i]);
  return n.graph().constant(dtype == DType::f32 ? std::move(t) : t.cast(dtype));
}

void check_bytes(OnnxNode& n, int64_t i) {
  const DType dtype = n.dtype(i);
  if (dtype != DType::u8 && dtype != DType::i8) n.fail(fmt::format("input {} is {}, not of 8 bits", i, name_of(dtype)));
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

Value reals_of(OnnxNode& n, Value integers, int64_t zero, const std::function<Value(Value)>& shape_zero) {
  Graph& g = n.graph();
  const Value x = ops::cast(g, integers, DType::f32);
  if (is_zero(n, zero)) return x;
  return ops::sub(g, x, shape_zero(ops::cast(g, n.input(zero), DType::f32)));
}

Value quantized(OnnxNode& n, Value x, Value zero, DType dtype) {
  Graph& g = n.graph();
  const IntegerRange range = range_of(n, dtype);
  Value y = ops::round(g, x);
  if (zero.valid()) y = ops::add(g, y, zero);
  y = ops::minimum(g, ops::maximum(g, y, scalar_like(g, y, range.low)), scalar_like(g, y, range.high));
  return ops::cast(g, y, dtype, true);
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

Parts integer_matmul(OnnxNode& n, const IntegerOperands& at) {
  Graph& g = n.graph();
  check_bytes(n, at.a);
  check_bytes(n, at.b);
  const Extents a_extents = n.extents(at.a), b_extents = n.extents(at.b);
  if (a_extents.empty() || b_extents.empty()) n.fail("an operand is a scalar");
  const bool row = a_extents.size() == 1, column = b_extents.size() == 1;
  const int64_t k = a_extents.back(), columns = column ? 1 : b_extents.back();
  if (k != (column ? b_extents[0] : b_extents[b_extents.size() - 2])) n.fail("the inner extents differ");
  Value a = reals_of(n, n.input(at.a), at.a_zero, [&](Value zero) {
    // One for each row.
    const Extents own = g.type(zero).shape.extents();
    if (own.size() != 1 || own[0] == 1) return zero;
    return ops::reshape(g, zero, Shape{own[0], 1});
  });
  Value b;
  std::vector<int64_t> ends;
  const int64_t most_zeros = n.has_input(at.b_zero) ? n.rank(at.b_zero) : 0;
  if (is_known(n, at.b) && is_known(n, at.b_zero) && most_zeros <= 1) {
    const int64_t outer = k * columns == 0 ? 0 : element_count(b_extents) / (k * columns);
    check_zeros(n, at.b_zero, columns);
    const std::vector<double> all = centred(n, at.b, at.b_zero, [&](int64_t e) { return e % columns; });
    ends = cuts_of_known(all, outer, k, columns);
    b = constant_of(n, all, b_extents, DType::bf16);
  } else {
    b = ops::cast(g, reals_of(n, n.input(at.b), at.b_zero, [](Value zero) { return zero; }), DType::bf16);
    ends = cuts_of_unknown(k, 1);
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

Parts integer_convolution(OnnxNode& n, const IntegerOperands& at) {
  Graph& g = n.graph();
  check_bytes(n, at.a);
  check_bytes(n, at.b);
  const Extents xs = n.extents(at.a), ws = n.extents(at.b);
  if (xs.size() < 3 || xs.size() != ws.size()) n.fail(fmt::format("ranks {} and {}", xs.size(), ws.size()));
  if (xs.size() > 5) n.unsupported(fmt::format("convolution of {} axes", xs.size() - 2));
  const std::vector<int64_t> kernel(ws.begin() + 2, ws.end());
  if (n.integers("kernel_shape", kernel) != kernel) n.fail("kernel_shape is not that of the weights");
  const Window o = window_of(n, {xs.begin() + 2, xs.end()}, kernel);
  const int64_t groups = n.integer("group", 1);
  if (groups < 1 || groups > xs[1] || xs[1] % groups != 0 || xs[1] / groups != ws[1])
    n.fail(fmt::format("{} groups of {} channels for weights of {}", groups, xs[1], ws[1]));
  const Value x = reals_of(n, n.input(at.a), at.a_zero, [](Value zero) { return zero; });
  Value w;
  const int64_t window = element_count(Extents(ws.begin() + 2, ws.end())), each = ws[1] * window;
  std::vector<int64_t> ends;
  if (is_known(n, at.b) && is_known(n, at.b_zero) && each > 0) {
    check_zeros(n, at.b_zero, ws[0]);
    const std::vector<double> all = centred(n, at.b, at.b_zero, [&](int64_t e) { return e / each; });
    w = constant_of(n, all, ws, DType::f32);
    // One number for each channel: the sum of its window.
    std::vector<double> channels(static_cast<size_t>(ws[0] * ws[1]), 0);
    for (size_t i = 0; i < all.size(); ++i) channels[i / static_cast<size_t>(window)] += std::abs(all[i]);
    ends = cuts_of_known(channels, ws[0], ws[1], 1);
  } else {
    w = reals_of(n, n.input(at.b), at.b_zero, [&](Value zero) {
      const Extents own = g.type(zero).shape.extents();
      if (own.size() != 1 || own[0] == 1) return zero;
      Extents shape(ws.size(), 1);
      shape[0] = own[0];
      return ops::reshape(g, zero, Shape(std::move(shape)));
    });
    ends = cuts_of_unknown(ws[1], std::max<int64_t>(1, window));
  }
  if (ends.size() == 1) return {convolution(n, x, w, o, groups)};
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
    parts.push_back(convolution(n, part, ops::slice_axis(g, w, 1, begin, end), o, groups));
    begin = end;
  }
  return parts;
}

}  // namespace gregale::onnx
