// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "gregale/error.hpp"
#include "gregale/type.hpp"

namespace gregale {

/// A dense row-major array in host memory, aligned to 64 bytes. Copies share the buffer (like a shared_ptr);
/// clone() copies the elements.
class Tensor {
 public:
  Tensor();
  Tensor(const Tensor&);
  Tensor(Tensor&&) noexcept;
  Tensor& operator=(const Tensor&);
  Tensor& operator=(Tensor&&) noexcept;
  ~Tensor();
  /// Zero-filled. Throws ErrorCode::shape for extents element_count refuses, ErrorCode::out_of_memory with the bytes.
  Tensor(DType dtype, Extents extents);
  /// A view of memory owned by someone else, who must keep it alive.
  static Tensor borrow(void* data, DType dtype, Extents extents);
  /// A view that shares ownership of whatever `owner` holds (a mapped file, a larger tensor).
  static Tensor share(std::shared_ptr<void> owner, void* data, DType dtype, Extents extents);
  template <class T>
  static Tensor from(const std::vector<T>& values, Extents extents);
  template <class T>
  static Tensor scalar(T value) {
    return from(std::vector<T>{value}, {});
  }
  /// Every element `value`, converted as cast() does.
  static Tensor full(DType dtype, Extents extents, double value);

  bool empty() const { return data_ == nullptr && size_ == 0; }
  DType dtype() const { return dtype_; }
  const Extents& extents() const { return extents_; }
  int64_t rank() const { return static_cast<int64_t>(extents_.size()); }
  int64_t extent(int64_t axis) const { return extents_.at(static_cast<size_t>(axis)); }
  int64_t size() const { return size_; }  ///< elements
  int64_t bytes() const { return size_ * size_of(dtype_); }
  Type type() const { return Type(dtype_, Shape(extents_)); }

  void* data() { return data_; }
  const void* data() const { return data_; }
  /// The elements; throws ErrorCode::dtype when T is not the tensor's element type.
  template <class T>
  std::span<T> as() {
    check_dtype(dtype_v<T>);
    return {static_cast<T*>(data_), static_cast<size_t>(size_)};
  }
  template <class T>
  std::span<const T> as() const {
    check_dtype(dtype_v<T>);
    return {static_cast<const T*>(data_), static_cast<size_t>(size_)};
  }

  Tensor clone() const;
  /// The same buffer with other extents of equal count.
  Tensor reshaped(Extents extents) const;
  /// Converted elements (a clone when the dtype is the same). Rounds once, to nearest even; a float becomes an integer
  /// by truncation, saturating, NaN as 0; an integer becomes a narrower one modulo 2^n; boolean is "not zero".
  /// Real to complex sets im = 0; complex to real throws ErrorCode::dtype.
  Tensor cast(DType dtype) const;
  /// Bitwise equality of dtype, extents and bytes.
  bool identical(const Tensor& other) const;

 private:
  void check_dtype(DType expected) const;
  std::shared_ptr<void> owner_;
  void* data_ = nullptr;
  DType dtype_ = DType::f32;
  Extents extents_{0};
  int64_t size_ = 0;
};

template <class T>
Tensor Tensor::from(const std::vector<T>& values, Extents extents) {
  Tensor tensor(dtype_v<T>, std::move(extents));
  if (static_cast<int64_t>(values.size()) != tensor.size())
    throw_error(ErrorCode::shape, "[Tensor::from] " + std::to_string(values.size()) + " values do not fill " +
                                      to_string(tensor.extents()));
  auto out = tensor.as<T>();
  for (size_t i = 0; i < values.size(); ++i) out[i] = values[i];
  return tensor;
}

}  // namespace gregale
