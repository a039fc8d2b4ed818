// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "hdf5/chunk.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace gregale::hdf5 {
namespace {

constexpr unsigned kComplete = 0x47524731;  // "GRG1"
constexpr size_t kMostRank = 32, kMostMissing = 100;
constexpr int64_t kMostBytes = int64_t{1} << 32;  // HDF5's own limit

[[noreturn]] void corrupt(const char* what) {
  throw_error(ErrorCode::corrupt_data, fmt::format("the filter's parameters: {}", what));
}

void append(std::vector<unsigned>& numbers, double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  numbers.push_back(static_cast<unsigned>(bits));
  numbers.push_back(static_cast<unsigned>(bits >> 32));
}

class Reader {
 public:
  explicit Reader(std::span<const unsigned> numbers) : numbers_(numbers) {}
  unsigned next() {
    if (at_ == numbers_.size()) corrupt("they end too early");
    return numbers_[at_++];
  }
  double real() {
    const uint64_t low = next(), high = next();
    return std::bit_cast<double>(low | high << 32);
  }
  bool done() const { return at_ == numbers_.size(); }

 private:
  std::span<const unsigned> numbers_;
  size_t at_ = 0;
};

template <class T>
void keep_valid(Tensor& values, const ChunkParameters& p) {
  // The bounds as this type can hold them, towards the inside.
  T low = static_cast<T>(p.valid_low), high = static_cast<T>(p.valid_high);
  if (static_cast<double>(low) < p.valid_low) low = std::nextafter(low, std::numeric_limits<T>::infinity());
  if (static_cast<double>(high) > p.valid_high) high = std::nextafter(high, -std::numeric_limits<T>::infinity());
  std::vector<T> missing;
  for (const double m : p.contract.missing) missing.push_back(static_cast<T>(m));
  for (T& value : values.as<T>()) {
    if ((value >= low && value <= high) || !std::isfinite(value)) continue;
    if (std::find(missing.begin(), missing.end(), value) == missing.end()) value = value < low ? low : high;
  }
}

void keep_valid(Tensor& values, const ChunkParameters& p) {
  if (std::isinf(p.valid_low) && std::isinf(p.valid_high)) return;
  if (p.dtype == DType::f32) keep_valid<float>(values, p);
  if (p.dtype == DType::f64) keep_valid<double>(values, p);
}

/// Calls row(first of it in an array of `small` extents, the same place in one of `large` extents, length).
template <class Row>
void for_rows(const Extents& small, const Extents& large, Row&& row) {
  if (element_count(small) == 0) return;
  const size_t last = small.size() - 1;
  Extents index(small.size(), 0);
  for (int64_t from = 0;; from += small[last]) {
    int64_t at = 0;
    for (size_t d = 0; d <= last; ++d) at = at * large[d] + index[d];
    row(from, at, small[last]);
    size_t d = last;
    while (d > 0 && ++index[d - 1] == small[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

}  // namespace

int64_t ChunkParameters::bytes() const {
  int64_t bytes = size_of(dtype);
  for (const int64_t e : chunk) bytes *= e;
  return bytes;
}

std::vector<unsigned> ChunkParameters::numbers() const {
  std::vector<unsigned> n{kComplete};
  const unsigned flags = (contract.keep_zeros ? 1U : 0U) | (contract.keep_nonfinite ? 2U : 0U);
  n.push_back(static_cast<unsigned>(dtype) | (swapped ? 1U << 8 : 0U) | static_cast<unsigned>(contract.kind) << 16 |
              flags << 24);
  append(n, contract.bound);
  append(n, valid_low);
  append(n, valid_high);
  n.push_back(static_cast<unsigned>(chunk.size()));
  for (const int64_t e : chunk) n.push_back(static_cast<unsigned>(e));
  n.push_back(static_cast<unsigned>(contract.missing.size()));
  for (const double m : contract.missing) append(n, m);
  return n;
}

bool ChunkParameters::is_complete(std::span<const unsigned> numbers) {
  return !numbers.empty() && numbers[0] == kComplete;
}

ChunkParameters ChunkParameters::parse(std::span<const unsigned> numbers) {
  Reader r(numbers);
  if (r.next() != kComplete) corrupt("not those of a dataset");
  ChunkParameters p;
  const unsigned word = r.next();
  if ((word & 255) >= static_cast<unsigned>(kDTypeCount)) corrupt("no element type has this number");
  p.dtype = static_cast<DType>(word & 255);
  p.swapped = (word >> 8 & 1) != 0;
  if ((word >> 16 & 255) > static_cast<unsigned>(ErrorContract::Kind::unbiased)) corrupt("no contract has this number");
  p.contract.kind = static_cast<ErrorContract::Kind>(word >> 16 & 255);
  p.contract.keep_zeros = (word >> 24 & 1) != 0;
  p.contract.keep_nonfinite = (word >> 24 & 2) != 0;
  p.contract.bound = r.real();
  p.valid_low = r.real();
  p.valid_high = r.real();
  const unsigned rank = r.next();
  if (rank == 0 || rank > kMostRank) corrupt("a chunk of no rank");
  int64_t bytes = size_of(p.dtype);
  for (unsigned i = 0; i < rank; ++i) {
    p.chunk.push_back(r.next());
    if (p.chunk.back() == 0 || p.chunk.back() > kMostBytes / bytes) corrupt("a chunk is empty or above 4 GB");
    bytes *= p.chunk.back();
  }
  const unsigned missing = r.next();
  if (missing > kMostMissing) corrupt("too many missing values");
  for (unsigned i = 0; i < missing; ++i) p.contract.missing.push_back(r.real());
  if (!r.done()) corrupt("something follows them");
  return p;
}

ErrorContract parse_request(std::span<const unsigned> numbers) {
  if (numbers.empty() || (numbers.size() == 1 && numbers[0] == 0)) return ErrorContract::lossless();
  GREGALE_CHECK(
      numbers.size() == 3 && numbers[0] <= static_cast<unsigned>(ErrorContract::Kind::unbiased), invalid_argument,
      "the filter takes nothing (exact), or KIND DIGITS EXPONENT with the bound DIGITS / 10^EXPONENT and KIND 1 "
      "(absolute), 2 (relative to each chunk's range) or 3 (root mean square); got {}",
      numbers);
  ErrorContract contract;
  contract.kind = static_cast<ErrorContract::Kind>(numbers[0]);
  if (contract.kind == ErrorContract::Kind::exact) return contract;
  // Divided, so that 5 / 10^3 is the number that "5e-3" is.
  contract.bound = numbers[1] / std::pow(10.0, numbers[2]);
  GREGALE_CHECK(contract.bound > 0 && std::isfinite(contract.bound), invalid_argument,
                "the filter's bound {} / 10^{} is not positive", numbers[1], numbers[2]);
  return contract;
}

Encoded encode_chunk(const Tensor& values, const ChunkParameters& parameters, const EncodeOptions& options) {
  return encode(values, parameters.contract, options);
}

Tensor decode_chunk(std::span<const std::byte> stream, const ChunkParameters& p, const DecodeOptions& options) {
  DecodeOptions limited = options;
  limited.max_bytes = p.bytes();
  Tensor values = decode(stream, limited);
  bool fits = values.dtype() == p.dtype && values.extents().size() == p.chunk.size();
  for (size_t i = 0; fits && i < p.chunk.size(); ++i) fits = values.extents()[i] <= p.chunk[i];
  GREGALE_CHECK(fits, corrupt_data, "the stream holds {} of {} and not a chunk {} of {}", name_of(values.dtype()),
                to_string(values.extents()), name_of(p.dtype), to_string(p.chunk));
  keep_valid(values, p);
  return values;
}

void decode_chunk_into(std::span<const std::byte> stream, const ChunkParameters& p, Tensor& values,
                       const DecodeOptions& options) {
  const StreamInfo info = describe(stream);
  if (info.dtype == values.dtype() && info.extents == values.extents()) {
    decode_into(stream, values, options);
    keep_valid(values, p);
    return;
  }
  const Tensor part = crop(decode_chunk(stream, p, options), values.extents());
  std::memcpy(values.data(), part.data(), static_cast<size_t>(part.bytes()));
}

void pad_chunk(const Tensor& values, const Extents& chunk, std::span<std::byte> out) {
  const auto* src = static_cast<const std::byte*>(values.data());
  if (values.extents() == chunk) {
    std::copy_n(src, out.size(), out.begin());
    return;
  }
  std::fill(out.begin(), out.end(), std::byte{0});
  const int64_t width = size_of(values.dtype());
  for_rows(values.extents(), chunk, [&](int64_t row, int64_t at, int64_t length) {
    std::copy_n(src + row * width, length * width, out.begin() + at * width);
  });
}

Tensor crop(const Tensor& values, const Extents& extents) {
  if (values.extents() == extents) return values;
  for (size_t d = 0; d < extents.size(); ++d)
    GREGALE_CHECK(values.extents()[d] >= extents[d], corrupt_data, "it holds {} values of dimension {} and not {}",
                  values.extents()[d], d, extents[d]);
  Tensor cropped(values.dtype(), extents);
  const int64_t width = size_of(values.dtype());
  const auto* src = static_cast<const std::byte*>(values.data());
  for_rows(extents, values.extents(), [&](int64_t row, int64_t at, int64_t length) {
    std::copy_n(src + at * width, length * width, static_cast<std::byte*>(cropped.data()) + row * width);
  });
  return cropped;
}

void swap_bytes(std::span<std::byte> bytes, int64_t width) {
  const auto step = static_cast<size_t>(width);
  for (size_t at = 0; at + step <= bytes.size(); at += step)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + step));
}

}  // namespace gregale::hdf5
