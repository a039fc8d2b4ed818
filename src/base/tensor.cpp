// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/tensor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/huge_pages.hpp"

namespace gregale {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kAddressSpace = int64_t{1} << 47;  // what a process can address on x86-64

int64_t byte_count(DType dtype, const Extents& extents, int64_t count) {
  int64_t bytes = 0;
  GREGALE_CHECK(!__builtin_mul_overflow(count, size_of(dtype), &bytes), shape,
                "[Tensor] {}{} has more bytes than an i64 counts", name_of(dtype), to_string(extents));
  return bytes;
}

std::shared_ptr<void> allocate(int64_t bytes) {
  void* data = nullptr;
  if (bytes <= kAddressSpace) {
    // At least one line, so that a tensor of no elements differs from no tensor.
    const int64_t rounded = std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    // Large tensors lie on huge pages, so that products wait less for addresses.
    const bool huge = rounded >= 2 * static_cast<int64_t>(kHugePage);
    if (posix_memalign(&data, huge ? kHugePage : static_cast<size_t>(kAlignment), static_cast<size_t>(rounded)) != 0)
      data = nullptr;
    if (huge && data != nullptr) prefer_huge_pages(data, static_cast<size_t>(rounded));
  }
  GREGALE_CHECK(data != nullptr, out_of_memory, "[Tensor] cannot allocate {} bytes", bytes);
  return {data, std::free};
}

/// The float next to `value` whose last bit tells that something was cut off, so that rounding it once more to a type
/// of at least two bits less is the same as rounding `value` (rounding to odd).
float to_odd_f32(double value) {
  const auto rounded = static_cast<float>(value);
  if (!std::isfinite(value) || static_cast<double>(rounded) == value) return rounded;
  auto bits = std::bit_cast<uint32_t>(rounded);
  if (std::fabs(static_cast<double>(rounded)) > std::fabs(value)) --bits;  // towards zero; infinity becomes the largest
  return std::bit_cast<float>(bits | 1u);
}

float to_odd_f32(uint64_t magnitude) {
  const int cut = std::max(0, static_cast<int>(std::bit_width(magnitude)) - 24);
  const bool lost = (magnitude & ((uint64_t{1} << cut) - 1)) != 0;
  return std::ldexp(static_cast<float>((magnitude >> cut) | (lost ? 1u : 0u)), cut);
}

/// Rounding of any element to a float that a 16-bit float may be rounded from.
template <class From>
float to_half_source(From value) {
  if constexpr (std::is_same_v<From, float>) {
    return value;
  } else if constexpr (std::is_same_v<From, double>) {
    return to_odd_f32(value);
  } else if constexpr (std::is_signed_v<From>) {
    if (value < 0) return -to_odd_f32(uint64_t{0} - static_cast<uint64_t>(value));
    return to_odd_f32(static_cast<uint64_t>(value));
  } else {
    return to_odd_f32(static_cast<uint64_t>(value));
  }
}

/// Truncates towards zero and saturates; NaN becomes 0.
template <class To, class From>
To to_integer(From value) {
  if (std::isnan(value)) return 0;
  // Powers of two, hence exact: the first value above the range, and the lowest in it.
  const From above = std::ldexp(From(1), std::numeric_limits<To>::digits);
  if (value >= above) return std::numeric_limits<To>::max();
  if (std::is_signed_v<To> ? value < -above : value <= From(-1)) return std::numeric_limits<To>::min();
  return static_cast<To>(value);
}

template <class T>
struct is_complex_number : std::false_type {};
template <class T>
struct is_complex_number<std::complex<T>> : std::true_type {};

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, f16> || std::is_same_v<From, bf16>) {
    return convert<To>(to_f32(value));
  } else if constexpr (is_complex_number<From>::value) {
    using Part = typename To::value_type;
    return To(static_cast<Part>(value.real()), static_cast<Part>(value.imag()));
  } else if constexpr (is_complex_number<To>::value) {
    return To(static_cast<typename To::value_type>(value));
  } else if constexpr (std::is_same_v<To, f16>) {
    return to_f16(to_half_source(value));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return to_bf16(to_half_source(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    return to_integer<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <class T>
struct Tag {
  using type = T;
};

/// Calls function(Tag<T>()) with the element type of `dtype`.
template <class Function>
void with_type(DType dtype, Function&& function) {
  switch (dtype) {
    case DType::f64:
      return function(Tag<double>());
    case DType::f32:
      return function(Tag<float>());
    case DType::f16:
      return function(Tag<f16>());
    case DType::bf16:
      return function(Tag<bf16>());
    case DType::i64:
      return function(Tag<int64_t>());
    case DType::i32:
      return function(Tag<int32_t>());
    case DType::i16:
      return function(Tag<int16_t>());
    case DType::i8:
      return function(Tag<int8_t>());
    case DType::u64:
      return function(Tag<uint64_t>());
    case DType::u32:
      return function(Tag<uint32_t>());
    case DType::u16:
      return function(Tag<uint16_t>());
    case DType::u8:
      return function(Tag<uint8_t>());
    case DType::boolean:
      return function(Tag<bool>());
    case DType::c64:
      return function(Tag<std::complex<float>>());
    case DType::c128:
      return function(Tag<std::complex<double>>());
  }
  assertion_failed("a dtype", __FILE__, __LINE__);
}

}  // namespace

Tensor::Tensor() = default;
Tensor::Tensor(const Tensor&) = default;
Tensor::Tensor(Tensor&&) noexcept = default;
Tensor& Tensor::operator=(const Tensor&) = default;
Tensor& Tensor::operator=(Tensor&&) noexcept = default;
Tensor::~Tensor() = default;

Tensor::Tensor(DType dtype, Extents extents)
    : dtype_(dtype), extents_(std::move(extents)), size_(element_count(extents_)) {
  const int64_t bytes = byte_count(dtype_, extents_, size_);
  owner_ = allocate(bytes);
  data_ = owner_.get();
  std::memset(data_, 0, static_cast<size_t>(bytes));
}

Tensor Tensor::borrow(void* data, DType dtype, Extents extents) {
  return share(nullptr, data, dtype, std::move(extents));
}

Tensor Tensor::share(std::shared_ptr<void> owner, void* data, DType dtype, Extents extents) {
  Tensor tensor;
  tensor.size_ = element_count(extents);
  byte_count(dtype, extents, tensor.size_);
  GREGALE_CHECK(data != nullptr || tensor.size_ == 0, invalid_argument, "[Tensor::share] no memory for {}{}",
                name_of(dtype), to_string(extents));
  tensor.owner_ = std::move(owner);
  tensor.data_ = data;
  tensor.dtype_ = dtype;
  tensor.extents_ = std::move(extents);
  return tensor;
}

Tensor Tensor::full(DType dtype, Extents extents, double value) {
  Tensor tensor(dtype, std::move(extents));
  with_type(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto out = tensor.as<T>();
    std::fill(out.begin(), out.end(), convert<T>(value));
  });
  return tensor;
}

Tensor Tensor::clone() const {
  if (empty()) return *this;
  Tensor tensor;
  tensor.owner_ = allocate(bytes());
  tensor.data_ = tensor.owner_.get();
  tensor.dtype_ = dtype_;
  tensor.extents_ = extents_;
  tensor.size_ = size_;
  if (size_ > 0) std::memcpy(tensor.data_, data_, static_cast<size_t>(bytes()));
  return tensor;
}

Tensor Tensor::reshaped(Extents extents) const {
  GREGALE_CHECK(element_count(extents) == size_, shape, "[Tensor::reshaped] {} and {} differ in elements",
                to_string(extents_), to_string(extents));
  Tensor tensor = *this;
  tensor.extents_ = std::move(extents);
  return tensor;
}

Tensor Tensor::cast(DType dtype) const {
  if (dtype == dtype_) return clone();
  GREGALE_CHECK(!is_complex(dtype_) || is_complex(dtype), dtype, "[Tensor::cast] {} cannot become {}", name_of(dtype_),
                name_of(dtype));
  Tensor tensor(dtype, extents_);
  with_type(dtype_, [&](auto from_tag) {
    using From = typename decltype(from_tag)::type;
    with_type(dtype, [&](auto to_tag) {
      using To = typename decltype(to_tag)::type;
      if constexpr (!is_complex_number<From>::value || is_complex_number<To>::value) {
        const auto in = as<From>();
        const auto out = tensor.as<To>();
        std::transform(in.begin(), in.end(), out.begin(), [](From value) { return convert<To>(value); });
      }
    });
  });
  return tensor;
}

bool Tensor::identical(const Tensor& other) const {
  return dtype_ == other.dtype_ && extents_ == other.extents_ &&
         (size_ == 0 || data_ == other.data_ || std::memcmp(data_, other.data_, static_cast<size_t>(bytes())) == 0);
}

void Tensor::check_dtype(DType expected) const {
  GREGALE_CHECK(expected == dtype_, dtype, "[Tensor::as] the elements are {}, not {}", name_of(dtype_),
                name_of(expected));
}

}  // namespace gregale
