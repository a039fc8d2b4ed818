// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/predict_isa.hpp"

namespace gregale::codec {
namespace isa_generic {
extern const PredictTable table;
}
namespace isa_avx2 {
extern const PredictTable table;
}
namespace isa_avx512 {
extern const PredictTable table;
}

const PredictTable& predict_table(Isa isa) {
  if (isa == Isa::reference) return isa_generic::table;
  return isa == Isa::avx2 ? isa_avx2::table : isa_avx512::table;
}

}  // namespace gregale::codec
