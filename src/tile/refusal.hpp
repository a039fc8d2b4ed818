// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "gregale/error.hpp"
#include "tile/lower_region.hpp"

namespace gregale::tile {

/// Why a region has no program: thrown inside a lowering, a Result outside.
struct Refusal {
  std::string why;
};
inline void require(bool holds, const char* why) {
  if (!holds) throw Refusal{why};
}

/// The verified program that `lower` makes, or why there is none.
template <class Lower>
Result<LoweredRegion> lowered_or_refused(Lower&& lower) {
  try {
    LoweredRegion lowered = std::forward<Lower>(lower)();
    verify(lowered.program);
    return lowered;
  } catch (const Refusal& refusal) {
    return Error(ErrorCode::unsupported, refusal.why);
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace gregale::tile
