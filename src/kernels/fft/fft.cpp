// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/fft/fft.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <vector>

#include "gregale/error.hpp"
#include "kernels/fft/fft_table.hpp"
#include "kernels/isa_table.hpp"

namespace gregale::kernels {
namespace {

constexpr double kFullTurn = 6.283185307179586476925286766559;

const FftTable& fft_table_of(Isa isa) {
  return table_for(isa, isa_generic::fft_table, isa_avx2::fft_table, isa_avx512::fft_table);
}

/// exp(-2 pi i k / n), with k reduced first.
std::complex<double> root(int64_t k, int64_t n) {
  return std::polar(1.0, -kFullTurn * static_cast<double>(k % n) / static_cast<double>(n));
}

void append(std::vector<float>& to, std::complex<double> z) {
  to.push_back(static_cast<float>(z.real()));
  to.push_back(static_cast<float>(z.imag()));
}

/// Plain radix 2 in f64, for the spectrum of a chirp.
void transform_f64(std::vector<std::complex<double>>& z) {
  const size_t n = z.size();
  for (size_t i = 1, j = 0; i < n; ++i) {
    size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(z[i], z[j]);
  }
  for (size_t half = 1; half < n; half *= 2) {
    for (size_t k = 0; k < half; ++k) {
      const auto w = root(static_cast<int64_t>(k), static_cast<int64_t>(2 * half));
      for (size_t i = k; i < n; i += 2 * half) {
        const auto t = w * z[i + half];
        z[i + half] = z[i] - t;
        z[i] += t;
      }
    }
  }
}

/// A line and the memory behind it.
struct Line {
  FftLine line{};
  std::vector<std::vector<float>> tables;
  std::unique_ptr<Line> longer;

