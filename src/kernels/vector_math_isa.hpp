// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Elementary functions over one vector, for *_isa.cpp files. Reductions of the argument are the classical ones (Cody
// and Waite, "Software manual for the elementary functions", 1980; log's in terms of s = f / (2 + f) is that of
// fdlibm); the polynomials are minimax fits (Remez, relative error) made for this file.
#include "kernels/vector_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

/// Rounds to the nearest integer, |x| < 2^22; `whole` gets it as an integer.
GREGALE_INLINE F round_of(F x, I* whole) {
  const F magic = set1(12582912.0f);  // 1.5 * 2^23: the sum has units of 1
  const F shifted = x + magic;
  *whole = bits<I>(bits<U>(shifted) - bits<U>(magic));  // unsigned: NaN gives anything
  return shifted - magic;
}

/// factor * exp(x), scaled last, so that neither overflows or becomes denormal before the product does.
GREGALE_INLINE F exp_times(F x, F factor) {
  x = choose(x > set1(89.0f), set1(89.0f), x);
  x = choose(x < set1(-110.0f), set1(-110.0f), x);
  I n;
  const F whole = round_of(x * set1(1.44269504f), &n);
  F r = fma(whole, set1(-0.693359375f), x);  // 9 bits: exact products
  r = fma(whole, set1(2.12194440e-4f), r);
  F p = set1(1.395060215e-03f);
  p = fma(p, r, set1(8.368953131e-03f));
  p = fma(p, r, set1(4.166620597e-02f));
  p = fma(p, r, set1(1.666651815e-01f));
  p = fma(p, r, set1(0.5f));
  p = fma(p * r, r, r) + set1(1.0f);
  const I half = n >> 1;
  const F scale1 = bits<F>((bits<U>(half) + 127u) << 23);
  const F scale2 = bits<F>((bits<U>(n) - bits<U>(half) + 127u) << 23);
  return p * scale1 * factor * scale2;
}
GREGALE_INLINE F exp_of(F x) { return exp_times(x, set1(1.0f)); }

GREGALE_INLINE F log_of(F x) {
  const I small = x < set1(1.17549435e-38f);
  const F scaled = choose(small, x * set1(33554432.0f), x);
  // Mantissa in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) makes the exponent carry at the right place.
  const I raw = bits<I>(bits<U>(scaled) - 0x3f3504f3u);
  const F e = __builtin_convertvector((raw >> 23) - (small & set1i(25)), F);
  const F f = bits<F>((raw & set1i(0x007fffff)) + set1i(0x3f3504f3)) - set1(1.0f);
  const F s = f / (f + set1(2.0f));
  const F z = s * s;
  F r = set1(2.0f / 9);
  r = fma(r, z, set1(2.0f / 7));
  r = fma(r, z, set1(2.0f / 5));
  r = fma(r, z, set1(2.0f / 3)) * z;
  const F half_square = set1(0.5f) * f * f;
  F y = fma(s, half_square + r, e * set1(-2.12194440e-4f));
  y = fma(e, set1(0.693359375f), f - (half_square - y));
  const F infinity = set1(__builtin_inff());
  y = choose(x == infinity, infinity, y);
  y = choose(x == F{}, -infinity, y);
  y = choose(x < F{}, set1(__builtin_nanf("")), y);
  return choose(x != x, x, y);
}

GREGALE_INLINE F tanh_of(F x) {
  const F a = abs_of(x);
  const F u = x * x;
  F p = set1(-5.856427830e-03f);
  p = fma(p, u, set1(2.077541500e-02f));
  p = fma(p, u, set1(-5.378289148e-02f));
  p = fma(p, u, set1(1.333199888e-01f));
  p = fma(p, u, set1(-3.333330452e-01f));
  const F near = fma(x * u, p, x);
  const F far = set1(1.0f) - set1(2.0f) / (exp_of(a + a) + set1(1.0f));
  const F y = choose(a < set1(0.6f), near, far);
  return choose(x != x, x, bits<F>(bits<I>(y) | sign_bits(x)));
}

/// e^-|x| never overflows: 1 / (1 + e) for x >= 0, e / (1 + e) below.
GREGALE_INLINE F sigmoid_of(F x) {
  const F a = abs_of(x);
  const F denominator = set1(1.0f) / (set1(1.0f) + exp_of(-a));
  return choose(x < F{}, exp_times(-a, denominator), denominator);
}
GREGALE_INLINE F silu_of(F x) {
  const F a = abs_of(x);
  const F quotient = x / (set1(1.0f) + exp_of(-a));
  const F y = choose(x < F{}, exp_times(-a, quotient), quotient);
  return choose(x < set1(-104.0f), F{} * set1(-1.0f), y);  // the limit, where inf * 0 would say NaN
}

