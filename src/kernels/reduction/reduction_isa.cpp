// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduction/reduction_table.hpp"
#include "kernels/vector_math_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

GREGALE_INLINE D choose_d(D value, D other, bool greater) {
  using L = int64_t __attribute__((vector_size(sizeof(D))));
  const L take = (greater ? value > other : value < other) | (value != value);
  return bits<D>((take & bits<L>(value)) | (~take & bits<L>(other)));
}

struct Sum {
  static constexpr double kStart = 0;
  GREGALE_INLINE D of(D sum, D x) { return sum + x; }
  GREGALE_INLINE double of(double sum, double x) { return sum + x; }
};
struct SumOfSquares {
  static constexpr double kStart = 0;
  GREGALE_INLINE D of(D sum, D x) { return sum + x * x; }  // the product of two f32 is exact in f64
  GREGALE_INLINE double of(double sum, double x) { return sum + x * x; }
};
struct Max {
  static constexpr double kStart = -__builtin_inf();
  GREGALE_INLINE D of(D sum, D x) { return choose_d(x, sum, true); }
  GREGALE_INLINE double of(double sum, double x) { return x > sum || x != x ? x : sum; }
};
struct Min {
  static constexpr double kStart = __builtin_inf();
  GREGALE_INLINE D of(D sum, D x) { return choose_d(x, sum, false); }
  GREGALE_INLINE double of(double sum, double x) { return x < sum || x != x ? x : sum; }
};

GREGALE_INLINE D load_d(const double* p) {
  D v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
GREGALE_INLINE void store_d(double* p, D v) { __builtin_memcpy(p, &v, sizeof v); }

/// Lanes in order.
GREGALE_INLINE double total(D v) {
  double sum = v[0];
  for (int i = 1; i < kHalf; ++i) sum += v[i];
  return sum;
}

template <class Op>
double run(int64_t n, const float* src) {
  D sums[4];
  for (D& sum : sums) sum = Op::kStart - D{};
  int64_t i = 0;
  for (; i + 4 * kHalf <= n; i += 4 * kHalf)
    for (int j = 0; j < 4; ++j) sums[j] = Op::of(sums[j], to_double(src + i + j * kHalf));
  double result = Op::kStart;
  constexpr bool kSums = Op::kStart == 0;
  for (const D& sum : sums)
    for (int j = 0; j < kHalf; ++j) result = kSums ? result + sum[j] : Op::of(result, sum[j]);
  for (; i < n; ++i) result = Op::of(result, static_cast<double>(src[i]));
  return result;
}

template <class Op>
void add(int64_t n, const float* src, double* sums) {
  int64_t i = 0;
  for (; i + kHalf <= n; i += kHalf) store_d(sums + i, Op::of(load_d(sums + i), to_double(src + i)));
  for (; i < n; ++i) sums[i] = Op::of(sums[i], static_cast<double>(src[i]));
}

/// f64 sums of vectors: two half vectors of lanes.
struct Total {
  D low{}, high{};
  GREGALE_INLINE void add(Total& t, F x) {
    float lanes[kLanes];
    store(lanes, x);
    t.low += to_double(lanes);
    t.high += to_double(lanes + kHalf);
  }
  GREGALE_INLINE double of(const Total& t) { return total(t.low) + total(t.high); }
};

/// The lanes below `count`; others become `filler`.
GREGALE_INLINE F load_or(const float* p, int64_t count, float filler) {
  F v = set1(filler);
  __builtin_memcpy(&v, p, static_cast<unsigned long>(count) * 4);
  return v;
}

void softmax_row(int64_t n, const float* src, float* dst) {
  if (n == 0) return;
  const float infinity = __builtin_inff();
  F top = set1(-infinity);
  for (int64_t i = 0; i < n; i += kLanes) {
    const F x = load_or(src + i, smaller(kLanes, n - i), -infinity);
    top = choose((x > top) | (x != x), x, top);
  }
  float highest = -infinity;
  for (int j = 0; j < kLanes; ++j) highest = top[j] > highest || top[j] != top[j] ? top[j] : highest;
  Total sum;
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    const F y = exp_of(load_or(src + i, count, -infinity) - set1(highest));
    Total::add(sum, count == kLanes ? y : load_some(reinterpret_cast<const float*>(&y), count));
    store_some(dst + i, y, count);
  }
  const F scale = set1(static_cast<float>(1 / Total::of(sum)));
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    store_some(dst + i, load_some(dst + i, count) * scale, count);
  }
}

