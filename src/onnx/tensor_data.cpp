// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/tensor_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "gregale/error.hpp"

namespace gregale::onnx {
namespace {

// By number, from 1; those that we have no dtype for are named for the errors.
constexpr std::array<const char*, 26> kElementNames = {
    "float",      "uint8",      "int8",         "uint16",         "int16",      "int32",          "int64",
    "string",     "bool",       "float16",      "double",         "uint32",     "uint64",         "complex64",
    "complex128", "bfloat16",   "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4",
    "int4",       "float4e2m1", "float8e8m0",   "uint2",          "int2"};
constexpr std::array<std::pair<int32_t, DType>, 15> kDTypes = {{{1, DType::f32},
                                                                {2, DType::u8},
                                                                {3, DType::i8},
                                                                {4, DType::u16},
                                                                {5, DType::i16},
                                                                {6, DType::i32},
                                                                {7, DType::i64},
                                                                {9, DType::boolean},
                                                                {10, DType::f16},
                                                                {11, DType::f64},
                                                                {12, DType::u32},
                                                                {13, DType::u64},
                                                                {14, DType::c64},
                                                                {15, DType::c128},
                                                                {16, DType::bf16}}};

constexpr int64_t kLargestSparse = int64_t{256} << 20;

Extents read_extents(const format::Tensor& t) {
  GREGALE_CHECK(t.dims_size() <= 64, corrupt_data, "[onnx] tensor '{}' has {} dims", t.name(), t.dims_size());
  Extents extents(t.dims().begin(), t.dims().end());
  for (int64_t e : extents) GREGALE_CHECK(e >= 0, corrupt_data, "[onnx] tensor '{}' has a dim of {}", t.name(), e);
  try {
    element_count(extents);  // the product may overflow
  } catch (Error& e) {
    throw e.add_context(fmt::format("tensor '{}'", t.name()));
  }
  return extents;
}

/// What a file says of data that lies outside of it.
std::string read_external(const format::Tensor& t, const std::string& folder) {
  namespace fs = std::filesystem;
  std::string location;
  int64_t offset = 0, length = -1;
  const auto number = [&](const std::string& text, const char* what) {
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    GREGALE_CHECK(error == std::errc() && end == text.data() + text.size() && value >= 0, corrupt_data,
                  "[onnx] tensor '{}': external {} '{}' is no number", t.name(), what, text);
    return value;
  };
  for (const format::StringPair& pair : t.external_data()) {
    if (pair.key() == "location") location = pair.value();
    if (pair.key() == "offset") offset = number(pair.value(), "offset");
    if (pair.key() == "length") length = number(pair.value(), "length");
  }
  GREGALE_CHECK(!folder.empty(), unsupported,
                "[onnx] tensor '{}' is in the file '{}', and the model came without a folder", t.name(), location);
  const fs::path relative(location);
  bool leaves = location.empty() || relative.is_absolute() || location.find('\0') != std::string::npos;
  for (const fs::path& part : relative) leaves = leaves || part == "..";
  std::error_code ignored;
  const fs::path home = fs::weakly_canonical(folder, ignored), path = fs::weakly_canonical(home / relative, ignored);
  leaves = leaves || std::mismatch(home.begin(), home.end(), path.begin(), path.end()).first != home.end();
  GREGALE_CHECK(!leaves, corrupt_data, "[onnx] tensor '{}': external data in '{}' is outside the model's folder",
                t.name(), location);
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  GREGALE_CHECK(file.good(), io, "[onnx] tensor '{}': no file '{}'", t.name(), location);
  const int64_t size = file.tellg();
  if (length < 0) length = size - offset;
  GREGALE_CHECK(offset <= size && length >= 0 && length <= size - offset, corrupt_data,
                "[onnx] tensor '{}': bytes {} to {} of '{}', which has {}", t.name(), offset, offset + length, location,
                size);
  std::string bytes(static_cast<size_t>(length), '\0');
  file.seekg(offset);
  file.read(bytes.data(), length);
  GREGALE_CHECK(file.good(), io, "[onnx] tensor '{}': '{}' cannot be read", t.name(), location);
  return bytes;
}

void check_count(const format::Tensor& t, int64_t got, int64_t needed, const char* unit) {
  GREGALE_CHECK(got == needed, corrupt_data, "[onnx] tensor '{}' has {} {} of data, its dims need {}", t.name(), got,
                unit, needed);
}

Tensor from_raw(const format::Tensor& t, const std::string& raw, DType dtype, const Extents& extents) {
  const int64_t count = element_count(extents);
  check_count(t, static_cast<int64_t>(raw.size()) / size_of(dtype), count, "elements");
  check_count(t, static_cast<int64_t>(raw.size()), count * size_of(dtype), "bytes");
  Tensor tensor(dtype, extents);
  static_assert(std::endian::native == std::endian::little);  // as the format's bytes are
  if (!raw.empty()) std::memcpy(tensor.data(), raw.data(), raw.size());
  if (dtype == DType::boolean)
    for (bool& b : tensor.as<bool>()) {
      unsigned char byte;
      std::memcpy(&byte, &b, 1);
      b = byte != 0;
    }
  return tensor;
}

template <class T, class Values>
Tensor from_values(const format::Tensor& t, const Values& values, DType dtype, const Extents& extents) {
  check_count(t, values.size(), element_count(extents), "elements");
  Tensor tensor(dtype, extents);
  auto* to = static_cast<T*>(tensor.data());
  for (int i = 0; i < values.size(); ++i) to[i] = static_cast<T>(values[i]);
  return tensor;
}

/// Complex numbers are pairs of reals in float_data and double_data.
template <class T, class Values>
Tensor from_pairs(const format::Tensor& t, const Values& values, DType dtype, const Extents& extents) {
  check_count(t, values.size(), 2 * element_count(extents), "parts of numbers");
  Tensor tensor(dtype, extents);
  auto* to = static_cast<T*>(tensor.data());
  for (int i = 0; i < values.size(); ++i) to[i] = static_cast<T>(values[i]);
  return tensor;
}

}  // namespace

int32_t element_type(DType dtype) {
  for (const auto& [number, type] : kDTypes)
    if (type == dtype) return number;
  return 0;
}

std::optional<DType> dtype_of_element(int32_t element) {
  for (const auto& [number, type] : kDTypes)
    if (number == element) return type;
  return std::nullopt;
}

DType require_dtype(int32_t element) {
  if (const auto dtype = dtype_of_element(element)) return *dtype;
  if (element >= 1 && element <= static_cast<int32_t>(kElementNames.size()))
    throw_error(ErrorCode::unsupported,
                fmt::format("[onnx] elements of type {}", kElementNames[static_cast<size_t>(element) - 1]));
  throw_error(ErrorCode::corrupt_data, fmt::format("[onnx] there is no element type {}", element));
}

Datum read_tensor(const format::Tensor& t, const std::string& folder) {
  const Extents extents = read_extents(t);
  if (t.data_type() == kStringElements) {
    check_count(t, t.string_data_size(), element_count(extents), "strings");
    return Strings{extents, {t.string_data().begin(), t.string_data().end()}};
  }
  const DType dtype = require_dtype(t.data_type());
  if (t.data_location() == 1) return from_raw(t, read_external(t, folder), dtype, extents);
  if (t.has_raw_data()) return from_raw(t, t.raw_data(), dtype, extents);
  switch (dtype) {
    case DType::f32:
      return from_values<float>(t, t.float_data(), dtype, extents);
    case DType::f64:
      return from_values<double>(t, t.double_data(), dtype, extents);
    case DType::c64:
      return from_pairs<float>(t, t.float_data(), dtype, extents);
    case DType::c128:
      return from_pairs<double>(t, t.double_data(), dtype, extents);
    case DType::i64:
      return from_values<int64_t>(t, t.int64_data(), dtype, extents);
    case DType::u64:
      return from_values<uint64_t>(t, t.uint64_data(), dtype, extents);
    case DType::u32:
      return from_values<uint32_t>(t, t.uint64_data(), dtype, extents);
    case DType::i32:
      return from_values<int32_t>(t, t.int32_data(), dtype, extents);
    case DType::i16:
    case DType::u16:
    case DType::f16:
    case DType::bf16:
      return from_values<uint16_t>(t, t.int32_data(), dtype, extents);
    case DType::i8:
    case DType::u8:
      return from_values<uint8_t>(t, t.int32_data(), dtype, extents);
    case DType::boolean:
      return from_values<bool>(t, t.int32_data(), dtype, extents);
  }
  throw_error(ErrorCode::internal, "[onnx] dtype without a reader");
}

Tensor read_sparse_tensor(const format::SparseTensor& s, const std::string& folder) {
  const Datum values = read_tensor(s.values(), folder), at = read_tensor(s.indices(), folder);
  const std::string& name = s.values().name();
  GREGALE_CHECK(values.tensor() && at.tensor() && at.tensor()->dtype() == DType::i64, corrupt_data,
                "[onnx] sparse tensor '{}' needs numbers at i64 indices", name);
  format::Tensor outline;
  outline.set_name(name);
  *outline.mutable_dims() = s.dims();
  const Extents extents = read_extents(outline);
  const auto rank = static_cast<int64_t>(extents.size());
  const int64_t count = element_count(extents), nonzero = values.tensor()->size();
  GREGALE_CHECK(count <= kLargestSparse / size_of(values.tensor()->dtype()), unsupported,
                "[onnx] sparse tensor '{}' of {} is too large to be made dense", name, gregale::to_string(extents));
  const bool flat = at.tensor()->rank() == 1;
  GREGALE_CHECK(at.tensor()->size() == (flat ? nonzero : nonzero * rank), corrupt_data,
                "[onnx] sparse tensor '{}' has {} indices for {} values", name, at.tensor()->size(), nonzero);
  Tensor dense(values.tensor()->dtype(), extents);
  const auto index = at.tensor()->as<int64_t>();
  const auto bytes = static_cast<size_t>(size_of(dense.dtype()));
  for (int64_t i = 0; i < nonzero; ++i) {
    int64_t to = flat ? index[static_cast<size_t>(i)] : 0;
    for (int64_t a = 0; !flat && a < rank; ++a) {
      const int64_t k = index[static_cast<size_t>(i * rank + a)];
      GREGALE_CHECK(k >= 0 && k < extents[static_cast<size_t>(a)], corrupt_data,
                    "[onnx] sparse tensor '{}': index {} is outside {}", name, k, gregale::to_string(extents));
      to = to * extents[static_cast<size_t>(a)] + k;
    }
    GREGALE_CHECK(to >= 0 && to < count, corrupt_data, "[onnx] sparse tensor '{}': index {} is outside {}", name, to,
                  gregale::to_string(extents));
    std::memcpy(static_cast<char*>(dense.data()) + static_cast<size_t>(to) * bytes,
                static_cast<const char*>(values.tensor()->data()) + static_cast<size_t>(i) * bytes, bytes);
  }
  return dense;
}

Datum read_sequence(const format::SequenceValue& s) {
  Sequence sequence;
  for (const auto& t : s.tensor_values()) sequence.items.push_back(read_tensor(t, ""));
  for (const auto& inner : s.sequence_values()) sequence.items.push_back(read_sequence(inner));
  for (const auto& o : s.optional_values()) sequence.items.push_back(read_optional(o));
  return sequence;
}

Datum read_optional(const format::OptionalValue& o) {
  if (o.has_tensor_value()) return read_tensor(o.tensor_value(), "");
  if (o.has_sequence_value()) return read_sequence(o.sequence_value());
  if (o.has_optional_value()) return read_optional(o.optional_value());
  return Datum();
}

Datum read_datum(const std::string& bytes, const Port& port) {
  const auto parse = [&](auto message) {
    GREGALE_CHECK(message.ParseFromString(bytes), corrupt_data, "[onnx] the value of '{}' cannot be read", port.name);
    return message;
  };
  switch (port.kind) {
    case Port::Kind::sequence:
      return read_sequence(parse(format::SequenceValue()));
    case Port::Kind::optional:
      return read_optional(parse(format::OptionalValue()));
    default:
      return read_tensor(parse(format::Tensor()), "");
  }
}

Port read_port(const std::string& name, const format::Type& type) {
  Port port;
  port.name = name;
  if (type.has_sequence_type()) {
    port.kind = Port::Kind::sequence;
  } else if (type.has_optional_type()) {
    port.kind = Port::Kind::optional;
  } else if (type.has_tensor_type()) {
    const format::Type::Dense& dense = type.tensor_type();
    if (dense.elem_type() == kStringElements)
      port.kind = Port::Kind::strings;
    else if (dense.elem_type() != 0)
      port.dtype = require_dtype(dense.elem_type());
    if (!dense.has_shape()) return port;
    port.has_shape = true;
    GREGALE_CHECK(dense.shape().dim_size() <= 64, corrupt_data, "[onnx] '{}' has {} dims", name,
                  dense.shape().dim_size());
    std::vector<Dim> dims;
    for (const auto& d : dense.shape().dim()) {
      if (d.has_dim_value() && d.dim_value() >= 0) {
        dims.emplace_back(d.dim_value());
        continue;
      }
      std::string symbol;  // names in a file are any text, ours are identifiers
      for (char c : d.dim_param().substr(0, 96))
        symbol += std::isalnum(static_cast<unsigned char>(c)) || c == '_' ? c : '_';
      if (symbol.empty() || std::isdigit(static_cast<unsigned char>(symbol[0])))
        symbol = fmt::format("dim{}_{}", dims.size(), symbol);
      dims.push_back(Dim::symbol(symbol));
    }
    port.shape = Shape(std::move(dims));
  } else if (type.value_case() != format::Type::VALUE_NOT_SET) {
    throw_error(ErrorCode::unsupported, fmt::format("[onnx] '{}' is a map or a sparse tensor", name));
  }
  return port;
}

void write_tensor(const Tensor& tensor, format::Tensor* to) {
  for (int64_t e : tensor.extents()) to->add_dims(e);
  to->set_data_type(element_type(tensor.dtype()));
  to->set_raw_data(tensor.data(), static_cast<size_t>(tensor.bytes()));
}

}  // namespace gregale::onnx
