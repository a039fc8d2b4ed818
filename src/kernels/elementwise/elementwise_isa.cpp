// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise/elementwise_table.hpp"
#include "kernels/vector_math_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

// Tails go through a zero-padded vector, so that an element's bits never depend on where it stands in a row.
template <class Map>
void unary(int64_t n, const float* src, float* dst, float parameter) {
  const F p = set1(parameter);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(dst + i, Map::of(load(src + i), p));
  if (i < n) store_some(dst + i, Map::of(load_some(src + i, n - i), p), n - i);
}

#define GREGALE_UNARY(Name, expression)                                             \
  struct Name {                                                                     \
    GREGALE_INLINE F of(F x, [[maybe_unused]] F parameter) { return (expression); } \
  };
GREGALE_UNARY(Neg, -x)
GREGALE_UNARY(Abs, abs_of(x))
GREGALE_UNARY(Sign, choose(x > F{}, set1(1.0f), choose(x < F{}, set1(-1.0f), x)))
GREGALE_UNARY(Exp, exp_of(x))
GREGALE_UNARY(Log, log_of(x))
GREGALE_UNARY(Sqrt, sqrt_of(x))
GREGALE_UNARY(Rsqrt, set1(1.0f) / sqrt_of(x))
GREGALE_UNARY(Reciprocal, set1(1.0f) / x)
GREGALE_UNARY(Square, x* x)
GREGALE_UNARY(Sin, sin_cos_of<0>(x))
GREGALE_UNARY(Cos, sin_cos_of<1>(x))
GREGALE_UNARY(Tanh, tanh_of(x))
GREGALE_UNARY(Sigmoid, sigmoid_of(x))
GREGALE_UNARY(Erf, erf_of(x))
GREGALE_UNARY(Relu, choose(x < F{}, F{}, x))
GREGALE_UNARY(Gelu, gelu_of(x))
GREGALE_UNARY(Silu, silu_of(x))
GREGALE_UNARY(Softshrink,
              choose(x > parameter, x - parameter, choose(x < -parameter, x + parameter, choose(x != x, x, F{}))))
GREGALE_UNARY(AddScalar, x + parameter)
GREGALE_UNARY(MulScalar, x* parameter)

/// One body for vectors and broadcast scalars: Body(i, a, b, count) with count lanes that matter.
template <class Body>
GREGALE_INLINE void pairs(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride, Body body) {
  const bool wide_a = a_stride != 0, wide_b = b_stride != 0;
  const F one_a = wide_a ? F{} : set1(*a), one_b = wide_b ? F{} : set1(*b);
  int64_t i = 0;
  if (wide_a && wide_b) {
    for (; i + kLanes <= n; i += kLanes) body(i, load(a + i), load(b + i), int64_t{kLanes});
  } else if (wide_a) {
    for (; i + kLanes <= n; i += kLanes) body(i, load(a + i), one_b, int64_t{kLanes});
  } else if (wide_b) {
    for (; i + kLanes <= n; i += kLanes) body(i, one_a, load(b + i), int64_t{kLanes});
  } else {
    for (; i + kLanes <= n; i += kLanes) body(i, one_a, one_b, int64_t{kLanes});
  }
  if (i < n) body(i, wide_a ? load_some(a + i, n - i) : one_a, wide_b ? load_some(b + i, n - i) : one_b, n - i);
}

template <class Map>
void binary(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* dst) {
  pairs(
      n, a, a_stride, b, b_stride, [=](int64_t i, F x, F y, int64_t count) __attribute__((always_inline)) {
        const F z = Map::of(x, y);
        if (count == kLanes) {
          store(dst + i, z);
        } else {
          store_some(dst + i, z, count);
        }
      });
}

#define GREGALE_BINARY(Name, expression)                      \
  struct Name {                                               \
    GREGALE_INLINE auto of(F x, F y) { return (expression); } \
  };
GREGALE_BINARY(Add, x + y)
GREGALE_BINARY(Sub, x - y)
GREGALE_BINARY(Mul, x* y)
GREGALE_BINARY(Div, x / y)
GREGALE_BINARY(Maximum, choose((x > y) | (x != x), x, y))
GREGALE_BINARY(Minimum, choose((x < y) | (x != x), x, y))
GREGALE_BINARY(Equal, x == y)
GREGALE_BINARY(NotEqual, x != y)
GREGALE_BINARY(Less, x < y)
GREGALE_BINARY(LessEqual, x <= y)
GREGALE_BINARY(Greater, x > y)
GREGALE_BINARY(GreaterEqual, x >= y)

void power(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* dst) {
  if (b_stride == 0 && *b == 2.0f) return binary<Mul>(n, a, a_stride, a, a_stride, dst);
  for (int64_t i = 0; i < n; ++i) dst[i] = __builtin_powf(a[i * a_stride], b[i * b_stride]);
}

template <class Map>
void compare(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride, uint8_t* dst) {
  using Bytes = int8_t __attribute__((vector_size(kLanes)));
  pairs(
      n, a, a_stride, b, b_stride, [=](int64_t i, F x, F y, int64_t count) __attribute__((always_inline)) {
        const I mask = Map::of(x, y) & set1i(1);
        const Bytes bytes = __builtin_convertvector(mask, Bytes);
        if (count == kLanes) {
          __builtin_memcpy(dst + i, &bytes, kLanes);
        } else {
          __builtin_memcpy(dst + i, &bytes, static_cast<unsigned long>(count));
        }
      });
}

