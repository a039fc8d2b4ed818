// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/expression/expression_kernel.hpp"
#include "kernels/layout/tile_layout.hpp"

namespace gregale::kernels {

uint64_t hash_of(const Expression& expression);
uint64_t hash_of(const ExpressionDesc& desc);
uint64_t hash_of(const ContractionDesc& desc);
uint64_t hash_of(const LayoutDesc& desc);

/// Kernels of one kind by descriptor, the least recently used leaving when their code outgrows the bound. Whoever holds
/// a kernel keeps it alive: code in use is never freed. Thread-safe; while one thread compiles, others are not held up,
/// and of two that compile the same request the first to finish wins.
template <class Desc, class Kernel>
class KernelTable {
 public:
  KernelTable(Target target, int64_t max_code_bytes) : target_(std::move(target)), max_code_bytes_(max_code_bytes) {}

  std::shared_ptr<const Kernel> get(const Desc& desc) {
    const uint64_t hash = hash_of(desc);
    if (auto found = find(hash, desc)) return found;
    std::shared_ptr<const Kernel> made = Kernel::compile(target_, desc);
    const std::lock_guard lock(mutex_);
    if (auto other = find_locked(hash, desc)) return other;
    recent_.push_front({hash, desc, made});
    index_.emplace(hash, recent_.begin());
    code_bytes_ += made->info().code_bytes;
    while (code_bytes_ > max_code_bytes_ && recent_.size() > 1) evict_last();
    return made;
  }

  struct Statistics {
    int64_t kernels = 0, code_bytes = 0, hits = 0, evictions = 0;
  };
  Statistics statistics() const {
    const std::lock_guard lock(mutex_);
    return {static_cast<int64_t>(recent_.size()), code_bytes_, hits_, evictions_};
  }

 private:
  struct Entry {
    uint64_t hash;
    Desc desc;
    std::shared_ptr<const Kernel> kernel;
  };
  using Place = typename std::list<Entry>::iterator;

  std::shared_ptr<const Kernel> find(uint64_t hash, const Desc& desc) {
    const std::lock_guard lock(mutex_);
    return find_locked(hash, desc);
  }
  std::shared_ptr<const Kernel> find_locked(uint64_t hash, const Desc& desc) {
    const auto [begin, end] = index_.equal_range(hash);
    for (auto at = begin; at != end; ++at) {
      if (!(at->second->desc == desc)) continue;
      recent_.splice(recent_.begin(), recent_, at->second);
      ++hits_;
      return at->second->kernel;
    }
    return nullptr;
  }
  void evict_last() {
    const Place last = std::prev(recent_.end());
    const auto [begin, end] = index_.equal_range(last->hash);
    for (auto at = begin; at != end; ++at) {
      if (at->second != last) continue;
      index_.erase(at);
      break;
    }
    code_bytes_ -= last->kernel->info().code_bytes;
    recent_.erase(last);
    ++evictions_;
  }

  const Target target_;
  const int64_t max_code_bytes_;
  mutable std::mutex mutex_;
  std::list<Entry> recent_;  // the most recently used first
  std::unordered_multimap<uint64_t, Place> index_;
  int64_t code_bytes_ = 0, hits_ = 0, evictions_ = 0;
};

/// The kernels compiled for one target. Owned by whoever compiles programs, shared by all of them.
class KernelCache {
 public:
  static constexpr int64_t kDefaultCodeBytes = int64_t{64} << 20;
  explicit KernelCache(const Target& target, int64_t max_code_bytes = kDefaultCodeBytes)
      : target_(target),
        contractions_(target, max_code_bytes),
        expressions_(target, max_code_bytes),
        layouts_(target, max_code_bytes) {}

  const Target& target() const { return target_; }
  std::shared_ptr<const ContractionKernel> get(const ContractionDesc& desc) { return contractions_.get(desc); }
  std::shared_ptr<const ExpressionKernel> get(const ExpressionDesc& desc) { return expressions_.get(desc); }
  std::shared_ptr<const LayoutKernel> get(const LayoutDesc& desc) { return layouts_.get(desc); }
  KernelTable<ContractionDesc, ContractionKernel>& contractions() { return contractions_; }

 private:
  Target target_;
  KernelTable<ContractionDesc, ContractionKernel> contractions_;
  KernelTable<ExpressionDesc, ExpressionKernel> expressions_;
  KernelTable<LayoutDesc, LayoutKernel> layouts_;
};

/// Remembers the last kernel that one place in a program asked for: a repeated request costs one comparison of
/// descriptors, no lock and no hash. Not thread-safe: one a thread, or one a place that one thread runs.
template <class Desc, class Kernel>
class CallSite {
 public:
  const Kernel& get(KernelCache& cache, const Desc& desc) {
    if (kernel_ == nullptr || !(desc_ == desc)) {
      kernel_ = cache.get(desc);
      desc_ = desc;
    }
    return *kernel_;
  }

 private:
  Desc desc_;
  std::shared_ptr<const Kernel> kernel_;
};
using ContractionSite = CallSite<ContractionDesc, ContractionKernel>;
using ExpressionSite = CallSite<ExpressionDesc, ExpressionKernel>;

}  // namespace gregale::kernels
