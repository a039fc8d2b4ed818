// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/op.hpp"

namespace gregale {
namespace {

template <class From, class To, class Convert>
void convert(const Tensor& from, std::vector<To>& to, Convert&& f) {
  auto values = from.as<From>();
  to.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) to[i] = f(values[i]);
}

template <class To, class From, class Convert>
void fill(Tensor& to, const std::vector<From>& from, Convert&& f) {
  auto out = to.as<To>();
  for (size_t i = 0; i < from.size(); ++i) out[i] = f(from[i]);
}

template <class T>
void integers_in(const Tensor& from, RefArray& to) {
  to.values.emplace<std::vector<int64_t>>();
  convert<T>(from, to.integer(), [](T v) { return static_cast<int64_t>(v); });
}

template <class T>
void integers_out(Tensor& to, const RefArray& from) {
  fill<T>(to, from.integer(), [](int64_t v) { return static_cast<T>(v); });
}

}  // namespace

RefArray RefArray::zeros(const Type& type) {
  RefArray a;
  a.type = type;
  a.extents = type.shape.extents();
  const auto n = static_cast<size_t>(element_count(a.extents));
  if (is_real_float(type.dtype))
    a.values = std::vector<double>(n);
  else if (is_complex(type.dtype))
    a.values = std::vector<Complex>(n);
  else
    a.values = std::vector<int64_t>(n);
  return a;
}

int64_t RefArray::size() const {
  return std::visit([](const auto& v) { return static_cast<int64_t>(v.size()); }, values);
}

RefArray RefArray::from(const Tensor& t) {
  RefArray a;
  a.type = t.type();
  a.extents = t.extents();
  switch (t.dtype()) {
    case DType::f64:
      convert<double>(t, a.values.emplace<0>(), [](double v) { return v; });
      break;
    case DType::f32:
      convert<float>(t, a.values.emplace<0>(), [](float v) { return double{v}; });
      break;
    case DType::f16:
      convert<f16>(t, a.values.emplace<0>(), [](f16 v) { return double{to_f32(v)}; });
      break;
    case DType::bf16:
      convert<bf16>(t, a.values.emplace<0>(), [](bf16 v) { return double{to_f32(v)}; });
      break;
    case DType::c64:
      convert<std::complex<float>>(t, a.values.emplace<1>(), [](std::complex<float> v) { return Complex(v); });
      break;
    case DType::c128:
      convert<Complex>(t, a.values.emplace<1>(), [](Complex v) { return v; });
      break;
    case DType::i64:
      integers_in<int64_t>(t, a);
      break;
    case DType::i32:
      integers_in<int32_t>(t, a);
      break;
    case DType::i16:
      integers_in<int16_t>(t, a);
      break;
    case DType::i8:
      integers_in<int8_t>(t, a);
      break;
    case DType::u64:
      integers_in<uint64_t>(t, a);
      break;
    case DType::u32:
      integers_in<uint32_t>(t, a);
      break;
    case DType::u16:
      integers_in<uint16_t>(t, a);
      break;
    case DType::u8:
      integers_in<uint8_t>(t, a);
      break;
    case DType::boolean:
      integers_in<bool>(t, a);
      break;
  }
  return a;
}

Tensor RefArray::to_tensor() const {
  Tensor t(type.dtype, extents);
  GREGALE_CHECK(size() == t.size(), internal, "a reference gave {} elements for {}", size(), to_string(type));
  switch (type.dtype) {
    case DType::f64:
      fill<double>(t, real(), [](double v) { return v; });
      break;
    case DType::f32:
      fill<float>(t, real(), [](double v) { return static_cast<float>(v); });
      break;
    case DType::f16:
      fill<f16>(t, real(), [](double v) { return to_f16(static_cast<float>(v)); });
      break;
    case DType::bf16:
      fill<bf16>(t, real(), [](double v) { return to_bf16(static_cast<float>(v)); });
      break;
    case DType::c64:
      fill<std::complex<float>>(t, complex(), [](Complex v) { return std::complex<float>(v); });
      break;
    case DType::c128:
      fill<Complex>(t, complex(), [](Complex v) { return v; });
      break;
    case DType::i64:
      integers_out<int64_t>(t, *this);
      break;
    case DType::i32:
      integers_out<int32_t>(t, *this);
      break;
    case DType::i16:
      integers_out<int16_t>(t, *this);
      break;
    case DType::i8:
      integers_out<int8_t>(t, *this);
      break;
    case DType::u64:
      integers_out<uint64_t>(t, *this);
      break;
    case DType::u32:
      integers_out<uint32_t>(t, *this);
      break;
    case DType::u16:
      integers_out<uint16_t>(t, *this);
      break;
    case DType::u8:
      integers_out<uint8_t>(t, *this);
      break;
    case DType::boolean:
      integers_out<bool>(t, *this);
      break;
  }
  return t;
}

}  // namespace gregale
