// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Elementary functions in f32, within 2 ulp over the whole range. Reductions of the argument are the classical ones
// (Cody and Waite, "Software manual for the elementary functions", 1980; log's in terms of s = f / (2 + f) is that of
// fdlibm); the polynomials are minimax fits made for this project.
#include <bit>
#include <cmath>

#include "kernels/expression/expression_generator.hpp"

namespace gregale::kernels::expression {
namespace {

/// Where |x| is too large for the vectors' reduction (or not finite), the C library's f64 does it.
constexpr float kTrigonometricLimit = 1e4f;
void sin_of_large(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (!(std::fabs(x[i]) < kTrigonometricLimit)) y[i] = static_cast<float>(std::sin(static_cast<double>(x[i])));
  }
}
void cos_of_large(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (!(std::fabs(x[i]) < kTrigonometricLimit)) y[i] = static_cast<float>(std::cos(static_cast<double>(x[i])));
  }
}

constexpr float kErfStep = 17.0f / 64;
constexpr int kErfDegree = 6;
/// erf(i * 17 / 64 + t) - t, |t| <= 17 / 128, coefficient by coefficient for i = 0 to 15. (Without t, which is added
/// apart, the rounding of 2 / sqrt(pi) would cost half an ulp of small results.)
constexpr float kErfTable[kErfDegree + 1][16] = {
    {0.000000000e+00f, 2.928232551e-01f, 5.475284457e-01f, 7.402369976e-01f, 8.670582771e-01f, 9.396533370e-01f,
     9.757977128e-01f, 9.914503098e-01f, 9.973459840e-01f, 9.992774129e-01f, 9.998276830e-01f, 9.999640584e-01f,
     9.999934435e-01f, 9.999989867e-01f, 9.999998808e-01f, 1.000000000e+00f},
    {1.283791661e-01f, 5.150827765e-02f, -1.490860879e-01f, -4.020376503e-01f, -6.350970864e-01f, -8.066269159e-01f,
     -9.110122919e-01f, -9.644385576e-01f, -9.876591563e-01f, -9.962810278e-01f, -9.990267754e-01f, -9.997788072e-01f,
     -9.999563694e-01f, -9.999925494e-01f, -9.999988675e-01f, -9.999998808e-01f},
    {-3.828730399e-08f, -2.793068886e-01f, -4.520480037e-01f, -4.765012264e-01f, -3.877093196e-01f, -2.568236589e-01f,
     -1.418241858e-01f, -6.612206995e-02f, -2.622424252e-02f, -8.890687488e-03f, -2.585163573e-03f, -6.462361198e-04f,
     -1.391251426e-04f, -2.582908382e-05f, -4.139523753e-06f, -5.731731108e-07f},
    {-3.761230111e-01f, -3.010381162e-01f, -1.235397458e-01f, 5.381536111e-02f, 1.529897302e-01f, 1.629381478e-01f,
     1.210272461e-01f, 7.011137903e-02f, 3.303791583e-02f, 1.292982418e-02f, 4.253295716e-03f, 1.184960245e-03f,
     2.810331935e-04f, 5.694751962e-05f, 9.886196494e-06f, 1.473380848e-06f},
    {-1.082872986e-04f, 1.330817342e-01f, 1.834948063e-01f, 1.373894513e-01f, 4.796035588e-02f, -2.259196527e-02f,
     -4.916729406e-02f, -4.314006865e-02f, -2.636120468e-02f, -1.249182690e-02f, -4.787432961e-03f, -1.515892684e-03f,
     -4.015887389e-04f, -8.973673539e-05f, -1.700861867e-05f, -2.745612619e-06f},
    {1.144144461e-01f, 7.571309805e-02f, -1.691816142e-03f, -5.935555696e-02f, -6.589419395e-02f, -3.686861694e-02f,
     -5.147215910e-03f, 1.089489274e-02f, 1.243758574e-02f, 8.071987890e-03f, 3.831642447e-03f, 1.430934062e-03f,
     4.343713226e-04f, 1.091182785e-04f, 2.293810758e-05f, 4.065228950e-06f},
    {-1.060095895e-02f, -4.192494974e-02f, -4.830217361e-02f, -2.069531940e-02f, 1.051266119e-02f, 2.220085263e-02f,
     1.571742445e-02f, 4.696066026e-03f, -1.778794453e-03f, -3.079708898e-03f, -2.097432269e-03f, -9.793720674e-04f,
     -3.503462358e-04f, -1.003586658e-04f, -2.355558172e-05f, -4.593059202e-06f},
};

}  // namespace

