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

/// The points of one level: values and the sizes of their residuals.
template <class Int>
struct Level {
  BlockExtents extents;
  int64_t even_width, odd_width, even_room, odd_room;
  std::vector<Int> even, odd;
  std::vector<uint8_t> even_sizes, odd_sizes;
  std::vector<uint8_t> even_valid, odd_valid, rows_valid;  ///< where some are not; of rows: whether any is

  Level(const BlockExtents& e, bool all_valid) : extents(e) {
    even_width = (e[3] + 1) / 2;
    odd_width = e[3] / 2;
    even_room = kLeft + even_width + kRight;
    odd_room = odd_width;
    const int64_t rows = e[0] * e[1] * e[2];
    const auto size = [&](int64_t room) { return static_cast<size_t>(rows * room + row_room(room) + kRowTile); };
    even.resize(size(even_room));
    even_sizes.resize(even.size());
    odd.resize(size(odd_room));
    odd_sizes.resize(odd.size());
    if (all_valid) return;
    even_valid.resize(even.size());
    odd_valid.resize(odd.size());
    rows_valid.resize(static_cast<size_t>(rows));
  }
  int64_t row(const std::array<int64_t, 4>& at) const { return (at[0] * extents[1] + at[1]) * extents[2] + at[2]; }
  int64_t even_at(int64_t row) const { return row * even_room + kLeft; }
  int64_t odd_at(int64_t row) const { return row * odd_room; }

  /// Repeats the ends of a row of even points.
  void margin(int64_t row) {
    const auto fill = [&](auto* first) {
      first[-1] = first[0];
      for (int64_t i = 0; i < kRight; ++i) first[even_width + i] = first[even_width - 1];
    };
    fill(even.data() + even_at(row));
    fill(even_sizes.data() + even_at(row));
    if (!even_valid.empty()) fill(even_valid.data() + even_at(row));
  }
};

/// A row of a pass: its coordinates in the level, and where in the block its values are.
struct Row {
  std::array<int64_t, 4> at{};
  int64_t index = 0;  ///< of Level::row()
  int64_t base = 0, count = 0, step = 0;
};

template <class Int>
class Walker {
 public:
  Walker(const Lattice& lattice, const Grid& grid, const MultilevelPlan& plan, const uint8_t* valid,
         const PredictTable& table)
      : lattice_(lattice), grid_(grid), plan_(plan), valid_(valid), table_(table) {}

  /// `coder` says the residuals of rows, in order. Gives the finest level.
  template <class Coder>
  Level<Int> run(Coder&& coder) {
    Level<Int> level = anchors(coder);
    const std::vector<Pass> passes = lattice_.passes();
    int at = lattice_.levels();
    for (size_t p = 0; p < passes.size(); ++p) {
      for (; at > passes[p].level; --at) level = finer(level, at - 1);
      begin(passes[p], plan_.weights[p]);
      pass(passes[p], level, coder);
    }
    for (; at > 0; --at) level = finer(level, at - 1);
    return level;
  }

 private:
  /// The points that no pass reaches: one row of one point for every place in the dense dimensions.
  template <class Coder>
  Level<Int> anchors(Coder&& coder) {
    const int top = lattice_.levels();
    Level<Int> level = level_at(top);
    const int64_t quantum = plan_.steps.empty() ? 1 << grid_.fraction_bits : plan_.steps.back();
    Int last = 0;
    for_each_row(top, {0, 0, 0, 0}, {1, 1, 1, 1}, 0, level, [&](const Row& row) {
      Int& value = level.even[static_cast<size_t>(level.even_at(row.index))];
      value = last;
      if (valid_ == nullptr || valid_[row.base] != 0) {
        const int64_t k = coder.anchor(row.base, last, quantum);
        last = value = sum(last, k, quantum);
      }
      level.margin(row.index);
    });
    return level;
  }

