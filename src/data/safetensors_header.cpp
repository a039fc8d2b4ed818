// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/json.hpp"

namespace gregale::data {
namespace {

constexpr size_t kMaxRank = 32;
constexpr std::array<std::pair<const char*, DType>, 14> kNames{{{"F64", DType::f64},
                                                                {"F32", DType::f32},
                                                                {"F16", DType::f16},
                                                                {"BF16", DType::bf16},
                                                                {"I64", DType::i64},
                                                                {"I32", DType::i32},
                                                                {"I16", DType::i16},
                                                                {"I8", DType::i8},
                                                                {"U64", DType::u64},
                                                                {"U32", DType::u32},
                                                                {"U16", DType::u16},
                                                                {"U8", DType::u8},
                                                                {"BOOL", DType::boolean},
                                                                {"C64", DType::c64}}};

/// Text from the file, fit for one line of an error message.
std::string shown(const std::string& text) {
  std::string out;
  for (char c : text.substr(0, 60)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text.size() > 60 ? out + "..." : out;
}

/// Receives the JSON as events, so that a hostile header never becomes a tree in memory: what it may contain is known,
/// and the first event that does not fit ends the parse. (A tree would also hide names that occur twice.)
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader header;
  std::string problem;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a fraction, or a number beyond 64 bits");
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (where_ != Where::shape && where_ != Where::offsets) return unexpected("a number");
    if (value > static_cast<uint64_t>(INT64_MAX)) return fail("tensor {}: {} is out of range", shown(name_), value);
    auto& numbers = where_ == Where::shape ? entry_.extents : offsets_;
    if (numbers.size() >= (where_ == Where::shape ? kMaxRank : 2))
      return fail("tensor {}: too many numbers in its {}", shown(name_),
                  where_ == Where::shape ? "shape" : "data_offsets");
    numbers.push_back(static_cast<int64_t>(value));
    return true;
  }
  bool string(string_t& value) override {
    if (where_ == Where::metadata) {
      header.metadata[key_] = std::move(value);
      return true;
    }
    if (where_ != Where::tensor || key_ != "dtype") return unexpected("a text");
    dtype_ = std::move(value);
    return true;
  }
  bool key(string_t& value) override {
    if (where_ == Where::top) {
      if (!names_.insert(value).second) return fail("{} occurs twice", shown(value));
      name_ = std::move(value);
      return true;
    }
    if (where_ == Where::metadata) {
      if (header.metadata.contains(value)) return fail("the metadata key {} occurs twice", shown(value));
    } else {
      if (value != "dtype" && value != "shape" && value != "data_offsets")
        return fail("tensor {}: unknown key {}", shown(name_), shown(value));
      if (!fields_.insert(value).second) return fail("tensor {}: {} occurs twice", shown(name_), value);
    }
    key_ = std::move(value);
    return true;
  }
  bool start_object(size_t) override {
    if (where_ == Where::outside) {
      where_ = Where::top;
    } else if (where_ == Where::top) {
      where_ = name_ == "__metadata__" ? Where::metadata : Where::tensor;
      entry_ = {};
      offsets_.clear();
      fields_.clear();
    } else {
      return unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    if (where_ == Where::tensor && !add_tensor()) return false;
    where_ = where_ == Where::top ? Where::outside : Where::top;
    return true;
  }
  bool start_array(size_t) override {
    if (where_ != Where::tensor || key_ == "dtype") return unexpected("an array");
    where_ = key_ == "shape" ? Where::shape : Where::offsets;
    return true;
  }
  bool end_array() override {
    where_ = Where::tensor;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    // The header begins at byte 8, and positions count from 1.
    return fail("it is not valid JSON at byte {}", position + 7);
  }

 private:
  enum class Where { outside, top, metadata, tensor, shape, offsets };

  template <class... Args>
  bool fail(fmt::format_string<Args...> text, Args&&... args) {
    problem = fmt::format(text, std::forward<Args>(args)...);
    return false;
  }
  bool unexpected(const char* what) {
    switch (where_) {
      case Where::outside:
        return fail("{} where the object of tensors should begin", what);
      case Where::top:
        return fail("{}: {} where an object should be", shown(name_), what);
      case Where::metadata:
        return fail("the metadata key {}: {} where a text should be", shown(key_), what);
      default:
        return fail("tensor {}: {} in its {}", shown(name_), what, key_);
    }
  }
  bool add_tensor() {
    if (fields_.size() != 3) return fail("tensor {}: it needs dtype, shape and data_offsets", shown(name_));
    if (offsets_.size() != 2) return fail("tensor {}: its data_offsets are not two numbers", shown(name_));
    entry_.dtype = dtype_from_safetensors_name(dtype_);
    entry_.name = name_;
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    int64_t bytes = size_of(entry_.dtype);
    // Overflow is judged without zero extents, so that it does not depend on their place.
    bool empty = false;
    for (int64_t extent : entry_.extents) {
      if (extent == 0)
        empty = true;
      else if (__builtin_mul_overflow(bytes, extent, &bytes))
        return fail("tensor {}: its shape is larger than any memory", shown(name_));
    }
    if (empty) bytes = 0;
    if (entry_.end < entry_.begin || entry_.end - entry_.begin != bytes)
      return fail("tensor {}: its data_offsets [{}, {}] do not fit its {} bytes", shown(name_), entry_.begin,
                  entry_.end, bytes);
    header.tensors.push_back(std::move(entry_));
    return true;
  }

  Where where_ = Where::outside;
  std::string name_, key_, dtype_;
  TensorEntry entry_;
  Extents offsets_;
  std::set<std::string> names_, fields_;
};

}  // namespace

std::string safetensors_name_of(DType dtype) {
  for (const auto& [name, value] : kNames)
    if (value == dtype) return name;
  throw_error(ErrorCode::unsupported, fmt::format("[safetensors] the format has no name for {}", name_of(dtype)));
}

DType dtype_from_safetensors_name(const std::string& name) {
  for (const auto& [known, value] : kNames)
    if (known == name) return value;
  throw_error(ErrorCode::unsupported, fmt::format("[safetensors] unknown element type {}", shown(name)));
}

SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& path) {
  HeaderReader reader;
  bool parsed = false;
  try {
    parsed = nlohmann::json::sax_parse(text, &reader);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", path, error.message()));
  }
  if (!parsed)
    throw_error(ErrorCode::corrupt_data, fmt::format("{}: bad safetensors header: {}", path, reader.problem));
  auto& tensors = reader.header.tensors;
  std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t end = 0;
  for (const TensorEntry& entry : tensors) {
    GREGALE_CHECK(entry.begin == end, corrupt_data, "{}: bad safetensors header: tensor {} begins at {}, which {} {}",
                  path, shown(entry.name), entry.begin,
                  entry.begin < end ? "overlaps the bytes before" : "leaves a hole after", end);
    end = entry.end;
  }
  reader.header.data_bytes = end;
  return std::move(reader.header);
}

}  // namespace gregale::data
