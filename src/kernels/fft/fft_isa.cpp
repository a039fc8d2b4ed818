// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/fft/fft_table.hpp"
#include "kernels/vector_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

constexpr int kColumns = kFftColumns, kElement = kFftElement;

struct C {
  F re, im;
};
GREGALE_INLINE C get(const float* p) { return {load(p), load(p + kColumns)}; }
GREGALE_INLINE void put(float* p, C z) {
  store(p, z.re);
  store(p + kColumns, z.im);
}
GREGALE_INLINE C operator+(C a, C b) { return {a.re + b.re, a.im + b.im}; }
GREGALE_INLINE C operator-(C a, C b) { return {a.re - b.re, a.im - b.im}; }
GREGALE_INLINE C operator*(C a, F s) { return {a.re * s, a.im * s}; }
GREGALE_INLINE C times(C a, F re, F im) { return {fma(a.re, re, -(a.im * im)), fma(a.re, im, a.im * re)}; }
GREGALE_INLINE C minus_i(C a) { return {a.im, -a.re}; }

template <int P>
GREGALE_INLINE void butterfly(const C (&x)[P], C (&y)[P]) {
  if constexpr (P == 2) {
    y[0] = x[0] + x[1];
    y[1] = x[0] - x[1];
  } else if constexpr (P == 3) {
    const C t = x[1] + x[2];
    const C v = minus_i((x[1] - x[2]) * set1(0.866025404f));
    const C u = x[0] - t * set1(0.5f);
    y[0] = x[0] + t;
    y[1] = u + v;
    y[2] = u - v;
  } else if constexpr (P == 4) {
    const C a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = minus_i(x[1] - x[3]);
    y[0] = a + c;
    y[1] = b + d;
    y[2] = a - c;
    y[3] = b - d;
  } else {
    static_assert(P == 5);
    const F c1 = set1(0.309016994f), c2 = set1(-0.809016994f), s1 = set1(0.951056516f), s2 = set1(0.587785252f);
    const C t1 = x[1] + x[4], t2 = x[2] + x[3], t3 = x[1] - x[4], t4 = x[2] - x[3];
    const C u1 = x[0] + (t1 * c1 + t2 * c2), u2 = x[0] + (t1 * c2 + t2 * c1);
    const C v1 = minus_i(t3 * s1 + t4 * s2), v2 = minus_i(t3 * s2 - t4 * s1);
    y[0] = x[0] + (t1 + t2);
    y[1] = u1 + v1;
    y[2] = u2 + v2;
    y[3] = u2 - v2;
    y[4] = u1 - v1;
  }
}

template <int P>
void pass(const FftStage& stage, const float* src, float* dst) {
  const int64_t m = stage.m, s = stage.stride;
  for (int64_t i = 0; i < m; ++i) {
    F re[P], im[P];
    for (int r = 1; r < P; ++r) {
      re[r] = set1(stage.twiddles[(i * (P - 1) + r - 1) * 2]);
      im[r] = set1(stage.twiddles[(i * (P - 1) + r - 1) * 2 + 1]);
    }
    for (int64_t q = 0; q < s; ++q) {
      for (int g = 0; g < kColumns; g += kLanes) {
        C x[P], y[P];
        for (int r = 0; r < P; ++r) x[r] = get(src + (q + s * (i + m * r)) * kElement + g);
        butterfly<P>(x, y);
        float* out = dst + (q + s * P * i) * kElement + g;
        put(out, y[0]);
        for (int r = 1; r < P; ++r) put(out + s * r * kElement, i > 0 ? times(y[r], re[r], im[r]) : y[r]);
      }
    }
  }
}

/// Any small prime, O(radix^2).
void pass_any(const FftStage& stage, const float* src, float* dst) {
  const int64_t p = stage.radix, m = stage.m, s = stage.stride;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t q = 0; q < s; ++q) {
      for (int g = 0; g < kColumns; g += kLanes) {
        C x[kFftMaxRadix];
        for (int64_t r = 0; r < p; ++r) x[r] = get(src + (q + s * (i + m * r)) * kElement + g);
        for (int64_t k = 0; k < p; ++k) {
          C y = x[0];
          int64_t at = 0;
          for (int64_t r = 1; r < p; ++r) {
            at = at + k < p ? at + k : at + k - p;
            y = y + times(x[r], set1(stage.roots[2 * at]), set1(stage.roots[2 * at + 1]));
          }
          if (k > 0 && i > 0) {
            const float* w = stage.twiddles + (i * (p - 1) + k - 1) * 2;
            y = times(y, set1(w[0]), set1(w[1]));
          }
          put(dst + (q + s * (p * i + k)) * kElement + g, y);
        }
      }
    }
  }
}

/// Element j times (w[2j], w[2j + 1]), conjugated last where `conjugate`.
void turn(int64_t n, const float* w, const float* src, float* dst, bool conjugate) {
  for (int64_t j = 0; j < n; ++j) {
    const F re = set1(w[2 * j]), im = set1(w[2 * j + 1]);
    for (int g = 0; g < kColumns; g += kLanes) {
      C z = times(get(src + j * kElement + g), re, im);
      if (conjugate) z.im = -z.im;
      put(dst + j * kElement + g, z);
    }
  }
}

