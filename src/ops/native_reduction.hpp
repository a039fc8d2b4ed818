// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "kernels/loops.hpp"
#include "ops/native.hpp"
#include "ops/reduction.hpp"

/// Reductions of the dtypes that have no vector kernels of their own.
namespace gregale::ops {

namespace native {

/// The axes of a reduction apart: where each result begins, and what it walks.
struct ReducedLoops {
  kernels::Loops<1> kept, reduced;
};

/// Element `index` of the first `rank` axes.
int64_t place(const kernels::Loops<1>& loops, int rank, int64_t index);

/// Results [begin, end) of y, whatever the types.
using Results = void (*)(const ReducedLoops& loops, const void* x, void* y, int64_t begin, int64_t end);

template <class F, class T>
void results(const ReducedLoops& loops, const void* x, void* y, int64_t begin, int64_t end) {
  const int64_t rows = loops.reduced.rows(), inner = loops.reduced.inner(),
                step = loops.reduced.strides[loops.reduced.rank - 1][0];
  for (int64_t o = begin; o < end; ++o) {
    const T* from = static_cast<const T*>(x) + place(loops.kept, loops.kept.rank, o);
    typename F::template Sum<T> sum = F::template start<T>();
    for (int64_t row = 0; row < rows && inner > 0; ++row) {
      const T* at = from + place(loops.reduced, loops.reduced.rank - 1, row);
      for (int64_t i = 0; i < inner; ++i) sum = F::of(sum, at[i * step]);
    }
    static_cast<T*>(y)[o] = static_cast<T>(sum);
  }
}

/// `results_of` gives null for dtypes it does not know.
Lowering reduction(Results (*results_of)(DType dtype));

}  // namespace native

/// F::start<T>() and F::of(sum, x), with F::Sum<T> what sums are kept in: integers, and the floats given.
template <class F, class... Floats>
Lowering native_reduction() {
  return native::reduction([](DType dtype) {
    native::Results results = nullptr;
    const auto take = [&](auto zero) { results = native::results<F, decltype(zero)>; };
    visit_integer(dtype, take);
    ((dtype == dtype_v<Floats> ? take(Floats{}) : void()), ...);
    return results;
  });
}

struct NativeSum {
  template <class T>
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
  template <class T>
  static Sum<T> start() {
    return 0;
  }
  template <class S, class T>
  static S of(S sum, T x) {
    return sum + static_cast<S>(x);
  }
};

/// Of at least one element.
template <bool Greatest>
struct NativeExtremum {
  template <class T>
  using Sum = T;
  template <class T>
  static T start() {
    return Greatest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  }
  template <class T>
  static T of(T best, T x) {
    return (Greatest ? x > best : x < best) ? x : best;
  }
};

struct NativeProduct {
  template <class T>
  using Sum = NativeSum::Sum<T>;
  template <class T>
  static Sum<T> start() {
    return 1;
  }
  template <class S, class T>
  static S of(S product, T x) {
    return product * static_cast<S>(x);
  }
};

}  // namespace gregale::ops
