// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/autoencoder_isa.hpp"
#include "codec/group_quantize.hpp"
#include "codec/predict_isa.hpp"
#include "codec/rans_isa.hpp"
#include "codec/residuals_isa.hpp"
#include "codec/values_isa.hpp"

// Which of the loops compiled per instruction set serve.
namespace gregale::codec {

#define GREGALE_CODEC_TABLES(isa)                 \
  namespace isa {                                 \
  extern const PredictTable table;                \
  extern const ValueRows<float> rows_f32;         \
  extern const ValueRows<double> rows_f64;        \
  extern const GroupTable group_rows;             \
  extern const RansTable rans_rows;               \
  extern const ResidualTable residual_rows;       \
  extern const AutoencoderTable autoencoder_rows; \
  }
GREGALE_CODEC_TABLES(isa_generic)
GREGALE_CODEC_TABLES(isa_avx2)
GREGALE_CODEC_TABLES(isa_avx512)
#undef GREGALE_CODEC_TABLES

namespace {

template <class Table>
const Table& pick(Isa isa, const Table& generic, const Table& avx2, const Table& avx512) {
  if (isa == Isa::reference) return generic;
  return isa == Isa::avx2 ? avx2 : avx512;
}

}  // namespace

#define GREGALE_PICK(name) pick(isa, isa_generic::name, isa_avx2::name, isa_avx512::name)
const PredictTable& predict_table(Isa isa) { return GREGALE_PICK(table); }
const GroupTable& group_table(Isa isa) { return GREGALE_PICK(group_rows); }
const RansTable& rans_table(Isa isa) { return GREGALE_PICK(rans_rows); }
const ResidualTable& residual_table(Isa isa) { return GREGALE_PICK(residual_rows); }
const AutoencoderTable& autoencoder_table(Isa isa) { return GREGALE_PICK(autoencoder_rows); }
template <>
const ValueRows<float>& value_rows<float>(Isa isa) {
  return GREGALE_PICK(rows_f32);
}
template <>
const ValueRows<double>& value_rows<double>(Isa isa) {
  return GREGALE_PICK(rows_f64);
}
#undef GREGALE_PICK

}  // namespace gregale::codec
