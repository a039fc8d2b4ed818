// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/expression/expression_kernel.hpp"

namespace gregale::tile {

/// The same results from fewer operations: signs, and powers of two that terms share, wait for the end of sums and
/// products, x + (-y) is x - y, and zeros that padding left are not added. No rounding changes, so no bit does, but
/// where something overflows, is denormal on the way, or is a zero whose sign is lost.
kernels::Expression without_scales(const kernels::Expression& expression);

}  // namespace gregale::tile
