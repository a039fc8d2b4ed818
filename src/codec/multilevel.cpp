// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/multilevel.hpp"

#include <cmath>

#include "codec/residuals.hpp"

// The walk over a block. Each level has its points in memory of its own, even and odd ones of a row apart: so all that
// a row of predictions reads is contiguous. Rows have a margin that repeats their ends, so that nothing asks where it
// is.
namespace gregale::codec {
namespace {

constexpr int64_t kLeft = 1, kRight = 2;  // margins of even points: taps reach that far
constexpr std::array<uint8_t, 16> kAnchorKeys{255, 255, 255, 255, 255, 255, 255, 255,
                                              255, 255, 255, 255, 255, 255, 255, 255};

/// Where the points of a level are: the rows of even ones, then those of odd ones.
struct LevelShape {
  BlockExtents extents;
  int64_t even_width, odd_width, even_room, odd_begin, size;

  explicit LevelShape(const BlockExtents& e) : extents(e) {
    even_width = (e[3] + 1) / 2;
    odd_width = e[3] / 2;
    even_room = kLeft + even_width + kRight;
    odd_begin = rows() * even_room;
    size = odd_begin + rows() * odd_width + row_room(even_room) + kRowTile;
  }
  int64_t rows() const { return extents[0] * extents[1] * extents[2]; }
  int64_t row(const std::array<int64_t, 4>& at) const { return (at[0] * extents[1] + at[1]) * extents[2] + at[2]; }
  int64_t even_at(int64_t row) const { return row * even_room + kLeft; }
  int64_t odd_at(int64_t row) const { return odd_begin + row * odd_width; }

  /// Repeats the ends of a row of even points.
  template <class T>
  void margin(T* first) const {
    first[-1] = first[0];
    for (int64_t i = 0; i < kRight; ++i) first[even_width + i] = first[even_width - 1];
  }
  /// Memory for something of every point. What is read beyond the last row has no effect, but is to be something.
  template <class T>
  Buffer<T> room(Workspace& workspace) const {
    auto buffer = workspace.take<T>(static_cast<size_t>(size));
    std::fill(buffer.data() + odd_begin + rows() * odd_width, buffer.end(), T{0});
    return buffer;
  }
};

/// The points of one level: values and the sizes of their residuals.
template <class Int>
struct Level : LevelShape {
  Buffer<Int> values;
  Buffer<uint8_t> sizes;
  Level(const LevelShape& shape, Workspace& workspace)
      : LevelShape(shape), values(room<Int>(workspace)), sizes(room<uint8_t>(workspace)) {}
  void margins(int64_t row) {
    margin(values.data() + even_at(row));
    margin(sizes.data() + even_at(row));
  }
};

/// Which points of a level have data, where some have none; and which rows have any.
struct ValidLevel {
  Buffer<uint8_t> points;
  std::vector<uint8_t> rows;
};

/// A row of a pass: its coordinates in the level, and where in the block its values are.
struct Row {
  std::array<int64_t, 4> at{};
  int64_t index = 0;  ///< LevelShape::row()
  int64_t base = 0, count = 0, step = 0;
};

/// Splits n values into those at even and odd places; gives whether any is not zero.
bool split(const uint8_t* from, int64_t n, uint8_t* __restrict even, uint8_t* __restrict odd) {
  uint8_t any = 0;
  for (int64_t i = 0; i < n / 2; ++i) {
    even[i] = from[2 * i];
    odd[i] = from[2 * i + 1];
    any |= even[i] | odd[i];
  }
  if (n % 2 != 0) any |= even[n / 2] = from[n - 1];
  return any != 0;
}

template <class Int>
class MultilevelWalker {
 public:
  MultilevelWalker(const Lattice& lattice, const Grid& grid, const MultilevelPlan& plan, const uint8_t* valid,
                   const PredictTable& table, Workspace& workspace)
      : lattice_(lattice), grid_(grid), plan_(plan), table_(table), workspace_(workspace) {
    if (valid != nullptr) find_valid(valid);
  }