/// Forward transform of a; b is work of the same length. Returns the one that holds the result.
float* transform(const FftLine& line, float* a, float* b) {
  if (line.convolution == nullptr) {
    for (int t = 0; t < line.stages; ++t) {
      const FftStage& stage = line.stage[t];
      switch (stage.radix) {
        case 2:
          pass<2>(stage, a, b);
          break;
        case 3:
          pass<3>(stage, a, b);
          break;
        case 4:
          pass<4>(stage, a, b);
          break;
        case 5:
          pass<5>(stage, a, b);
          break;
        default:
          pass_any(stage, a, b);
      }
      float* c = a;
      a = b;
      b = c;
    }
    return a;
  }
  const FftLine& longer = *line.convolution;
  turn(line.n, line.chirp, a, b, false);
  for (int64_t i = line.n * kElement; i < longer.n * kElement; ++i) b[i] = 0;
  float* result = transform(longer, b, a);
  float* other = result == a ? b : a;
  turn(longer.n, line.spectrum, result, result, true);  // the inverse is the conjugate of the forward of the conjugate
  result = transform(longer, result, other);
  for (int64_t j = 0; j < line.n; ++j) {
    const F re = set1(line.chirp[2 * j]), im = set1(line.chirp[2 * j + 1]);
    for (int g = 0; g < kColumns; g += kLanes) {
      C z = get(result + j * kElement + g);
      z.im = -z.im;
      put(result + j * kElement + g, times(z, re, im));
    }
  }
  return result;
}

/// Reads a float of every column from base + at, or writes it scaled.
GREGALE_INLINE void read_floats(const FftBlock& block, const float* src, int64_t at, float* to) {
  if (block.contiguous) {
    const float* p = src + block.src_base[0] + at;
    if (block.columns == kColumns) {
      for (int g = 0; g < kColumns; g += kLanes) store(to + g, load(p + g));
      __builtin_prefetch(p + kColumns);  // the next block's
      return;
    }
    for (int g = 0; g < kColumns; g += kLanes) {
      const int64_t count = block.columns - g < 0 ? 0 : smaller(kLanes, block.columns - g);
      store(to + g, load_some(p + (count > 0 ? g : 0), count));
    }
    return;
  }
  for (int l = 0; l < kColumns; ++l) to[l] = l < block.columns ? src[block.src_base[l] + at] : 0.0f;
}
GREGALE_INLINE void write_floats(const FftBlock& block, float* dst, int64_t at, float scale, const float* from) {
  if (block.contiguous && block.columns == kColumns) {
    float* p = dst + block.dst_base[0] + at;
    for (int g = 0; g < kColumns; g += kLanes) store(p + g, load(from + g) * set1(scale));
    return;
  }
  for (int l = 0; l < block.columns; ++l) dst[block.dst_base[l] + at] = from[l] * scale;
}
GREGALE_INLINE void read_reals(const FftBlock& block, int64_t index, const float* src, float* to) {
  read_floats(block, src, index * block.src_step, to);
}
GREGALE_INLINE void write_reals(const FftBlock& block, int64_t index, float scale, const float* from, float* dst) {
  write_floats(block, dst, index * block.dst_step, scale, from);
}

/// Reads element `index` of every column; real parts go to `first`, imaginary ones to `second`, each [kColumns].
GREGALE_INLINE void read_pairs(const FftBlock& block, int64_t index, const float* src, float* first, float* second) {
  if (block.src_im != 0) {
    read_floats(block, src, index * block.src_step, first);
    read_floats(block, src, index * block.src_step + block.src_im, second);
    return;
  }
  if (block.contiguous && block.columns == kColumns) {
    const float* p = src + 2 * (block.src_base[0] + index * block.src_step);
    for (int l = 0; l < kColumns; ++l) {
      first[l] = p[2 * l];
      second[l] = p[2 * l + 1];
    }
    return;
  }
  for (int l = 0; l < block.columns; ++l) {
    const float* p = src + 2 * (block.src_base[l] + index * block.src_step);
    first[l] = p[0];
    second[l] = p[1];
  }
  for (int l = block.columns; l < kColumns; ++l) first[l] = second[l] = 0;
}
GREGALE_INLINE void write_pairs(const FftBlock& block, int64_t index, float scale, const float* first,
                                const float* second, float* dst) {
  if (block.dst_im != 0) {
    write_floats(block, dst, index * block.dst_step, scale, first);
    write_floats(block, dst, index * block.dst_step + block.dst_im, scale, second);
    return;
  }
  if (block.contiguous && block.columns == kColumns) {
    float* p = dst + 2 * (block.dst_base[0] + index * block.dst_step);
    for (int l = 0; l < kColumns; ++l) {
      p[2 * l] = first[l] * scale;
      p[2 * l + 1] = second[l] * scale;
    }
    return;
  }
  for (int l = 0; l < block.columns; ++l) {
    float* p = dst + 2 * (block.dst_base[l] + index * block.dst_step);
    p[0] = first[l] * scale;
    p[1] = second[l] * scale;
  }
}