  Level<Int> level_at(int at) const {
    Level<Int> level(lattice_.extents_at(at), valid_ == nullptr);
    if (valid_ == nullptr) return level;
    for (const int64_t odd : {0, 1})
      for_each_row(at, {0, 0, 0, 0}, {1, 1, 1, 1}, odd, level, [&](const Row& row) {
        uint8_t* to = odd != 0 ? level.odd_valid.data() + level.odd_at(row.index)
                               : level.even_valid.data() + level.even_at(row.index);
        uint8_t any = 0;
        for (int64_t i = 0; i < row.count; ++i) any |= to[i] = valid_[row.base + i * row.step] != 0 ? 1 : 0;
        level.rows_valid[static_cast<size_t>(row.index)] |= any;
        if (odd == 0) level.margin(row.index);
      });
    return level;
  }

  /// The next finer level, with the points of this one in their places.
  Level<Int> finer(const Level<Int>& from, int to) const {
    Level<Int> level = level_at(to);
    std::array<int64_t, 4> at{}, fine{};
    for (at[0] = 0; at[0] < from.extents[0]; ++at[0])
      for (at[1] = 0; at[1] < from.extents[1]; ++at[1])
        for (at[2] = 0; at[2] < from.extents[2]; ++at[2]) {
          for (size_t d = 0; d < 3; ++d) fine[d] = lattice_.dense[d] ? at[d] : 2 * at[d];
          const int64_t src = from.row(at), dst = level.row(fine), even = from.even_at(src), odd = from.odd_at(src);
          Int* values = level.even.data() + level.even_at(dst);
          if constexpr (sizeof(Int) == 4) {
            table_.interleave_i32(from.even.data() + even, from.odd.data() + odd, from.extents[3], values);
          } else {
            for (int64_t i = 0; i < from.extents[3]; ++i)
              values[i] = i % 2 == 0 ? from.even[static_cast<size_t>(even + i / 2)]
                                     : from.odd[static_cast<size_t>(odd + i / 2)];
          }
          table_.interleave_u8(from.even_sizes.data() + even, from.odd_sizes.data() + odd, from.extents[3],
                               level.even_sizes.data() + level.even_at(dst));
          level.margin(dst);
        }
    return level;
  }

  template <class Body>
  void for_each_row(int at_level, const std::array<int64_t, 4>& start, const std::array<int64_t, 4>& step, int64_t odd,
                    const Level<Int>& level, Body&& body) const {
    Row row;
    std::array<int64_t, 4> stride;
    for (size_t d = 0; d < 4; ++d) stride[d] = lattice_.stride(at_level, d);
    row.count = odd != 0 ? level.odd_width : level.even_width;
    row.step = 2 * stride[3];
    auto& at = row.at;
    for (at[0] = start[0]; at[0] < level.extents[0]; at[0] += step[0])
      for (at[1] = start[1]; at[1] < level.extents[1]; at[1] += step[1])
        for (at[2] = start[2]; at[2] < level.extents[2]; at[2] += step[2]) {
          row.index = level.row(at);
          row.base = at[0] * stride[0] + at[1] * stride[1] + at[2] * stride[2] + odd * stride[3];
          body(row);
        }
  }

  void begin(const Pass& pass, const std::vector<int32_t>& weights) {
    uint32_t total = 0;
    tap_count_ = pass.taps.size();
    GREGALE_ASSERT(tap_count_ <= kMostTaps);
    for (size_t t = 0; t < tap_count_; ++t) {
      weights_[t] = static_cast<Int>(weights[t]);
      activity_[t] = pass.taps[t].weight;
      total += pass.taps[t].weight;
    }
    scale_ = 4 * 256 / std::max(total, 1U);
    // Where the taps of inner rows are, from a row's first even or odd point.
    const BlockExtents extents = lattice_.extents_at(pass.level);
    const int64_t even_room = kLeft + (extents[3] + 1) / 2 + kRight, odd_room = extents[3] / 2;
    for (size_t d = 0; d < 3; ++d) {
      inner_begin_[d] = 0;
      inner_end_[d] = extents[d];
    }
    for (size_t t = 0; t < tap_count_; ++t) {
      const auto& o = pass.taps[t].offset;
      for (size_t d = 0; d < 3; ++d) {
        inner_begin_[d] = std::max(inner_begin_[d], -o[d]);
        inner_end_[d] = std::min(inner_end_[d], extents[d] - o[d]);
      }
      const int64_t rows = (o[0] * extents[1] + o[1]) * extents[2] + o[2];
      among_odd_[t] = pass.dimension == 3 && pass.taps[t].causal;
      inner_[t] = among_odd_[t] ? rows * odd_room : rows * even_room + aside(o[3], pass.dimension == 3);
    }
    // The three finest levels are told apart, and the pass in its level.
    base_ = static_cast<uint8_t>((std::min(pass.level, 2) * 4 + pass.place) * kActivities);
  }