Arg Generator::table(int index) { return constant({ConstantKey::Kind::table, static_cast<uint64_t>(index)}); }
const float* erf_table(int index) { return kErfTable[index]; }

/// Horner from the highest coefficient.
void Generator::polynomial(const Group& d, const Group& x, std::initializer_list<float> coefficients) {
  bool first = true;
  for (float coefficient : coefficients) {
    first ? copy(d, c(coefficient)) : op(&VectorAssembler::fma213, d, x, c(coefficient));
    first = false;
  }
}

void Generator::exp_(const Group& d, const Arg& x) {
  const Group r = take(), n = take();
  // The second operand is the result where one is NaN.
  copy(d, c(89.0f));
  op(&VectorAssembler::min_, d, d, x);
  copy(n, c(-110.0f));
  op(&VectorAssembler::max_, r, n, of(d));
  op(&VectorAssembler::mul_, n, r, c(1.44269504f));
  each([&](int u) { round_(v(n[u]), v(n[u])); });
  op(&VectorAssembler::fnma231, r, n, c(0.693359375f));  // 9 bits: exact products
  op(&VectorAssembler::fnma231, r, n, c(-2.12194440e-4f));
  polynomial(d, r, {1.395060215e-03f, 8.368953131e-03f, 4.166620597e-02f, 1.666651815e-01f, 0.5f, 1.0f, 1.0f});
  // What would round to zero is made zero before it is scaled: on some CPUs a scaling that underflows takes a hundred
  // cycles and more, and the scores that attention masks out all do.
  const Group mask = take(true);
  compare_each(mask, n, c(-150.5f), kLess);
  merge_each(d, mask, c(0.0f));
  give(mask, true);
  if (wide()) {
    each([&](int u) { vscalefps(v(d[u]), v(d[u]), v(n[u])); });
  } else {
    // In two factors: neither overflows nor is denormal.
    each([&](int u) { vcvtps2dq(v(n[u]), v(n[u])); });
    each([&](int u) { vpsrad(v(r[u]), v(n[u]), 1); });
    op(&VectorAssembler::int_sub, n, n, of(r));
    for (const Group& g : {r, n}) {
      op(&VectorAssembler::int_add, g, g, bits(127));
      each([&](int u) { vpslld(v(g[u]), v(g[u]), 23); });
      op(&VectorAssembler::mul_, d, d, of(g));
    }
  }
  give(n);
  give(r);
}

void Generator::log_(const Group& d, const Group& x) {
  const Group e = take(), f = take(), s = take(), mask = take(true);
  // Denormals are scaled by 2^25.
  copy(f, of(x));
  op(&VectorAssembler::mul_, s, x, c(33554432.0f));
  compare_each(mask, x, c(1.17549435e-38f), kLess);
  merge_each(f, mask, of(s));
  copy(d, c(0.0f));
  merge_each(d, mask, c(25.0f));
  // Mantissa in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) makes the exponent carry at the right place.
  op(&VectorAssembler::int_sub, f, f, bits(0x3f3504f3u));
  each([&](int u) { vpsrad(v(e[u]), v(f[u]), 23); });
  each([&](int u) { vcvtdq2ps(v(e[u]), v(e[u])); });
  op(&VectorAssembler::sub_, e, e, of(d));
  op(&VectorAssembler::and_bits, f, f, bits(0x007fffffu));
  op(&VectorAssembler::int_add, f, f, bits(0x3f3504f3u));
  op(&VectorAssembler::sub_, f, f, c(1.0f));
  op(&VectorAssembler::add_, s, f, c(2.0f));
  op(&VectorAssembler::div_, s, f, of(s));
  const Group z = take();
  op(&VectorAssembler::mul_, z, s, of(s));
  polynomial(d, z, {2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3});
  op(&VectorAssembler::mul_, d, d, of(z));  // r
  op(&VectorAssembler::mul_, z, f, c(0.5f));
  op(&VectorAssembler::mul_, z, z, of(f));  // half square
  op(&VectorAssembler::add_, d, d, of(z));
  op(&VectorAssembler::mul_, d, d, of(s));
  op(&VectorAssembler::fma231, d, e, c(-2.12194440e-4f));  // y
  op(&VectorAssembler::sub_, d, z, of(d));
  op(&VectorAssembler::sub_, d, f, of(d));
  op(&VectorAssembler::fma231, d, e, c(0.693359375f));
  // +inf and NaN are themselves; below 0 is NaN, 0 is -inf.
  compare_each(mask, x, c(INFINITY), kNotLess);
  merge_each(d, mask, of(x));
  compare_each(mask, x, c(0.0f), kLess);
  merge_each(d, mask, bits(0x7fc00000u));
  compare_each(mask, x, c(0.0f), kEqual);
  merge_each(d, mask, c(-INFINITY));
  give(z);
  give(mask, true);
  give(s);
  give(f);
  give(e);
}

