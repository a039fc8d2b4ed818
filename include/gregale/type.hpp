// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gregale/dtype.hpp"

namespace gregale {

using Extents = std::vector<int64_t>;

/// Number of elements of constant extents; throws ErrorCode::shape on a negative extent or when the product of the
/// nonzero extents overflows (so that strides fit too).
int64_t element_count(const Extents& extents);
/// "[8, 73, 144]"
std::string to_string(const Extents& extents);

/// One extent of a shape: a constant, or a symbol bound when the graph is run, never above `bound`.
/// Printed "144" or "n<=64" ("n" where unbounded).
class Dim {
 public:
  static constexpr int64_t kUnbounded = INT64_MAX;
  Dim(int64_t value);  // NOLINT: a number is a Dim; throws ErrorCode::shape when negative
  /// `name` is a letter or _, then letters, digits, _ and dots; at most 128 characters.
  static Dim symbol(std::string name, int64_t bound = kUnbounded);

  bool is_constant() const { return name_.empty(); }
  /// The constant; throws ErrorCode::shape for a symbol.
  int64_t value() const;
  const std::string& name() const { return name_; }
  int64_t bound() const { return value_; }  ///< the value of a constant, the greatest value of a symbol
  std::string to_string() const;
  friend bool operator==(const Dim&, const Dim&) = default;

 private:
  Dim() = default;
  int64_t value_ = 0;
  std::string name_;
};

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Dim> dims);
  explicit Shape(std::vector<Dim> dims) : dims_(std::move(dims)) {}
  Shape(const Extents& extents);  // NOLINT

  int64_t rank() const { return static_cast<int64_t>(dims_.size()); }
  const Dim& operator[](int64_t axis) const { return dims_[static_cast<size_t>(axis)]; }
  Dim& operator[](int64_t axis) { return dims_[static_cast<size_t>(axis)]; }
  const std::vector<Dim>& dims() const { return dims_; }
  std::vector<Dim>& dims() { return dims_; }
  bool is_constant() const;
  /// Constant extents; throws ErrorCode::shape where one is a symbol.
  Extents extents() const;
  /// Number of elements; throws like extents().
  int64_t elements() const;
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::vector<Dim> dims_;
};

/// "[8,n<=64,144]", as in the text of a Type.
std::string to_string(const Shape& shape);

/// NumPy broadcasting of two shapes; a symbol broadcasts only with itself or 1. `who` names the operator in the error.
Shape broadcast(const Shape& a, const Shape& b, std::string_view who);
/// Maps axis in [-rank, rank) to [0, rank); throws "[who] axis 3 is out of range for rank 2".
int64_t normalize_axis(int64_t axis, int64_t rank, std::string_view who);

/// How a logical tensor is stored. Dense has one buffer of the logical dtype; every other encoding lists its component
/// buffers, so that a value is one or several of them (docs/design.md, "Types").
struct Encoding {
  enum class Kind : uint8_t { dense, split, quantized, ell, bsr, compressed };
  struct Component {
    std::string name;  ///< "hi", "lo", "scales", "indices", ...
    DType dtype;
    friend bool operator==(const Component&, const Component&) = default;
  };
  Kind kind = Kind::dense;
  std::vector<Component> components;  ///< empty exactly when dense
  friend bool operator==(const Encoding&, const Encoding&) = default;
};

/// How a value lies on a device mesh: per mesh axis replicated, sharded on one dim, or partial with its reduction.
/// No entry for a mesh axis means replicated.
struct Placement {
  enum class Kind : uint8_t { replicated, sharded, partial };
  Kind kind = Kind::replicated;
  int64_t dim = 0;        ///< for sharded
  std::string reduction;  ///< for partial: "sum", "max", "min"
  friend bool operator==(const Placement&, const Placement&) = default;
};
using Distribution = std::map<std::string, Placement>;  // mesh axis name -> placement

/// The type of a value. Its text form, here with every optional part:
///   f32[8,n<=64,144]{split hi:bf16 lo:u16}@(data: shard 0, model: partial sum)
///   type         = dtype "[" [dim {"," dim}] "]" [encoding] [distribution]
///   dim          = number | name ["<=" number]
///   encoding     = "{" kind " " name ":" dtype {" " name ":" dtype} "}"      every kind but dense, which is not
///   written distribution = "@(" axis ": " placement {", " axis ": " placement} ")"   axes in order of name placement
///   = "replicated" | "shard " number | "partial " ("sum" | "max" | "min")
struct Type {
  DType dtype = DType::f32;
  Shape shape;
  Encoding encoding;
  Distribution distribution;

  Type();
  Type(DType d, Shape s);
  Type(const Type&);
  Type(Type&&) noexcept;
  Type& operator=(const Type&);
  Type& operator=(Type&&) noexcept;
  ~Type();
  int64_t rank() const { return shape.rank(); }
  /// Bytes of a dense value with constant extents; throws ErrorCode::shape when they overflow.
  int64_t bytes() const;
  friend bool operator==(const Type&, const Type&) = default;
};

std::string to_string(const Type& type);
/// Parses the text form, which to_string round-trips (spaces between tokens may be more or fewer). For untrusted text:
/// at most 64 dims, 16 components, 16 mesh axes; throws ErrorCode::corrupt_data with the offset.
Type parse_type(std::string_view text);

}  // namespace gregale
