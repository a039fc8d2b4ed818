// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/onnx_node.hpp"

#include "gregale/error.hpp"

namespace gregale {
namespace {

template <class T>
const T* find_onnx_node(const OnnxAttributes& node, std::string_view name, const char* kind) {
  const OnnxAttribute* a = node.attribute(name);
  if (a == nullptr) return nullptr;
  const T* value = std::get_if<T>(a);
  if (value == nullptr) node.fail(fmt::format("attribute '{}' is not {}", name, kind));
  return value;
}

}  // namespace

int64_t OnnxAttributes::integer(std::string_view name, int64_t otherwise) const {
  const auto* v = find_onnx_node<int64_t>(*this, name, "an integer");
  return v != nullptr ? *v : otherwise;
}

double OnnxAttributes::real(std::string_view name, double otherwise) const {
  const auto* v = find_onnx_node<double>(*this, name, "a float");
  return v != nullptr ? *v : otherwise;
}

std::string OnnxAttributes::string(std::string_view name, std::string otherwise) const {
  const auto* v = find_onnx_node<std::string>(*this, name, "a string");
  return v != nullptr ? *v : std::move(otherwise);
}

std::vector<int64_t> OnnxAttributes::integers(std::string_view name, std::vector<int64_t> otherwise) const {
  const auto* v = find_onnx_node<std::vector<int64_t>>(*this, name, "a list of integers");
  return v != nullptr ? *v : std::move(otherwise);
}

std::vector<double> OnnxAttributes::reals(std::string_view name, std::vector<double> otherwise) const {
  const auto* v = find_onnx_node<std::vector<double>>(*this, name, "a list of floats");
  return v != nullptr ? *v : std::move(otherwise);
}

std::vector<std::string> OnnxAttributes::strings(std::string_view name, std::vector<std::string> otherwise) const {
  const auto* v = find_onnx_node<std::vector<std::string>>(*this, name, "a list of strings");
  return v != nullptr ? *v : std::move(otherwise);
}

Tensor OnnxAttributes::tensor(std::string_view name) const {
  const auto* v = find_onnx_node<Tensor>(*this, name, "a tensor of numbers");
  if (v == nullptr) fail(fmt::format("attribute '{}' is missing", name));
  return *v;
}

int64_t OnnxAttributes::required_integer(std::string_view name) const {
  if (!has(name)) fail(fmt::format("attribute '{}' is missing", name));
  return integer(name, 0);
}

std::vector<int64_t> OnnxAttributes::required_integers(std::string_view name) const {
  if (!has(name)) fail(fmt::format("attribute '{}' is missing", name));
  return integers(name, {});
}

void OnnxAttributes::fail(const std::string& why) const { throw_error(ErrorCode::corrupt_data, "[onnx] " + why); }

void OnnxAttributes::unsupported(const std::string& why) const { throw_error(ErrorCode::unsupported, "[onnx] " + why); }

std::vector<Value> OnnxNode::all_inputs() {
  std::vector<Value> values;
  for (int64_t i = 0; i < input_count(); ++i) values.push_back(input(i));
  return values;
}

std::vector<int64_t> OnnxNode::constant_integers(int64_t i) {
  const Tensor value = constant(i);
  if (!is_integer(value.dtype()) && value.dtype() != DType::boolean)
    fail(fmt::format("input {} is {}, not integers", i, to_string(value.type())));
  const Tensor wide = value.cast(DType::i64);
  const auto all = wide.as<int64_t>();
  return {all.begin(), all.end()};
}

std::vector<double> OnnxNode::constant_reals(int64_t i) {
  const Tensor value = constant(i);
  if (is_complex(value.dtype())) fail(fmt::format("input {} is {}, not real", i, to_string(value.type())));
  const Tensor wide = value.cast(DType::f64);
  const auto all = wide.as<double>();
  return {all.begin(), all.end()};
}

int64_t OnnxNode::constant_integer(int64_t i) {
  const std::vector<int64_t> all = constant_integers(i);
  if (all.size() != 1) fail(fmt::format("input {} has {} elements, not one", i, all.size()));
  return all[0];
}

double OnnxNode::constant_real(int64_t i) {
  const std::vector<double> all = constant_reals(i);
  if (all.size() != 1) fail(fmt::format("input {} has {} elements, not one", i, all.size()));
  return all[0];
}

std::vector<int64_t> OnnxNode::integers_of(int64_t i, std::string_view name, std::vector<int64_t> otherwise) {
  return has_input(i) ? constant_integers(i) : integers(name, std::move(otherwise));
}

int64_t OnnxNode::integer_of(int64_t i, std::string_view name, int64_t otherwise) {
  return has_input(i) ? constant_integer(i) : integer(name, otherwise);
}

double OnnxNode::real_of(int64_t i, std::string_view name, double otherwise) {
  return has_input(i) ? constant_real(i) : real(name, otherwise);
}

DType dtype_of_onnx(int64_t element_type) {
  constexpr DType none = DType::c128;
  constexpr DType by_number[] = {none,       DType::f32, DType::u8,  DType::i8,      DType::u16, DType::i16,
                                 DType::i32, DType::i64, none,       DType::boolean, DType::f16, DType::f64,
                                 DType::u32, DType::u64, DType::c64, DType::c128,    DType::bf16};
  const bool known = element_type > 0 && element_type <= 16 && element_type != 8;
  GREGALE_CHECK(known, unsupported, "[onnx] elements of type number {} (8 is string, above 16 are 8 bits and fewer)",
                element_type);
  return by_number[element_type];
}

int64_t onnx_element_type(DType dtype) {
  for (int64_t number = 1; number <= 16; ++number)
    if (number != 8 && dtype_of_onnx(number) == dtype) return number;
  throw_error(ErrorCode::internal, "[onnx] a dtype without a number");
}

}  // namespace gregale
