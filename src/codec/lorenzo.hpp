// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/multilevel.hpp"

/// The Lorenzo predictor (Ibarria et al., Computer Graphics Forum 2003) on values that were quantised beforehand (cuSZ:
/// Tian et al., PACT 2020): differences along each dimension in turn. It carries the rounding of 2^rank neighbours,
/// which costs a bit or two a value, but looks only one value far: for fields that are rough, under tight bounds.
namespace gregale::codec {

/// What it is expected to take, by samples.
template <class T>
Estimate estimate_lorenzo(const BlockInput<T>& in, const Grid& grid);

template <class T>
void encode_lorenzo(const BlockInput<T>& in, const Grid& grid, Isa isa, ByteWriter& out);
template <class T>
void decode_lorenzo(ByteReader& in, const BlockOutput<T>& out, const Grid& grid, Isa isa);

}  // namespace gregale::codec
