// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"
#include "ops/window.hpp"

namespace gregale::ops {
namespace {

struct Alignment {
  int64_t n = 0, c = 0, h = 0, w = 0, rois = 0, out_h = 0, out_w = 0, ratio = 0;
  double scale = 1;
  bool average = true, half_pixel = true;
};

Alignment alignment_of(const NodeView& node) {
  Alignment a;
  const Shape &x = node.input(0).shape, &rois = node.input(1).shape;
  GREGALE_CHECK(rois[1] == Dim(4) && node.input(2).shape[0] == rois[0], shape,
                "[roi_align] regions are {} of images {}; expected [r, 4] and [r]", to_string(node.input(1)),
                to_string(node.input(2)));
  a.n = constant_extent(node, x, 0);
  a.c = constant_extent(node, x, 1);
  a.h = constant_extent(node, x, 2);
  a.w = constant_extent(node, x, 3);
  a.rois = constant_extent(node, rois, 0);
  const auto& size = check_entries(node, "size", 2, 1);
  a.out_h = size[0];
  a.out_w = size[1];
  a.ratio = node.integer("sampling_ratio");
  GREGALE_CHECK(a.ratio >= 0 && a.ratio <= 1024, invalid_argument, "[roi_align] sampling_ratio {} is outside [0, 1024]",
                a.ratio);
  a.scale = node.real("spatial_scale");
  a.half_pixel = node.boolean("half_pixel");
  const std::string& mode = node.string("mode");
  GREGALE_CHECK(mode == "avg" || mode == "max", invalid_argument, "[roi_align] mode '{}' is none of avg, max", mode);
  a.average = mode == "avg";
  return a;
}

std::vector<Type> infer_roi_align(const NodeView& node) {
  check_real_float(node, 0);
  check_same_dtype(node, 0, 1);
  check_dtype(node, 2, DType::i64);
  check_rank(node, 0, 4);
  check_rank(node, 1, 2);
  check_rank(node, 2, 1);
  const Alignment a = alignment_of(node);
  return {Type(node.input(0).dtype, Shape{a.rois, a.c, a.out_h, a.out_w})};
}

/// The two elements around a coordinate.
struct Between {
  int64_t low = 0, high = 0;
  double share = 0;  ///< of high
  bool inside = false;
};
Between between(double v, int64_t extent) {
  if (!(v >= -1 && v <= static_cast<double>(extent)) || extent == 0) return {};
  v = std::max(v, 0.0);
  const auto low = static_cast<int64_t>(v);
  if (low >= extent - 1) return {extent - 1, extent - 1, 0, true};
  return {low, low + 1, v - static_cast<double>(low), true};
}

/// How many samples a bin takes along an axis.
int64_t samples_of(const Alignment& a, double bin) {
  if (a.ratio > 0) return a.ratio;
  GREGALE_CHECK(bin <= 1 << 20, invalid_argument, "[roi_align] a bin of a region spans {} elements", bin);
  return std::max<int64_t>(0, static_cast<int64_t>(std::ceil(bin)));
}

template <class T>
void align(const Alignment& a, const T* x, const T* rois, const int64_t* images, T* y, int64_t roi) {
  const int64_t image = images[roi];
  GREGALE_CHECK(image >= 0 && image < a.n, invalid_argument, "[roi_align] a region is of image {}, of {}", image, a.n);
  const T* box = rois + roi * 4;
  const double offset = a.half_pixel ? 0.5 : 0;
  const double left = static_cast<double>(box[0]) * a.scale - offset,
               top = static_cast<double>(box[1]) * a.scale - offset;
  double width = static_cast<double>(box[2]) * a.scale - offset - left,
         height = static_cast<double>(box[3]) * a.scale - offset - top;
  if (!a.half_pixel) {
    width = std::max(width, 1.0);
    height = std::max(height, 1.0);
  }
  const double bin_h = height / static_cast<double>(a.out_h), bin_w = width / static_cast<double>(a.out_w);
  const int64_t grid_h = samples_of(a, bin_h), grid_w = samples_of(a, bin_w);
  const auto count = static_cast<T>(std::max<int64_t>(grid_h * grid_w, 1));
  for (int64_t i = 0; i < a.out_h; ++i)
    for (int64_t j = 0; j < a.out_w; ++j) {
      T* to = y + (roi * a.c * a.out_h + i) * a.out_w + j;
      bool first = true;
      for (int64_t c = 0; c < a.c; ++c) to[c * a.out_h * a.out_w] = 0;
      for (int64_t r = 0; r < grid_h; ++r)
        for (int64_t s = 0; s < grid_w; ++s) {
          const auto at = [](double start, double bin, int64_t o, int64_t k, int64_t grid) {
            return start + bin * (static_cast<double>(o) + (static_cast<double>(k) + 0.5) / static_cast<double>(grid));
          };
          const Between v = between(at(top, bin_h, i, r, grid_h), a.h), u = between(at(left, bin_w, j, s, grid_w), a.w);
          const bool inside = v.inside && u.inside;
          const auto w1 = static_cast<T>((1 - v.share) * (1 - u.share)), w2 = static_cast<T>((1 - v.share) * u.share),
                     w3 = static_cast<T>(v.share * (1 - u.share)), w4 = static_cast<T>(v.share * u.share);
          for (int64_t c = 0; c < a.c; ++c) {
            T p1 = 0, p2 = 0, p3 = 0, p4 = 0;
            if (inside) {
              const T* plane = x + (image * a.c + c) * a.h * a.w;
              p1 = w1 * plane[v.low * a.w + u.low];
              p2 = w2 * plane[v.low * a.w + u.high];
              p3 = w3 * plane[v.high * a.w + u.low];
              p4 = w4 * plane[v.high * a.w + u.high];
            }
            T& sum = to[c * a.out_h * a.out_w];
            if (a.average) {
              sum += (p1 + p2 + p3 + p4) / count;
            } else {
              const T greatest = std::max(std::max(p1, p2), std::max(p3, p4));
              sum = first ? greatest : std::max(sum, greatest);
            }
          }
          first = false;
        }
    }
}

Result<Kernel> make_roi_align(const NodeView& node, const Target&) {
  if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
  Kernel k;
  k.run = [a = alignment_of(node)](const Launch& l) {
    parallel_for(l.team, a.rois, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t roi = begin; roi < end; ++roi)
        align(a, static_cast<const float*>(l.inputs[0]), static_cast<const float*>(l.inputs[1]),
              static_cast<const int64_t*>(l.inputs[2]), static_cast<float*>(l.outputs[0]), roi);
    });
  };
  return k;
}

