// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The parser of a type's text form (grammar: gregale/type.hpp). The text may come from a hostile file.
#include <fmt/format.h>

#include <limits>

#include "base/name.hpp"
#include "gregale/error.hpp"
#include "gregale/type.hpp"

namespace gregale {
namespace {

constexpr size_t kMaxRank = 64;
constexpr size_t kMaxComponents = 16;
constexpr size_t kMaxMeshAxes = 16;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Type type() {
    Type type;
    type.dtype = dtype();
    expect('[');
    if (!accept(']')) {
      do {
        check(type.shape.dims().size() < kMaxRank, "more than 64 dims");
        type.shape.dims().push_back(dim());
      } while (accept(','));
      expect(']');
    }
    if (accept('{')) type.encoding = encoding();
    if (accept('@')) type.distribution = distribution(type.rank());
    skip_spaces();
    check(offset_ == text_.size(), "unexpected text after the type");
    return type;
  }

 private:
  [[noreturn]] void fail(std::string_view what, size_t offset) const {
    throw_error(ErrorCode::corrupt_data, fmt::format("type text at offset {}: {}", offset, what));
  }
  void check(bool condition, std::string_view what) const {
    if (!condition) fail(what, offset_);
  }
  void skip_spaces() {
    while (offset_ < text_.size() && text_[offset_] == ' ') ++offset_;
  }
  bool accept(char c) {
    skip_spaces();
    if (offset_ >= text_.size() || text_[offset_] != c) return false;
    ++offset_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("expected '{}'", c), offset_);
  }

  std::string_view name() {
    skip_spaces();
    const size_t begin = offset_;
    check(begin < text_.size() && is_name_start(text_[begin]), "expected a name");
    while (offset_ < text_.size() && is_name_part(text_[offset_])) ++offset_;
    if (offset_ - begin > kMaxNameLength) fail("a name of more than 128 characters", begin);
    return text_.substr(begin, offset_ - begin);
  }

  int64_t number() {
    skip_spaces();
    const size_t begin = offset_;
    int64_t value = 0;
    while (offset_ < text_.size() && text_[offset_] >= '0' && text_[offset_] <= '9') {
      const int64_t digit = text_[offset_] - '0';
      if (value > (std::numeric_limits<int64_t>::max() - digit) / 10) fail("a number above 2^63 - 1", begin);
      value = 10 * value + digit;
      ++offset_;
    }
    check(offset_ > begin, "expected a number");
    return value;
  }

  DType dtype() {
    skip_spaces();
    const size_t begin = offset_;
    const std::string_view word = name();
    for (int i = 0; i < kDTypeCount; ++i) {
      if (name_of(static_cast<DType>(i)) == word) return static_cast<DType>(i);
    }
    fail(fmt::format("unknown dtype \"{}\"", word), begin);
  }

  Dim dim() {
    skip_spaces();
    check(offset_ < text_.size(), "expected a dim");
    if (!is_name_start(text_[offset_])) return Dim(number());
    std::string symbol(name());
    if (!accept('<')) return Dim::symbol(std::move(symbol));
    check(offset_ < text_.size() && text_[offset_] == '=', "expected '=' after '<'");
    ++offset_;
    return Dim::symbol(std::move(symbol), number());
  }

  Encoding encoding() {  // after "{"
    Encoding encoding;
    skip_spaces();
    const size_t begin = offset_;
    const std::string_view word = name();
    if (word == "split")
      encoding.kind = Encoding::Kind::split;
    else if (word == "quantized")
      encoding.kind = Encoding::Kind::quantized;
    else if (word == "ell")
      encoding.kind = Encoding::Kind::ell;
    else if (word == "bsr")
      encoding.kind = Encoding::Kind::bsr;
    else if (word == "compressed")
      encoding.kind = Encoding::Kind::compressed;
    else
      fail(fmt::format("unknown encoding \"{}\"", word), begin);
    do {
      check(encoding.components.size() < kMaxComponents, "more than 16 components");
      skip_spaces();
      const size_t at = offset_;
      std::string component(name());
      for (const auto& other : encoding.components) {
        if (other.name == component) fail(fmt::format("component {} twice", component), at);
      }
      expect(':');
      encoding.components.push_back({std::move(component), dtype()});
    } while (!accept('}'));
    return encoding;
  }

  Distribution distribution(int64_t rank) {  // after "@"
    Distribution distribution;
    expect('(');
    do {
      check(distribution.size() < kMaxMeshAxes, "more than 16 mesh axes");
      skip_spaces();
      const size_t begin = offset_;
      std::string axis(name());
      expect(':');
      Placement value = placement(rank);
      if (distribution.count(axis) != 0) fail(fmt::format("mesh axis {} twice", axis), begin);
      distribution.emplace(std::move(axis), std::move(value));
    } while (accept(','));
    expect(')');
    return distribution;
  }

  Placement placement(int64_t rank) {
    skip_spaces();
    size_t begin = offset_;
    const std::string_view word = name();
    Placement placement;
    if (word == "replicated") return placement;
    if (word == "shard") {
      placement.kind = Placement::Kind::sharded;
      skip_spaces();
      begin = offset_;
      placement.dim = number();
      if (placement.dim >= rank) fail(fmt::format("shard {} of a type of rank {}", placement.dim, rank), begin);
      return placement;
    }
    if (word != "partial") fail(fmt::format("unknown placement \"{}\"", word), begin);
    placement.kind = Placement::Kind::partial;
    skip_spaces();
    begin = offset_;
    placement.reduction = std::string(name());
    if (placement.reduction != "sum" && placement.reduction != "max" && placement.reduction != "min") {
      fail(fmt::format("unknown reduction \"{}\"", placement.reduction), begin);
    }
    return placement;
  }

  std::string_view text_;
  size_t offset_ = 0;
};

}  // namespace

Type parse_type(std::string_view text) { return Parser(text).type(); }

}  // namespace gregale
