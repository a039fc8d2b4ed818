// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>

#include "codec/element.hpp"
#include "gregale/codec.hpp"

/// Random arrays, contracts and codecs, and whether what comes back keeps its word: the long run of
/// tests/codec/bounds.sh and the slice of it that ctest replays.
namespace gregale::codec {

struct BoundsCase {
  Tensor src;
  ErrorContract contract;
  std::string codec;
  std::string words;  ///< that say it, for reports
};

class BoundsCases {
 public:
  explicit BoundsCases(uint64_t seed) : seed_(seed) {}

  BoundsCase make(uint64_t index) {
    random_.seed(seed_ * 1000003 + index);
    BoundsCase c;
    const DType dtype = pick({DType::f32, DType::f32, DType::f32, DType::f64, DType::f64, DType::f16, DType::bf16});
    const Extents extents = some_extents();
    c.src = Tensor(dtype, extents);
    const int kind = below(9);
    const double missing = pick({-999.0, 1e34, -1e10, 0.0, std::nan("")});
    const bool has_missing = below(2) == 0;
    for_real_float(dtype, [&]<class T>(T) { fill<T>(c.src, kind, missing, has_missing); });
    c.contract.kind = pick({ErrorContract::Kind::abs_max, ErrorContract::Kind::abs_max, ErrorContract::Kind::rel_max,
                            ErrorContract::Kind::rel_max, ErrorContract::Kind::rms, ErrorContract::Kind::unbiased,
                            ErrorContract::Kind::exact});
    const bool relative = c.contract.kind == ErrorContract::Kind::rel_max;
    c.contract.bound = std::pow(10.0, relative ? uniform(-9, 0.3) : uniform(-12, 6));
    if (!relative && below(2) == 0) {  // often in proportion to the data
      const ValueRange range = value_range(c.src, {});
      c.contract.bound = std::max(range.width(), 1e-40) * std::pow(10.0, uniform(-8, 0));
      if (!std::isfinite(c.contract.bound)) c.contract.bound = 1;
    }
    c.contract.keep_zeros = below(3) == 0;
    c.contract.keep_nonfinite = below(8) != 0;
    if (has_missing) c.contract.missing = {missing};
    if (below(10) == 0) c.contract.missing.push_back(1);
    const std::vector<std::string> names = codec_names();
    c.codec = below(2) == 0 ? "predictive" : names[static_cast<size_t>(below(static_cast<int>(names.size())))];
    if (c.contract.kind == ErrorContract::Kind::exact) c.codec = "auto";
    c.words = fmt::format("case {}: {} [{}] kind {}, {} {:g}, codec {}, missing {}", index, name_of(dtype),
                          fmt::join(extents, " "), kind, to_string(c.contract.kind), c.contract.bound, c.codec,
                          has_missing ? missing : 0);
    return c;
  }

  /// Empty, or what is wrong with what came back.
  static std::string check(const BoundsCase& c, const Tensor& decoded, const Certificate* certificate) {
    if (decoded.dtype() != c.src.dtype() || decoded.extents() != c.src.extents()) return "another type";
    std::string wrong;
    for_real_float(c.src.dtype(), [&]<class T>(T) { wrong = check<T>(c, decoded, certificate); });
    return wrong;
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  double uniform(double a, double b) { return a + (b - a) * static_cast<double>(random_() >> 11) * 0x1p-53; }
  template <class T>
  T pick(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<int>(list.size()))];
  }

  Extents some_extents() {
    if (below(12) == 0) return {};
    Extents e(static_cast<size_t>(1 + below(5)));
    const int64_t most = below(20) == 0 ? 1 << 19 : 1 << 15;
    int64_t total = 1;
    for (int64_t& n : e) {
      n = pick<int64_t>({1, 1, 2, 3, 5, 7, 11, 13, 16, 17, 31, 61, 64, 127, 251, 509, 4093, 65521});
      if (total * n > most) n = 1 + below(3);
      if (below(200) == 0) n = 0;
      total *= std::max<int64_t>(n, 1);
    }
    return e;
  }

