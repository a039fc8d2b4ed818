// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"
#include "gregale/random.hpp"

namespace gregale::nn {
namespace {

template <size_t N>
double polynomial(const double (&coefficients)[N], double x) {
  double sum = 0;
  for (size_t i = N; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

/// Quantile of the standard normal distribution for p in [0.001, 0.999], good to 1e-15: the first two of the three
/// rational approximations of Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Appl.
/// Stat. 37 (1988).
double normal_quantile(double p) {
  static constexpr double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                 1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                 3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr double b[] = {1.0,
                                 4.2313330701600911252e1,
                                 6.8718700749205790830e2,
                                 5.3941960214247511077e3,
                                 2.1213794301586595867e4,
                                 3.9307895800092710610e4,
                                 2.8729085735721942674e4,
                                 5.2264952788528545610e3};
  static constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                 3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1.0,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double r = std::sqrt(-std::log(q < 0 ? p : 1 - p)) - 1.6;
  return std::copysign(polynomial(c, r) / polynomial(d, r), q);
}

/// Standard normal between -2 and 2, from a uniform in (0, 1).
double truncated_normal(double u) {
  const double below = 0.5 * std::erfc(std::sqrt(2.0));  // mass below -2
  return normal_quantile(below + u * (1 - 2 * below));
}

double draw(const Initialiser& initialiser, const RandomKey& key, uint64_t index) {
  // Uniforms are multiples of 2^-24; half a step on, they lie evenly around 1/2 and never at the ends.
  const auto centred = [&] { return static_cast<double>(random_uniform(key, index)) + 0x1p-25; };
  switch (initialiser.kind) {
    case Initialiser::Kind::zeros:
      return 0;
    case Initialiser::Kind::ones:
      return 1;
    case Initialiser::Kind::normal:
      return initialiser.scale * static_cast<double>(random_normal(key, index));
    case Initialiser::Kind::truncated_normal:
      return initialiser.scale * truncated_normal(centred());
    case Initialiser::Kind::uniform:
      return initialiser.scale * (2 * centred() - 1);
  }
  throw_error(ErrorCode::internal, "[initial_value] unknown kind of initialiser");
}

}  // namespace

Tensor initial_value(const Parameter& parameter, uint64_t seed) {
  const RandomKey key{seed, 0, stream_of(parameter.name.c_str())};
  Tensor values(DType::f64, parameter.type.shape.extents());
  auto out = values.as<double>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = draw(parameter.initialiser, key, i);
  return values.cast(parameter.type.dtype);
}

}  // namespace gregale::nn
