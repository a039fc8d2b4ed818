// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/depthwise/depthwise.hpp"

#include <algorithm>

#include "kernels/depthwise/depthwise_table.hpp"
#include "kernels/isa_table.hpp"

namespace gregale::kernels {
namespace {

/// Multiply-adds that are worth a task.
constexpr int64_t kTaskWork = 1 << 19;
/// Tasks a thread, so that one that is late is waited for little.
constexpr int64_t kTasksPerThread = 4;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void depthwise_f32(Isa isa, ThreadTeam& team, const Depthwise& d, const float* x, const float* weights, float* y) {
  const DepthwiseTable& table =
      table_for(isa, isa_generic::depthwise_table, isa_avx2::depthwise_table, isa_avx512::depthwise_table);
  const int64_t rows = d.n * d.out_h;
  if (rows == 0 || d.out_w == 0 || d.c == 0) return;
  // Neighbouring rows see the same pixels: a task has as many as it can. Where there are few, their channels are
  // parted.
  const int64_t tasks = team.size() > 1 ? kTasksPerThread * team.size() : 1;
  const int64_t row_work = d.out_w * d.c * d.r * d.s;
  const int64_t most = std::clamp<int64_t>(rows * row_work / kTaskWork, 1, tasks);
  const int64_t unit = 2 * table.lanes, units = ceil_div(d.c, unit);
  const int64_t part = ceil_div(units, std::min(units, ceil_div(most, rows))) * unit, parts = ceil_div(d.c, part);
  parallel_for(team, parts * rows, ceil_div(parts * rows, most), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t row = t % rows, image = row / d.out_h, first_channel = t / rows * part;
      const int64_t top = row % d.out_h * d.stride_h - d.pad_top;  // row of x that the first tap sees
      const int64_t first = std::min(top < 0 ? ceil_div(-top, d.dilation_h) : 0, d.r);
      const int64_t last = top < d.h ? std::min((d.h - 1 - top) / d.dilation_h + 1, d.r) : 0;
      DepthwiseRow call{.x = x,
                        .weights = weights + first * d.s * d.c,
                        .y = y + row * d.out_w * d.c,
                        .rows = std::max<int64_t>(last - first, 0),
                        .row_step = d.dilation_h * d.w * d.c,
                        .taps = d.s,
                        .stride = d.stride_w,
                        .padding = d.pad_left,
                        .dilation = d.dilation_w,
                        .pixels = d.w,
                        .out = d.out_w,
                        .channels = d.c,
                        .first_channel = first_channel,
                        .last_channel = std::min(first_channel + part, d.c)};
      if (call.rows > 0) call.x += (image * d.h + top + first * d.dilation_h) * d.w * d.c;
      table.row(call);
    }
  });
}

}  // namespace gregale::kernels
