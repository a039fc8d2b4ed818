// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/layout/layout_table.hpp"
#include "kernels/layout/tile_layout.hpp"

namespace gregale::kernels {

/// The definition of every operation as plain loops, for any valid descriptor.
void layout_reference(const LayoutDesc& desc, LayoutArguments& a);

/// Up to a whole number of blocks.
inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// What a call means to a kernel of `desc`.
LayoutArguments resolve(const LayoutDesc& desc, const LayoutCall& call);

}  // namespace gregale::kernels
