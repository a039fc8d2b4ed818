// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "gregale/error.hpp"
#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/expression/expression_kernel.hpp"
#include "kernels/fft/fft.hpp"
#include "kernels/layout/tile_layout.hpp"
#include "tile/schedule.hpp"

/// What one fused group of operators becomes: loops over calls of tile primitives. It is plain data, free of function
/// pointers, so that it prints, parses, can be costed in closed form (tile/ledger.hpp) and could be emitted as C.
///
/// A program runs its *phases* one after another. A phase is a loop nest whose tasks run in parallel
/// (tile/schedule.hpp has the schedule strings); in each step of it, its *stages* run one after another, each with
/// loops of its own over what the phase's loops leave open, and the stage's *calls* inside. So intermediate results of
/// a step live in *panels*, memory of one thread that stays in its cache, and never travel.
///
///     program "mlp" {
///       dim a "rows" 16200 step 64
///       dim b "hidden" 3072 step 64
///       argument x f32 12441600
///       panel h f32 196608
///       ...
///       phase "A" {
///         stage "b" {
///           contract f32 m=a n=b k=768 (x a*768 /768, w1 b*768 /64, h b /3072, b1 b :row) {out0 = ...}
///         }
///       }
///     }
namespace gregale::tile {

/// A named loop dimension: its extent, and the steps of the loops over it, outermost first, each a multiple of the
/// next. A stage need not have them all.
struct Dim {
  std::string name;
  int64_t extent = 0;
  std::vector<int64_t> steps;
  bool reduction = false;  ///< summed over: never parallel, in ascending order
  bool operator==(const Dim&) const = default;
};

/// Where a buffer lives, which says whose bytes it costs.
enum class Scope : uint8_t {
  argument,  ///< the caller's memory: operands and results, numbered in the order of their declaration
  memory,    ///< scratch that all threads see, filled by one phase and read by later ones
  panel,     ///< scratch of one thread, meant to stay in its cache
};
const char* to_string(Scope scope);

struct Buffer {
  std::string name;
  Scope scope = Scope::argument;
  DType dtype = DType::f32;
  int64_t elements = 0;
  bool operator==(const Buffer&) const = default;
};

/// The part of a buffer that a call works on begins at offset + sum over dims of stride * where the loops stand, and
/// has `leading` elements from row to row. The offset is negative where a stage's range begins beyond it. In panels,
/// loops count from where the phase's loops stand, so that a step of the phase finds its data at the panel's beginning.
struct Operand {
  int32_t buffer = 0;
  int64_t offset = 0;
  std::vector<int64_t> strides;  ///< a dim each, elements; missing ones are 0
  int64_t leading = 0;
  kernels::Broadcast broadcast = kernels::Broadcast::none;  ///< of expressions and epilogues
  /// Strides count the steps of the phase's loops, not what they cover: a place for every step, as partial sums have.
  bool by_step = false;
  int64_t stride(int dim) const {
    return dim < static_cast<int>(strides.size()) ? strides[static_cast<size_t>(dim)] : 0;
  }
  bool operator==(const Operand&) const = default;
};

/// An extent of a call: what the loops over a dim give, or a constant.
struct Size {
  int64_t constant = 0;
  int32_t dim = -1;
  static Size of(int64_t value) { return {value, -1}; }
  static Size along(int dim) { return {0, dim}; }
  bool operator==(const Size&) const = default;
};

/// A condition on where the loops stand.
struct When {
  enum class Kind : uint8_t { always, first, last } kind = Kind::always;
  int32_t dim = -1;  ///< the first or last step of the stage's loops over it
  bool operator==(const When&) const = default;
};

/// c[m, n] (+)= epilogue(a[m, k] b[k, n]). Operands: a, b, c, then the epilogue's inputs from 1 on.
struct Contract {
  Size m, n, k;
  kernels::Compute compute = kernels::Compute::f32;
  /// Of b. In panels16x3 the three parts of a panel follow each other: from one to the next is a third of `leading`.
  kernels::Packing packing = kernels::Packing::plain;
  bool trans_a = false, trans_b = false;
  /// Products summed in one call: a nest of strides, the last one innermost; none: one product.
  struct Batch {
    int64_t count = 1, a_stride = 0, b_stride = 0;
    bool operator==(const Batch&) const = default;
  };
  std::vector<Batch> batch;
  /// The dim whose steps are summed over calls (none: -1): the first step begins a sum, the others add to c.
  int32_t sum = -1;
  bool accumulate = false;       ///< add to c in the first step, too
  bool own_chain = true;         ///< each step's products are summed before c is added
  kernels::Expression epilogue;  ///< of complete sums: where there are several steps, in the last, and c is f32
  bool operator==(const Contract&) const = default;
};

/// Where in a and b each of the products begins, in the order they are summed.
std::vector<std::pair<int64_t, int64_t>> offsets_of(const Contract& contract);

/// An elementwise or reducing expression. Operands: inputs, then outputs.
struct Express {
  Size m, n;
  DType compute = DType::f32;
  kernels::Expression expression;
  bool operator==(const Express&) const = default;
};

/// A copy, transpose or packing. Operands: source, destination. For packings, m is the contraction's k.
struct Move {
  Size m, n;
  kernels::LayoutOp op = kernels::LayoutOp::copy;
  bool trans = false;
  int64_t width = 0;    ///< column_panels
  bool stream = false;  ///< the destination is larger than the caches
  bool operator==(const Move&) const = default;
};

/// A copy of what a band of a convolution's output pixels sees of a channels-last image, with zeros where there is no
/// image: dst [blocks][band_rows][band_columns][depth], channels in blocks. Operands: source, destination. The source
/// moves with the band's pixels as the window does and has `leading` elements from pixel to pixel; its offset is that
/// of the first pixel without padding.
struct Window {
  Size rows, columns;  ///< of output pixels, along the dims that say where in the image they are
  int64_t h = 0, w = 0, channels = 0;
  int64_t stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0;
  int64_t reach_h = 1, reach_w = 1;  ///< image rows and columns that one output pixel sees, those between taps included
  int64_t band_rows = 0, band_columns = 0, depth = 0, blocks = 1;
  /// Of a volume [d, h, w, channels]: the dim of output slices, of which slice i sees slice i stride_d + shift_d; zeros
  /// where there is none.
  Size slices;
  int64_t d = 1, stride_d = 1, shift_d = 0;
  bool operator==(const Window&) const = default;
  bool has_slice(int64_t slice) const { return slice >= 0 && slice < d; }
  /// The part of the band that n output pixels from `begin` on fill, and what of it is image.
  struct Span {
    int64_t size = 0, first = 0, last = 0;
  };
  Span rows_of(int64_t begin, int64_t n) const { return span(begin * stride_h - pad_top, n, stride_h, reach_h, h); }
  Span columns_of(int64_t begin, int64_t n) const { return span(begin * stride_w - pad_left, n, stride_w, reach_w, w); }