/// erf for |x| <= 1.
GREGALE_INLINE F erf_near(F x) {
  const F u = x * x;
  F p = set1(7.853861462e-05f);
  p = fma(p, u, set1(-8.010193706e-04f));
  p = fma(p, u, set1(5.188327748e-03f));
  p = fma(p, u, set1(-2.685381286e-02f));
  p = fma(p, u, set1(1.128358543e-01f));
  p = fma(p, u, set1(-3.761262596e-01f));
  p = fma(p, u, set1(0.128379107f));  // 2 / sqrt(pi) - 1
  return fma(x, p, x);
}
/// factor * erfc(z) for z >= 0.5, given z^2 = square + rest: t R(t) exp(-z^2) with t = 1 / (1 + z / 2).
GREGALE_INLINE F erfc_far(F z, F square, F rest, F factor) {
  z = choose(z > set1(10.5f), set1(10.5f), z);
  const F t = set1(1.0f) / fma(z, set1(0.5f), set1(1.0f));
  F p = set1(-6.044665352e-02f);
  p = fma(p, t, set1(2.932051718e-01f));
  p = fma(p, t, set1(-5.069960356e-01f));
  p = fma(p, t, set1(3.012500703e-01f));
  p = fma(p, t, set1(-4.216662049e-02f));
  p = fma(p, t, set1(2.088599801e-01f));
  p = fma(p, t, set1(2.416778505e-01f));
  p = fma(p, t, set1(2.825508714e-01f));
  p = fma(p, t, set1(2.820775807e-01f));
  p = fma(p, -rest, p);
  return exp_times(-square, p * t * factor);
}
GREGALE_INLINE F erf_of(F x) {
  F a = abs_of(x);
  a = choose(a > set1(4.5f), set1(4.5f), a);  // erf(4) rounds to 1
  const F far = set1(1.0f) - erfc_far(a, a * a, F{}, set1(1.0f));
  const F y = choose(a < set1(1.0f), erf_near(x), bits<F>(bits<I>(far) | sign_bits(x)));
  return choose(x != x, x, y);
}
GREGALE_INLINE F gelu_of(F x) {
  const F half = set1(0.5f) * x;
  F a = abs_of(x);
  a = choose(a > set1(15.0f), set1(15.0f), a);  // beyond, the result is x or 0
  const F z = a * set1(0.707106781f);
  const F square = a * a;
#if defined(__AVX2__)
  const F rest = fma(a, a, -square) * set1(0.5f);
#else
  const F rest = F{};
#endif
  const F tail = erfc_far(z, set1(0.5f) * square, rest, half);
  const F far = choose(x < F{}, tail, x - tail);
  const F signed_z = bits<F>(bits<I>(z) | sign_bits(x));
  const F y = choose(z < set1(0.55f), fma(half, erf_near(signed_z), half), far);
  return choose(x != x, x, choose(x > set1(15.0f), x, choose(x < set1(-15.0f), F{} * set1(-1.0f), y)));
}

/// sin (quadrant 0) or cos (quadrant 1) for |x| < 1e4.
GREGALE_INLINE F sin_quadrant(F x, int32_t quadrant) {
  I n;
  const F whole = round_of(x * set1(0.636619772f), &n);
  // pi/2 in four parts; the first three are short, so that their products with |n| < 2^13 are exact.
  F r = fma(whole, set1(-1.5703125f), x);
  r = fma(whole, set1(-0x1.fb4p-12f), r);
  r = fma(whole, set1(-0x1.444p-24f), r);
  r = fma(whole, set1(-2.563344152e-12f), r);
  const F u = r * r;
  F s = set1(2.717519237e-06f);
  s = fma(s, u, set1(-1.983925176e-04f));
  s = fma(s, u, set1(8.333329111e-03f));
  s = fma(s, u, set1(-1.666666716e-01f));
  s = fma(s * u, r, r);
  F c = set1(-2.720288705e-07f);
  c = fma(c, u, set1(2.479943214e-05f));
  c = fma(c, u, set1(-1.388888340e-03f));
  c = fma(c, u, set1(4.166666791e-02f));
  c = fma(c * u, u, fma(u, set1(-0.5f), set1(1.0f)));
  n = bits<I>(bits<U>(n) + static_cast<uint32_t>(quadrant));
  const F y = choose((n & set1i(1)) != I{}, c, s);
  return bits<F>(bits<U>(y) ^ ((bits<U>(n) & 2u) << 30));
}
template <int Quadrant>
GREGALE_INLINE F sin_cos_of(F x) {
  F y = sin_quadrant(x, Quadrant);
  const I large = ~(abs_of(x) < set1(1e4f));
  int32_t any = 0;
  for (int i = 0; i < kLanes; ++i) any |= large[i];
  if (any != 0) {
    for (int i = 0; i < kLanes; ++i)
      if (large[i] != 0) y[i] = Quadrant == 0 ? __builtin_sinf(x[i]) : __builtin_cosf(x[i]);
  }
  return Quadrant == 0 ? choose(x == F{}, x, y) : y;
}

}  // namespace
}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