  template <class Coder>
  void pass(const Pass& pass, Level<Int>& level, Coder&& coder) {
    const bool odd = pass.dimension == 3;
    const int32_t quantum = plan_.steps[static_cast<size_t>(pass.level)];
    const auto room = static_cast<size_t>(row_room(level.even_width));
    predicted_.resize(std::max(predicted_.size(), room));
    residuals_.resize(predicted_.size());
    keys_.resize(predicted_.size());
    for_each_row(pass.level, pass.start, pass.step, odd ? 1 : 0, level, [&](const Row& row) {
      if (valid_ != nullptr && level.rows_valid[static_cast<size_t>(row.index)] == 0) return;
      predict(pass, level, row, odd);
      const auto to = static_cast<size_t>(odd ? level.odd_at(row.index) : level.even_at(row.index));
      const uint8_t* valid = valid_ == nullptr ? nullptr : (odd ? level.odd_valid : level.even_valid).data() + to;
      coder.row(row, quantum, keys_.data(), valid, predicted_.data(), residuals_.data());
      Int* values = (odd ? level.odd : level.even).data() + to;
      uint8_t* sizes = (odd ? level.odd_sizes : level.even_sizes).data() + to;
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
      if (!odd) level.margin(row.index);
    });
  }

  void predict(const Pass& pass, const Level<Int>& level, const Row& row, bool odd) {
    std::array<const Int*, kMostTaps> values;
    std::array<const uint8_t*, kMostTaps> sizes, valid;
    bool inner = true;
    for (size_t d = 0; d < 3; ++d) inner &= row.at[d] >= inner_begin_[d] && row.at[d] < inner_end_[d];
    const int64_t even = level.even_at(row.index), among = level.odd_at(row.index);
    for (size_t t = 0; t < tap_count_; ++t) {
      const bool among_odd = among_odd_[t] && (inner || !Lattice::first_row(pass.taps[t], row.at));
      const int64_t place = inner ? (among_odd ? among : even) + inner_[t] : place_of(pass, level, row, t, odd);
      values[t] = (among_odd ? level.odd : level.even).data() + place;
      sizes[t] = (among_odd ? level.odd_sizes : level.even_sizes).data() + place;
      if (valid_ != nullptr) valid[t] = (among_odd ? level.odd_valid : level.even_valid).data() + place;
    }
    const auto least = static_cast<Int>(grid_.least), greatest = static_cast<Int>(grid_.greatest);
    const int taps = static_cast<int>(tap_count_);
    Int* dst = predicted_.data();
    const uint8_t* self = valid_ == nullptr ? nullptr
                          : odd             ? level.odd_valid.data() + among
                                            : level.even_valid.data() + even;
    if constexpr (sizeof(Int) == 4) {
      if (valid_ == nullptr)
        table_.predict_i32(values.data(), weights_.data(), taps, row.count, least, greatest, dst);
      else
        table_.predict_among_i32(values.data(), valid.data(), self, weights_.data(), taps, row.count, least, greatest,
                                 dst);
    } else {
      if (valid_ == nullptr)
        table_.predict_i64(values.data(), weights_.data(), taps, row.count, least, greatest, dst);
      else
        table_.predict_among_i64(values.data(), valid.data(), self, weights_.data(), taps, row.count, least, greatest,
                                 dst);
    }
    table_.keys(sizes.data(), activity_.data(), taps, row.count, scale_, base_, keys_.data());
  }

  /// Odd points are between even ones: -1 is the even point of the same number. Even ones are two apart.
  static int64_t aside(int64_t along, bool odd) { return odd ? (along + 1) / 2 : along / 2; }

