// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "ops/elementwise.hpp"

/// Elementwise maps of the dtypes that have no vector kernels of their own: integers, booleans and f64 as the compiler
/// makes them of plain loops. Networks compute masks, positions and extents in these.
namespace gregale::ops {

/// Calls body(T{}) with T the type of the elements, which a boolean has as uint8_t; false where none is given.
template <class Body>
bool visit_integer(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::i64:
      return body(int64_t{}), true;
    case DType::i32:
      return body(int32_t{}), true;
    case DType::i16:
      return body(int16_t{}), true;
    case DType::i8:
      return body(int8_t{}), true;
    case DType::u64:
      return body(uint64_t{}), true;
    case DType::u32:
      return body(uint32_t{}), true;
    case DType::u16:
      return body(uint16_t{}), true;
    case DType::u8:
    case DType::boolean:
      return body(uint8_t{}), true;
    default:
      return false;
  }
}

/// Where arithmetic of T wraps instead of being undefined.
template <class T>
using Wrapping = std::conditional_t<sizeof(T) < 4, uint32_t, std::make_unsigned_t<T>>;

namespace native {

/// y[i] = f(a[i a_step], b[i b_step]) for n elements, whatever their types.
using Row = void (*)(const void* a, int64_t a_step, const void* b, int64_t b_step, void* y, int64_t n);

template <class F, class T, class Out>
void row(const void* a, int64_t a_step, const void* b, int64_t b_step, void* y, int64_t n) {
  const T *l = static_cast<const T*>(a), *r = static_cast<const T*>(b);
  Out* out = static_cast<Out*>(y);
  if (a_step == 1 && b_step == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(F::of(l[i], r[i]));
  } else if (a_step == 1 && b_step == 0) {
    const T one = *r;
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(F::of(l[i], one));
  } else if (a_step == 0 && b_step == 1) {
    const T one = *l;
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(F::of(one, r[i]));
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<Out>(F::of(l[i * a_step], r[i * b_step]));
  }
}

/// Of two operands that broadcast; `row_of` gives null for dtypes it does not know.
Lowering lowering(Row (*row_of)(DType dtype));

}  // namespace native

/// F::of(a, b) of integers (booleans as bytes), and of the floats given; the result is boolean (`Mask`) or of their
/// dtype.
template <class F, bool Mask, class... Floats>
Lowering native_lowering() {
  return native::lowering([](DType dtype) {
    native::Row row = nullptr;
    const auto take = [&](auto zero) {
      using T = decltype(zero);
      row = native::row<F, T, std::conditional_t<Mask, uint8_t, T>>;
    };
    visit_integer(dtype, take);
    ((dtype == dtype_v<Floats> ? take(Floats{}) : void()), ...);
    return row;
  });
}

}  // namespace gregale::ops
