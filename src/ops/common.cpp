// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/kernel_cache.hpp"

namespace gregale::ops {

void check_real_float(const NodeView& node, int64_t input) {
  const DType dtype = node.input(input).dtype;
  GREGALE_CHECK(is_real_float(dtype), dtype, "[{}] {} has dtype {}; expected a real float", node.op().name,
                node.op().inputs[static_cast<size_t>(input)].name, name_of(dtype));
}

void check_float(const NodeView& node, int64_t input) {
  const DType dtype = node.input(input).dtype;
  GREGALE_CHECK(is_differentiable(dtype), dtype, "[{}] {} has dtype {}; expected a real or complex float",
                node.op().name, node.op().inputs[static_cast<size_t>(input)].name, name_of(dtype));
}

void check_dtype(const NodeView& node, int64_t input, DType expected) {
  const DType dtype = node.input(input).dtype;
  GREGALE_CHECK(dtype == expected, dtype, "[{}] {} has dtype {}; expected {}", node.op().name,
                node.op().inputs[static_cast<size_t>(input)].name, name_of(dtype), name_of(expected));
}

void check_same_dtype(const NodeView& node, int64_t first, int64_t second) {
  const DType a = node.input(first).dtype, b = node.input(second).dtype;
  const auto& operands = node.op().inputs;
  GREGALE_CHECK(a == b, dtype, "[{}] {} is {} but {} is {}", node.op().name, operands[static_cast<size_t>(first)].name,
                name_of(a), operands[static_cast<size_t>(second)].name, name_of(b));
}

void check_same_type(const NodeView& node, int64_t first, int64_t second) {
  const Type &a = node.input(first), &b = node.input(second);
  const auto& operands = node.op().inputs;
  GREGALE_CHECK(a == b, shape, "[{}] {} is {}, not {} as {}", node.op().name,
                operands[static_cast<size_t>(second)].name, to_string(b), to_string(a),
                operands[static_cast<size_t>(first)].name);
}

std::vector<int64_t> normalize_axes(const std::vector<int64_t>& axes, int64_t rank, std::string_view who) {
  std::vector<int64_t> result;
  if (axes.empty()) {
    result.resize(static_cast<size_t>(rank));
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  for (int64_t axis : axes) result.push_back(normalize_axis(axis, rank, who));
  std::sort(result.begin(), result.end());
  for (size_t i = 1; i < result.size(); ++i)
    GREGALE_CHECK(result[i] != result[i - 1], invalid_argument, "[{}] axis {} is given twice", who, result[i]);
  return result;
}

Error refuse(const NodeView& node, std::string reason) {
  return Error(ErrorCode::unsupported, fmt::format("[{}] {}", node.op().name, reason));
}

std::shared_ptr<kernels::KernelCache> kernel_cache(const Target& target) {
  return target.kernels != nullptr ? target.kernels : std::make_shared<kernels::KernelCache>(target);
}

bool is_static(const NodeView& node) {
  const auto fixed = [](const Type& t) { return t.shape.is_constant() && t.encoding.kind == Encoding::Kind::dense; };
  return std::all_of(node.inputs().begin(), node.inputs().end(), fixed) &&
         std::all_of(node.outputs().begin(), node.outputs().end(), fixed);
}

Extents row_major_strides(const Extents& extents) {
  Extents strides(extents.size(), 1);
  for (size_t i = extents.size(); i-- > 1;) strides[i - 1] = strides[i] * extents[i];
  return strides;
}

Extents broadcast_strides(const Extents& from, const Extents& to) {
  GREGALE_ASSERT(from.size() <= to.size());
  const Extents dense = row_major_strides(from);
  Extents strides(to.size(), 0);
  const size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) strides[lead + i] = from[i] == 1 ? 0 : dense[i];
  return strides;
}

AxisView axis_split(const Extents& extents, int64_t axis) {
  const int64_t rank = static_cast<int64_t>(extents.size());
  if (axis < 0) axis += rank;
  AxisView s;
  for (int64_t i = 0; i < rank; ++i) {
    int64_t& part = i < axis ? s.outer : i == axis ? s.count : s.inner;
    part *= extents[static_cast<size_t>(i)];
  }
  return s;
}

Value scalar(Graph& g, DType dtype, double value) { return g.constant(Tensor::full(dtype, {}, value)); }

Value reduce_like(Graph& g, Value d, Value like) { return sum_to_like(g, d, like); }

Value conj_if_complex(Graph& g, Value z) { return is_complex(g.type(z).dtype) ? conj(g, z) : z; }

namespace {

RandomKey sample_key(uint32_t stream) { return {.seed = 2026, .step = 0, .stream = stream}; }

template <class Element>
Tensor filled(Extents extents, Element&& element) {
  using T = decltype(element(uint64_t{0}));
  std::vector<T> values(static_cast<size_t>(element_count(extents)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = element(i);
  return Tensor::from(values, std::move(extents));
}

}  // namespace

Tensor sample_uniform(Extents extents, uint32_t stream, double low, double high) {
  const RandomKey key = sample_key(stream);
  return filled(std::move(extents), [&](uint64_t i) { return low + (high - low) * random_uniform(key, i); });
}

Tensor sample_away_from_zero(Extents extents, uint32_t stream, double gap, double low, double high) {
  const RandomKey key = sample_key(stream);
  return filled(std::move(extents), [&](uint64_t i) {
    const double x = low + (high - low) * random_uniform(key, i);
    return std::abs(x) >= gap ? x : x + (x < 0 ? -gap : gap);
  });
}

Tensor sample_ones(Extents extents, uint32_t stream) {
  Tensor t = sample_uniform(std::move(extents), stream);
  for (double& v : t.as<double>()) v = v < 0 ? -1.25 : 1.25;
  return t;
}

Tensor sample_distinct(Extents extents, uint32_t stream, double offset) {
  const RandomKey key = sample_key(stream);
  std::vector<double> values(static_cast<size_t>(element_count(extents)));
  const double middle = static_cast<double>(values.size() / 2);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.125 * (static_cast<double>(i) - middle) + offset;
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random_below(key, i, i)]);
  return Tensor::from(values, std::move(extents));
}

Tensor sample_ties(Extents extents, uint32_t stream) {
  const RandomKey key = sample_key(stream);
  return filled(std::move(extents),
                [&](uint64_t i) { return 0.5 * static_cast<double>(random_below(key, i, 5)) - 1.0; });
}

Tensor sample_complex(Extents extents, uint32_t stream) {
  const RandomKey key = sample_key(stream);
  // Away from zero, where the modulus has a kink.
  return filled(std::move(extents), [&](uint64_t i) {
    const double modulus = 0.5 + 1.5 * random_uniform(key, 2 * i), angle = 6.28318 * random_uniform(key, 2 * i + 1);
    return std::polar(modulus, angle);
  });
}

Tensor sample_integers(Extents extents, uint32_t stream, int64_t low, int64_t high) {
  const RandomKey key = sample_key(stream);
  return filled(std::move(extents), [&](uint64_t i) {
    return low + static_cast<int64_t>(random_below(key, i, static_cast<uint64_t>(high - low)));
  });
}

Tensor sample_booleans(Extents extents, uint32_t stream) {
  const RandomKey key = sample_key(stream);
  Tensor tensor(DType::boolean, std::move(extents));
  auto out = tensor.as<bool>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = random_below(key, i, 2) != 0;
  return tensor;
}

}  // namespace gregale::ops
