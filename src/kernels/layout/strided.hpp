// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/common.hpp"

namespace gregale::kernels {

/// dst[i . dst_strides] = src[i . src_strides] for all i in extents.
void copy_strided(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const void* src,
                  const int64_t* src_strides, void* dst, const int64_t* dst_strides);

}  // namespace gregale::kernels