void Generator::tanh_(const Group& d, const Group& x) {
  const Group a = take(), e = take();
  op(&VectorAssembler::and_bits, a, x, bits(0x7fffffffu));
  op(&VectorAssembler::add_, a, a, of(a));
  exp_(e, of(a));
  op(&VectorAssembler::add_, e, e, c(1.0f));
  copy(d, c(2.0f));
  op(&VectorAssembler::div_, e, d, of(e));
  copy(d, c(1.0f));
  op(&VectorAssembler::sub_, e, d, of(e));  // far
  const Group u = take(), mask = take(true);
  op(&VectorAssembler::mul_, u, x, of(x));
  polynomial(d, u, {-5.856427830e-03f, 2.077541500e-02f, -5.378289148e-02f, 1.333199888e-01f, -3.333330452e-01f});
  op(&VectorAssembler::mul_, d, d, of(u));
  op(&VectorAssembler::fma213, d, x, of(x));  // near
  compare_each(mask, a, c(1.2f), kNotLess);   // NaN too: far is NaN
  merge_each(d, mask, of(e));
  op(&VectorAssembler::and_bits, u, x, bits(0x80000000u));
  op(&VectorAssembler::or_bits, d, d, of(u));  // -0 too
  give(mask, true);
  give(u);
  give(e);
  give(a);
}

void Generator::erf_(const Group& d, const Group& x) { wide() ? erf_by_table(d, x) : erf_by_branches(d, x); }

/// A polynomial for each of 16 intervals, its coefficients permuted in by the interval's number.
void Generator::erf_by_table(const Group& d, const Group& x) {
  const Group t = take(), n = take(), p = take();
  op(&VectorAssembler::and_bits, t, x, bits(0x7fffffffu));
  copy(n, c(4.1f));
  op(&VectorAssembler::min_, t, n, of(t));
  op(&VectorAssembler::mul_, n, t, c(1 / kErfStep));
  each([&](int u) { round_(v(n[u]), v(n[u])); });
  op(&VectorAssembler::fnma231, t, n, c(kErfStep));
  each([&](int u) { vcvtps2dq(v(n[u]), v(n[u])); });
  const auto look_up = [&](const Group& to, int degree) {
    const Arg row = table(degree);
    each([&](int u) { with(row, u, [&](const Operand& o) { vpermps(Xbyak::Zmm(to[u]), Xbyak::Zmm(n[u]), o); }); });
  };
  look_up(d, kErfDegree);
  for (int degree = kErfDegree - 1; degree >= 0; --degree) {
    look_up(p, degree);
    if (degree == 0) {  // the small terms first
      op(&VectorAssembler::fma213, d, t, of(t));
      op(&VectorAssembler::add_, d, d, of(p));
    } else {
      op(&VectorAssembler::fma213, d, t, of(p));
    }
  }
  const Arg sign = bits(0x80000000u);
  copy(p, sign);
  each([&](int u) { vpternlogd(v(d[u]), v(x[u]), v(p[u]), 0xf8); });  // d | (x & sign)
  give(p);
  give(n);
  give(t);
}

