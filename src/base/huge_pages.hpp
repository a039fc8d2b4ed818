// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstddef>

namespace gregale {

/// Of x86-64. One is one fault where small pages are five hundred, and one entry of the processor's table of addresses.
inline constexpr size_t kHugePage = size_t{2} << 20;

/// Asks for huge pages under `bytes` from `memory` on, which begins with a page. For whole ones alone: where `memory`
/// begins with a huge page, not a byte more becomes resident. A system without them goes on with small pages.
inline void prefer_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes >= kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
}

}  // namespace gregale
