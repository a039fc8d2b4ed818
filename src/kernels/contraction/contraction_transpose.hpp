// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gregale::kernels {

/// dst[columns, rows] = src[rows, columns] transposed; elements of 4 or 8 bytes, `leading` in elements.
void transpose_4(int64_t rows, int64_t columns, const void* src, int64_t src_leading, void* dst, int64_t dst_leading);
void transpose_8(int64_t rows, int64_t columns, const void* src, int64_t src_leading, void* dst, int64_t dst_leading);
/// src is n rows of k bf16 values, `src_leading` apart; dst is in vnni2, [k, n], k rounded up to pairs with zeros.
void transpose_to_vnni2(int64_t n, int64_t k, const void* src, int64_t src_leading, void* dst, int64_t dst_leading);

}  // namespace gregale::kernels
