// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/pool.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_pool_argmax(const NodeView& node) {
  const DType dtype = node.input(0).dtype;
  GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype), dtype,
                "[pool_argmax] x has dtype {}; expected a real number", name_of(dtype));
  return {Type(DType::i64, pooled_shape(node))};
}

/// Index in its plane when the last axis is the slowest.
int64_t column_major(const std::vector<PoolAxis>& axes, int64_t i) {
  int64_t index = 0, size = plane_of(axes);
  for (size_t a = axes.size(); a-- > 0; i /= axes[a].in) {
    size /= axes[a].in;
    index += i % axes[a].in * size;
  }
  return index;
}

/// Of planes [begin, end); `key` orders values.
template <class T, class Key>
void find_pool_argmax(const std::vector<PoolAxis>& axes, bool columns, int64_t begin, int64_t end, const T* x,
                      int64_t* y, Key&& key) {
  const int64_t from = plane_of(axes), to = pooled_plane_of(axes);
  for (int64_t p = begin; p < end; ++p) {
    const T* plane = x + p * from;
    int64_t* out = y + p * to;
    for (int64_t o = 0; o < to; ++o) out[o] = -1;
    for_each_tap(axes, [&](int64_t o, int64_t i) {
      if (out[o] < 0) {
        out[o] = i;
        return;
      }
      const auto best = key(plane[out[o]]), v = key(plane[i]);
      if (v > best || (v != v && best == best)) out[o] = i;
    });
    for (int64_t o = 0; o < to; ++o)
      if (out[o] >= 0) out[o] = p * from + (columns ? column_major(axes, out[o]) : out[o]);
  }
}

void reference_pool_argmax(ReferenceContext& c) {
  const auto axes = pool_axes(c.node);
  const bool columns = c.node.boolean("column_major");
  const int64_t planes = c.inputs[0].size() / plane_of(axes);
  const int64_t bits = c.inputs[0].type.dtype == DType::u64 ? INT64_MIN : 0;  // u64 stands as i64 by its bits
  int64_t* y = c.outputs[0].integer().data();
  if (is_real_float(c.inputs[0].type.dtype))
    find_pool_argmax(axes, columns, 0, planes, c.inputs[0].real().data(), y, [](double v) { return v; });
  else
    find_pool_argmax(axes, columns, 0, planes, c.inputs[0].integer().data(), y, [bits](int64_t v) { return v ^ bits; });
}

Result<Kernel> make_pool_argmax(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
  const auto axes = pool_axes(node);
  Kernel k;
  k.run = [axes, columns = node.boolean("column_major"),
           planes = node.input(0).shape.elements() / plane_of(axes)](const Launch& l) {
    parallel_for(l.team, planes, std::max<int64_t>(1, kernels::kElementGrain / plane_of(axes)),
                 [&](int64_t begin, int64_t end, int) {
                   find_pool_argmax(axes, columns, begin, end, static_cast<const float*>(l.inputs[0]),
                                    static_cast<int64_t*>(l.outputs[0]), [](float v) { return v; });
                 });
  };
  return k;
}

}  // namespace

const OpDef& pool_argmax_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "pool_argmax";
    d.doc =
        "Where the greatest element of every window of `pool` is: its index in x flattened, as the second result of "
        "ONNX MaxPool. Of equals the first in the window; NaN is the greatest; -1 for a window without elements.";
    d.inputs = {{"x", "[n, c, ...], real floats or integers"}};
    d.outputs = {{"y", "i64, of the shape that pool gives"}};
    d.attributes = pool_attributes();
    d.attributes.push_back({"column_major", AttributeKind::boolean,
                            "in the index, the first axis behind the channels runs fastest, the last slowest", false});
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      w.set_output(0, w.add("MaxPool", {w.input(0)},
                            {{"kernel_shape", node.integers("kernel")},
                             {"strides", node.integers("strides")},
                             {"pads", node.integers("pads")},
                             {"dilations", node.integers("dilations")},
                             {"ceil_mode", int64_t{node.boolean("ceil_mode")}},
                             {"storage_order", int64_t{node.boolean("column_major")}}},
                            2)[1]);
    };
    d.infer = infer_pool_argmax;
    d.reference = reference_pool_argmax;
    d.no_gradient = "the result is an index";
    d.lowerings = {{"f32", make_pool_argmax}};
    d.samples = [] {
      const auto sample = [](Tensor x, const PoolOptions& options, bool columns = false) {
        Attributes attributes = to_attributes(options);
        attributes["column_major"] = columns;
        return Sample{.inputs = {std::move(x)}, .attributes = attributes, .check_gradient = false};
      };
      return std::vector<Sample>{
          sample(sample_distinct({2, 1, 7}, 1), {.kernel = {3}, .strides = {2}, .pads = {1, 1}}),
          sample(sample_ties({1, 2, 6, 5}, 2), {.kernel = {2, 3}, .dilations = {2, 1}}, true),
          sample(sample_integers({1, 2, 3, 4, 5}, 3), {.kernel = {2, 2, 2}, .strides = {1, 2, 3}, .ceil_mode = true})};
    };
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value pool_argmax(Graph& g, Value x, const PoolOptions& options, bool column_major) {
  Attributes attributes = to_attributes(options);
  attributes["column_major"] = column_major;
  return g.add1(pool_argmax_op(), {x}, std::move(attributes));
}

}  // namespace gregale::ops