void softmax_columns(int64_t n, int64_t stride, int64_t count, const float* src, float* dst) {
  float top[kReduceColumns];
  double sums[kReduceColumns];
  for (int64_t j = 0; j < count; ++j) {
    top[j] = -__builtin_inff();
    sums[j] = 0;
  }
  for (int64_t i = 0; i < n; ++i) {
    const float* row = src + i * stride;
    for (int64_t j = 0; j < count; ++j) top[j] = row[j] > top[j] || row[j] != row[j] ? row[j] : top[j];
  }
  for (int64_t i = 0; i < n; ++i) {
    const float* row = src + i * stride;
    float* out = dst + i * stride;
    for (int64_t j = 0; j < count; j += kLanes) {
      const int64_t some = smaller(kLanes, count - j);
      store_some(out + j, exp_of(load_some(row + j, some) - load_some(top + j, some)), some);
    }
    for (int64_t j = 0; j < count; ++j) sums[j] += out[j];
  }
  for (int64_t j = 0; j < count; ++j) top[j] = static_cast<float>(1 / sums[j]);
  for (int64_t i = 0; i < n; ++i) {
    float* out = dst + i * stride;
    for (int64_t j = 0; j < count; ++j) out[j] *= top[j];
  }
}

void softmax_backward_row(int64_t n, const float* y, const float* d_y, float* d_x) {
  Total sum;
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    Total::add(sum, load_some(y + i, count) * load_some(d_y + i, count));
  }
  const F dot = set1(static_cast<float>(Total::of(sum)));
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    store_some(d_x + i, load_some(y + i, count) * (load_some(d_y + i, count) - dot), count);
  }
}

void softmax_backward_columns(int64_t n, int64_t stride, int64_t count, const float* y, const float* d_y, float* d_x) {
  double sums[kReduceColumns];
  float dots[kReduceColumns];
  for (int64_t j = 0; j < count; ++j) sums[j] = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < count; ++j) sums[j] += static_cast<double>(y[i * stride + j]) * d_y[i * stride + j];
  }
  for (int64_t j = 0; j < count; ++j) dots[j] = static_cast<float>(sums[j]);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < count; ++j) d_x[i * stride + j] = y[i * stride + j] * (d_y[i * stride + j] - dots[j]);
  }
}

struct Moments {
  float mean, rstd;
};
/// Two passes, in f64: the deviations of a row far from zero keep their digits.
GREGALE_INLINE Moments moments_of(int64_t n, double epsilon, const float* x) {
  const double mean = run<Sum>(n, x) / static_cast<double>(n);
  D sums[2] = {};
  int64_t i = 0;
  for (; i + 2 * kHalf <= n; i += 2 * kHalf) {
    for (int j = 0; j < 2; ++j) {
      const D d = to_double(x + i + j * kHalf) - mean;
      sums[j] += d * d;
    }
  }
  double square = total(sums[0]) + total(sums[1]);
  for (; i < n; ++i) square += (x[i] - mean) * (x[i] - mean);
  return {static_cast<float>(mean), static_cast<float>(1 / __builtin_sqrt(square / static_cast<double>(n) + epsilon))};
}

void layer_norm_row(int64_t n, double epsilon, const float* x, const float* gamma, const float* beta, float* y) {
  if (n == 0) return;
  const Moments at = moments_of(n, epsilon, x);
  const F mean = set1(at.mean), rstd = set1(at.rstd);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    const F unit = (load_some(x + i, count) - mean) * rstd;
    store_some(y + i, fma(unit, load_some(gamma + i, count), load_some(beta + i, count)), count);
  }
}

void layer_norm_backward_row(int64_t n, double epsilon, const float* x, const float* gamma, const float* d_y,
                             float* d_x, double* d_gamma, double* d_beta) {
  if (n == 0) return;
  const Moments at = moments_of(n, epsilon, x);
  const F mean = set1(at.mean), rstd = set1(at.rstd);
  Total sum, dot;  // of g = d_y gamma and of g times the normalised x
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    const F unit = (load_some(x + i, count) - mean) * rstd;
    const F d = load_some(d_y + i, count);
    const F g = d * load_some(gamma + i, count);
    Total::add(sum, g);
    Total::add(dot, count == kLanes ? g * unit : load_some(reinterpret_cast<const float*>(&g), count) * unit);
    if (d_gamma != nullptr) {
      float lanes[kLanes], products[kLanes];
      store(lanes, d);
      store(products, d * unit);
      for (int64_t j = 0; j < count; ++j) {
        d_beta[i + j] += lanes[j];
        d_gamma[i + j] += products[j];
      }
    }
  }
  if (d_x == nullptr) return;
  const F mean_g = set1(static_cast<float>(Total::of(sum) / static_cast<double>(n)));
  const F mean_dot = set1(static_cast<float>(Total::of(dot) / static_cast<double>(n)));
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = smaller(kLanes, n - i);
    const F unit = (load_some(x + i, count) - mean) * rstd;
    const F g = load_some(d_y + i, count) * load_some(gamma + i, count);
    store_some(d_x + i, rstd * (g - mean_g - unit * mean_dot), count);
  }
}

}  // namespace

extern const ReductionTable reduction_table;
const ReductionTable reduction_table = {{run<Sum>, run<Max>, run<Min>, run<SumOfSquares>},
                                        {add<Sum>, add<Max>, add<Min>, add<SumOfSquares>},
                                        softmax_row,
                                        softmax_columns,
                                        softmax_backward_row,
                                        softmax_backward_columns,
                                        layer_norm_row,
                                        layer_norm_backward_row};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