/// |x| < 1: x + x P(x^2). Beyond: 1 - exp(-Q(|x|)), Q a fit of -log(erfc).
void Generator::erf_by_branches(const Group& d, const Group& x) {
  const Group a = take(), e = take();
  op(&VectorAssembler::and_bits, a, x, bits(0x7fffffffu));
  copy(d, c(4.0f));
  op(&VectorAssembler::min_, a, d, of(a));
  op(&VectorAssembler::sub_, a, a, c(1.0f));  // small where the result has most digits
  polynomial(d, a,
             {-1.631512305e-06f, 3.290051609e-05f, -3.199805797e-04f, 2.053728327e-03f, -1.007710956e-02f,
              4.157526791e-02f, 8.431048989e-01f, 2.638967752e+00f, 1.849605560e+00f});
  op(&VectorAssembler::xor_bits, d, d, bits(0x80000000u));
  give(a);
  exp_(e, of(d));
  copy(d, c(1.0f));
  op(&VectorAssembler::sub_, e, d, of(e));
  const Group u = take(), mask = take(true);
  op(&VectorAssembler::and_bits, u, x, bits(0x80000000u));
  op(&VectorAssembler::or_bits, e, e, of(u));
  op(&VectorAssembler::and_bits, u, x, bits(0x7fffffffu));
  compare_each(mask, u, c(1.0f), kNotLess);
  op(&VectorAssembler::mul_, u, x, of(x));
  polynomial(d, u,
             {7.853861462e-05f, -8.010193706e-04f, 5.188327748e-03f, -2.685381286e-02f, 1.128358543e-01f,
              -3.761262596e-01f, 0.128379107f});
  op(&VectorAssembler::fma213, d, x, of(x));
  merge_each(d, mask, of(e));
  give(mask, true);
  give(u);
  give(e);
}

/// 1 / (1 + e^-x), corrected for the sum's rounding, while e^-x < 2^24; e^x below, where the other would overflow.
void Generator::sigmoid_(const Group& d, const Group& x) {
  const Group e = take(), mask = take(true);
  compare_each(mask, x, c(-16.6355324f), kLess);
  op(&VectorAssembler::xor_bits, d, x, bits(0x80000000u));
  merge_each(d, mask, of(x));
  exp_(e, of(d));
  const Group denominator = take(), lost = take(), rest = take();
  op(&VectorAssembler::add_, denominator, e, c(1.0f));
  op(&VectorAssembler::sub_, lost, denominator, c(1.0f));
  op(&VectorAssembler::sub_, lost, e, of(lost));  // what the sum rounded away
  copy(rest, c(1.0f));
  op(&VectorAssembler::div_, d, rest, of(denominator));
  op(&VectorAssembler::fnma231, rest, d, of(denominator));
  op(&VectorAssembler::fnma231, rest, d, of(lost));
  op(&VectorAssembler::fma231, d, d, of(rest));
  merge_each(d, mask, of(e));
  give(rest);
  give(lost);
  give(denominator);
  give(mask, true);
  give(e);
}

