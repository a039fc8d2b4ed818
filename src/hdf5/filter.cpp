// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "hdf5/filter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "hdf5/chunk.hpp"

namespace gregale::hdf5 {
namespace {

constexpr size_t kMostNumbers = 256;  // HDF5 takes more for a mistake

Host& host() {
  static Host functions;  // HDF5 calls the filter without a word about who it is
  return functions;
}
std::string& last_error() {
  thread_local std::string text;
  return text;
}

void push_error(const char* function, const char* what) noexcept {
  try {
    last_error() = what;
  } catch (...) {  // out of memory: HDF5's own message has to do
  }
  static const hid_t error_class = host().H5Eregister_class("gregale", "gregale", GREGALE_VERSION);
  static const hid_t major = host().H5Ecreate_msg(error_class, H5E_MAJOR, "error-bounded compression");
  static const hid_t minor = host().H5Ecreate_msg(error_class, H5E_MINOR, "a chunk was refused");
  host().H5Epush2(H5E_DEFAULT, "gregale", function, 0, error_class, major, minor, "%s", what);
}

/// Runs `body`; whatever it throws becomes HDF5's error and `failed`.
template <class Value, class Body>
Value guarded(const char* function, Value failed, Body&& body) noexcept {
  try {
    last_error().clear();
    return body();
  } catch (const std::bad_alloc&) {
    push_error(function, "out of memory");
  } catch (const std::exception& error) {
    push_error(function, error.what());
  } catch (...) {
    push_error(function, "unknown failure");
  }
  return failed;
}

void check(bool done, const char* call) {
  if (!done) throw_error(ErrorCode::unsupported, fmt::format("HDF5 refused {}", call));
}

/// The element type in which the values of an HDF5 type are coded; integers are known by their width alone.
DType dtype_of(hid_t type) {
  const size_t size = host().H5Tget_size(type);
  const H5T_class_t kind = host().H5Tget_class(type);
  if (kind == H5T_FLOAT && size == 4) return DType::f32;
  if (kind == H5T_FLOAT && size == 8) return DType::f64;
  if (kind == H5T_FLOAT || kind == H5T_INTEGER || kind == H5T_ENUM || kind == H5T_BITFIELD) {
    if (size == 1) return DType::u8;
    if (size == 2) return DType::u16;
    if (size == 4) return DType::u32;
    if (size == 8) return DType::u64;
  }
  throw_error(ErrorCode::dtype, "only numbers of 1, 2, 4 or 8 bytes are compressed");
}

htri_t can_apply(hid_t, hid_t type, hid_t) {
  return guarded("can_apply", htri_t{-1}, [&] {
    dtype_of(type);
    return htri_t{1};
  });
}

/// Turns what was asked for into parameters that say everything about this dataset.
herr_t set_local(hid_t properties, hid_t type, hid_t) {
  return guarded("set_local", herr_t{-1}, [&] {
    unsigned flags = 0, numbers[kMostNumbers] = {};
    size_t count = kMostNumbers;
    check(host().H5Pget_filter_by_id2(properties, kFilterId, &flags, &count, numbers, 0, nullptr, nullptr) >= 0,
          "the filter's parameters");
    const std::span<const unsigned> given(numbers, std::min(count, kMostNumbers));
    const bool complete = ChunkParameters::is_complete(given);
    ChunkParameters p = complete ? ChunkParameters::parse(given) : ChunkParameters{};
    if (!complete) p.contract = parse_request(given);
    p.dtype = dtype_of(type);
    p.swapped = host().H5Tget_order(type) == H5T_ORDER_BE;
    GREGALE_CHECK(p.contract.kind == ErrorContract::Kind::exact || is_real_float(p.dtype), dtype,
                  "an error bound is for float and double; leave it out for other types");
    hsize_t chunk[H5S_MAX_RANK] = {};
    const int rank = host().H5Pget_chunk(properties, H5S_MAX_RANK, chunk);
    check(rank > 0, "the extents of chunks");
    p.chunk.assign(chunk, chunk + rank);
    H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;
    if (!complete && is_real_float(p.dtype) && host().H5Pfill_value_defined(properties, &defined) >= 0 &&
        defined == H5D_FILL_VALUE_USER_DEFINED) {
      std::byte fill[8] = {};
      check(host().H5Pget_fill_value(properties, type, fill) >= 0, "the fill value");
      if (p.swapped) swap_bytes({fill, static_cast<size_t>(size_of(p.dtype))}, size_of(p.dtype));
      float narrow = 0;
      double wide = 0;
      std::memcpy(&narrow, fill, sizeof narrow);
      std::memcpy(&wide, fill, sizeof wide);
      p.contract.missing.push_back(p.dtype == DType::f32 ? static_cast<double>(narrow) : wide);
    }
    const std::vector<unsigned> all = p.numbers();
    check(host().H5Pmodify_filter(properties, kFilterId, flags, all.size(), all.data()) >= 0, "new parameters");
    return herr_t{0};
  });
}

size_t filter(unsigned flags, size_t count, const unsigned* numbers, size_t bytes, size_t* capacity, void** buffer) {
  return guarded("filter", size_t{0}, [&] {
    const ChunkParameters p = ChunkParameters::parse({numbers, count});
    const auto hand_over = [&](auto&& fill, size_t size) {
      void* result = std::malloc(std::max<size_t>(size, 1));  // HDF5 frees it
      if (result == nullptr) throw std::bad_alloc();
      fill(std::span<std::byte>(static_cast<std::byte*>(result), size));
      std::free(*buffer);
      *buffer = result;
      *capacity = size;
      return size;
    };
    const auto size = static_cast<size_t>(p.bytes());
    if ((flags & H5Z_FLAG_REVERSE) != 0) {
      const Tensor values = decode_chunk({static_cast<const std::byte*>(*buffer), bytes}, p);
      return hand_over(
          [&](std::span<std::byte> out) {
            pad_chunk(values, p.chunk, out);
            if (p.swapped) swap_bytes(out, size_of(p.dtype));
          },
          size);
    }
    GREGALE_CHECK(bytes == size, invalid_argument, "HDF5 hands over {} bytes for a chunk of {}", bytes, size);
    if (p.swapped) swap_bytes({static_cast<std::byte*>(*buffer), size}, size_of(p.dtype));
    const Encoded encoded = encode_chunk(Tensor::borrow(*buffer, p.dtype, p.chunk), p);
    return hand_over(
        [&](std::span<std::byte> out) { std::copy(encoded.bytes.begin(), encoded.bytes.end(), out.begin()); },
        encoded.bytes.size());
  });
}

}  // namespace

const H5Z_class2_t* filter_class(const Host& functions) {
  if (host().H5Epush2 == nullptr) host() = functions;
  static const H5Z_class2_t filter_description = {H5Z_CLASS_T_VERS, kFilterId, 1,         1,
                                                  kFilterName,      can_apply, set_local, filter};
  return &filter_description;
}

std::string take_filter_error() {
  std::string text;
  std::swap(text, last_error());
  return text;
}

}  // namespace gregale::hdf5
