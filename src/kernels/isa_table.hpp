// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/context.hpp"

namespace gregale::kernels {

/// The one of three tables that serves `isa`.
template <class Table>
const Table& table_for(Isa isa, const Table& generic, const Table& avx2, const Table& avx512) {
  switch (isa) {
    case Isa::reference:
      return generic;
    case Isa::avx2:
      return avx2;
    default:
      return avx512;
  }
}

}  // namespace gregale::kernels
