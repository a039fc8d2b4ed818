// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

template <class T>
bool all_equal(const Tensor& t) {
  const auto x = t.as<T>();
  return std::all_of(x.begin(), x.end(), [&](const T& e) { return e == x[0]; });
}

/// Bitwise comparison would tell 0 from -0; these do not, and NaN is never uniform.
std::optional<double> uniform_value(const Tensor& t) {
  if (t.size() == 0) return {};
  const auto first = [&]<class T>(T) -> std::optional<double> {
    if (!all_equal<T>(t)) return {};
    return static_cast<double>(t.as<T>()[0]);
  };
  switch (t.dtype()) {
    case DType::f64:
      return first(double{});
    case DType::f32:
      return first(float{});
    case DType::bf16:
      return all_equal<bf16>(t) ? std::optional<double>(to_f32(t.as<bf16>()[0])) : std::nullopt;
    case DType::f16:
      return all_equal<f16>(t) ? std::optional<double>(to_f32(t.as<f16>()[0])) : std::nullopt;
    case DType::i64:
      return first(int64_t{});
    case DType::i32:
      return first(int32_t{});
    case DType::c64: {
      const auto z = t.as<std::complex<float>>()[0];
      return z.imag() == 0 && all_equal<std::complex<float>>(t) ? std::optional<double>(z.real()) : std::nullopt;
    }
    case DType::c128: {
      const auto z = t.as<std::complex<double>>()[0];
      return z.imag() == 0 && all_equal<std::complex<double>>(t) ? std::optional<double>(z.real()) : std::nullopt;
    }
    default:
      return {};  // narrow integers and booleans: no rule needs them
  }
}

}  // namespace

const Node* Match::producer(Value v) const {
  const int32_t producer = graph().producer(v);
  return producer < 0 ? nullptr : &graph().nodes()[static_cast<size_t>(producer)];
}

const Node* Match::made_by(Value v, std::string_view op) const {
  const Node* made = producer(v);
  return made && made->op->name == op ? made : nullptr;
}

std::optional<double> Match::uniform(Value v) const {
  const Node* made = producer(v);
  while (made && (made->op->name == "broadcast_to" || made->op->name == "reshape")) made = producer(made->inputs[0]);
  if (!made || made->op->name != kConstantOp) return {};
  return uniform_value(std::get<Tensor>(made->attributes.at("value")));
}

Value Match::again(const Node& other, size_t i, Value operand) const {
  std::vector<Value> inputs;
  for (Value v : other.inputs) inputs.push_back(at(v));
  inputs.at(i) = operand;
  return target.add1(*other.op, std::move(inputs), other.attributes);
}

std::optional<Scaled> scaled(const Match& m, Value v) {
  const Node* node = m.producer(v);
  if (!node || node->inputs.empty() || m.type(node->inputs[0]).dtype != m.type(v).dtype) return {};
  if (node->op->name == "neg") return Scaled{node->inputs[0], -1};
  const bool divides = node->op->name == "div";
  if (!divides && node->op->name != "mul") return {};
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (divides && i == 1) break;
    const std::optional<double> c = m.uniform(node->inputs[1 - i]);
    if (!c || m.type(node->inputs[i]) != m.type(v)) continue;
    return Scaled{node->inputs[i], divides ? 1 / *c : *c};
  }
  return {};
}

bool reassociates(DType dtype) { return is_integer(dtype) || (dtype != DType::f16 && dtype != DType::boolean); }

bool is_mild(double factor) { return std::abs(factor) >= 0x1p-40 && std::abs(factor) <= 0x1p40; }

bool is_nonnegative(const Graph& graph, Value v, int depth) {
  if (depth == 0 || !is_real_float(graph.type(v).dtype) || graph.producer(v) < 0) return false;
  const Node& node = graph.nodes()[static_cast<size_t>(graph.producer(v))];
  const auto operand = [&](size_t i) { return is_nonnegative(graph, node.inputs[i], depth - 1); };
  const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), node.op->name) != names.end();
  };
  if (is_one_of({"square", "abs", "exp", "sigmoid", "relu", "softmax"})) return true;
  if (is_one_of({"add", "div", "minimum"})) return operand(0) && operand(1);
  if (node.op->name == "mul") return node.inputs[0] == node.inputs[1] || (operand(0) && operand(1));
  if (node.op->name == "maximum") return operand(0) || operand(1);
  if (is_one_of({"sum", "mean", "max", "min", "sum_to", "reshape", "transpose", "slice", "broadcast_to", "reverse",
                 "stop_gradient", "sqrt"}))
    return operand(0);
  if (const Tensor* constant = constant_of(graph, v)) {
    const Tensor values = constant->cast(DType::f64);
    const auto x = values.as<double>();
    return std::none_of(x.begin(), x.end(), [](double e) { return std::signbit(e); });
  }
  return false;
}

std::optional<size_t> elementwise_operand(const Match& m, const Node& node) {
  static constexpr std::array<std::string_view, 25> kUnary = {
      "neg",  "abs",     "sign", "exp",  "log",  "sqrt",       "rsqrt",        "reciprocal",  "square",
      "sin",  "cos",     "tanh", "erf",  "relu", "gelu",       "silu",         "logical_not", "is_nan",
      "conj", "sigmoid", "real", "imag", "cast", "softshrink", "stop_gradient"};
  static constexpr std::array<std::string_view, 7> kBinary = {"add", "sub", "mul", "div", "pow", "maximum", "minimum"};
  const std::string_view name = node.op->name;
  if (std::find(kUnary.begin(), kUnary.end(), name) != kUnary.end()) return 0;
  if (std::find(kBinary.begin(), kBinary.end(), name) == kBinary.end()) return {};
  for (const size_t i : {size_t{0}, size_t{1}})
    if (m.type(node.inputs[1 - i]).rank() == 0) return i;
  return {};
}

std::optional<ElementwiseChain> chain_above(const Match& m, Value v, std::string_view op) {
  constexpr size_t kMaxChain = 8;  // how far it is followed
  ElementwiseChain chain;
  for (chain.below = m.producer(v); chain.below && chain.below->op->name != op; chain.below = m.producer(v)) {
    const std::optional<size_t> i = elementwise_operand(m, *chain.below);
    if (!i || chain.operators.size() == kMaxChain) return {};
    chain.operators.emplace_back(chain.below, *i);
    v = chain.below->inputs[*i];
  }
  return chain.below ? std::optional(std::move(chain)) : std::nullopt;
}

Value ElementwiseChain::again(const Match& m, Value operand) const {
  for (auto step = operators.rbegin(); step != operators.rend(); ++step)
    operand = m.again(*step->first, step->second, operand);
  return operand;
}

const std::vector<int64_t>& integers(const Node& node, const char* attribute) {
  return std::get<std::vector<int64_t>>(node.attributes.at(attribute));
}

std::vector<int64_t> reduction_axes(const Match& m, const Node& reduction) {
  const int64_t rank = m.type(reduction.inputs[0]).rank();
  std::vector<int64_t> axes = integers(reduction, "axes");
  if (axes.empty()) {
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (int64_t& a : axes) a = a < 0 ? a + rank : a;
  std::sort(axes.begin(), axes.end());
  return axes;
}

}  // namespace gregale::passes