  const float* keep(std::vector<float> table) {
    tables.push_back(std::move(table));
    return tables.back().data();
  }
  int64_t work() const { return longer ? longer->line.n : line.n; }
};

std::unique_ptr<Line> make_line(int64_t n) {
  auto made = std::make_unique<Line>();
  FftLine& line = made->line;
  line.n = n;
  std::vector<int64_t> radices;
  int64_t rest = n;
  for (int64_t radix : {4, 2, 5, 3}) {
    for (; rest % radix == 0; rest /= radix) radices.push_back(radix);
  }
  for (int64_t p = 7; p <= kFftMaxRadix && rest > 1; p += 2) {
    for (; rest % p == 0; rest /= p) radices.push_back(p);
  }
  if (rest == 1) {
    int64_t m = n, stride = 1;
    for (int64_t p : radices) {
      const int64_t length = m;
      m /= p;
      std::vector<float> twiddles, roots;
      for (int64_t i = 0; i < m; ++i)
        for (int64_t r = 1; r < p; ++r) append(twiddles, root(i * r, length));
      for (int64_t r = 0; r < p; ++r) append(roots, root(r, p));
      line.stage[line.stages++] = {p, m, stride, made->keep(std::move(twiddles)), made->keep(std::move(roots))};
      stride *= p;
    }
    return made;
  }
  // Bluestein: jk = (j^2 + k^2 - (k - j)^2) / 2 turns the transform into a convolution with a chirp.
  int64_t longer = 1;
  while (longer < 2 * n - 1) longer *= 2;
  std::vector<float> chirp, spectrum;
  std::vector<std::complex<double>> conjugate(static_cast<size_t>(longer));
  for (int64_t j = 0, square = 0; j < n; ++j) {  // square = j^2 mod 2n
    const auto w = root(square, 2 * n);
    append(chirp, w);
    conjugate[static_cast<size_t>(j)] = std::conj(w);
    conjugate[static_cast<size_t>((longer - j) % longer)] = std::conj(w);
    square = (square + 2 * j + 1) % (2 * n);
  }
  transform_f64(conjugate);
  for (const auto& z : conjugate) append(spectrum, z / static_cast<double>(longer));
  line.chirp = made->keep(std::move(chirp));
  line.spectrum = made->keep(std::move(spectrum));
  made->longer = make_line(longer);
  line.convolution = &made->longer->line;
  return made;
}

}  // namespace

struct FftPlan::Data {
  int64_t n = 0;
  std::unique_ptr<Line> whole, half;  // half for even n
  std::vector<float> turns;
  int64_t work() const { return std::max(whole->work(), half ? half->work() : 0); }
  const FftLine* half_line() const { return half ? &half->line : nullptr; }
};

FftPlan::FftPlan(int64_t n) : data_(std::make_unique<Data>()) {
  GREGALE_ASSERT(n > 0 && n < (int64_t{1} << 28));
  data_->n = n;
  data_->whole = make_line(n);
  if (n % 2 != 0) return;
  data_->half = make_line(n / 2);
  for (int64_t k = 0; k <= n / 2; ++k) append(data_->turns, root(k, n));
}
FftPlan::~FftPlan() = default;
int64_t FftPlan::size() const { return data_->n; }

int64_t fft_scratch_bytes(const FftPlan& plan, int slots) {
  return std::max(slots, 1) * 2 * plan.data().work() * kFftElement * 4;
}

namespace {

/// How an array lies in memory: element j of column c of group i of outer index o is at o * outer + j * step + i *
/// group + c, in elements of the array, where the imaginary part has a place of its own (`im` floats behind) in floats.
struct Side {
  int64_t outer = 0, step = 0, group = 0, im = 0;
};
Side plain(int64_t n, int64_t inner) { return {n * inner, inner, 0, 0}; }
Side in_parts(int64_t n, const FftParts& p, bool complex) {
  const int64_t width = complex ? 2 * p.columns : p.columns;
  return {n * p.groups * width, p.groups * width, width, complex ? p.columns : 0};
}

/// run(block) for blocks of up to kFftColumns of the `groups` times `inner` columns of every outer index; each slot
/// takes a contiguous share.
template <class Run>
void for_blocks(ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t groups, int64_t inner, const Side& src,
                const Side& dst, int slots, std::byte* scratch, Run run) {
  if (outer == 0 || groups == 0 || inner == 0) return;
  const bool wide = inner >= kFftColumns;  // a block stays within one group
  const int64_t per_group = (inner + kFftColumns - 1) / kFftColumns;
  const int64_t columns = outer * groups * inner;
  const int64_t blocks = wide ? outer * groups * per_group : (columns + kFftColumns - 1) / kFftColumns;
  const int64_t length = plan.data().work() * kFftElement;
  const int64_t work = plan.size() * kFftColumns;
  int64_t shares = std::min<int64_t>(std::max(slots, 1), blocks);
  if (blocks * work < kElementGrain / 4) shares = 1;
  parallel_for(team, shares, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t share = begin; share < end; ++share) {
      FftBlock block;
      block.src_step = src.step;
      block.dst_step = dst.step;
      block.src_im = src.im;
      block.dst_im = dst.im;
      for (int i = 0; i < 2; ++i) block.work[i] = reinterpret_cast<float*>(scratch) + (2 * share + i) * length;
      for (int64_t b = blocks * share / shares; b < blocks * (share + 1) / shares; ++b) {
        const int64_t first = wide ? b / per_group * inner + b % per_group * kFftColumns : b * kFftColumns;
        const int64_t last =
            wide ? std::min(first + kFftColumns, (b / per_group + 1) * inner) : std::min(first + kFftColumns, columns);
        block.columns = static_cast<int>(last - first);
        block.contiguous = wide || first / inner == (last - 1) / inner;
        for (int l = 0; l < block.columns; ++l) {
          const int64_t group = (first + l) / inner, o = group / groups, i = group % groups, c = (first + l) % inner;
          block.src_base[l] = o * src.outer + i * src.group + c;
          block.dst_base[l] = o * dst.outer + i * dst.group + c;
        }
        run(block);
      }
    }
  });
}

