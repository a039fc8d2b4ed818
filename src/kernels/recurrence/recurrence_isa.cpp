// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/recurrence/recurrence_table.hpp"
#include "kernels/vector_math_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

GREGALE_INLINE F get(const float* p, int64_t count) { return count >= kLanes ? load(p) : load_some(p, count); }
GREGALE_INLINE void put(float* p, F v, int64_t count) {
  if (count >= kLanes) {
    store(p, v);
  } else {
    store_some(p, v, count);
  }
}

/// The activation of x, clipped first.
GREGALE_INLINE F activate(const ActivationCall& a, float clip, F x) {
  if (clip > 0) {
    x = choose(x > set1(clip), set1(clip), x);
    x = choose(x < set1(-clip), set1(-clip), x);
  }
  const F alpha = set1(a.alpha), beta = set1(a.beta), one = set1(1.0f);
  switch (a.kind) {
    case Activation::tanh:
      return tanh_of(x);
    case Activation::sigmoid:
      return sigmoid_of(x);
    case Activation::relu:
      return choose(x < F{}, F{}, x);
    case Activation::affine:
      return fma(alpha, x, beta);
    case Activation::leaky_relu:
      return choose(x < F{}, alpha * x, x);
    case Activation::thresholded_relu:
      return choose(x < alpha, F{}, x);
    case Activation::scaled_tanh:
      return alpha * tanh_of(beta * x);
    case Activation::hard_sigmoid: {
      const F y = fma(alpha, x, beta);
      return choose(y < F{}, F{}, choose(y > one, one, y));
    }
    case Activation::elu:
      return choose(x < F{}, alpha * (exp_of(x) - one), x);
    case Activation::softsign:
      return x / (one + abs_of(x));
    case Activation::softplus:
      return choose(x > F{}, x, F{}) + log_of(one + exp_of(-abs_of(x)));
  }
  return x;
}

/// sums[row][panel][gate] of the products of rows by panels; a panel holds, for each element of the state, a vector of
/// units for each gate.
template <int Gates, int Panels, int Rows>
GREGALE_INLINE void product(int64_t k, const float* weights, const float* const (&src)[Rows],
                            F (&sums)[Rows][Panels][Gates]) {
  for (auto& row : sums)
    for (auto& panel : row)
      for (F& sum : panel) sum = F{};
  const int64_t panel = k * Gates * kLanes;
  for (int64_t i = 0; i < k; ++i) {
    F x[Rows];
    for (int r = 0; r < Rows; ++r) x[r] = set1(src[r][i]);
    for (int p = 0; p < Panels; ++p)
      for (int g = 0; g < Gates; ++g) {
        const F w = load(weights + p * panel + (i * Gates + g) * kLanes);
        for (int r = 0; r < Rows; ++r) sums[r][p][g] = fma(x[r], w, sums[r][p][g]);
      }
  }
}

template <class Cell, int Panels, int Rows>
GREGALE_INLINE void block(const RecurrentCall& call, int64_t at, const RecurrentRow* rows) {
  const float* src[Rows];
  for (int r = 0; r < Rows; ++r) src[r] = Cell::source(rows[r]);
  F sums[Rows][Panels][Cell::kGates];
  product<Cell::kGates, Panels, Rows>(call.hidden, call.weights + at * call.hidden * Cell::kGates * kLanes, src, sums);
  for (int r = 0; r < Rows; ++r)
    for (int p = 0; p < Panels; ++p) {
      const int64_t unit = (at + p) * kLanes;
      Cell::finish(call, rows[r], unit, call.hidden - unit, sums[r][p]);
    }
}

/// As many sums at once as hide the latency of the multiply-add and fit in registers.
template <class Cell>
void run(const RecurrentCall& call) {
  constexpr int kTall = kLanes == 16 ? 4 : 2;
  constexpr int kTallPanels = 4 / Cell::kGates > 0 ? 4 / Cell::kGates : 1;
  constexpr int kFlatPanels = 8 / Cell::kGates;
  int64_t row = 0;
  for (; row + kTall <= call.row_count; row += kTall) {
    int64_t at = call.first;
    for (; at + kTallPanels <= call.last; at += kTallPanels) block<Cell, kTallPanels, kTall>(call, at, call.rows + row);
    for (; at < call.last; ++at) block<Cell, 1, kTall>(call, at, call.rows + row);
  }
  for (; row < call.row_count; ++row) {
    int64_t at = call.first;
    for (; at + kFlatPanels <= call.last; at += kFlatPanels) block<Cell, kFlatPanels, 1>(call, at, call.rows + row);
    for (; at < call.last; ++at) block<Cell, 1, 1>(call, at, call.rows + row);
  }
}

