// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "gregale/context.hpp"

/// The inner loops of the predictive codec, over rows of values. Integer arithmetic alone (of two's complement,
/// wrapping) decides what is decompressed, so every instruction set gives the same numbers.
namespace gregale::codec {

inline constexpr int kWeightBits = 10;  ///< of the fraction of predictors' weights
inline constexpr size_t kMostTaps = 24;
inline constexpr int kActivities = 16;        ///< classes of activity
inline constexpr uint8_t kGreatestSize = 31;  ///< sizes of residuals are cut here
/// Rows are worked on this many values at a time: they may be read and written up to the next multiple.
inline constexpr int64_t kRowTile = 32;
constexpr int64_t row_room(int64_t count) { return (count + kRowTile - 1) / kRowTile * kRowTile; }

struct PredictTable {
  /// dst[i] = clamp((sum_t weights[t] x_t[i] + half) >> kWeightBits, least, greatest), x_t = values + places[t]
  void (*predict_i32)(const int32_t* values, const int64_t* places, const int32_t* weights, int tap_count,
                      int64_t count, int32_t least, int32_t greatest, int32_t* dst);
  void (*predict_i64)(const int64_t* values, const int64_t* places, const int64_t* weights, int tap_count,
                      int64_t count, int64_t least, int64_t greatest, int64_t* dst);
  /// The same where some taps have no data (valid[places[t] + i] is 0): the mean of those that have stands in for them.
  /// Where none has any, `otherwise` does. What it gives where the point itself has none (self[i] is 0) means nothing.
  void (*predict_among_i32)(const int32_t* values, const uint8_t* valid, const int64_t* places, const uint8_t* self,
                            const int32_t* weights, int tap_count, int64_t count, int32_t least, int32_t greatest,
                            int32_t otherwise, int32_t* dst);
  void (*predict_among_i64)(const int64_t* values, const uint8_t* valid, const int64_t* places, const uint8_t* self,
                            const int64_t* weights, int tap_count, int64_t count, int64_t least, int64_t greatest,
                            int64_t otherwise, int64_t* dst);
  /// The class of the activity around each point: a weighted mean of the sizes of the residuals at its taps, in
  /// quarters after `scale` (of 256ths), against fixed limits; plus `base`.
  void (*keys)(const uint8_t* sizes, const int64_t* places, const uint8_t* weights, int tap_count, int64_t count,
               uint32_t scale, uint8_t base, uint8_t* dst);
  /// residual[i] = round(((values[i * step] - offset) * scale - predicted[i]) * inverse), in f64
  void (*quantize_f32)(const float* values, int64_t step, int64_t count, double offset, double scale,
                       const int32_t* predicted, double inverse, int32_t* residual);
  /// dst[i] = predicted[i] + residual[i] * quantum; sizes[i] = min(|residual[i]|, kGreatestSize)
  void (*apply_i32)(const int32_t* predicted, const int32_t* residual, int32_t quantum, int64_t count, int32_t* dst,
                    uint8_t* sizes);
  /// dst[2 i] = even[i], dst[2 i + 1] = odd[i], of `count` in all
  void (*interleave_i32)(const int32_t* even, const int32_t* odd, int64_t count, int32_t* dst);
  void (*interleave_u8)(const uint8_t* even, const uint8_t* odd, int64_t count, uint8_t* dst);
  /// The same, as float(offset + value * unit), in f64
  void (*restore_f32)(const int32_t* even, const int32_t* odd, int64_t count, double offset, double unit, float* dst);
};

const PredictTable& predict_table(Isa isa);

}  // namespace gregale::codec