  /// `coder` says the residuals of rows, in order. Gives the finest level.
  template <class Coder>
  Level<Int> run(Coder&& coder) {
    Level<Int> level = anchors(coder);
    const std::vector<Pass> passes = lattice_.passes();
    int at = lattice_.levels();
    for (size_t p = 0; p < passes.size(); ++p) {
      for (; at > passes[p].level; --at) level = finer(level, at - 1);
      begin(passes[p], plan_.weights[p], level);
      pass(passes[p], level, coder);
    }
    for (; at > 0; --at) level = finer(level, at - 1);
    return level;
  }

 private:
  /// The finest level from the block, each coarser one from the one before.
  void find_valid(const uint8_t* block) {
    LevelShape fine(lattice_.extents);
    valid_.resize(static_cast<size_t>(lattice_.levels()) + 1);
    std::vector<uint8_t> whole(static_cast<size_t>(fine.extents[3]));
    for (size_t l = 0; l < valid_.size(); ++l) {
      const LevelShape shape(lattice_.extents_at(static_cast<int>(l)));
      ValidLevel& to = valid_[l];
      to.points = shape.room<uint8_t>(workspace_);
      to.rows.resize(static_cast<size_t>(shape.rows()));
      std::array<int64_t, 4> at{}, from{};
      for (at[0] = 0; at[0] < shape.extents[0]; ++at[0])
        for (at[1] = 0; at[1] < shape.extents[1]; ++at[1])
          for (at[2] = 0; at[2] < shape.extents[2]; ++at[2]) {
            const int64_t row = shape.row(at);
            const uint8_t* values = block + row * shape.extents[3];
            if (l > 0) {  // where rows are dense, all points of the finer level, else its even ones
              for (size_t d = 0; d < 3; ++d) from[d] = lattice_.dense[d] ? at[d] : 2 * at[d];
              values = valid_[l - 1].points.data() + fine.even_at(fine.row(from));
            }
            uint8_t* even = to.points.data() + shape.even_at(row);
            to.rows[static_cast<size_t>(row)] =
                split(values, shape.extents[3], even, to.points.data() + shape.odd_at(row)) ? 1 : 0;
            shape.margin(even);
          }
      fine = shape;
    }
  }
  const uint8_t* valid_at(int level) const {
    return valid_.empty() ? nullptr : valid_[static_cast<size_t>(level)].points.data();
  }

  /// The points that no pass reaches: one row of one point for every place in the dense dimensions.
  template <class Coder>
  Level<Int> anchors(Coder&& coder) {
    const int top = lattice_.levels();
    Level<Int> level(LevelShape(lattice_.extents_at(top)), workspace_);
    const int64_t quantum = plan_.steps.empty() ? 1 << grid_.fraction_bits : plan_.steps.back();
    const uint8_t* valid = valid_at(top);
    Int last = 0;
    for_each_row(top, {0, 0, 0, 0}, {1, 1, 1, 1}, 0, level, [&](const Row& row) {
      const int64_t place = level.even_at(row.index);
      if (valid == nullptr || valid[place] != 0) {
        const int64_t k = coder.anchor(row.base, last, quantum);
        last = sum(last, k, quantum);
      }
      level.values[static_cast<size_t>(place)] = last;
      level.sizes[static_cast<size_t>(place)] = 0;
      level.margins(row.index);
    });
    return level;
  }

  /// The next finer level, with the points of this one in their places.
  Level<Int> finer(const Level<Int>& from, int to) const {
    Level<Int> level(LevelShape(lattice_.extents_at(to)), workspace_);
    std::array<int64_t, 4> at{}, fine{};
    for (at[0] = 0; at[0] < from.extents[0]; ++at[0])
      for (at[1] = 0; at[1] < from.extents[1]; ++at[1])
        for (at[2] = 0; at[2] < from.extents[2]; ++at[2]) {
          for (size_t d = 0; d < 3; ++d) fine[d] = lattice_.dense[d] ? at[d] : 2 * at[d];
          const int64_t src = from.row(at), dst = level.row(fine), even = from.even_at(src), odd = from.odd_at(src);
          Int* values = level.values.data() + level.even_at(dst);
          if constexpr (sizeof(Int) == 4) {
            table_.interleave_i32(from.values.data() + even, from.values.data() + odd, from.extents[3], values);
          } else {
            for (int64_t i = 0; i < from.extents[3]; ++i)
              values[i] = from.values[static_cast<size_t>((i % 2 == 0 ? even : odd) + i / 2)];
          }
          table_.interleave_u8(from.sizes.data() + even, from.sizes.data() + odd, from.extents[3],
                               level.sizes.data() + level.even_at(dst));
          level.margins(dst);
        }
    return level;
  }

