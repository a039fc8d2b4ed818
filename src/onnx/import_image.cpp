// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "onnx/operators.hpp"
#include "onnx/window.hpp"

namespace gregale::onnx {
namespace {

std::vector<Value> grid_sample(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents spatial = spatial_extents(n, 0);
  const bool align = n.integer("align_corners", 0) != 0;
  std::string mode = n.string("mode", "linear"), padding = n.string("padding_mode", "zeros");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  if (mode != "nearest" && mode != "linear" && mode != "cubic") n.fail(fmt::format("mode is '{}'", mode));
  if (padding != "zeros" && padding != "border" && padding != "reflection")
    n.fail(fmt::format("padding_mode is '{}'", padding));
  if (spatial.size() > 3) n.unsupported(fmt::format("points among {} axes", spatial.size()));
  if (n.rank(1) < 2 || n.extents(1).back() != static_cast<int64_t>(spatial.size()))
    n.fail(fmt::format("the grid is {} for {}", to_string(n.type(1)), to_string(n.type(0))));
  // From [-1, 1], the last axis first, to elements, the first axis first.
  const DType work = n.dtype(1) == DType::f64 ? DType::f64 : DType::f32;
  Value points = ops::reverse(g, ops::cast(g, n.input(1), work), {-1});
  std::vector<double> sizes;
  for (int64_t e : spatial) sizes.push_back(static_cast<double>(align ? e - 1 : e));
  const Value size = g.constant(Tensor::from(sizes, {static_cast<int64_t>(sizes.size())}).cast(work));
  points = ops::add(g, points, 1.0);
  if (align) {
    points = ops::mul(g, ops::mul(g, points, 0.5), size);
    if (padding == "reflection") padding = "center_reflection";
  } else {
    points = ops::mul(g, ops::add(g, ops::mul(g, points, size), -1.0), 0.5);
  }
  return {ops::sample_points(g, n.input(0), points, mode, padding)};
}

std::vector<Value> affine_grid(OnnxNode& n) {
  Graph& g = n.graph();
  const std::vector<int64_t> size = n.constant_integers(1);
  const bool align = n.integer("align_corners", 0) != 0;
  const size_t rank = size.size() - 2;
  if (size.size() != 4 && size.size() != 5) n.fail(fmt::format("size has {} numbers", size.size()));
  check_numbers(n, "size", size, size.size(), 0);
  const auto axes = static_cast<int64_t>(rank);
  if (n.extents(0) != Extents{size[0], axes, axes + 1})
    n.fail(fmt::format("theta is {} for {} axes", to_string(n.type(0)), rank));
  const Extents spatial(size.begin() + 2, size.end());
  const int64_t points = element_count(spatial);
  std::vector<double> base(static_cast<size_t>(element_count({points, axes + 1})));
  for (int64_t p = 0; p < points; ++p) {
    double* row = base.data() + p * (axes + 1);
    row[rank] = 1;
    int64_t rest = p;
    for (size_t i = rank; i-- > 0; rest /= spatial[i]) {  // the last axis first
      const auto at = static_cast<double>(rest % spatial[i]), extent = static_cast<double>(spatial[i]);
      row[rank - 1 - i] = !align ? (2 * at + 1) / extent - 1 : spatial[i] == 1 ? -1 : 2 * at / (extent - 1) - 1;
    }
  }
  const Value grid = g.constant(Tensor::from(base, {1, points, axes + 1}).cast(n.dtype(0)));
  Extents result{size[0]};
  result.insert(result.end(), spatial.begin(), spatial.end());
  result.push_back(axes);
  return {with_extents(g, ops::matmul(g, grid, n.input(0), false, true), result)};
}

}  // namespace

std::vector<OnnxMapping> image_mappings() {
  std::vector<OnnxMapping> all{{"GridSample", 16, grid_sample}, {"AffineGrid", 20, affine_grid}};
  for (OnnxMapping& m : resize_mappings()) all.push_back(std::move(m));
  return all;
}

}  // namespace gregale::onnx
