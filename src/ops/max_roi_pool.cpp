// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_node.hpp"
#include "ops/shapes.hpp"
#include "ops/window.hpp"

namespace gregale::ops {
namespace {

struct Regions {
  int64_t n = 0, c = 0, h = 0, w = 0, rois = 0, out_h = 0, out_w = 0;
  double scale = 1;
};

Regions regions_of(const NodeView& node) {
  const Shape& x = node.input(0).shape;
  GREGALE_CHECK(node.input(1).shape[1] == Dim(5), shape, "[max_roi_pool] regions are {}; expected [r, 5]",
                to_string(node.input(1)));
  const auto& size = check_entries(node, "size", 2, 1);
  return {constant_extent(node, x, 0),
          constant_extent(node, x, 1),
          constant_extent(node, x, 2),
          constant_extent(node, x, 3),
          constant_extent(node, node.input(1).shape, 0),
          size[0],
          size[1],
          node.real("spatial_scale")};
}

template <class T>
void pool_region(const Regions& a, const T* x, const T* region, T* y) {
  const auto image = static_cast<double>(region[0]);
  GREGALE_CHECK(image >= 0 && image < static_cast<double>(a.n), invalid_argument,
                "[max_roi_pool] a region is of image {}, of {}", image, a.n);
  int64_t corner[4];  // left, top, right, bottom
  for (int i = 0; i < 4; ++i) {
    // In f32, as those who write such models have it: a product that is exactly a half there need not be one in f64.
    const float v = std::round(static_cast<float>(region[1 + i]) * static_cast<float>(a.scale));
    GREGALE_CHECK(std::abs(v) <= 0x1p30F, invalid_argument, "[max_roi_pool] a region reaches to {}", v);
    corner[i] = static_cast<int64_t>(v);
  }
  // From floor(o extent / bins) to ceil((o + 1) extent / bins), inside the image.
  const auto range = [](int64_t start, int64_t end, int64_t o, int64_t bins, int64_t limit) {
    const int64_t extent = std::max<int64_t>(end - start + 1, 1);
    const int64_t first = o * extent / bins + start, last = ((o + 1) * extent + bins - 1) / bins + start;
    return std::make_pair(std::clamp<int64_t>(first, 0, limit), std::clamp<int64_t>(last, 0, limit));
  };
  for (int64_t c = 0; c < a.c; ++c) {
    const T* plane = x + (static_cast<int64_t>(image) * a.c + c) * a.h * a.w;
    for (int64_t i = 0; i < a.out_h; ++i)
      for (int64_t j = 0; j < a.out_w; ++j, ++y) {
        const auto [top, bottom] = range(corner[1], corner[3], i, a.out_h, a.h);
        const auto [left, right] = range(corner[0], corner[2], j, a.out_w, a.w);
        *y = 0;
        for (int64_t r = top; r < bottom; ++r)
          for (int64_t s = left; s < right; ++s) {
            const T v = plane[r * a.w + s];
            if ((r == top && s == left) || v > *y) *y = v;
          }
      }
  }
}

template <class T>
void pool_all(const Regions& a, const T* x, const T* regions, T* y, int64_t begin, int64_t end) {
  for (int64_t roi = begin; roi < end; ++roi) pool_region(a, x, regions + roi * 5, y + roi * a.c * a.out_h * a.out_w);
}

}  // namespace

const OpDef& max_roi_pool_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "max_roi_pool";
    d.doc =
        "Regions of images as images of one size: each region, its corners rounded to elements, is split into bins, of "
        "which the greatest element is taken; 0 where a bin has none. Girshick, \"Fast R-CNN\", ICCV 2015.";
    d.inputs = {
        {"x", "[n, c, h, w], real floats"},
        {"regions", "[r, 5]: image, left, top, right, bottom, in units of 1/spatial_scale elements; of x's dtype"}};
    d.outputs = {{"y", "[r, c, height, width]"}};
    d.attributes = {{"size", AttributeKind::integers, "height and width of the result", {}},
                    {"spatial_scale", AttributeKind::real, "what coordinates are multiplied by", 1.0}};
    d.infer = [](const NodeView& node) {
      check_real_float(node, 0);
      check_same_dtype(node, 0, 1);
      check_rank(node, 0, 4);
      check_rank(node, 1, 2);
      const Regions a = regions_of(node);
      return std::vector<Type>{Type(node.input(0).dtype, Shape{a.rois, a.c, a.out_h, a.out_w})};
    };
    d.reference = [](ReferenceContext& c) {
      const Regions a = regions_of(c.node);
      pool_all(a, c.inputs[0].real().data(), c.inputs[1].real().data(), c.outputs[0].real().data(), 0, a.rois);
    };
    d.no_gradient = "what scatters cotangents back to the image is not written";
    d.lowerings = {{"f32", [](const NodeView& node, const Target&) -> Result<Kernel> {
                      if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
                      Kernel k;
                      k.run = [a = regions_of(node)](const Launch& l) {
                        parallel_for(l.team, a.rois, 1, [&](int64_t begin, int64_t end, int) {
                          pool_all(a, static_cast<const float*>(l.inputs[0]), static_cast<const float*>(l.inputs[1]),
                                   static_cast<float*>(l.outputs[0]), begin, end);
                        });
                      };
                      return k;
                    }}};
    d.samples = [] {
      return std::vector<Sample>{
          {.inputs = {sample_distinct({2, 3, 6, 7}, 1),
                      Tensor::from(std::vector<double>{1, 0, 2, 8, 9, 0, 3, 1, 4, 3, 1, 6, 5, 2, 2}, {3, 5})},
           .attributes = {{"size", std::vector<int64_t>{3, 2}}, {"spatial_scale", 0.5}},
           .check_gradient = false}};
    };
    d.onnx = {{"MaxRoiPool", 1, [](OnnxNode& n) {
                 return std::vector{n.graph().add1(
                     max_roi_pool_op(), {n.input(0), n.input(1)},
                     {{"size", n.required_integers("pooled_shape")}, {"spatial_scale", n.real("spatial_scale", 1)}})};
               }}};
    return d;
  }();
  return op;
}

}  // namespace gregale::ops
