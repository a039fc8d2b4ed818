// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/field_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr size_t kMostOutside = 200;

/// Which values of one type are no data.
template <class T>
class NoData {
 public:
  explicit NoData(const NetcdfMissing& missing) : low_(missing.low), high_(missing.high) {
    for (const double m : missing.values) values_.push_back(static_cast<T>(m));
  }
  bool listed(T x) const { return std::find(values_.begin(), values_.end(), x) != values_.end(); }
  bool outside(T x) const { return !(static_cast<double>(x) >= low_ && static_cast<double>(x) <= high_); }
  bool operator()(T x) const { return outside(x) || listed(x); }  // NaN is outside

 private:
  std::vector<T> values_;
  double low_, high_;
};

template <class T>
void scan(std::span<const T> values, const NetcdfMissing& missing, FieldScan& s) {
  const NoData<T> none(missing);
  for (const T x : values) {
    if (!std::isfinite(x) || none.listed(x)) continue;
    const auto wide = static_cast<double>(x);
    if (none.outside(x)) {
      if (s.outside.size() < kMostOutside)
        s.outside.insert(wide);
      else
        s.too_many_outside |= s.outside.count(wide) == 0;
      continue;
    }
    if (s.valid++ == 0) s.least = s.greatest = wide;
    s.least = std::min(s.least, wide);
    s.greatest = std::max(s.greatest, wide);
  }
}

template <class T>
FieldCheck check(std::span<const T> original, std::span<const T> decompressed, const NetcdfMissing& missing,
                 double bound) {
  const NoData<T> none(missing);
  FieldCheck c;
  for (size_t i = 0; i < original.size(); ++i) {
    const T x = original[i], y = decompressed[i];
    const bool same = std::memcmp(&x, &y, sizeof x) == 0;
    if (!std::isfinite(x) || none(x)) {
      c.wrong += same ? 0 : 1;
      continue;
    }
    const double wide = static_cast<double>(x), error = static_cast<double>(y) - wide, size = std::abs(error);
    if (c.valid++ == 0) c.least = c.greatest = wide;
    c.least = std::min(c.least, wide);
    c.greatest = std::max(c.greatest, wide);
    c.wrong += (bound > 0 ? size <= bound : same) && !none(y) ? 0 : 1;
    c.max_error = std::max(c.max_error, size);
    c.squares += error * error;
    c.sum += error;
  }
  return c;
}

}  // namespace

void FieldScan::add(const Tensor& values, const NetcdfMissing& missing) {
  if (values.dtype() == DType::f32)
    scan<float>(values.as<float>(), missing, *this);
  else
    scan<double>(values.as<double>(), missing, *this);
}

void FieldCheck::add(const FieldCheck& o) {
  if (o.valid > 0) {
    least = valid > 0 ? std::min(least, o.least) : o.least;
    greatest = valid > 0 ? std::max(greatest, o.greatest) : o.greatest;
  }
  valid += o.valid;
  max_error = std::max(max_error, o.max_error);
  squares += o.squares;
  sum += o.sum;
  wrong += o.wrong;
}

FieldCheck check_field(const Tensor& original, const Tensor& decompressed, const NetcdfMissing& missing, double bound) {
  GREGALE_ASSERT(original.dtype() == decompressed.dtype() && original.extents() == decompressed.extents());
  return original.dtype() == DType::f32
             ? check<float>(original.as<float>(), decompressed.as<float>(), missing, bound)
             : check<double>(original.as<double>(), decompressed.as<double>(), missing, bound);
}

}  // namespace gregale::data