  /// Where tap t of a row near the block's faces is, among even points or odd ones.
  static int64_t place_of(const Pass& pass, const Level<Int>& level, const Row& row, size_t t, bool odd) {
    const Tap& tap = pass.taps[t];
    std::array<int64_t, 4> at = row.at;
    int64_t along = tap.offset[3];
    if (Lattice::first_row(tap, row.at)) {
      if (odd)
        along = -1;
      else
        at[static_cast<size_t>(pass.dimension)] -= 1;
    } else {
      for (size_t d = 0; d < 3; ++d) at[d] += Lattice::resolve(pass, tap, d, row.at[d], level.extents[d]);
      if (odd && tap.causal) return level.odd_at(level.row(at));
    }
    return level.even_at(level.row(at)) + aside(along, odd);
  }

  static Int sum(Int value, int64_t k, int64_t quantum) {
    using Unsigned = std::make_unsigned_t<Int>;
    return static_cast<Int>(static_cast<Unsigned>(value) + static_cast<Unsigned>(k) * static_cast<Unsigned>(quantum));
  }

  const Lattice& lattice_;
  const Grid& grid_;
  const MultilevelPlan& plan_;
  const uint8_t* valid_;
  const PredictTable& table_;
  size_t tap_count_ = 0;
  std::array<Int, kMostTaps> weights_{};
  std::array<uint8_t, kMostTaps> activity_{};
  std::array<int64_t, kMostTaps> inner_{};
  std::array<bool, kMostTaps> among_odd_{};
  std::array<int64_t, 3> inner_begin_{}, inner_end_{};
  uint32_t scale_ = 0;
  uint8_t base_ = 0;
  std::vector<Int> predicted_, residuals_;
  std::vector<uint8_t> keys_;
};

template <class T, class Int>
struct Encoding {
  const BlockInput<T>& in;
  const Grid& grid;
  const PredictTable& table;
  ResidualEncoder residuals;

  double scaled(int64_t place) const { return (static_cast<double>(in.values[place]) - grid.offset) / grid.unit; }
  int64_t anchor(int64_t place, Int predicted, int64_t quantum) {
    const double left = scaled(place) - static_cast<double>(predicted);
    const auto k = static_cast<int64_t>(std::nearbyint(left / static_cast<double>(quantum)));
    std::array<int64_t, 16> row{k};
    residuals.add(row.data(), kAnchorKeys.data(), 1, nullptr);
    return k;
  }
  void row(const Row& row, int32_t quantum, const uint8_t* keys, const uint8_t* valid, const Int* predicted, Int* k) {
    const double inverse = 1.0 / quantum;
    if constexpr (std::is_same_v<T, float> && sizeof(Int) == 4) {
      table.quantize_f32(in.values + row.base, row.step, row.count, grid.offset, 1 / grid.unit, predicted, inverse, k);
    } else {
      for (int64_t i = 0; i < row.count; ++i)
        k[i] = static_cast<Int>(
            std::nearbyint((scaled(row.base + i * row.step) - static_cast<double>(predicted[i])) * inverse));
    }
    residuals.add(k, keys, row.count, valid);
    if (valid == nullptr) return;
    for (int64_t i = 0; i < row.count; ++i) k[i] = valid[i] != 0 ? k[i] : 0;
  }
};

template <class Int>
struct Decoding {
  ResidualDecoder residuals;

  int64_t anchor(int64_t, Int, int64_t) {
    std::array<int64_t, 16> row;
    residuals.next(row.data(), kAnchorKeys.data(), 1, nullptr);
    return row[0];
  }
  void row(const Row& row, int32_t, const uint8_t* keys, const uint8_t* valid, const Int*, Int* k) {
    residuals.next(k, keys, row.count, valid);
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
    Encoding<T, Int> encoding{in, grid, table, ResidualEncoder(count, isa)};
    Walker<Int>(lattice, grid, plan, in.valid, table).run(encoding);
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
    Decoding<Int> decoding{ResidualDecoder(in, isa)};
    const Level<Int> level = Walker<Int>(lattice, grid, plan, out.valid, table).run(decoding);
    decoding.residuals.finish();
    const int64_t rows = out.extents[0] * out.extents[1] * out.extents[2], n = out.extents[3];
    for (int64_t r = 0; r < rows; ++r) {
      const Int* even = level.even.data() + level.even_at(r);
      const Int* odd = level.odd.data() + level.odd_at(r);
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
