// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/context.hpp"

namespace gregale::codec {

/// The instruction sets whose loops can run here.
inline std::vector<Isa> isa_levels() {
  std::vector<Isa> all{Isa::reference};
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (Target::detect().isa >= isa) all.push_back(isa);
  return all;
}

}  // namespace gregale::codec
