// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/contraction/contraction_kernel.hpp"

namespace gregale::kernels {

/// Makes the kernel without transposed b and without expressions; may refuse.
using MakePlainContraction = Result<std::shared_ptr<ContractionKernel>> (*)(const Target&, const ContractionDesc&);

struct ComposedBlocks {
  int64_t columns;   ///< of a block at most, a multiple of 16; as many as c's where the epilogue reduces rows
  int64_t elements;  ///< of a block of sums
  bool fetches;      ///< what the epilogue reads and writes is fetched in front of the products
};

bool needs_composition(const ContractionDesc& desc);
/// What no unit does by itself, composed of what it does: c is cut into blocks; transposed b and operands with a
/// prologue are brought into scratch, `make`'s kernels run from there, and the epilogue is applied to each block of
/// sums while it is in cache. Refuses an epilogue that reduces rows whose length is given at the call, and what `make`
/// refuses.
Result<std::shared_ptr<ContractionKernel>> compose_contraction(const Target& target, const ContractionDesc& desc,
                                                               MakePlainContraction make, const ComposedBlocks& blocks);

}  // namespace gregale::kernels
