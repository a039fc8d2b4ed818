// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/moments.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "gregale/codec.hpp"
#include "gregale/error.hpp"
#include "train/config.hpp"

namespace gregale::train {
namespace {

const std::string kPacked = "packed/", kFirst = "adam/m/", kSecond = "adam/v/";
/// What rounding to f32 adds to errors of a logarithm (below 64), and of m / sqrt(v) (below 16).
constexpr double kRounding = 4e-6;
/// Half a step between the smallest numbers of f32, as a root: what v' cannot do better than.
const double kSmallestRoot = std::sqrt(static_cast<double>(std::numeric_limits<float>::denorm_min()) / 2) * 1.01;

double root(float v) { return std::sqrt(static_cast<double>(v)); }

/// f of every element, and of those in the same place.
template <class F>
Tensor mapped(const Tensor& a, const Tensor& b, F f) {
  Tensor out(DType::f32, a.extents());
  const auto x = a.as<float>(), y = b.as<float>();
  auto dst = out.as<float>();
  for (size_t i = 0; i < x.size(); ++i)
    dst[i] = static_cast<float>(f(static_cast<double>(x[i]), static_cast<double>(y[i])));
  return out;
}

/// log sqrt(v), minus infinity of nothing; back again.
Tensor to_logarithms(const Tensor& v) {
  return mapped(v, v, [](double x, double) { return 0.5 * std::log(x); });
}
Tensor from_logarithms(const Tensor& logarithms) {
  return mapped(logarithms, logarithms, [](double x, double) { return std::exp(2 * x); });
}

/// m / sqrt(v), and m itself where v is nothing; back again.
Tensor to_steps(const Tensor& m, const Tensor& v) {
  return mapped(m, v, [](double x, double second) { return second > 0 ? x / std::sqrt(second) : x; });
}
Tensor from_steps(const Tensor& steps, const Tensor& v) {
  return mapped(steps, v, [](double x, double second) { return second > 0 ? x * std::sqrt(second) : 0; });
}

Tensor as_tensor(const std::vector<std::byte>& bytes) {
  Tensor t(DType::u8, {static_cast<int64_t>(bytes.size())});
  std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(t.data()));
  return t;
}

struct Errors {
  double first = 0, second = 0;
};

/// Greatest errors over sqrt(v); nothing where the contract does not hold.
std::optional<Errors> compare(const Tensor& m, const Tensor& v, const Tensor& new_m, const Tensor& new_v,
                              double bound) {
  Errors worst;
  const auto a = m.as<float>(), b = new_m.as<float>(), c = v.as<float>(), d = new_v.as<float>();
  for (size_t i = 0; i < a.size(); ++i) {
    const double scale = root(c[i]);
    const double first = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])),
                 second = std::abs(root(d[i]) - scale);
    const bool zeros = (a[i] != 0 || b[i] == 0) && (c[i] != 0 || d[i] == 0) && d[i] >= 0;
    // Written so that a value that is no number fails.
    if (!zeros || !(first <= bound * scale) || !(second <= bound * scale + kSmallestRoot)) return std::nullopt;
    if (!std::isnormal(c[i])) continue;
    worst.first = std::max(worst.first, first / scale);
    worst.second = std::max(worst.second, second / scale);
  }
  return worst;
}

/// The stream `name` of a state, taken out of it, as a tensor of the parameter's shape.
Tensor take(VariableValues& state, const std::string& name, const Tensor& parameter) {
  const auto found = state.find(kPacked + name);
  GREGALE_CHECK(found != state.end(), corrupt_data, "no '{}{}'", kPacked, name);
  const Tensor stream = found->second;
  GREGALE_CHECK(stream.dtype() == DType::u8 && stream.rank() == 1, corrupt_data, "'{}{}' is no stream of bytes",
                kPacked, name);
  DecodeOptions options;
  options.max_bytes = parameter.bytes();
  const Tensor decoded =
      decode({static_cast<const std::byte*>(stream.data()), static_cast<size_t>(stream.size())}, options);
  GREGALE_CHECK(decoded.dtype() == DType::f32 && decoded.extents() == parameter.extents(), corrupt_data,
                "'{}{}' is {}, its parameter {}", kPacked, name, to_string(decoded.type()),
                to_string(parameter.type()));
  state.erase(found);
  return decoded;
}

}  // namespace

MomentsCertificate pack_moments(VariableValues& state, double bound) {
  GREGALE_CHECK(bound >= kLeastMoments && bound <= kMostMoments, invalid_argument,
                "[pack_moments] bound {} is not between {} and {}", bound, kLeastMoments, kMostMoments);
  MomentsCertificate all;
  all.bound = bound;
  ErrorContract of_first = ErrorContract::absolute(bound / (1 + bound) - kRounding / 2);
  of_first.keep_zeros = true;
  const ErrorContract of_second = ErrorContract::absolute(std::log1p(bound) - kRounding);
  VariableValues packed;
  std::vector<std::string> gone;
  for (const auto& [name, v] : state) {
    if (!name.starts_with(kSecond)) continue;
    const std::string parameter = name.substr(kSecond.size());
    const auto found = state.find(kFirst + parameter);
    if (found == state.end() || v.dtype() != DType::f32 || found->second.dtype() != DType::f32 ||
        found->second.extents() != v.extents())
      continue;
    const Tensor& m = found->second;
    all.tensors += 2;
    all.bytes_in += 2 * v.bytes();
    const Encoded second = encode(to_logarithms(v), of_second);
    const Tensor new_v = from_logarithms(decode(second.bytes));
    const Encoded first = encode(to_steps(m, new_v), of_first);
    const Tensor new_m = from_steps(decode(first.bytes), new_v);
    const std::optional<Errors> errors = compare(m, v, new_m, new_v, bound);
    const auto bytes = static_cast<int64_t>(first.bytes.size() + second.bytes.size());
    if (!errors || bytes >= 2 * v.bytes()) {
      all.exact += 2;
      all.bytes_out += 2 * v.bytes();
      continue;
    }
    all.bytes_out += bytes;
    all.first_error = std::max(all.first_error, errors->first);
    all.second_error = std::max(all.second_error, errors->second);
    packed[kPacked + kFirst + parameter] = as_tensor(first.bytes);
    packed[kPacked + kSecond + parameter] = as_tensor(second.bytes);
    gone.push_back(kFirst + parameter);
    gone.push_back(name);
  }
  for (const std::string& name : gone) state.erase(name);
  state.merge(packed);
  return all;
}

void unpack_moments(VariableValues& state) {
  std::vector<std::string> parameters;
  for (const auto& [name, tensor] : state) {
    if (name.starts_with(kPacked + kSecond)) parameters.push_back(name.substr(kPacked.size() + kSecond.size()));
  }
  for (const std::string& name : parameters) {
    const auto parameter = state.find(name);
    GREGALE_CHECK(parameter != state.end(), corrupt_data, "moments of '{}', and no such parameter", name);
    const Tensor v = from_logarithms(take(state, kSecond + name, parameter->second));
    const Tensor m = from_steps(take(state, kFirst + name, parameter->second), v);
    state[kSecond + name] = v;
    state[kFirst + name] = m;
  }
  for (const auto& [name, tensor] : state)
    GREGALE_CHECK(!name.starts_with(kPacked), corrupt_data, "'{}' belongs to nothing", name);
}

}  // namespace gregale::train
