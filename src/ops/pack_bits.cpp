// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ops/common.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

int64_t packed_bytes(int64_t count) { return (count + 7) / 8; }
constexpr int64_t kBytesAtOnce = 1 << 14;

Result<Kernel> make_pack(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const int64_t count = element_count(node.input(0).shape.extents());
  Kernel kernel;
  kernel.run = [count](const Launch& l) {
    const auto* src = static_cast<const uint8_t*>(l.inputs[0]);
    auto* dst = static_cast<uint8_t*>(l.outputs[0]);
    parallel_for(l.team, packed_bytes(count), kBytesAtOnce, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b) {
        unsigned byte = 0;
        for (int64_t i = 8 * b; i < std::min(count, 8 * b + 8); ++i)
          byte |= static_cast<unsigned>(src[i] != 0) << (i % 8);
        dst[b] = static_cast<uint8_t>(byte);
      }
    });
  };
  return kernel;
}

Result<Kernel> make_unpack(const NodeView& node, const Target&) {
  const int64_t count = element_count(node.integers("extents"));
  Kernel kernel;
  kernel.run = [count](const Launch& l) {
    const auto* src = static_cast<const uint8_t*>(l.inputs[0]);
    auto* dst = static_cast<uint8_t*>(l.outputs[0]);
    parallel_for(l.team, packed_bytes(count), kBytesAtOnce, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b)
        for (int64_t i = 8 * b; i < std::min(count, 8 * b + 8); ++i)
          dst[i] = static_cast<uint8_t>(src[b] >> (i % 8) & 1);
    });
  };
  return kernel;
}

}  // namespace

const OpDef& pack_bits_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "pack_bits";
    d.doc = "Eight booleans a byte, the first in the lowest bit: what is kept of comparisons.";
    d.inputs = {{"x", "bool, of a constant shape"}};
    d.outputs = {{"bytes", "u8, one for eight elements, the last one filled up with zeros"}};
    d.no_gradient = kNoGradientBoolean;
    d.infer = [](const NodeView& node) {
      check_dtype(node, 0, DType::boolean);
      GREGALE_CHECK(node.input(0).shape.is_constant(), shape, "[pack_bits] x has a symbolic shape");
      return std::vector<Type>{Type(DType::u8, Shape{packed_bytes(element_count(node.input(0).shape.extents()))})};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& x = c.inputs[0].integer();
      for (size_t i = 0; i < x.size(); ++i) c.outputs[0].integer()[i / 8] |= int64_t{x[i] != 0} << (i % 8);
    };
    d.lowerings = {{"native", make_pack}};
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_booleans({5, 7}, 1)}, .check_gradient = false},
                                 {.inputs = {sample_booleans({16}, 2)}, .check_gradient = false}};
    };
    return d;
  }();
  return op;
}

const OpDef& unpack_bits_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "unpack_bits";
    d.doc = "The way back from pack_bits.";
    d.inputs = {{"bytes", "u8"}};
    d.outputs = {{"x", "bool, of the extents asked for"}};
    d.attributes = {{"extents", AttributeKind::integers, "of the tensor that was packed", {}}};
    d.no_gradient = kNoGradientBoolean;
    d.infer = [](const NodeView& node) {
      const std::vector<int64_t>& extents = node.integers("extents");
      const Type expected(DType::u8, Shape{packed_bytes(element_count(extents))});
      GREGALE_CHECK(node.input(0) == expected, shape, "[unpack_bits] bytes are {}, not {}", to_string(node.input(0)),
                    to_string(expected));
      return std::vector<Type>{Type(DType::boolean, Shape(extents))};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& bytes = c.inputs[0].integer();
      auto& x = c.outputs[0].integer();
      for (size_t i = 0; i < x.size(); ++i) x[i] = bytes[i / 8] >> (i % 8) & 1;
    };
    d.lowerings = {{"native", make_unpack}};
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_integers({5}, 1, 0, 256).cast(DType::u8)},
                                  .attributes = {{"extents", std::vector<int64_t>{5, 7}}},
                                  .check_gradient = false},
                                 {.inputs = {sample_integers({2}, 2, 0, 256).cast(DType::u8)},
                                  .attributes = {{"extents", std::vector<int64_t>{16}}},
                                  .check_gradient = false}};
    };
    return d;
  }();
  return op;
}

Value pack_bits(Graph& g, Value x) { return g.add1(pack_bits_op(), {x}); }

Value unpack_bits(Graph& g, Value bytes, const Type& type) {
  return g.add1(unpack_bits_op(), {bytes}, {{"extents", type.shape.extents()}});
}

}  // namespace gregale::ops