/// The inverse transform is the forward one with real and imaginary parts exchanged on the way in and out.
void complex_block(const FftLine& line, const FftBlock& block, bool inverse, float scale, const float* src,
                   float* dst) {
  const int re = inverse ? kColumns : 0, im = kColumns - re;
  for (int64_t j = 0; j < line.n; ++j)
    read_pairs(block, j, src, block.work[0] + j * kElement + re, block.work[0] + j * kElement + im);
  const float* z = transform(line, block.work[0], block.work[1]);
  for (int64_t j = 0; j < line.n; ++j) write_pairs(block, j, scale, z + j * kElement + re, z + j * kElement + im, dst);
}

/// Even n: z[j] = x[2j] + i x[2j + 1] has the spectrum Z = E + i O of the even and odd samples, and
/// X[k] = E[k] + exp(-2 pi i k / n) O[k].
void real_forward(int64_t n, const FftLine* half, const FftLine* whole, const float* turns, const FftBlock& block,
                  float scale, const float* src, float* dst) {
  float* a = block.work[0];
  if (half == nullptr) {
    for (int64_t j = 0; j < n; ++j) {
      read_reals(block, j, src, a + j * kElement);
      for (int l = 0; l < kColumns; ++l) a[j * kElement + kColumns + l] = 0;
    }
    const float* z = transform(*whole, a, block.work[1]);
    for (int64_t k = 0; k <= n / 2; ++k)
      write_pairs(block, k, scale, z + k * kElement, z + k * kElement + kColumns, dst);
    return;
  }
  const int64_t m = n / 2;
  for (int64_t j = 0; j < m; ++j) {
    read_reals(block, 2 * j, src, a + j * kElement);
    read_reals(block, 2 * j + 1, src, a + j * kElement + kColumns);
  }
  const float* z = transform(*half, a, block.work[1]);
  for (int64_t k = 0; k <= m; ++k) {
    const float* p = z + (k == m ? 0 : k) * kElement;
    const float* q = z + (k == 0 ? 0 : m - k) * kElement;
    const F re = set1(turns[2 * k]), im = set1(turns[2 * k + 1]);
    float out[kElement];
    for (int g = 0; g < kColumns; g += kLanes) {
      const C x = get(p + g);
      C y = get(q + g);
      y.im = -y.im;
      const C odd = times(minus_i(x - y), re, im);
      put(out + g, ((x + y) + odd) * set1(0.5f));
    }
    write_pairs(block, k, scale, out, out + kColumns, dst);
  }
}

void real_inverse(int64_t n, const FftLine* half, const FftLine* whole, const float* turns, const FftBlock& block,
                  float scale, const float* src, float* dst) {
  float* a = block.work[0];
  const int64_t m = n / 2;
  if (half == nullptr) {
    // The Hermitian extension, real and imaginary parts exchanged.
    for (int64_t k = 0; k <= m; ++k) {
      float* p = a + k * kElement;
      read_pairs(block, k, src, p + kColumns, p);
      if (k == 0) {
        for (int l = 0; l < kColumns; ++l) p[l] = 0;
        continue;
      }
      float* q = a + (n - k) * kElement;
      for (int l = 0; l < kColumns; ++l) {
        q[l] = -p[l];
        q[kColumns + l] = p[kColumns + l];
      }
    }
    const float* z = transform(*whole, a, block.work[1]);
    for (int64_t j = 0; j < n; ++j) write_reals(block, j, scale, z + j * kElement + kColumns, dst);
    return;
  }
  for (int64_t k = 0; k < m; ++k) {
    float x[kElement], y[kElement];
    read_pairs(block, k, src, x, x + kColumns);
    read_pairs(block, m - k, src, y, y + kColumns);
    if (k == 0) {
      for (int l = 0; l < kColumns; ++l) x[kColumns + l] = y[kColumns + l] = 0;
    }
    const F re = set1(turns[2 * k]), im = set1(-turns[2 * k + 1]);
    for (int g = 0; g < kColumns; g += kLanes) {
      const C p = get(x + g);
      C q = get(y + g);
      q.im = -q.im;
      const C even = p + q, odd = times(p - q, re, im);
      // Z = even + i odd, stored with its parts exchanged.
      put(a + k * kElement + g, {even.im + odd.re, even.re - odd.im});
    }
  }
  const float* z = transform(*half, a, block.work[1]);
  for (int64_t j = 0; j < m; ++j) {
    write_reals(block, 2 * j, scale, z + j * kElement + kColumns, dst);
    write_reals(block, 2 * j + 1, scale, z + j * kElement, dst);
  }
}

}  // namespace

extern const FftTable fft_table;
const FftTable fft_table = {complex_block, real_forward, real_inverse};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