/// One block by kind.
void run_block(const FftTable& table, const FftPlan::Data& data, FftKind kind, float scale, const FftBlock& block,
               const float* src, float* dst) {
  switch (kind) {
    case FftKind::forward:
    case FftKind::inverse:
      table.complex_block(data.whole->line, block, kind == FftKind::inverse, scale, src, dst);
      break;
    case FftKind::real_forward:
      table.real_forward(data.n, data.half_line(), &data.whole->line, data.turns.data(), block, scale, src, dst);
      break;
    case FftKind::real_inverse:
      table.real_inverse(data.n, data.half_line(), &data.whole->line, data.turns.data(), block, scale, src, dst);
      break;
  }
}

}  // namespace

void fft_c64(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, bool inverse, float scale,
             const float* src, float* dst, int slots, std::byte* scratch) {
  const Side side = plain(plan.size(), inner);
  const FftKind kind = inverse ? FftKind::inverse : FftKind::forward;
  for_blocks(team, plan, outer, 1, inner, side, side, slots, scratch,
             [&](const FftBlock& block) { run_block(fft_table_of(isa), plan.data(), kind, scale, block, src, dst); });
}

void rfft_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, float scale,
              const float* src, float* dst, int slots, std::byte* scratch) {
  const int64_t n = plan.size();
  for_blocks(team, plan, outer, 1, inner, plain(n, inner), plain(n / 2 + 1, inner), slots, scratch,
             [&](const FftBlock& block) {
               run_block(fft_table_of(isa), plan.data(), FftKind::real_forward, scale, block, src, dst);
             });
}

void irfft_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, float scale,
               const float* src, float* dst, int slots, std::byte* scratch) {
  const int64_t n = plan.size();
  for_blocks(team, plan, outer, 1, inner, plain(n / 2 + 1, inner), plain(n, inner), slots, scratch,
             [&](const FftBlock& block) {
               run_block(fft_table_of(isa), plan.data(), FftKind::real_inverse, scale, block, src, dst);
             });
}

void fft_parts_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, FftKind kind, const FftParts& parts, float scale,
                   const float* src, float* dst, int slots, std::byte* scratch) {
  const int64_t n = plan.size(), modes = n / 2 + 1;
  const Side from = in_parts(kind == FftKind::real_inverse ? modes : n, parts, kind != FftKind::real_forward);
  const Side to = in_parts(kind == FftKind::real_forward ? modes : n, parts, kind != FftKind::real_inverse);
  for_blocks(team, plan, parts.outer, parts.groups, parts.columns, from, to, slots, scratch,
             [&](const FftBlock& block) { run_block(fft_table_of(isa), plan.data(), kind, scale, block, src, dst); });
}

void fft_tile_f32(Isa isa, const FftPlan& plan, FftKind kind, int64_t columns, float scale, const float* src,
                  int64_t src_leading, float* dst, int64_t dst_leading, std::byte* scratch) {
  FftBlock block;
  block.contiguous = true;
  block.src_step = src_leading;
  block.dst_step = dst_leading;
  block.src_im = kind == FftKind::real_forward ? 0 : columns;
  block.dst_im = kind == FftKind::real_inverse ? 0 : columns;
  const int64_t length = plan.data().work() * kFftElement;
  for (int i = 0; i < 2; ++i) block.work[i] = reinterpret_cast<float*>(scratch) + i * length;
  const FftTable& table = fft_table_of(isa);
  for (int64_t c = 0; c < columns; c += kFftColumns) {
    block.columns = static_cast<int>(std::min<int64_t>(kFftColumns, columns - c));
    block.src_base[0] = block.dst_base[0] = c;
    for (int l = 1; l < block.columns; ++l) block.src_base[l] = block.dst_base[l] = c + l;
    run_block(table, plan.data(), kind, scale, block, src, dst);
  }
}

}  // namespace gregale::kernels