  template <class Body>
  void for_each_row(int at_level, const std::array<int64_t, 4>& start, const std::array<int64_t, 4>& step, int64_t odd,
                    const LevelShape& shape, Body&& body) const {
    Row row;
    std::array<int64_t, 4> stride;
    for (size_t d = 0; d < 4; ++d) stride[d] = lattice_.stride(at_level, d);
    row.count = odd != 0 ? shape.odd_width : shape.even_width;
    row.step = 2 * stride[3];
    auto& at = row.at;
    for (at[0] = start[0]; at[0] < shape.extents[0]; at[0] += step[0])
      for (at[1] = start[1]; at[1] < shape.extents[1]; at[1] += step[1])
        for (at[2] = start[2]; at[2] < shape.extents[2]; at[2] += step[2]) {
          row.index = shape.row(at);
          row.base = at[0] * stride[0] + at[1] * stride[1] + at[2] * stride[2] + odd * stride[3];
          body(row);
        }
  }

  /// Where the taps of a pass are, of every row: from its first even or odd point, a sum of what each coordinate adds.
  void begin(const Pass& pass, const std::vector<int32_t>& weights, const LevelShape& shape) {
    GREGALE_ASSERT(pass.taps.size() <= kMostTaps);
    used_.clear();
    for (size_t t = 0; t < pass.taps.size(); ++t)
      if (weights[t] != 0 || pass.taps[t].weight != 0) used_.push_back(t);
    taps_ = used_.size();
    active_ = 0;
    causal_.clear();
    uint32_t total = 0;
    const std::array<int64_t, 3> rows{shape.extents[1] * shape.extents[2], shape.extents[2], 1};
    for (size_t d = 0; d < 3; ++d) offsets_[d].resize(static_cast<size_t>(shape.extents[d]) * taps_);
    for (size_t t = 0; t < taps_; ++t) {
      const Tap& tap = pass.taps[used_[t]];
      weights_[t] = static_cast<Int>(weights[used_[t]]);
      if (tap.weight != 0) {
        active_taps_[active_] = t;
        activity_[active_++] = tap.weight;
      }
      total += tap.weight;
      among_odd_[t] = pass.dimension == 3 && tap.causal;
      const int64_t room = among_odd_[t] ? shape.odd_width : shape.even_room;
      for (size_t d = 0; d < 3; ++d)
        for (int64_t c = 0; c < shape.extents[d]; ++c)
          offsets_[d][static_cast<size_t>(c) * taps_ + t] =
              Lattice::resolve(pass, tap, d, c, shape.extents[d]) * rows[d] * room +
              (d == 0 && !among_odd_[t] ? aside(tap.offset[3], pass.dimension == 3) : 0);
      if (tap.causal) {
        size_t d = 0;
        while (tap.offset[d] == 0) ++d;
        // Without a row before, the neighbour before along the pass's dimension stands in.
        const int64_t back = pass.dimension == 3 ? 0 : rows[static_cast<size_t>(pass.dimension)] * shape.even_room;
        causal_.push_back({t, d, -tap.offset[d], back});
      }
    }
    scale_ = 4 * 256 / std::max(total, 1U);
    // The three finest levels are told apart, and the pass in its level.
    base_ = static_cast<uint8_t>((std::min(pass.level, 2) * 4 + pass.place) * kActivities);
  }

