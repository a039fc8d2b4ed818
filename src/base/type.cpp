// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/type.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/name.hpp"
#include "gregale/error.hpp"

namespace gregale {
namespace {

constexpr std::string_view kKindNames[] = {"dense", "split", "quantized", "ell", "bsr", "compressed"};

std::string to_string(const Placement& placement) {
  switch (placement.kind) {
    case Placement::Kind::replicated:
      return "replicated";
    case Placement::Kind::sharded:
      return fmt::format("shard {}", placement.dim);
    case Placement::Kind::partial:
      return fmt::format("partial {}", placement.reduction);
  }
  assertion_failed("a placement's kind", __FILE__, __LINE__);
}

}  // namespace

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameLength || !is_name_start(text[0])) return false;
  return std::all_of(text.begin(), text.end(), is_name_part);
}

int64_t element_count(const Extents& extents) {
  int64_t count = 1;
  bool zero = false;
  for (const int64_t extent : extents) {
    GREGALE_CHECK(extent >= 0, shape, "extent {} is negative in {}", extent, to_string(extents));
    if (extent == 0) {
      zero = true;
    } else {
      GREGALE_CHECK(!__builtin_mul_overflow(count, extent, &count), shape, "{} has more elements than an i64 counts",
                    to_string(extents));
    }
  }
  return zero ? 0 : count;
}

std::string to_string(const Extents& extents) { return fmt::format("[{}]", fmt::join(extents, ", ")); }

Dim::Dim(int64_t value) : value_(value) { GREGALE_CHECK(value >= 0, shape, "extent {} is negative", value); }

Dim Dim::symbol(std::string name, int64_t bound) {
  GREGALE_CHECK(is_name(name), invalid_argument, "\"{}\" is not a name for a dim", name.substr(0, kMaxNameLength));
  GREGALE_CHECK(bound >= 0, shape, "bound {} of dim {} is negative", bound, name);
  Dim dim;
  dim.value_ = bound;
  dim.name_ = std::move(name);
  return dim;
}

int64_t Dim::value() const {
  GREGALE_CHECK(is_constant(), shape, "dim {} is a symbol, its extent is known when the graph is run", to_string());
  return value_;
}

std::string Dim::to_string() const {
  if (is_constant()) return fmt::format("{}", value_);
  return value_ == kUnbounded ? name_ : fmt::format("{}<={}", name_, value_);
}

Shape::Shape(std::initializer_list<Dim> dims) : dims_(dims) {}
Shape::Shape(const Extents& extents) : dims_(extents.begin(), extents.end()) {}

bool Shape::is_constant() const {
  return std::all_of(dims_.begin(), dims_.end(), [](const Dim& dim) { return dim.is_constant(); });
}

Extents Shape::extents() const {
  Extents extents;
  extents.reserve(dims_.size());
  for (const Dim& dim : dims_) extents.push_back(dim.value());
  return extents;
}

int64_t Shape::elements() const { return element_count(extents()); }

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int64_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis > 0) text += ',';
    text += shape[axis].to_string();
  }
  return text + "]";
}

Shape broadcast(const Shape& a, const Shape& b, std::string_view who) {
  const int64_t rank = std::max(a.rank(), b.rank());
  const Dim one(1);
  std::vector<Dim> dims;
  dims.reserve(static_cast<size_t>(rank));
  for (int64_t axis = 0; axis < rank; ++axis) {
    const int64_t axis_a = axis - (rank - a.rank());
    const int64_t axis_b = axis - (rank - b.rank());
    const Dim& dim_a = axis_a < 0 ? one : a[axis_a];
    const Dim& dim_b = axis_b < 0 ? one : b[axis_b];
    GREGALE_CHECK(dim_a == dim_b || dim_a == one || dim_b == one, shape, "[{}] shapes {} and {} do not broadcast", who,
                  to_string(a), to_string(b));
    dims.push_back(dim_a == one ? dim_b : dim_a);
  }
  return Shape(std::move(dims));
}

int64_t normalize_axis(int64_t axis, int64_t rank, std::string_view who) {
  GREGALE_CHECK(axis >= -rank && axis < rank, shape, "[{}] axis {} is out of range for rank {}", who, axis, rank);
  return axis < 0 ? axis + rank : axis;
}

Type::Type() = default;
Type::Type(DType d, Shape s) : dtype(d), shape(std::move(s)) {}
Type::Type(const Type&) = default;
Type::Type(Type&&) noexcept = default;
Type& Type::operator=(const Type&) = default;
Type& Type::operator=(Type&&) noexcept = default;
Type::~Type() = default;

int64_t Type::bytes() const {
  int64_t bytes = 0;
  GREGALE_CHECK(!__builtin_mul_overflow(shape.elements(), size_of(dtype), &bytes), shape,
                "{}{} has more bytes than an i64 counts", name_of(dtype), to_string(shape));
  return bytes;
}

std::string to_string(const Type& type) {
  std::string text(name_of(type.dtype));
  text += to_string(type.shape);
  if (type.encoding.kind != Encoding::Kind::dense) {
    text += '{';
    text += kKindNames[static_cast<size_t>(type.encoding.kind)];
    for (const auto& component : type.encoding.components) {
      text += fmt::format(" {}:{}", component.name, name_of(component.dtype));
    }
    text += '}';
  }
  if (!type.distribution.empty()) {
    text += "@(";
    const char* separator = "";
    for (const auto& [axis, placement] : type.distribution) {
      text += fmt::format("{}{}: {}", separator, axis, to_string(placement));
      separator = ", ";
    }
    text += ')';
  }
  return text;
}

}  // namespace gregale
