// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "data/atomic_file.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kLongestHeader = 65536;
constexpr size_t kMostAxes = 64;
constexpr std::array<std::pair<std::string_view, DType>, 14> kNpyNames{{{"b1", DType::boolean},
                                                                        {"f2", DType::f16},
                                                                        {"f4", DType::f32},
                                                                        {"f8", DType::f64},
                                                                        {"i1", DType::i8},
                                                                        {"i2", DType::i16},
                                                                        {"i4", DType::i32},
                                                                        {"i8", DType::i64},
                                                                        {"u1", DType::u8},
                                                                        {"u2", DType::u16},
                                                                        {"u4", DType::u32},
                                                                        {"u8", DType::u64},
                                                                        {"c8", DType::c64},
                                                                        {"c16", DType::c128}}};
static_assert(std::endian::native == std::endian::little);

[[noreturn]] void corrupt(const std::string& what) { throw_error(ErrorCode::corrupt_data, "[npy] " + what); }

/// The header is the text of a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class Header {
 public:
  std::string descr;
  bool fortran = false;
  Extents extents;

  explicit Header(std::string_view text) : text_(text) {
    bool seen[3] = {};
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (which < 0) corrupt(fmt::format("an unknown key in the header at byte {}", at_));
      if (std::exchange(seen[which], true)) corrupt(fmt::format("'{}' is there twice in the header", key));
      expect(':');
      if (which == 0) {
        space();
        if (at_ < text_.size() && text_[at_] == '[')
          throw_error(ErrorCode::unsupported, "[npy] elements are records, not numbers");
        descr = quoted();
      } else if (which == 1) {
        fortran = truth();
      } else {
        extents = shape();
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    space();
    if (at_ != text_.size()) corrupt(fmt::format("text behind the header at byte {}", at_));
    if (!seen[0] || !seen[1] || !seen[2]) corrupt("the header lacks descr, fortran_order or shape");
  }

 private:
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) corrupt(fmt::format("the header has no '{}' at byte {}", c, at_));
  }
  std::string quoted() {
    space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') corrupt(fmt::format("the header has no text at byte {}", at_));
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos || end - at_ > 64) corrupt(fmt::format("a text without end at byte {}", at_));
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool truth() {
    space();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>("True", true), {"False", false}})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    corrupt(fmt::format("neither True nor False at byte {}", at_));
  }
  Extents shape() {
    Extents all;
    expect('(');
    while (!take(')')) {
      space();
      int64_t extent = -1;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) corrupt(fmt::format("no extent at byte {} of the header", at_));
      at_ = static_cast<size_t>(end - text_.data());
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // as Python 2 wrote long integers
      all.push_back(extent);
      if (all.size() > kMostAxes) corrupt(fmt::format("more than {} axes", kMostAxes));
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return all;
  }

  std::string_view text_;
  size_t at_ = 0;
};

/// Of "<f4" and the like; whether its bytes are in the other order.
std::pair<DType, bool> element_of(const std::string& descr) {
  const bool ordered = !descr.empty() && std::string_view("<>=|").find(descr[0]) != std::string_view::npos;
  const std::string_view name = std::string_view(descr).substr(ordered ? 1 : 0);
  for (const auto& [known, dtype] : kNpyNames)
    if (name == known) return {dtype, ordered && descr[0] == '>'};
  std::string shown;
  for (char c : descr) shown += c >= ' ' && c < 127 ? c : '?';
  const char kind = name.empty() ? '?' : name[0];
  const char* what = kind == 'U' || kind == 'S' || kind == 'a' ? "texts"
                     : kind == 'O'                             ? "Python objects"
                     : kind == 'M' || kind == 'm'              ? "dates"
                                                               : "no numbers known here";
  throw_error(ErrorCode::unsupported, fmt::format("[npy] elements are {} ('{}')", what, shown));
}

void swap_bytes(Tensor& t) {
  const int64_t part = size_of(t.dtype()) / (is_complex(t.dtype()) ? 2 : 1);
  auto* bytes = static_cast<char*>(t.data());
  for (int64_t at = 0; at < t.bytes(); at += part) std::reverse(bytes + at, bytes + at + part);
}