void select(int64_t n, const uint8_t* condition, int64_t c_stride, const float* a, int64_t a_stride, const float* b,
            int64_t b_stride, float* dst) {
  if (c_stride == 0) {
    const float* from = *condition != 0 ? a : b;
    const int64_t stride = *condition != 0 ? a_stride : b_stride;
    if (stride == 1) {
      __builtin_memmove(dst, from, static_cast<unsigned long>(n) * 4);
    } else {
      const float value = *from;
      for (int64_t i = 0; i < n; ++i) dst[i] = value;
    }
    return;
  }
  using Bytes = int8_t __attribute__((vector_size(kLanes)));
  pairs(
      n, a, a_stride, b, b_stride, [=](int64_t i, F x, F y, int64_t count) __attribute__((always_inline)) {
        Bytes bytes{};
        if (count == kLanes) {
          __builtin_memcpy(&bytes, condition + i, kLanes);
        } else {
          __builtin_memcpy(&bytes, condition + i, static_cast<unsigned long>(count));
        }
        const F z = choose(__builtin_convertvector(bytes, I) != I{}, x, y);
        if (count == kLanes) {
          store(dst + i, z);
        } else {
          store_some(dst + i, z, count);
        }
      });
}

template <class Map>
void complex_map(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* dst) {
  for (int64_t i = 0; i < n; ++i) {
    const float ar = a[2 * i * a_stride], ai = a[2 * i * a_stride + 1];
    const float br = b[2 * i * b_stride], bi = b[2 * i * b_stride + 1];
    Map::of(ar, ai, br, bi, dst + 2 * i);
  }
}
struct ComplexAdd {
  GREGALE_INLINE void of(float ar, float ai, float br, float bi, float* z) {
    z[0] = ar + br;
    z[1] = ai + bi;
  }
};
struct ComplexSub {
  GREGALE_INLINE void of(float ar, float ai, float br, float bi, float* z) {
    z[0] = ar - br;
    z[1] = ai - bi;
  }
};
struct ComplexMul {  // in f64: the products are exact, so that vector and scalar code round alike
  GREGALE_INLINE void of(float ar, float ai, float br, float bi, float* z) {
    const double x = ar, y = ai, u = br, v = bi;
    z[0] = static_cast<float>(x * u - y * v);
    z[1] = static_cast<float>(x * v + y * u);
  }
};

void to_bf16(int64_t n, const float* src, uint16_t* dst) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t u;
    __builtin_memcpy(&u, src + i, 4);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    dst[i] = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
  }
}
void from_bf16(int64_t n, const uint16_t* src, float* dst) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t u = static_cast<uint32_t>(src[i]) << 16;
    __builtin_memcpy(dst + i, &u, 4);
  }
}
void to_f64(int64_t n, const float* src, double* dst) {
  for (int64_t i = 0; i < n; ++i) dst[i] = src[i];
}
void from_f64(int64_t n, const double* src, float* dst) {
  for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<float>(src[i]);
}
void from_i64(int64_t n, const int64_t* src, float* dst) {
  for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<float>(src[i]);
}
void from_bool(int64_t n, const uint8_t* src, float* dst) {
  for (int64_t i = 0; i < n; ++i) dst[i] = src[i] != 0 ? 1.0f : 0.0f;
}

GREGALE_INLINE void adam_step(const AdamFactors& k, F p, F m, F v, F g, F* new_p, F* new_m, F* new_v) {
  g *= set1(k.scale);
  *new_m = fma(set1(k.beta1), m, set1(k.one_minus_beta1) * g);
  *new_v = fma(set1(k.beta2), v, set1(k.one_minus_beta2) * g * g);
  const F root = fma(sqrt_of(*new_v), set1(k.root_scale), set1(k.epsilon));
  *new_p = p - fma(set1(k.step_size), *new_m / root, set1(k.decay) * p);
}
void adam(int64_t n, const AdamFactors& k, const float* p, const float* m, const float* v, const float* g, float* new_p,
          float* new_m, float* new_v) {
  F a, b, c;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    adam_step(k, load(p + i), load(m + i), load(v + i), load(g + i), &a, &b, &c);
    store(new_p + i, a);
    store(new_m + i, b);
    store(new_v + i, c);
  }
  if (i < n) {
    const int64_t rest = n - i;
    adam_step(k, load_some(p + i, rest), load_some(m + i, rest), load_some(v + i, rest), load_some(g + i, rest), &a, &b,
              &c);
    store_some(new_p + i, a, rest);
    store_some(new_m + i, b, rest);
    store_some(new_v + i, c, rest);
  }
}

}  // namespace

extern const ElementwiseTable elementwise_table;
const ElementwiseTable elementwise_table = {
    {unary<Neg>,        unary<Abs>,    unary<Sign>, unary<Exp>,        unary<Log>,       unary<Sqrt>,     unary<Rsqrt>,
     unary<Reciprocal>, unary<Square>, unary<Sin>,  unary<Cos>,        unary<Tanh>,      unary<Sigmoid>,  unary<Erf>,
     unary<Relu>,       unary<Gelu>,   unary<Silu>, unary<Softshrink>, unary<AddScalar>, unary<MulScalar>},
    {binary<Add>, binary<Sub>, binary<Mul>, binary<Div>, binary<Maximum>, binary<Minimum>, power},
    {compare<Equal>, compare<NotEqual>, compare<Less>, compare<LessEqual>, compare<Greater>, compare<GreaterEqual>},
    select,
    {complex_map<ComplexAdd>, complex_map<ComplexSub>, complex_map<ComplexMul>},
    to_bf16,
    from_bf16,
    to_f64,
    from_f64,
    from_i64,
    from_bool,
    adam};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