/// sin (quadrant 0) or cos (quadrant 1).
void Generator::sin_cos(const Group& d, const Group& x, int quadrant) {
  const Group n = take(), r = take(), square = take();
  op(&VectorAssembler::mul_, n, x, c(0.636619772f));
  each([&](int u) { round_(v(n[u]), v(n[u])); });
  // pi/2 in four parts; the first three are short, so that their products with |n| < 2^13 are exact.
  copy(r, of(x));
  op(&VectorAssembler::fnma231, r, n, c(1.5703125f));
  op(&VectorAssembler::fnma231, r, n, c(0x1.fb4p-12f));
  // What the third subtraction rounds away is added again with the fourth part.
  const Group low = take();
  copy(square, of(r));
  op(&VectorAssembler::fnma231, r, n, c(0x1.444p-24f));
  op(&VectorAssembler::sub_, low, square, of(r));
  op(&VectorAssembler::fnma231, low, n, c(0x1.444p-24f));
  op(&VectorAssembler::fnma231, low, n, c(2.563344152e-12f));
  op(&VectorAssembler::add_, r, r, of(low));
  give(low);
  op(&VectorAssembler::mul_, square, r, of(r));
  each([&](int u) { vcvtps2dq(v(n[u]), v(n[u])); });
  if (quadrant != 0) op(&VectorAssembler::int_add, n, n, bits(static_cast<uint32_t>(quadrant)));
  polynomial(d, square, {2.717519237e-06f, -1.983925176e-04f, 8.333329111e-03f, -1.666666716e-01f});
  op(&VectorAssembler::mul_, d, d, of(square));
  op(&VectorAssembler::fma213, d, r, of(r));  // the sine
  polynomial(r, square, {-2.720288705e-07f, 2.479943214e-05f, -1.388888340e-03f, 4.166666791e-02f, -0.5f, 1.0f});
  const Group mask = take(true);
  each([&](int u) { vpslld(v(square[u]), v(n[u]), 31); });
  each([&](int u) { mask_of_signs(mask[u], v(square[u])); });
  merge_each(d, mask, of(r));
  each([&](int u) { vpslld(v(n[u]), v(n[u]), 30); });
  op(&VectorAssembler::and_bits, n, n, bits(0x80000000u));
  op(&VectorAssembler::xor_bits, d, d, of(n));
  if (quadrant == 0) {  // the sine of -0 is -0
    compare_each(mask, x, c(0.0f), kEqual);
    merge_each(d, mask, of(x));
  }
  // Large arguments, infinities and NaN.
  (quadrant == 0 ? needs_sin_ : needs_cos_) = true;
  op(&VectorAssembler::and_bits, r, x, bits(0x7fffffffu));
  compare_each(mask, r, c(kTrigonometricLimit), kNotLess);
  each([&](int u) {
    Xbyak::Label small;
    if (wide()) {
      kortestw(k(mask[u]), k(mask[u]));
    } else {
      vptest(v(mask[u]), v(mask[u]));
    }
    jz(small, T_NEAR);
    vmovups(ptr[rsp + x_at_], v(x[u]));
    vmovups(ptr[rsp + y_at_], v(d[u]));
    call(quadrant == 0 ? sin_label_ : cos_label_);
    vmovups(v(d[u]), ptr[rsp + y_at_]);
    L(small);
  });
  give(mask, true);
  give(square);
  give(r);
  give(n);
}

/// Calls the C functions with every register of the loops saved.
void Generator::out_of_line_functions() {
  using Function = void (*)(const float*, float*, int64_t);
  const auto emit_call = [&](Xbyak::Label& label, Function function) {
    L(label);
    const Xbyak::Reg64 saved[] = {rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11};
    for (const auto& r : saved) push(r);
    const int vectors = vector_registers() * bytes();
    const int room = vectors + 64;  // with nine registers and the return address, rsp stays a multiple of 16
    lea(rdi, ptr[rsp + 10 * 8 + x_at_]);
    lea(rsi, ptr[rsp + 10 * 8 + y_at_]);
    mov(edx, lanes());
    sub(rsp, room);
    for (int i = 0; i < vector_registers(); ++i) vmovups(ptr[rsp + i * bytes()], v(i));
    if (wide()) {
      for (int i = 1; i < 8; ++i) kmovw(ptr[rsp + vectors + 2 * i], k(i));
    }
    vzeroupper();
    mov(rax, reinterpret_cast<uint64_t>(function));
    call(rax);
    for (int i = 0; i < vector_registers(); ++i) vmovups(v(i), ptr[rsp + i * bytes()]);
    if (wide()) {
      for (int i = 1; i < 8; ++i) kmovw(k(i), ptr[rsp + vectors + 2 * i]);
    }
    add(rsp, room);
    for (size_t i = std::size(saved); i-- > 0;) pop(saved[i]);
    ret();
  };
  if (needs_sin_) emit_call(sin_label_, sin_of_large);
  if (needs_cos_) emit_call(cos_label_, cos_of_large);
}

}  // namespace gregale::kernels::expression