std::vector<Value> import_roi_align(OnnxNode& n) {
  // Before operator set 16 there was no shift by half an element.
  const std::string mode =
      n.string("coordinate_transformation_mode", n.opset() >= 16 ? "half_pixel" : "output_half_pixel");
  if (mode != "half_pixel" && mode != "output_half_pixel")
    n.fail(fmt::format("coordinate_transformation_mode '{}'", mode));
  const Value images = cast(n.graph(), n.input(2), DType::i64);
  return {n.graph().add1(roi_align_op(), {n.input(0), n.input(1), images},
                         {{"size", std::vector<int64_t>{n.integer("output_height", 1), n.integer("output_width", 1)}},
                          {"sampling_ratio", n.integer("sampling_ratio", 0)},
                          {"spatial_scale", n.real("spatial_scale", 1)},
                          {"mode", n.string("mode", "avg")},
                          {"half_pixel", mode == "half_pixel"}})};
}

}  // namespace

const OpDef& roi_align_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "roi_align";
    d.doc =
        "Regions of images as images of one size: each region is split into bins, each bin sampled at a grid of points "
        "by bilinear interpolation, and the samples averaged; mode max takes the greatest of the samples' four "
        "weighted "
        "neighbours, as ONNX RoiAlign says. He et al., \"Mask R-CNN\", ICCV 2017.";
    d.inputs = {{"x", "[n, c, h, w], real floats"},
                {"regions", "[r, 4]: left, top, right, bottom, in units of 1/spatial_scale elements"},
                {"images", "i64 [r], which image each region is of"}};
    d.outputs = {{"y", "[r, c, height, width]"}};
    d.attributes = {{"size", AttributeKind::integers, "height and width of the result", {}},
                    {"sampling_ratio", AttributeKind::integer,
                     "samples of a bin along either axis; 0: as many as it spans elements", int64_t{0}},
                    {"spatial_scale", AttributeKind::real, "what coordinates are multiplied by", 1.0},
                    {"mode", AttributeKind::string, "avg or max", std::string("avg")},
                    {"half_pixel", AttributeKind::boolean,
                     "coordinates are shifted by -1/2; without, regions are at least one element wide and high", true}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const std::vector<int64_t>& size = node.integers("size");
      w.same("RoiAlign", {{"output_height", size[0]},
                          {"output_width", size[1]},
                          {"sampling_ratio", node.integer("sampling_ratio")},
                          {"spatial_scale", node.real("spatial_scale")},
                          {"mode", node.string("mode")},
                          {"coordinate_transformation_mode",
                           std::string(node.boolean("half_pixel") ? "half_pixel" : "output_half_pixel")}});
    };
    d.infer = infer_roi_align;
    d.reference = [](ReferenceContext& c) {
      const Alignment a = alignment_of(c.node);
      for (int64_t roi = 0; roi < a.rois; ++roi)
        align(a, c.inputs[0].real().data(), c.inputs[1].real().data(), c.inputs[2].integer().data(),
              c.outputs[0].real().data(), roi);
    };
    d.no_gradient = "what scatters cotangents back to the image is not written";
    d.lowerings = {{"f32", make_roi_align}};
    d.samples = [] {
      const auto sample = [](int64_t ratio, const char* mode, bool half_pixel) {
        return Sample{
            .inputs = {sample_uniform({2, 3, 6, 7}, 1),
                       Tensor::from(std::vector<double>{0.5, 1, 5.25, 4, 2, -1, 3, 9, 3, 3, 3.5, 3.25}, {3, 4}),
                       Tensor::from(std::vector<int64_t>{1, 0, 1}, {3})},
            .attributes = {{"size", std::vector<int64_t>{3, 2}},
                           {"sampling_ratio", ratio},
                           {"mode", std::string(mode)},
                           {"half_pixel", half_pixel}},
            .check_gradient = false};
      };
      return std::vector<Sample>{sample(2, "avg", true), sample(0, "avg", false), sample(2, "max", true)};
    };
    d.onnx = {{"RoiAlign", 10, import_roi_align}};
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

}  // namespace gregale::ops
