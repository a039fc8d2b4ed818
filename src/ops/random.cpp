// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/random.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/common.hpp"

namespace gregale::ops {

OperandDef key_operand() { return {"key", "i64[2]: (seed, step)"}; }
AttributeDef stream_attribute() {
  return {"stream", AttributeKind::integer, "which of the key's independent streams, below 2^32", {}};
}

void check_key(const NodeView& node, int64_t input) {
  const Type expected(DType::i64, Shape{2});
  GREGALE_CHECK(node.input(input) == expected, shape, "[{}] key is {}; expected {}", node.op().name,
                to_string(node.input(input)), to_string(expected));
  const int64_t stream = node.integer("stream");
  GREGALE_CHECK(stream >= 0 && stream <= int64_t{UINT32_MAX}, invalid_argument, "[{}] stream {} does not fit 32 bits",
                node.op().name, stream);
}

RandomKey random_key(const NodeView& node, const int64_t* key) {
  return {static_cast<uint64_t>(key[0]), static_cast<uint32_t>(key[1]), static_cast<uint32_t>(node.integer("stream"))};
}

OpDef draw_op(std::string name, std::string doc, Draw draw, Fill fill, double flops) {
  OpDef d;
  d.name = std::move(name);
  d.doc = std::move(doc);
  d.inputs = {key_operand()};
  d.outputs = {{"y", "element i is draw number i of the stream"}};
  d.attributes = {{"shape", AttributeKind::integers, "extents of the result", {}},
                  stream_attribute(),
                  {"dtype", AttributeKind::dtype, "f32, or f64 for the same values widened", DType::f32}};
  d.infer = [](const NodeView& node) {
    check_key(node, 0);
    const DType dtype = node.dtype("dtype");
    GREGALE_CHECK(dtype == DType::f32 || dtype == DType::f64, dtype, "[{}] draws f32 or f64, not {}", node.op().name,
                  name_of(dtype));
    element_count(node.integers("shape"));  // refuses negative extents and overflow
    return std::vector<Type>{Type(dtype, Shape(node.integers("shape")))};
  };
  d.reference = [draw](ReferenceContext& c) {
    const RandomKey key = random_key(c.node, c.inputs[0].integer().data());
    auto& y = c.outputs[0].real();
    for (size_t i = 0; i < y.size(); ++i) y[i] = draw(key, i);
  };
  d.no_gradient = "its operand is an integer key";
  d.lowerings = {
      {"counter", [fill](const NodeView& node, const Target&) -> Result<Kernel> {
         if (node.dtype("dtype") != DType::f32) return refuse(node, "f32 needed, not f64");
         Kernel k;
         k.run = [fill, count = element_count(node.integers("shape")),
                  stream = node.integer("stream")](const Launch& l) {
           const auto* key = static_cast<const int64_t*>(l.inputs[0]);
           fill(l.team, {static_cast<uint64_t>(key[0]), static_cast<uint32_t>(key[1]), static_cast<uint32_t>(stream)},
                0, count, static_cast<float*>(l.outputs[0]));
         };
         return k;
       }}};
  d.cost = [flops](const NodeView& node) { return default_cost(node, flops); };
  d.tolerance_eps = 0;  // the same bits
  d.samples = [] {
    const auto sample = [](std::vector<int64_t> key, Extents shape, int64_t stream) {
      return Sample{{Tensor::from(key, {2})}, {{"shape", std::move(shape)}, {"stream", stream}}, {}, false};
    };
    return std::vector<Sample>{sample({1, 0}, {7}, 0), sample({1, 3}, {2, 5}, 9),
                               sample({-4, 1}, {3, 1, 3}, 4000000000), sample({0, 0}, {0, 2}, 1),
                               sample({5, 6}, {}, 7)};
  };
  return d;
}

}  // namespace gregale::ops