  template <class T>
  void fill(Tensor& t, int kind, double missing, bool has_missing) {
    const double scale = std::pow(10.0, below(3) == 0 ? uniform(-30, 30) : uniform(-3, 3));
    const double shift = below(2) == 0 ? 0 : scale * uniform(-100, 100);
    const double a = uniform(0.001, 0.5), b = uniform(0.001, 0.5);
    const int64_t row = t.rank() > 0 ? std::max<int64_t>(t.extents().back(), 1) : 1;
    double walk = 0;
    const int oddities = below(4) == 0 ? 1 + below(6) : 0;
    const auto values = t.as<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      const double x = static_cast<double>(static_cast<int64_t>(i) % row),
                   y = static_cast<double>(static_cast<int64_t>(i) / row);
      double v = 0;
      if (kind == 0) v = std::sin(a * x) * std::cos(b * y);
      if (kind == 1) v = uniform(-1, 1);
      if (kind == 2) v = walk += uniform(-0.1, 0.1);
      if (kind == 3) v = 1;
      if (kind == 4) {
        const double sign = below(2) == 0 ? 1 : -1;
        v = sign * std::pow(10.0, uniform(-30, 30)) / scale;
      }
      if (kind == 5) v = std::round(10 * std::sin(a * x + b * y));
      if (kind == 6) v = std::sin(a * x + b * y) + (below(50) == 0 ? 1e3 : 0);
      if (kind == 7) v = x < static_cast<double>(row) / 2 ? 0 : std::exp(-a * y);
      if (kind == 8) v = uniform(0, 1) * (sizeof(T) == 8 ? 1e-310 : 1e-40) / scale;  // denormal
      const double number = v * scale + (kind == 4 || kind == 8 ? 0 : shift);
      values[i] = Element<T>::rounded(static_cast<typename Element<T>::Work>(number));
      if (has_missing && (static_cast<int64_t>(i) / 13 % 5 == 1 || below(40) == 0))
        values[i] = Element<T>::rounded(static_cast<typename Element<T>::Work>(missing));
      if (oddities > 0 && below(30) < oddities) values[i] = odd<T>();
    }
  }

  template <class T>
  T odd() {
    using Work = typename Element<T>::Work;
    constexpr Work kInfinity = std::numeric_limits<Work>::infinity();
    const int which = below(7);
    if (which == 0) return Element<T>::rounded(kInfinity);
    if (which == 1) return Element<T>::rounded(-kInfinity);
    if (which == 2) return Element<T>::rounded(Work{0});
    if (which == 3) return Element<T>::rounded(-Work{0});
    if (which == 4) return Element<T>::rounded(std::numeric_limits<Work>::denorm_min());
    if (which == 5) return Element<T>::rounded(std::numeric_limits<Work>::max());
    // A NaN with a payload.
    auto bits = Element<T>::bits(Element<T>::rounded(std::numeric_limits<Work>::quiet_NaN()));
    bits = static_cast<decltype(bits)>(bits | static_cast<decltype(bits)>(below(8)));
    T value;
    std::memcpy(static_cast<void*>(&value), &bits, sizeof bits);
    return value;
  }

  template <class T>
  static std::string check(const BoundsCase& c, const Tensor& decoded, const Certificate* certificate) {
    using Kind = ErrorContract::Kind;
    const auto before = c.src.as<T>(), after = decoded.as<T>();
    const auto missing = as_elements<T>(c.contract.missing);
    const ValueRange range = value_range(c.src, c.contract.missing);
    const double bound = c.contract.kind == Kind::exact     ? 0
                         : c.contract.kind == Kind::rel_max ? c.contract.bound * range.width()
                                                            : c.contract.bound;
    double squares = 0, greatest = 0;
    int64_t count = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      const double x = static_cast<double>(Element<T>::work(before[i])),
                   y = static_cast<double>(Element<T>::work(after[i]));
      bool none = false;
      for (const auto m : missing)
        none |= static_cast<double>(m) == x || (std::isnan(static_cast<double>(m)) && std::isnan(x));
      const bool same = Element<T>::bits(before[i]) == Element<T>::bits(after[i]);
      bool exactly = c.contract.kind == Kind::exact || none || (c.contract.keep_zeros && x == 0);
      exactly |= !std::isfinite(x) && c.contract.keep_nonfinite;
      if (exactly && !same) return fmt::format("place {}: {} came back as {}", i, x, y);
      if (none || !std::isfinite(x)) continue;
      const double error = std::abs(y - x);
      const bool lost =
          std::any_of(missing.begin(), missing.end(), [&](auto m) { return static_cast<double>(m) == y; });
      if (!std::isfinite(y) || lost) return fmt::format("place {}: {} came back as {}", i, x, y);
      if (c.contract.kind <= Kind::rel_max && error > bound)
        return fmt::format("place {}: {} came back as {}, {:g} away under a bound of {:g}", i, x, y, error, bound);
      squares += error * error;
      greatest = std::max(greatest, error);
      ++count;
    }
    if (c.contract.kind >= Kind::rms && squares > bound * bound * static_cast<double>(count) * (1 + 1e-9))
      return fmt::format("rms {:g} under a bound of {:g}", std::sqrt(squares / static_cast<double>(count)), bound);
    if (certificate == nullptr) return {};
    if (certificate->max_error != greatest)
      return fmt::format("the certificate says {:g} for the greatest error, it is {:g}", certificate->max_error,
                         greatest);
    if (certificate->valid != count)
      return fmt::format("the certificate counts {}, there are {}", certificate->valid, count);
    return {};
  }

  uint64_t seed_;
  std::mt19937_64 random_;
};

}  // namespace gregale::codec