  template <class Coder>
  void pass(const Pass& pass, Level<Int>& level, Coder&& coder) {
    const bool odd = pass.dimension == 3;
    const int32_t quantum = plan_.steps[static_cast<size_t>(pass.level)];
    const uint8_t* valid = valid_at(pass.level);
    const auto room = static_cast<size_t>(row_room(level.even_width));
    predicted_.resize(std::max(predicted_.size(), room));
    residuals_.resize(predicted_.size());
    for_each_row(pass.level, pass.start, pass.step, odd ? 1 : 0, level, [&](const Row& row) {
      const int64_t to = odd ? level.odd_at(row.index) : level.even_at(row.index);
      Int* values = level.values.data() + to;
      uint8_t* sizes = level.sizes.data() + to;
      if (valid != nullptr && valid_[static_cast<size_t>(pass.level)].rows[static_cast<size_t>(row.index)] == 0) {
        const int64_t around = odd ? 0 : 1;  // no margin is missing
        std::fill(sizes - around * kLeft, sizes + row.count + around * kRight, uint8_t{0});
        std::fill(values - around * kLeft, values + row.count + around * kRight, Int{0});
        return;
      }
      const uint8_t* self = valid == nullptr ? nullptr : valid + to;
      uint8_t* keys = coder.keys(row.count);
      predict(level, row, valid, self, keys);
      coder.row(row, quantum, self, predicted_.data(), residuals_.data());
      if constexpr (sizeof(Int) == 4) {
        table_.apply_i32(predicted_.data(), residuals_.data(), quantum, row.count, values, sizes);
      } else {
        for (int64_t i = 0; i < row.count; ++i) {
          const int64_t k = residuals_[static_cast<size_t>(i)];
          const uint64_t size = k < 0 ? 0 - static_cast<uint64_t>(k) : static_cast<uint64_t>(k);
          values[i] = sum(predicted_[static_cast<size_t>(i)], k, quantum);
          sizes[i] = static_cast<uint8_t>(std::min<uint64_t>(size, kGreatestSize));
        }
      }
      if (!odd) level.margins(row.index);
      int64_t valued = row.count - 1;
      while (self != nullptr && valued >= 0 && self[valued] == 0) --valued;
      if (valued >= 0) last_ = values[valued];
    });
  }

  void predict(const Level<Int>& level, const Row& row, const uint8_t* valid, const uint8_t* self, uint8_t* keys) {
    std::array<int64_t, kMostTaps> places, active;
    const int64_t even = level.even_at(row.index), odd = level.odd_at(row.index);
    std::array<const int64_t*, 3> offsets;
    for (size_t d = 0; d < 3; ++d) offsets[d] = offsets_[d].data() + static_cast<size_t>(row.at[d]) * taps_;
    for (size_t t = 0; t < taps_; ++t)
      places[t] = (among_odd_[t] ? odd : even) + offsets[0][t] + offsets[1][t] + offsets[2][t];
    for (const Causal& c : causal_)
      if (row.at[c.dimension] < c.reach) places[c.tap] = even - c.back;
    for (size_t a = 0; a < active_; ++a) active[a] = places[active_taps_[a]];
    const auto least = static_cast<Int>(grid_.least), greatest = static_cast<Int>(grid_.greatest);
    const int taps = static_cast<int>(taps_);
    const Int* values = level.values.data();
    Int* dst = predicted_.data();
    if constexpr (sizeof(Int) == 4) {
      if (valid == nullptr)
        table_.predict_i32(values, places.data(), weights_.data(), taps, row.count, least, greatest, dst);
      else
        table_.predict_among_i32(values, valid, places.data(), self, weights_.data(), taps, row.count, least, greatest,
                                 last_, dst);
    } else {
      if (valid == nullptr)
        table_.predict_i64(values, places.data(), weights_.data(), taps, row.count, least, greatest, dst);
      else
        table_.predict_among_i64(values, valid, places.data(), self, weights_.data(), taps, row.count, least, greatest,
                                 last_, dst);
    }
    table_.keys(level.sizes.data(), active.data(), activity_.data(), static_cast<int>(active_), row.count, scale_,
                base_, keys);
  }

  /// Odd points are between even ones: -1 is the even point of the same number. Even ones are two apart.
  static int64_t aside(int64_t along, bool odd) { return odd ? (along + 1) / 2 : along / 2; }

  static Int sum(Int value, int64_t k, int64_t quantum) {
    using Unsigned = std::make_unsigned_t<Int>;
    return static_cast<Int>(static_cast<Unsigned>(value) + static_cast<Unsigned>(k) * static_cast<Unsigned>(quantum));
  }

  struct Causal {
    size_t tap, dimension;
    int64_t reach;  ///< rows below this coordinate have none before
    int64_t back;   ///< to what stands in, from the row's first even point
  };

