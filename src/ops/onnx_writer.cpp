// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/onnx_writer.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "gregale/error.hpp"

namespace gregale {

std::string OnnxWriter::integers(const std::vector<int64_t>& values) {
  return constant(Tensor::from<int64_t>(values, {static_cast<int64_t>(values.size())}));
}

std::string OnnxWriter::scalar(DType dtype, double value) { return constant(Tensor::full(dtype, {}, value)); }

namespace {

Extents extents_in_file(const Type& type) {
  Extents extents = type.shape.extents();
  if (is_complex(type.dtype)) extents.push_back(2);
  return extents;
}

}  // namespace

Extents OnnxWriter::extents(int64_t i) const { return extents_in_file(view().input(i)); }
Extents OnnxWriter::output_extents(int64_t i) const {
  return extents_in_file(view().outputs().at(static_cast<size_t>(i)));
}

void OnnxWriter::unsupported(const std::string& why) const {
  throw_error(ErrorCode::unsupported, fmt::format("[onnx] '{}' cannot be exported: {}", view().op().name, why));
}

std::function<void(OnnxWriter&)> one_node(std::string op_type) {
  return [op_type](OnnxWriter& w) {
    for (const Type& t : w.view().inputs())
      if (is_complex(t.dtype)) w.unsupported("of complex numbers");
    w.same(op_type);
  };
}

std::pair<std::string, std::string> onnx_parts(OnnxWriter& w, const std::string& pair) {
  const auto part = [&](int64_t i) {
    return w.add1("Gather", {pair, w.constant(Tensor::scalar<int64_t>(i))}, {{"axis", int64_t{-1}}});
  };
  return {part(0), part(1)};
}

std::string onnx_pair(OnnxWriter& w, const std::string& re, const std::string& im) {
  const std::string last = w.integers({-1});
  return w.add1("Concat", {w.add1("Unsqueeze", {re, last}), w.add1("Unsqueeze", {im, last})}, {{"axis", int64_t{-1}}});
}

std::string onnx_pair_of_halves(OnnxWriter& w, const std::string& halves) {
  const OnnxWriter::Names parts = w.add("Split", {halves}, {{"axis", int64_t{-1}}}, 2);
  return onnx_pair(w, parts[0], parts[1]);
}

std::string onnx_halves(OnnxWriter& w, const std::string& pair) {
  const auto [re, im] = onnx_parts(w, pair);
  return w.add1("Concat", {re, im}, {{"axis", int64_t{-1}}});
}

namespace {

/// x with `axis` last, or back; `extra` axes follow that stay.
std::string axis_last(OnnxWriter& w, const std::string& x, int64_t rank, int64_t axis, bool back) {
  if (axis == rank - 1) return x;
  std::vector<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (back)
    std::rotate(order.begin() + axis, order.end() - 1, order.end());
  else
    std::rotate(order.begin() + axis, order.begin() + axis + 1, order.end());
  return w.add1("Transpose", {x}, {{"perm", order}});
}

/// cos or sin of 2 pi j k / n, [rows, columns], times a factor for each row.
Tensor waves(int64_t rows, int64_t columns, int64_t n, bool sine, const std::function<double(int64_t)>& factor) {
  Tensor t(DType::f32, {rows, columns});
  for (int64_t j = 0; j < rows; ++j)
    for (int64_t k = 0; k < columns; ++k) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n);
      t.as<float>()[static_cast<size_t>(j * columns + k)] =
          static_cast<float>((sine ? std::sin(angle) : std::cos(angle)) * factor(j));
    }
  return t;
}

}  // namespace

std::string onnx_dft(OnnxWriter& w, const std::string& x, const Extents& extents, bool is_complex, int64_t axis,
                     int64_t modes, bool inverse) {
  const auto rank = static_cast<int64_t>(extents.size());
  const int64_t n = extents[static_cast<size_t>(axis)];
  const bool onesided = modes != n;
  if (!w.fft_as_matmul()) {
    // One-sided transforms are of real operands alone.
    const std::string pair = is_complex ? x : w.add1("Unsqueeze", {x, w.integers({-1})});
    return w.add1("DFT", {pair}, {{"axis", axis}, {"inverse", int64_t{inverse}}, {"onesided", int64_t{onesided}}});
  }
  const auto one = [](int64_t) { return 1.0; };
  const double turn = inverse ? 1 : -1;  // the sign of the exponent
  const std::string c = w.constant(waves(n, modes, n, false, one)),
                    s = w.constant(waves(n, modes, n, true, [&](int64_t) { return turn; }));
  std::string re = x, im;
  if (is_complex) std::tie(re, im) = onnx_parts(w, x);
  re = axis_last(w, re, rank, axis, false);
  std::string y_re = w.add1("MatMul", {re, c}), y_im = w.add1("MatMul", {re, s});
  if (is_complex) {
    im = axis_last(w, im, rank, axis, false);
    y_re = w.add1("Sub", {y_re, w.add1("MatMul", {im, s})});
    y_im = w.add1("Add", {y_im, w.add1("MatMul", {im, c})});
  }
  return onnx_pair(w, axis_last(w, y_re, rank, axis, true), axis_last(w, y_im, rank, axis, true));
}

std::string onnx_real_inverse_dft(OnnxWriter& w, const std::string& z, const Extents& extents, int64_t axis,
                                  int64_t n) {
  const auto rank = static_cast<int64_t>(extents.size());
  const int64_t modes = extents[static_cast<size_t>(axis)];
  // A mode and its mirror image give twice the real part; the first and, for even n, the last are their own images.
  const auto weight = [&](int64_t j) { return j == 0 || 2 * j == n ? 1.0 : 2.0; };
  auto [re, im] = onnx_parts(w, z);
  const std::string c = w.constant(waves(modes, n, n, false, weight)), s = w.constant(waves(modes, n, n, true, weight));
  re = w.add1("MatMul", {axis_last(w, re, rank, axis, false), c});
  im = w.add1("MatMul", {axis_last(w, im, rank, axis, false), s});
  return axis_last(w, w.add1("Sub", {re, im}), rank, axis, true);
}

std::string onnx_scaled(OnnxWriter& w, const std::string& z, DType dtype, const std::string& norm, bool inverse,
                        int64_t n, bool bare, int64_t scaled) {
  const auto points = static_cast<double>(n);
  double scale = norm == "ortho" ? 1 / std::sqrt(points) : (norm == "backward") == inverse ? 1 / points : 1;
  if (!bare && inverse) scale *= static_cast<double>(scaled == 0 ? n : scaled);
  if (scale == 1) return z;
  return w.add1("Mul", {z, w.scalar(is_complex(dtype) ? real_of(dtype) : dtype, scale)});
}

std::string onnx_indices(OnnxWriter& w, int64_t i) {
  if (w.view().input(i).dtype == DType::i64) return w.input(i);
  return w.add1("Cast", {w.input(i)}, {{"to", onnx_element_type(DType::i64)}});
}

std::string onnx_scatter_reduction(OnnxWriter& w) {
  const std::string& reduction = w.view().string("reduction");
  if (reduction != "none" && reduction != "add" && reduction != "mul") w.unsupported("reduction " + reduction);
  return reduction;
}

}  // namespace gregale
