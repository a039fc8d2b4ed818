// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/contraction/contraction_tile_emitter.hpp"

/// fp32 products on a bf16 unit: x = high + middle + low, each the upper 16 bits of what is left (8 significant bits
/// each, exact), and of the nine products of parts the six that fp32 can tell (Henry, Tang and Heinecke, "Leveraging
/// the bfloat16 artificial intelligence datatype for higher-precision computations", ARITH 2019). The six are
/// summed for 32 columns of a after the other, the smallest first, while their parts are in tiles.
///
/// A row of a is handed to plain fp32 multiply-adds where the parts would not hold it: an infinity or NaN, a largest
/// |x| from 2^63 on (sums of parts might overflow where x does not), or one below 2^-80 (parts that the unit flushes
/// would matter). That is decided for each row by itself and the plain chain is the same for each, so that a row's
/// result never depends on other rows. b is checked as a whole where it is packed (LayoutOp::panels16x3).
namespace gregale::kernels {

/// The kernel that multiplies bf16 parts of a and b, of which a has its columns padded to a multiple of 32 with zeros.
using MakeContractionInParts = std::shared_ptr<ContractionKernel> (*)(const ContractionDesc&, const TileParts&);

/// Refuses what is not plain fp32 with b in panels16x3.
Result<std::shared_ptr<ContractionKernel>> make_contraction_fp32x3(const Target& target, const ContractionDesc& desc,
                                                                   MakeContractionInParts make_in_parts);

}  // namespace gregale::kernels