  const Lattice& lattice_;
  const Grid& grid_;
  const MultilevelPlan& plan_;
  const PredictTable& table_;
  Workspace& workspace_;
  std::vector<ValidLevel> valid_;  ///< by level; empty where all points have data
  std::vector<size_t> used_;       ///< taps with a weight of either kind
  size_t taps_ = 0, active_ = 0;
  std::array<Int, kMostTaps> weights_{};
  std::array<bool, kMostTaps> among_odd_{};
  std::array<size_t, kMostTaps> active_taps_{};  ///< those with a weight for the activity
  std::array<uint8_t, kMostTaps> activity_{};
  std::array<std::vector<int64_t>, 3> offsets_;  ///< by dimension: coordinate, tap
  std::vector<Causal> causal_;
  uint32_t scale_ = 0;
  uint8_t base_ = 0;
  Int last_ = 0;  ///< value of the row before: what a point without neighbours is predicted to be
  std::vector<Int> predicted_, residuals_;
};

template <class T, class Int>
struct MultilevelEncoding {
  const BlockInput<T>& in;
  const Grid& grid;
  const PredictTable& table;
  ResidualEncoder residuals;

  double scaled(int64_t place) const { return (static_cast<double>(in.values[place]) - grid.offset) / grid.unit; }
  int64_t anchor(int64_t place, Int predicted, int64_t quantum) {
    const double left = scaled(place) - static_cast<double>(predicted);
    const auto k = static_cast<int64_t>(std::nearbyint(left / static_cast<double>(quantum)));
    std::array<int64_t, 16> row{k};
    std::copy(kAnchorKeys.begin(), kAnchorKeys.end(), residuals.keys(1));
    residuals.add(row.data(), 1, nullptr);
    return k;
  }
  uint8_t* keys(int64_t count) { return residuals.keys(count); }
  void row(const Row& row, int32_t quantum, const uint8_t* valid, const Int* predicted, Int* k) {
    const double inverse = 1.0 / quantum;
    if constexpr (std::is_same_v<T, float> && sizeof(Int) == 4) {
      table.quantize_f32(in.values + row.base, row.step, row.count, grid.offset, 1 / grid.unit, predicted, inverse, k);
    } else {
      for (int64_t i = 0; i < row.count; ++i)
        k[i] = static_cast<Int>(
            std::nearbyint((scaled(row.base + i * row.step) - static_cast<double>(predicted[i])) * inverse));
    }
    residuals.add(k, row.count, valid);
  }
};

template <class Int>
struct MultilevelDecoding {
  ResidualDecoder residuals;
  std::vector<uint8_t> row_keys = {};

