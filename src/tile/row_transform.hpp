// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "gregale/op.hpp"

namespace gregale::tile {

/// A Fourier transform down the rows (the last axis but one) of complex numbers in parts (gregale/fourier.hpp): the
/// last axis has `columns` real parts, then as many imaginary ones, or `columns` real numbers on the side where they
/// are real. `length` is the number of rows, of which length / 2 + 1 are there where they are the modes of real
/// numbers.
struct RowTransform {
  int64_t length = 0, columns = 0;
  bool inverse = false, from_real = false, to_real = false;
  double scale = 1;
};

/// What a node computes, where it is such a transform: what tile programs can run.
std::optional<RowTransform> row_transform(const NodeView& node);

}  // namespace gregale::tile
