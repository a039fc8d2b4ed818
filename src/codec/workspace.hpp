// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/huge_pages.hpp"
#include "gregale/codec.hpp"

namespace gregale {

/// Memory that blocks are worked on in, handed out again and again: fresh pages cost more than what is done with them.
class CodecWorkspace {
  static constexpr size_t kSmallest = 64;  // bytes
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  struct Piece {
    std::unique_ptr<std::byte[], Free> memory;
    size_t room = 0;
  };

 public:
  /// Memory for `count` of T, which is not initialised. It goes back with the buffer.
  template <class T>
  class Buffer {
    static_assert(std::is_trivially_destructible_v<T>);

   public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
      Buffer taken(std::move(other));
      swap(taken);
      return *this;
    }
    ~Buffer() {
      if (home_ != nullptr) home_->put(std::move(piece_));
    }
    T* data() const { return reinterpret_cast<T*>(piece_.memory.get()); }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T* begin() const { return data(); }
    T* end() const { return data() + size_; }
    T& operator[](size_t i) const { return data()[i]; }

   private:
    friend CodecWorkspace;
    void swap(Buffer& other) noexcept {
      std::swap(home_, other.home_);
      std::swap(piece_, other.piece_);
      std::swap(size_, other.size_);
    }
    CodecWorkspace* home_ = nullptr;
    Piece piece_;
    size_t size_ = 0;
  };

  template <class T>
  Buffer<T> take(size_t count) {
    Buffer<T> buffer;
    buffer.piece_ = get(count * sizeof(T));
#if !defined(NDEBUG)
    // Never the same, so that whoever relies on what is there is found out.
    std::memset(static_cast<void*>(buffer.piece_.memory.get()), static_cast<int>(++taken_ * 37), buffer.piece_.room);
#endif
    buffer.home_ = this;
    buffer.size_ = count;
    return buffer;
  }

 private:
  /// The smallest free piece that is large enough and not wasteful, or a new one.
  Piece get(size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      auto best = free_.end();
      for (auto p = free_.begin(); p != free_.end(); ++p)
        if (p->room >= bytes && p->room / 4 <= bytes && (best == free_.end() || p->room < best->room)) best = p;
      if (best != free_.end()) {
        Piece piece = std::move(*best);
        *best = std::move(free_.back());
        free_.pop_back();
        return piece;
      }
    }
    // Of large pieces all begin with a huge page, which is one fault.
    const size_t unit = bytes >= kHugePage ? kHugePage : kSmallest;
    const size_t room = bytes / unit * unit + unit;
    std::unique_ptr<std::byte[], Free> memory(static_cast<std::byte*>(std::aligned_alloc(unit, room)));
    if (memory == nullptr) throw std::bad_alloc();
    if (unit == kHugePage) prefer_huge_pages(memory.get(), room);
    return {std::move(memory), room};
  }
  void put(Piece piece) {
    if (piece.memory == nullptr) return;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(piece));
  }

  std::mutex mutex_;
  std::vector<Piece> free_;
#if !defined(NDEBUG)
  std::atomic<unsigned> taken_ = 0;
#endif
};

namespace codec {

using Workspace = CodecWorkspace;
template <class T>
using Buffer = CodecWorkspace::Buffer<T>;

}  // namespace codec
}  // namespace gregale
