// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/context.hpp"
#include "jit/code.hpp"
#include "kernels/machine/machine_table.hpp"

/// Apart from machine_table.hpp, which files compiled for one instruction set include: they see no inline functions.
namespace gregale::kernels {

/// The tile products of AMX; run is null where the target has none.
DotUnit bf16_tile_unit(const Target& target);  ///< tdpbf16ps
DotUnit int8_tile_unit(const Target& target);  ///< tdpbssd
/// The loop of those units, a function uint32_t(int64_t repeats). Assembles anywhere, runs where there is AMX.
jit::Code assemble_tile_loop(bool bf16);

}  // namespace gregale::kernels
