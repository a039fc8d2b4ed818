// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/group_quantize.hpp"

#include <fmt/format.h>

#include <cstring>

#include "ops/common.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

using codec::kGroup;

int bits_of(const NodeView& node) {
  const int64_t bits = node.integer("bits");
  GREGALE_CHECK(bits >= 1 && bits <= codec::kMostBits, invalid_argument, "[{}] bits {} are not 1 to {}", node.op().name,
                bits, codec::kMostBits);
  return static_cast<int>(bits);
}

void check_dtype(const NodeView& node, DType dtype) {
  GREGALE_CHECK(dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16, dtype,
                "[{}] {} is none of f32, bf16 and f64", node.op().name, name_of(dtype));
}

float as_float(double x) { return static_cast<float>(x); }
float as_float(bf16 x) { return to_f32(x); }

/// Random numbers are drawn from the group's own first and last value: others at every step of training, the same
/// whenever the same is quantised.
codec::Rounding rounding_of(const float* values, int64_t count, bool stochastic) {
  uint32_t first = 0, last = 0;
  std::memcpy(&first, values, sizeof first);
  std::memcpy(&last, values + count - 1, sizeof last);
  return {stochastic, first | uint64_t{last} << 32};
}

template <class T>
void encode_group(const codec::GroupTable& table, const T* src, int64_t group, int64_t count, int bits, bool stochastic,
                  std::byte* dst) {
  const int64_t some = std::min(kGroup, count - group * kGroup);
  float converted[kGroup];
  const float* values = converted;
  if constexpr (std::is_same_v<T, float>)
    values = src + group * kGroup;
  else
    for (int64_t i = 0; i < some; ++i) converted[i] = as_float(src[group * kGroup + i]);
  table.encode(values, some, bits, rounding_of(values, some, stochastic), static_cast<uint64_t>(group * kGroup),
               dst + group * codec::group_bytes(bits));
}

/// Values, or the step that each was rounded to a multiple of.
template <class T>
void decode_group(const codec::GroupTable& table, const std::byte* src, int64_t group, int64_t count, int bits,
                  bool steps, T* dst) {
  const int64_t some = std::min(kGroup, count - group * kGroup);
  float values[kGroup];
  const std::byte* coded = src + group * codec::group_bytes(bits);
  table.decode(coded, some, bits, values);
  if (steps) {
    codec::GroupHeader header;
    std::memcpy(&header, coded, sizeof header);
    std::fill_n(values, some, header.step);
  }
  for (int64_t i = 0; i < some; ++i) {
    if constexpr (std::is_same_v<T, bf16>)
      dst[group * kGroup + i] = to_bf16(values[i]);
    else
      dst[group * kGroup + i] = static_cast<T>(values[i]);
  }
}

constexpr int64_t kGroupsAtOnce = 64;

Result<Kernel> make_encode(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const int64_t count = element_count(node.input(0).shape.extents());
  const int bits = bits_of(node);
  const codec::GroupTable& table = codec::group_table(target.isa);
  Kernel kernel;
  const auto of = [&](auto zero) {
    using T = decltype(zero);
    kernel.run = [&table, count, bits, stochastic = node.boolean("stochastic")](const Launch& l) {
      const T* src = static_cast<const T*>(l.inputs[0]);
      auto* dst = static_cast<std::byte*>(l.outputs[0]);
      parallel_for(l.team, codec::group_count(count), kGroupsAtOnce, [&](int64_t begin, int64_t end, int) {
        for (int64_t g = begin; g < end; ++g) encode_group(table, src, g, count, bits, stochastic, dst);
      });
    };
  };
  const DType dtype = node.input(0).dtype;
  if (dtype == DType::f32) of(float{});
  if (dtype == DType::f64) of(double{});
  if (dtype == DType::bf16) of(bf16{});
  return kernel;
}

Result<Kernel> make_decode(const NodeView& node, const Target& target) {
  const int64_t count = element_count(node.integers("extents"));
  const int bits = bits_of(node);
  const codec::GroupTable& table = codec::group_table(target.isa);
  Kernel kernel;
  const auto of = [&](auto zero) {
    using T = decltype(zero);
    kernel.run = [&table, count, bits, steps = node.boolean("steps")](const Launch& l) {
      const auto* src = static_cast<const std::byte*>(l.inputs[0]);
      T* dst = static_cast<T*>(l.outputs[0]);
      parallel_for(l.team, codec::group_count(count), kGroupsAtOnce, [&](int64_t begin, int64_t end, int) {
        for (int64_t g = begin; g < end; ++g) {
          if (std::is_same_v<T, float> && !steps)
            table.decode(src + g * codec::group_bytes(bits), std::min(kGroup, count - g * kGroup), bits,
                         reinterpret_cast<float*>(dst + g * kGroup));
          else
            decode_group(table, src, g, count, bits, steps, dst);
        }
      });
    };
  };
  const DType dtype = node.dtype("dtype");
  if (dtype == DType::f32) of(float{});
  if (dtype == DType::f64) of(double{});
  if (dtype == DType::bf16) of(bf16{});
  return kernel;
}

Tensor sample_bytes(int64_t count, int bits, uint32_t stream) {
  const Tensor x = sample_uniform({count}, stream).cast(DType::f32);
  Tensor bytes(DType::u8, {codec::quantized_bytes(count, bits)});
  for (int64_t g = 0; g < codec::group_count(count); ++g)
    encode_group(codec::group_table(Isa::reference), x.as<float>().data(), g, count, bits, false,
                 static_cast<std::byte*>(bytes.data()));
  return bytes;
}

}  // namespace