/// The same elements in C order; the first axis varies fastest in `t`.
Tensor from_fortran(const Tensor& t) {
  Tensor result(t.dtype(), t.extents());
  const int64_t item = size_of(t.dtype()), rank = t.rank();
  Extents strides(static_cast<size_t>(rank)), index(static_cast<size_t>(rank), 0);
  int64_t stride = 1;
  for (int64_t a = rank - 1; a >= 0; --a) {
    strides[static_cast<size_t>(a)] = stride;
    stride *= t.extent(a);
  }
  int64_t to = 0;
  for (int64_t i = 0; i < t.size(); ++i) {
    std::memcpy(static_cast<char*>(result.data()) + to * item, static_cast<const char*>(t.data()) + i * item,
                static_cast<size_t>(item));
    for (size_t a = 0; a < index.size(); ++a) {
      to += strides[a];
      if (++index[a] < t.extents()[a]) break;
      to -= strides[a] * t.extents()[a];
      index[a] = 0;
    }
  }
  return result;
}

}  // namespace

Tensor parse_npy(std::istream& file, int64_t bytes) {
  const auto read = [&](void* to, int64_t count, const char* what) {
    file.read(static_cast<char*>(to), count);
    if (file.gcount() != count) corrupt(fmt::format("it ends in {}", what));
  };
  std::array<unsigned char, 12> start{};
  read(start.data(), 10, "its first ten bytes");
  if (std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) corrupt("no .npy file: it does not begin as one");
  const int version = start[6];
  if (version < 1 || version > 3)
    throw_error(ErrorCode::unsupported, fmt::format("[npy] version {}.{} of the format", version, start[7]));
  int64_t length = start[8] | start[9] << 8, begin = 10;
  if (version >= 2) {
    read(start.data() + 10, 2, "the length of its header");
    length |= static_cast<int64_t>(start[10]) << 16 | static_cast<int64_t>(start[11]) << 24;
    begin = 12;
  }
  if (length > kLongestHeader) corrupt(fmt::format("a header of {} bytes", length));
  std::string text(static_cast<size_t>(length), '\0');
  read(text.data(), length, "its header");
  const Header header(text);
  const auto [dtype, swapped] = element_of(header.descr);
  int64_t count = 0;
  try {
    count = element_count(header.extents);
  } catch (const Error&) {
    corrupt(fmt::format("shape {} is too large", gregale::to_string(header.extents)));
  }
  const int64_t there = bytes - begin - length;
  if (there / size_of(dtype) < count || there != count * size_of(dtype))
    corrupt(fmt::format("{} bytes of data where shape {} of {} needs {} elements", there,
                        gregale::to_string(header.extents), name_of(dtype), count));
  Tensor tensor(dtype, header.extents);
  if (tensor.bytes() > 0) read(tensor.data(), tensor.bytes(), "its data");
  if (swapped) swap_bytes(tensor);
  if (dtype == DType::boolean)
    for (int64_t i = 0; i < tensor.size(); ++i) {
      auto& byte = static_cast<unsigned char*>(tensor.data())[i];
      byte = byte != 0 ? 1 : 0;
    }
  return header.fortran && tensor.rank() > 1 ? from_fortran(tensor) : tensor;
}

Tensor read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  GREGALE_CHECK(file.good(), io, "no such file: {}", path);
  const int64_t bytes = file.tellg();
  file.seekg(0);
  try {
    return parse_npy(file, bytes);
  } catch (Error& e) {
    throw e.add_context(path);
  }
}

void write_npy(const std::string& path, const Tensor& tensor) {
  if (tensor.dtype() == DType::bf16) return write_npy(path, tensor.cast(DType::f32));
  const auto at =
      std::find_if(kNpyNames.begin(), kNpyNames.end(), [&](const auto& n) { return n.second == tensor.dtype(); });
  GREGALE_ASSERT(at != kNpyNames.end());
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': (",
                                   size_of(tensor.dtype()) > 1 ? '<' : '|', at->first);
  for (int64_t e : tensor.extents()) header += fmt::format("{}, ", e);
  if (tensor.rank() > 1) header.resize(header.size() - 2);
  if (tensor.rank() == 1) header.pop_back();
  header += "), }";
  while ((kMagic.size() + 4 + header.size() + 1) % 64 != 0) header += ' ';  // so that the data can be mapped
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  AtomicFile file(path);
  file.write(kMagic);
  const char version_and_length[4] = {1, 0, static_cast<char>(length & 0xFF), static_cast<char>(length >> 8)};
  file.write(version_and_length, 4);
  file.write(header);
  if (tensor.bytes() > 0) file.write(tensor.data(), static_cast<size_t>(tensor.bytes()));
  file.commit();
}

}  // namespace gregale::data
