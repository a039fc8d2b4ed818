// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "ops/native.hpp"
#include "ops/reduction.hpp"

/// Reductions of the dtypes that have no vector kernels of their own.
namespace gregale::ops {

namespace native {

/// The axes of a reduction apart: where each result begins, and what it walks.
struct ReducedLoops {
  kernels::Loops<1> kept, reduced;
};
ReducedLoops reduced_loops(const NodeView& node);

template <class F, class T>
void reduce(ThreadTeam& team, const ReducedLoops& loops, const T* x, T* y) {
  const int64_t results = loops.kept.rows() * loops.kept.inner(), rows = loops.reduced.rows(),
                inner = loops.reduced.inner(), step = loops.reduced.strides[loops.reduced.rank - 1][0];
  const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max<int64_t>(1, rows * inner));
  const auto place = [](const kernels::Loops<1>& l, int rank, int64_t index) {
    int64_t at = 0;
    for (int i = rank - 1; i >= 0; --i) {
      at += index % l.extents[i] * l.strides[i][0];
      index /= l.extents[i];
    }
    return at;
  };
  parallel_for(team, results, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t o = begin; o < end; ++o) {
      const T* from = x + place(loops.kept, loops.kept.rank, o);
      typename F::template Sum<T> sum = F::template start<T>();
      for (int64_t row = 0; row < rows && inner > 0; ++row) {
        const T* at = from + place(loops.reduced, loops.reduced.rank - 1, row);
        for (int64_t i = 0; i < inner; ++i) sum = F::of(sum, at[i * step]);
      }
      y[o] = static_cast<T>(sum);
    }
  });
}

}  // namespace native

/// F::start<T>() and F::of(sum, x), with F::Sum<T> what sums are kept in: integers, and the floats given.
template <class F, class... Floats>
Lowering native_reduction() {
  return {"native", [](const NodeView& node, const Target&) -> Result<Kernel> {
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            if (node.input(0).rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
            const DType dtype = node.input(0).dtype;
            Kernel k;
            const auto make = [&](auto zero) {
              using T = decltype(zero);
              k.run = [loops = native::reduced_loops(node)](const Launch& l) {
                native::reduce<F>(l.team, loops, static_cast<const T*>(l.inputs[0]), static_cast<T*>(l.outputs[0]));
              };
            };
            bool made = visit_integer(dtype, make);
            ((made = made || (dtype == dtype_v<Floats> && (make(Floats{}), true))), ...);
            if (!made) return refuse(node, fmt::format("{} is not among its dtypes", name_of(dtype)));
            return k;
          }};
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
