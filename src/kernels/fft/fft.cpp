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

constexpr double kTwoPi = 6.283185307179586476925286766559;

const FftTable& table_of(Isa isa) {
  return table_for(isa, isa_generic::fft_table, isa_avx2::fft_table, isa_avx512::fft_table);
}

/// exp(-2 pi i k / n), with k reduced first.
std::complex<double> root(int64_t k, int64_t n) {
  return std::polar(1.0, -kTwoPi * static_cast<double>(k % n) / static_cast<double>(n));
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

/// run(block) for blocks of up to kFftColumns columns of [outer, *, inner]; each slot takes a contiguous share.
template <class Run>
void for_blocks(ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, int64_t src_n, int64_t dst_n,
                int slots, std::byte* scratch, Run run) {
  if (outer == 0 || inner == 0) return;
  const bool wide = inner >= kFftColumns;  // a block stays within one outer index
  const int64_t per_outer = (inner + kFftColumns - 1) / kFftColumns;
  const int64_t columns = outer * inner;
  const int64_t blocks = wide ? outer * per_outer : (columns + kFftColumns - 1) / kFftColumns;
  const int64_t length = plan.data().work() * kFftElement;
  const int64_t work = plan.size() * kFftColumns;
  int64_t shares = std::min<int64_t>(std::max(slots, 1), blocks);
  if (blocks * work < kElementGrain / 4) shares = 1;
  parallel_for(team, shares, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t share = begin; share < end; ++share) {
      FftBlock block;
      block.step = inner;
      for (int i = 0; i < 2; ++i) block.work[i] = reinterpret_cast<float*>(scratch) + (2 * share + i) * length;
      for (int64_t b = blocks * share / shares; b < blocks * (share + 1) / shares; ++b) {
        const int64_t first = wide ? b / per_outer * inner + b % per_outer * kFftColumns : b * kFftColumns;
        const int64_t last =
            wide ? std::min(first + kFftColumns, (b / per_outer + 1) * inner) : std::min(first + kFftColumns, columns);
        block.columns = static_cast<int>(last - first);
        block.contiguous = wide || inner >= last;
        for (int l = 0; l < block.columns; ++l) {
          const int64_t o = (first + l) / inner, i = (first + l) % inner;
          block.src_base[l] = o * src_n * inner + i;
          block.dst_base[l] = o * dst_n * inner + i;
        }
        run(block);
      }
    }
  });
}

}  // namespace

void fft_c64(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, bool inverse, float scale,
             const float* src, float* dst, int slots, std::byte* scratch) {
  const int64_t n = plan.size();
  const auto run = table_of(isa).complex_block;
  for_blocks(team, plan, outer, inner, n, n, slots, scratch,
             [&](const FftBlock& block) { run(plan.data().whole->line, block, inverse, scale, src, dst); });
}

void rfft_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, float scale,
              const float* src, float* dst, int slots, std::byte* scratch) {
  const FftPlan::Data& data = plan.data();
  const auto run = table_of(isa).real_forward;
  for_blocks(team, plan, outer, inner, data.n, data.n / 2 + 1, slots, scratch, [&](const FftBlock& block) {
    run(data.n, data.half_line(), &data.whole->line, data.turns.data(), block, scale, src, dst);
  });
}

void irfft_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, float scale,
               const float* src, float* dst, int slots, std::byte* scratch) {
  const FftPlan::Data& data = plan.data();
  const auto run = table_of(isa).real_inverse;
  for_blocks(team, plan, outer, inner, data.n / 2 + 1, data.n, slots, scratch, [&](const FftBlock& block) {
    run(data.n, data.half_line(), &data.whole->line, data.turns.data(), block, scale, src, dst);
  });
}

}  // namespace gregale::kernels
