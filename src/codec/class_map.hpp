// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/block_codec.hpp"

namespace gregale::codec {

/// Codes one small number a place of a block: 0 for ordinary values, others for "no data", NaN and so on. Such maps are
/// coastlines and gaps, much alike from one level or time to the next: a row is the same as its neighbour's, or of one
/// class, or its places are coded one by one with what is around them as context.
Bytes encode_classes(const uint8_t* classes, const BlockExtents& extents, uint8_t greatest, Workspace& workspace);
/// Throws ErrorCode::corrupt_data for a class above `greatest`.
void decode_classes(ByteSpan in, uint8_t* classes, const BlockExtents& extents, uint8_t greatest);

}  // namespace gregale::codec