  int64_t anchor(int64_t, Int, int64_t) {
    std::array<int64_t, 16> row;
    residuals.next(row.data(), kAnchorKeys.data(), 1, nullptr);
    return row[0];
  }
  uint8_t* keys(int64_t count) {
    const auto room = static_cast<size_t>(row_room(count));
    if (row_keys.size() < room) row_keys.resize(room);
    return row_keys.data();
  }
  void row(const Row& row, int32_t, const uint8_t* valid, const Int*, Int* k) {
    residuals.next(k, row_keys.data(), row.count, valid);
  }
};

}  // namespace

bool is_narrow(const Grid& grid) {  // weights add up to at most 4 in size
  constexpr int64_t kMost = int64_t{1} << (31 - kWeightBits - 3);
  return -grid.least < kMost && grid.greatest < kMost;
}

template <class T>
bool make_grid(double least, double greatest, double bound, Grid& grid) {
  constexpr bool kSingle = sizeof(T) == 4;
  const double far = std::max(std::abs(least), std::abs(greatest));
  // Half a unit in the last place of what is given back, and what the conversion to integers may lose.
  const double lost = far * (kSingle ? 0x1p-24 : 0x1p-51) + (kSingle ? 0x1p-149 : 0x1p-1073);
  const double half = bound * (1 - 1e-7) - lost;
  if (!(half > bound / 2) || !std::isfinite(greatest - least)) return false;
  grid.offset = least / 2 + greatest / 2;
  for (grid.fraction_bits = 4; grid.fraction_bits >= 2; --grid.fraction_bits) {
    grid.unit = 2 * half / static_cast<double>(1 << grid.fraction_bits);
    const double reach = (greatest - least) / grid.unit / 2 + 1;
    if (!(reach < 0x1p46) || !(grid.unit > 0) || !std::isfinite(grid.unit)) return false;
    grid.greatest = static_cast<int64_t>(std::ceil(reach));
    grid.least = -grid.greatest;
    if (is_narrow(grid)) break;
  }
  grid.fraction_bits = std::max(grid.fraction_bits, 2);
  return true;
}

template <class T>
void encode_multilevel(const BlockInput<T>& in, const Grid& grid, const MultilevelPlan& plan, Isa isa,
                       ByteWriter& out) {
  const Lattice lattice(in.extents, plan.order);
  out.varint(plan.order.size());
  for (const int d : plan.order) out.number(static_cast<uint8_t>(d));
  for (const int32_t s : plan.steps) out.varint(static_cast<uint64_t>(s));
  for (const auto& weights : plan.weights)
    for (const int32_t w : weights) out.number(static_cast<int16_t>(w));
  const PredictTable& table = predict_table(isa);
  const auto count = static_cast<size_t>(count_of(in.extents));
  const auto run = [&]<class Int>(Int) {
    MultilevelEncoding<T, Int> encoding{in, grid, table, ResidualEncoder(count, isa, *in.workspace)};
    MultilevelWalker<Int>(lattice, grid, plan, in.valid, table, *in.workspace).run(encoding);
    encoding.residuals.finish(out);
  };
  if (is_narrow(grid))
    run(int32_t{});
  else
    run(int64_t{});
}

template <class T>
void decode_multilevel(ByteReader& in, const BlockOutput<T>& out, const Grid& grid, Isa isa) {
  MultilevelPlan plan;
  plan.order.resize(in.varint_to(4, "more than four dimensions"));
  std::array<bool, 4> there{};
  for (int& d : plan.order) {
    d = in.number<uint8_t>();
    if (d > 3 || there[static_cast<size_t>(d)]) in.fail("no such order of dimensions");
    there[static_cast<size_t>(d)] = true;
  }
  if (plan.order.empty() || plan.order.back() != 3) in.fail("no such order of dimensions");
  const Lattice lattice(out.extents, plan.order);
  plan.steps.resize(static_cast<size_t>(lattice.levels()));
  for (int32_t& s : plan.steps) s = static_cast<int32_t>(in.varint_to(1 << 16, "a step that cannot be"));
  for (const Pass& pass : lattice.passes()) {
    plan.weights.emplace_back(pass.taps.size());
    for (int32_t& w : plan.weights.back()) w = in.number<int16_t>();
  }
  const PredictTable& table = predict_table(isa);
  const auto run = [&]<class Int>(Int) {
    MultilevelDecoding<Int> decoding{ResidualDecoder(in, isa, *out.workspace)};
    const Level<Int> level = MultilevelWalker<Int>(lattice, grid, plan, out.valid, table, *out.workspace).run(decoding);
    decoding.residuals.finish();
    const int64_t rows = out.extents[0] * out.extents[1] * out.extents[2], n = out.extents[3];
    for (int64_t r = 0; r < rows; ++r) {
      const Int* even = level.values.data() + level.even_at(r);
      const Int* odd = level.values.data() + level.odd_at(r);
      T* values = out.values + r * n;
      if constexpr (std::is_same_v<T, float> && sizeof(Int) == 4) {
        table.restore_f32(even, odd, n, grid.offset, grid.unit, values);
      } else {
        for (int64_t i = 0; i < n; ++i)
          values[i] =
              static_cast<T>(grid.offset + static_cast<double>(i % 2 == 0 ? even[i / 2] : odd[i / 2]) * grid.unit);
      }
    }
  };
  if (is_narrow(grid))
    run(int32_t{});
  else
    run(int64_t{});
}

template bool make_grid<float>(double, double, double, Grid&);
template bool make_grid<double>(double, double, double, Grid&);
template void encode_multilevel(const BlockInput<float>&, const Grid&, const MultilevelPlan&, Isa, ByteWriter&);
template void encode_multilevel(const BlockInput<double>&, const Grid&, const MultilevelPlan&, Isa, ByteWriter&);
template void decode_multilevel(ByteReader&, const BlockOutput<float>&, const Grid&, Isa);
template void decode_multilevel(ByteReader&, const BlockOutput<double>&, const Grid&, Isa);

}  // namespace gregale::codec