const OpDef& group_quantize_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "group_quantize";
    d.doc =
        "Keeps x in few bits: groups of 256 neighbours share a least value and a step, and each value is rounded to "
        "the "
        "nearest of 2^bits multiples of the step above it, or to one at random, (ActNN, Chen et al., ICML 2021). A "
        "group with a value that "
        "is "
        "not finite comes back as NaN.";
    d.inputs = {{"x", "f32, bf16 or f64, of a constant shape; worked on in f32"}};
    d.outputs = {{"bytes", "u8: for each group a least value and a step in f32, then 32 bytes a bit"}};
    d.attributes = {
        {"bits", AttributeKind::integer, "1 to 8", {}},
        {"stochastic", AttributeKind::boolean,
         "up or down at random, so that the error is zero on average, by numbers drawn from the group's own "
         "first and last value",
         false}};
    d.no_gradient = "it is put into graphs that are differentiated already";
    d.infer = [](const NodeView& node) {
      check_dtype(node, node.input(0).dtype);
      GREGALE_CHECK(node.input(0).shape.is_constant(), shape, "[group_quantize] x has a symbolic shape");
      const int64_t count = element_count(node.input(0).shape.extents());
      return std::vector<Type>{Type(DType::u8, Shape{codec::quantized_bytes(count, bits_of(node))})};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& x = c.inputs[0].real();
      const auto count = static_cast<int64_t>(x.size());
      const int bits = bits_of(c.node);
      std::vector<std::byte> bytes(static_cast<size_t>(codec::quantized_bytes(count, bits)));
      for (int64_t g = 0; g < codec::group_count(count); ++g)
        encode_group(codec::group_table(Isa::reference), x.data(), g, count, bits, c.node.boolean("stochastic"),
                     bytes.data());
      auto& out = c.outputs[0].integer();
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<int64_t>(bytes[i]);
    };
    d.lowerings = {{"native", make_encode}};
    d.samples = [] {
      std::vector<Sample> samples;
      for (const int64_t bits : {1, 2, 3, 5, 8})
        samples.push_back({.inputs = {sample_uniform({3, 7, 31}, static_cast<uint32_t>(bits))},
                           .attributes = {{"bits", bits}, {"stochastic", bits % 2 == 0}},
                           .check_gradient = false});
      return samples;
    };
    return d;
  }();
  return op;
}

const OpDef& group_dequantize_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "group_dequantize";
    d.doc = "The way back from group_quantize, which must have had the same bits.";
    d.inputs = {{"bytes", "u8, of group_quantize"}};
    d.outputs = {{"x", "of the dtype and extents asked for"}};
    d.attributes = {
        {"bits", AttributeKind::integer, "1 to 8", {}},
        {"dtype", AttributeKind::dtype, "f32, bf16 or f64", {}},
        {"extents", AttributeKind::integers, "of the tensor that was quantised", {}},
        {"steps", AttributeKind::boolean, "the step that each value was rounded to a multiple of, instead", false}};
    d.no_gradient = "it is put into graphs that are differentiated already";
    d.infer = [](const NodeView& node) {
      check_dtype(node, node.dtype("dtype"));
      const std::vector<int64_t>& extents = node.integers("extents");
      const Type expected(DType::u8, Shape{codec::quantized_bytes(element_count(extents), bits_of(node))});
      GREGALE_CHECK(node.input(0) == expected, shape, "[group_dequantize] bytes are {}, not {}",
                    to_string(node.input(0)), to_string(expected));
      return std::vector<Type>{Type(node.dtype("dtype"), Shape(extents))};
    };
    d.reference = [](ReferenceContext& c) {
      std::vector<std::byte> bytes;
      for (const int64_t b : c.inputs[0].integer()) bytes.push_back(static_cast<std::byte>(b));
      auto& x = c.outputs[0].real();
      const auto count = static_cast<int64_t>(x.size());
      for (int64_t g = 0; g < codec::group_count(count); ++g)
        decode_group(codec::group_table(Isa::reference), bytes.data(), g, count, bits_of(c.node),
                     c.node.boolean("steps"), x.data());
    };
    d.lowerings = {{"native", make_decode}};
    d.samples = [] {
      std::vector<Sample> samples;
      for (const int64_t bits : {1, 2, 3, 5, 8})
        samples.push_back({.inputs = {sample_bytes(651, static_cast<int>(bits), static_cast<uint32_t>(bits))},
                           .attributes = {{"bits", bits},
                                          {"dtype", bits == 5 ? DType::bf16 : DType::f32},
                                          {"steps", bits == 3},
                                          {"extents", std::vector<int64_t>{3, 7, 31}}},
                           .check_gradient = false});
      return samples;
    };
    return d;
  }();
  return op;
}

Value group_quantize(Graph& g, Value x, int64_t bits) { return g.add1(group_quantize_op(), {x}, {{"bits", bits}}); }

Value group_dequantize(Graph& g, Value bytes, int64_t bits, const Type& type) {
  return g.add1(group_dequantize_op(), {bytes},
                {{"bits", bits}, {"dtype", type.dtype}, {"extents", type.shape.extents()}});
}

}  // namespace gregale::ops