struct Rnn {
  static constexpr int kGates = 1;
  GREGALE_INLINE const float* source(const RecurrentRow& row) { return row.h; }
  GREGALE_INLINE void finish(const RecurrentCall& call, const RecurrentRow& row, int64_t unit, int64_t count,
                             const F (&sums)[1]) {
    put(row.y + unit, activate(call.activations[0], call.clip, sums[0] + get(row.gates + unit, count)), count);
  }
};

struct Lstm {
  static constexpr int kGates = 4;  // input, output, forget, cell
  GREGALE_INLINE const float* source(const RecurrentRow& row) { return row.h; }
  GREGALE_INLINE void finish(const RecurrentCall& call, const RecurrentRow& row, int64_t unit, int64_t count,
                             const F (&sums)[4]) {
    const auto gate = [&](int i) { return sums[i] + get(row.gates + i * call.hidden + unit, count); };
    const auto peephole = [&](int i) { return get(call.peepholes + i * call.hidden + unit, count); };
    const ActivationCall* a = call.activations;
    const F before = load(row.c + unit);
    const F input = activate(a[0], call.clip, fma(peephole(0), before, gate(0)));
    const F forget =
        call.input_forget ? set1(1.0f) - input : activate(a[0], call.clip, fma(peephole(2), before, gate(2)));
    const F cell = fma(forget, before, input * activate(a[1], call.clip, gate(3)));
    const F output = activate(a[0], call.clip, fma(peephole(1), cell, gate(1)));
    store(row.c + unit, cell);
    put(row.y + unit, output * activate(a[2], 0, cell), count);
  }
};

#if defined(__AVX512F__)

/// state = unit (65536 high + 256 middle + low - 2^23), rounded to the nearest; of a state that is not finite, NaN.
void digits_of_state(RecurrentRow& row, int64_t hidden) {
  constexpr float kMost = 8388600;  // and what rounding may add stays below 2^23
  F most = set1(1e-30f), zeros{};
  for (int64_t i = 0; i < hidden; i += kLanes) {
    const F x = abs_of(get(row.h + i, hidden - i));
    most = choose(x > most, x, most);
    zeros += x * set1(0.0f);
  }
  float largest = 0, sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    largest = most[lane] > largest ? most[lane] : largest;
    sum += zeros[lane];
  }
  const bool finite = sum == 0;
  row.unit = finite ? largest / kMost : __builtin_nanf("");
  const F scale = set1(finite ? kMost / largest : 0.0f);
  const int64_t stride = digit_stride(hidden);
  for (int64_t i = 0; i < stride; i += kLanes) {
    const __mmask16 some = stride - i >= kLanes ? static_cast<__mmask16>(0xffff) : some_lanes(stride - i);
    // An infinite state times 0 is no number and becomes the least integer.
    const U q = reinterpret_cast<U>(_mm512_maskz_cvtps_epi32(0xffff, get(row.h + i, hidden - i) * scale)) + (1u << 23);
    for (int digit = 0; digit < 3; ++digit)
      _mm512_mask_cvtepi32_storeu_epi8(row.digits + digit * stride + i, some,
                                       reinterpret_cast<__m512i>(q >> (8 * digit)));
  }
}

/// Sums of one vector of units for `Rows` sequences, before their scales: a product of bytes for each digit.
template <int Rows>
[[gnu::target("avx512vnni")]] void products_of_bytes(int64_t quads, const int8_t* weights,
                                                     const uint8_t* const (&digits)[Rows], int64_t stride,
                                                     I (&sums)[Rows][3][4]) {
  I acc[Rows][3][4] = {};
  for (int64_t i = 0; i < quads; ++i) {
    __m512i w[4];
    for (int g = 0; g < 4; ++g) w[g] = *reinterpret_cast<const __m512i_u*>(weights + (i * 4 + g) * 64);
    for (int r = 0; r < Rows; ++r)
      for (int d = 0; d < 3; ++d) {
        int32_t four;
        __builtin_memcpy(&four, digits[r] + d * stride + i * 4, sizeof four);
        const auto x = reinterpret_cast<__m512i>(four - I{});
        for (int g = 0; g < 4; ++g)
          acc[r][d][g] = reinterpret_cast<I>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(acc[r][d][g]), x, w[g]));
      }
  }
  __builtin_memcpy(sums, acc, sizeof acc);
}