 private:
  static Span span(int64_t begin, int64_t n, int64_t stride, int64_t reach, int64_t extent) {
    const int64_t size = n > 0 ? (n - 1) * stride + reach : 0;
    const int64_t first = std::clamp<int64_t>(-begin, 0, size);
    return {size, first, std::clamp<int64_t>(extent - begin, first, size)};
  }
};

/// Fourier transforms down the columns of complex numbers in parts (kernels/fft/fft.hpp): `length` rows, or length / 2
/// + 1 of them where they are modes of real numbers; 2 `columns` floats a row, or `columns` where they are real.
/// Operands: source, destination, in f32.
struct Transform {
  int64_t length = 0, columns = 0;
  kernels::FftKind kind = kernels::FftKind::forward;
  double scale = 1;
  bool operator==(const Transform&) const = default;
};

struct Call {
  std::variant<Contract, Express, Move, Window, Transform> what;
  std::vector<Operand> operands;
  When when;
  bool operator==(const Call&) const = default;
};

/// Part of a dim.
struct Range {
  int32_t dim = 0;
  int64_t begin = 0, end = 0;
  bool operator==(const Range&) const = default;
};

struct Stage {
  std::string loops;  ///< letters of dims, outermost first; sequential
  std::vector<Call> calls;
  /// The box the stage works on: each step of the phase is cut to it, and left out where they do not meet; the stage's
  /// loops begin at the range's beginning. So stages over slightly different extents share the phase's loops.
  std::vector<Range> box;
  bool operator==(const Stage&) const = default;
};

struct Phase {
  std::string schedule;
  std::vector<Stage> stages;
  bool operator==(const Phase&) const = default;
};

inline constexpr int kMaxBuffers = 64;
inline constexpr int kMaxOperands = 24;  ///< of a call

struct TileProgram {
  std::string name;
  std::vector<Dim> dims;
  std::vector<Buffer> buffers;
  std::vector<Phase> phases;
  bool operator==(const TileProgram&) const = default;

  // Builders' helpers; each returns the number of what it adds.
  int32_t add_dim(std::string dim_name, int64_t extent, std::vector<int64_t> steps, bool reduction = false);
  int32_t add_buffer(std::string buffer_name, Scope scope, DType dtype, int64_t elements);
  char letter(int32_t dim) const { return static_cast<char>('a' + dim); }
};

/// The text form above; parse_program reads exactly what print writes (and any white space).
std::string print(const TileProgram& program);
/// Throws ErrorCode::corrupt_data with the line of what is wrong; what it returns is verified.
TileProgram parse_program(const std::string& text);
/// Throws ErrorCode::invalid_argument for what cannot run: undeclared dims and buffers, loops without steps, accesses
/// beyond a buffer, a shared buffer written by tasks of which another writes or reads the same place.
void verify(const TileProgram& program);

/// What a call reads or writes of an operand: rectangles of a buffer.
struct Access {
  int32_t buffer = 0;
  int32_t operand = 0;            ///< of the call
  int64_t begin = 0;              ///< element
  int64_t rows = 1, columns = 1;  ///< elements of a row that follow each other
  int64_t leading = 0;            ///< elements from row to row
  bool write = false, read = true;
};
/// Every access of a call with these sizes at these positions, in the order of its operands.
struct CallSizes {
  int64_t m = 0, n = 0, k = 0;
  int64_t row = 0, column = 0;  ///< of a window: its first output pixel
  int64_t slice = 0;            ///< of a window: the slice of the volume that it sees, which may not be there
};
void accesses_of(const Call& call, const CallSizes& sizes, bool first_step, std::vector<Access>& accesses);
/// The call's extents where the loops stand at `at`.
CallSizes sizes_of(const Call& call, const LoopIndex& at);
/// Cuts where the phase's loops stand to a stage's ranges; false where nothing is left.
bool cut_to_box(const Stage& stage, LoopIndex& at);

/// Runs the program as it is written: loops in order, one call after another with the reference kernels, every tile of
/// any size by the same code. The oracle of the executor. `arguments` are the argument buffers in order.
void interpret(const TileProgram& program, const std::vector<void*>& arguments);

/// Visits every call in the order of a sequential run: f(phase, stage, call, at): `at` has where the loops stand and
/// how far they reach (a dim each), `outer` those of the phase's loops.
using Visit = std::function<void(const Phase&, const Stage&, const Call&, const LoopIndex& at, const LoopIndex& outer)>;
void walk(const TileProgram& program, const Visit& visit);

}  // namespace gregale::tile
