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

const PredictTable& predict_table(Isa isa) {
  if (isa == Isa::reference) return isa_generic::table;
  return isa == Isa::avx2 ? isa_avx2::table : isa_avx512::table;
}

const GroupTable& group_table(Isa isa) {
  if (isa == Isa::reference) return isa_generic::group_rows;
  return isa == Isa::avx2 ? isa_avx2::group_rows : isa_avx512::group_rows;
}

const RansTable& rans_table(Isa isa) {
  if (isa == Isa::reference) return isa_generic::rans_rows;
  return isa == Isa::avx2 ? isa_avx2::rans_rows : isa_avx512::rans_rows;
}

const ResidualTable& residual_table(Isa isa) {
  if (isa == Isa::reference) return isa_generic::residual_rows;
  return isa == Isa::avx2 ? isa_avx2::residual_rows : isa_avx512::residual_rows;
}

const AutoencoderTable& autoencoder_table(Isa isa) {
  if (isa == Isa::reference) return isa_generic::autoencoder_rows;
  return isa == Isa::avx2 ? isa_avx2::autoencoder_rows : isa_avx512::autoencoder_rows;
}

template <>
const ValueRows<float>& value_rows<float>(Isa isa) {
  if (isa == Isa::reference) return isa_generic::rows_f32;
  return isa == Isa::avx2 ? isa_avx2::rows_f32 : isa_avx512::rows_f32;
}

template <>
const ValueRows<double>& value_rows<double>(Isa isa) {
  if (isa == Isa::reference) return isa_generic::rows_f64;
  return isa == Isa::avx2 ? isa_avx2::rows_f64 : isa_avx512::rows_f64;
}

}  // namespace gregale::codec