template <int Rows>
void block_of_bytes(const RecurrentCall& call, int64_t at, const RecurrentRow* rows) {
  const int64_t stride = digit_stride(call.hidden), unit = at * kLanes;
  const uint8_t* digits[Rows];
  for (int r = 0; r < Rows; ++r) digits[r] = rows[r].digits;
  I sums[Rows][3][4];
  products_of_bytes<Rows>(stride / 4, call.bytes + at * byte_panel(call.hidden), digits, stride, sums);
  const auto real = [](I x) { return __builtin_convertvector(x, F); };
  for (int r = 0; r < Rows; ++r) {
    F gates[4];
    for (int g = 0; g < 4; ++g) {
      I offset;
      __builtin_memcpy(&offset, call.offsets + (at * 4 + g) * kLanes, sizeof offset);
      const F middle = fma(real(sums[r][1][g]), set1(256.0f), real(sums[r][0][g]));
      const F sum = fma(real(sums[r][2][g] - offset), set1(65536.0f), middle);
      gates[g] = sum * (load(call.scales + (at * 4 + g) * kLanes) * set1(rows[r].unit));
    }
    Lstm::finish(call, rows[r], unit, call.hidden - unit, gates);
  }
}

void run_of_bytes(const RecurrentCall& call) {
  int64_t row = 0;
  for (; row + 2 <= call.row_count; row += 2)
    for (int64_t at = call.first; at < call.last; ++at) block_of_bytes<2>(call, at, call.rows + row);
  for (; row < call.row_count; ++row)
    for (int64_t at = call.first; at < call.last; ++at) block_of_bytes<1>(call, at, call.rows + row);
}

#else
constexpr auto run_of_bytes = nullptr;
constexpr auto digits_of_state = nullptr;
#endif

/// (1 - update) candidate + update h
GREGALE_INLINE void update_state(const RecurrentRow& row, int64_t unit, int64_t count, F update, F candidate) {
  put(row.y + unit, fma(update, get(row.h + unit, count) - candidate, candidate), count);
}

struct GruResetAfter {
  static constexpr int kGates = 3;  // update, reset, candidate
  GREGALE_INLINE const float* source(const RecurrentRow& row) { return row.h; }
  GREGALE_INLINE void finish(const RecurrentCall& call, const RecurrentRow& row, int64_t unit, int64_t count,
                             const F (&sums)[3]) {
    const auto gate = [&](int i) { return get(row.gates + i * call.hidden + unit, count); };
    const F update = activate(call.activations[0], call.clip, sums[0] + gate(0));
    const F reset = activate(call.activations[0], call.clip, sums[1] + gate(1));
    const F candidate =
        activate(call.activations[1], call.clip, fma(reset, sums[2] + get(call.bias + unit, count), gate(2)));
    update_state(row, unit, count, update, candidate);
  }
};

struct GruGates {
  static constexpr int kGates = 2;
  GREGALE_INLINE const float* source(const RecurrentRow& row) { return row.h; }
  GREGALE_INLINE void finish(const RecurrentCall& call, const RecurrentRow& row, int64_t unit, int64_t count,
                             const F (&sums)[2]) {
    const auto gate = [&](int i) {
      return activate(call.activations[0], call.clip, sums[i] + get(row.gates + i * call.hidden + unit, count));
    };
    store(row.update + unit, gate(0));
    store(row.reset + unit, gate(1) * get(row.h + unit, count));
  }
};

struct GruCandidate {
  static constexpr int kGates = 1;
  GREGALE_INLINE const float* source(const RecurrentRow& row) { return row.reset; }
  GREGALE_INLINE void finish(const RecurrentCall& call, const RecurrentRow& row, int64_t unit, int64_t count,
                             const F (&sums)[1]) {
    const F sum = sums[0] + get(call.bias + unit, count) + get(row.gates + 2 * call.hidden + unit, count);
    update_state(row, unit, count, load(row.update + unit), activate(call.activations[1], call.clip, sum));
  }
};

}  // namespace

extern const RecurrenceTable recurrence_table;
const RecurrenceTable recurrence_table = {kLanes,        run<Rnn>,          run<Lstm>,    run<GruResetAfter>,
                                          run<GruGates>, run<GruCandidate>, run_of_bytes, digits_of_state};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
