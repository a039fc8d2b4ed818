// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <type_traits>

#include "kernels/loops.hpp"
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

template <class F, class T, class Out>
void rows(ThreadTeam& team, const kernels::Loops<3>& loops, const T* a, const T* b, Out* y) {
  const int64_t* step = loops.strides[loops.rank - 1];
  kernels::for_rows(team, loops, [&, a_step = step[0], b_step = step[1]](const int64_t(&at)[3], int64_t n) {
    const T *l = a + at[0], *r = b + at[1];
    Out* out = y + at[2];
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
  });
}

template <class F, class T, class Out>
Kernel kernel(const NodeView& node) {
  const BroadcastPlan plan(node);
  int64_t dense[kernels::kMaxRank];
  kernels::dense_strides(plan.rank(), plan.extents.data(), dense);
  const auto loops =
      kernels::collapse<3>(plan.rank(), plan.extents.data(), {plan.strides[0].data(), plan.strides[1].data(), dense});
  Kernel k;
  k.run = [loops](const Launch& l) {
    rows<F>(l.team, loops, static_cast<const T*>(l.inputs[0]), static_cast<const T*>(l.inputs[1]),
            static_cast<Out*>(l.outputs[0]));
  };
  k.in_place = in_place_pairs(node);
  return k;
}

}  // namespace native

/// F::of(a, b) of integers (booleans as bytes), and of the floats given; the result is boolean (`Mask`) or of their
/// dtype.
template <class F, bool Mask, class... Floats>
Lowering native_lowering() {
  return {"native", [](const NodeView& node, const Target&) -> Result<Kernel> {
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            if (node.outputs()[0].rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
            const DType dtype = node.input(0).dtype;
            Kernel k;
            const auto make = [&](auto zero) {
              using T = decltype(zero);
              k = native::kernel<F, T, std::conditional_t<Mask, uint8_t, T>>(node);
            };
            bool made = visit_integer(dtype, make);
            ((made = made || (dtype == dtype_v<Floats> && (make(Floats{}), true))), ...);
            if (!made) return refuse(node, fmt::format("{} is not among its dtypes", name_of(dtype)));
            return k;
          }};
}

}  // namespace gregale::ops
