// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/dtype.hpp"
#include "gregale/error.hpp"

/// What all kernels compiled at run time have in common. A *descriptor* is a platform-independent request; `compile`
/// walks an ordered list of implementations for the Target, each of which may refuse with a reason, and ends in the
/// plain reference, which never refuses. docs/kernels.md is the specification.
namespace gregale::kernels {

/// In a descriptor: the value is given with each call.
inline constexpr int64_t kAtCall = -1;
/// A value of a descriptor in words: "64", or "?" where it is given with each call.
inline std::string value_text(int64_t value) { return value == kAtCall ? "?" : std::to_string(value); }

/// Why an implementation leaves a descriptor to the next one.
inline Error refusal(std::string reason) { return {ErrorCode::unsupported, std::move(reason)}; }

/// What one call does and moves, for the ledger; filled where all extents are fixed, 0 otherwise.
struct Traffic {
  double flops = 0;
  double l1_bytes = 0;  ///< between registers and L1: every load and store of the code that runs
  double l2_bytes = 0;  ///< into and out of L1 when operands are in L2: each operand once, re-reads beyond L1 included
};

/// What was chosen and why. GREGALE_LOG=kernels prints to_string of every kernel compiled.
struct KernelInfo {
  std::string request;         ///< the descriptor in words: "contraction f32 64x64x64"
  std::string implementation;  ///< "avx512 fma", "amx bf16", "reference"
  Isa isa = Isa::reference;    ///< of the code that runs
  std::string blocking;        ///< register or tile decomposition: "5 blocks of 12x32, 1 of 4x32"
  int64_t code_bytes = 0;
  Traffic traffic;
  std::vector<std::string> refusals;  ///< "amx bf16: the target has no AMX", in the order asked
};
std::string to_string(const KernelInfo& info);

}  // namespace gregale::kernels
