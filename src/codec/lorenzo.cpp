// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/lorenzo.hpp"

#include "codec/residuals.hpp"

namespace gregale::codec {
namespace {

/// Steps of the bound, to which values are rounded before anything else.
template <class T>
double scaled(const Grid& grid, T value) {
  return (static_cast<double>(value) - grid.offset) /
         (grid.unit * static_cast<double>(int64_t{1} << grid.fraction_bits));
}

/// Walks the rows. Those before a row, in the dimensions outside it, predict it: inclusion and exclusion. What is left
/// is coded as differences within the row.
class LorenzoWalker {
 public:
  LorenzoWalker(const BlockExtents& e, const uint8_t* valid, const PredictTable& table)
      : e_(e), valid_(valid), table_(table), values_(static_cast<size_t>(count_of(e))) {
    const size_t room = static_cast<size_t>(count_of(e) + row_room(e[3]) + kRowTile + 2);
    sizes_.resize(room);
    for (size_t d = 0; d < 3; ++d)
      if (e[d] > 1) outer_.push_back(d);
    strides_ = {e[1] * e[2] * e[3], e[2] * e[3], e[3]};
  }

  template <class Coder>
  void run(Coder&& coder) {
    const int64_t n = e_[3];
    std::vector<int64_t> before(static_cast<size_t>(n)), residuals(static_cast<size_t>(row_room(n)));
    std::vector<uint8_t> keys(static_cast<size_t>(row_room(n))), there(keys.size());
    std::array<int64_t, 3> at{};
    int64_t base = 0;
    for (at[0] = 0; at[0] < e_[0]; ++at[0])
      for (at[1] = 0; at[1] < e_[1]; ++at[1])
        for (at[2] = 0; at[2] < e_[2]; ++at[2], base += n) {
          predict(at, base, before);
          find_keys(at, base, keys);
          const uint8_t* valid = nullptr;
          if (valid_ != nullptr) valid = std::copy_n(valid_ + base, n, there.data()) - n;
          coder.row(base, before.data(), keys.data(), valid, residuals.data());
          uint64_t left = 0;
          for (int64_t i = 0; i < n; ++i) {
            const auto r = static_cast<uint64_t>(residuals[static_cast<size_t>(i)]);
            left += r;
            values_[static_cast<size_t>(base + i)] =
                static_cast<int64_t>(left + static_cast<uint64_t>(before[static_cast<size_t>(i)]));
            const uint64_t size = static_cast<int64_t>(r) < 0 ? 0 - r : r;
            sizes_[static_cast<size_t>(base + i + 1)] = static_cast<uint8_t>(std::min<uint64_t>(size, kGreatestSize));
          }
        }
  }
  const std::vector<int64_t>& values() const { return values_; }

 private:
  void predict(const std::array<int64_t, 3>& at, int64_t base, std::vector<int64_t>& before) const {
    std::fill(before.begin(), before.end(), 0);
    for (size_t set = 1; set < size_t{1} << outer_.size(); ++set) {
      int64_t from = base;
      bool there = true, minus = true;
      for (size_t i = 0; i < outer_.size(); ++i) {
        if ((set >> i & 1) == 0) continue;
        there &= at[outer_[i]] > 0;
        from -= strides_[outer_[i]];
        minus = !minus;
      }
      if (!there) continue;
      const uint64_t sign = minus ? ~uint64_t{0} : 1;
      for (size_t i = 0; i < before.size(); ++i)
        before[i] = static_cast<int64_t>(static_cast<uint64_t>(before[i]) +
                                         sign * static_cast<uint64_t>(values_[static_cast<size_t>(from) + i]));
    }
  }

  /// From the residuals of the row before along each outer dimension, and those beside in the nearest.
  void find_keys(const std::array<int64_t, 3>& at, int64_t base, std::vector<uint8_t>& keys) const {
    std::array<int64_t, 6> places;
    std::array<uint8_t, 6> weights{};
    int count = 0;
    uint32_t total = 0;
    const auto tap = [&](int64_t place, uint8_t weight) {
      places[static_cast<size_t>(count)] = place;
      weights[static_cast<size_t>(count++)] = weight;
      total += weight;
    };
    for (size_t i = outer_.size(); i-- > 0;) {
      if (at[outer_[i]] == 0) continue;
      const int64_t there = base + 1 - strides_[outer_[i]];
      tap(there, 2);
      if (i + 1 != outer_.size()) continue;
      tap(there - 1, 1);
      tap(there + 1, 1);
    }
    table_.keys(sizes_.data(), places.data(), weights.data(), count, e_[3], 1024 / std::max(total, 1U),
                static_cast<uint8_t>(count * kActivities), keys.data());
  }

  BlockExtents e_;
  const uint8_t* valid_;
  const PredictTable& table_;
  std::vector<int64_t> values_;
  std::vector<uint8_t> sizes_;  ///< from element 1
  std::vector<size_t> outer_;   ///< dimensions
  std::array<int64_t, 3> strides_{};
};

template <class T>
struct LorenzoEncoding {
  const BlockInput<T>& in;
  const Grid& grid;
  ResidualEncoder residuals;

  void row(int64_t base, const int64_t* before, const uint8_t* keys, const uint8_t* valid, int64_t* r) {
    int64_t left = 0;
    for (int64_t i = 0; i < in.extents[3]; ++i) {
      r[i] = 0;
      if (valid != nullptr && valid[i] == 0) continue;
      const int64_t now = static_cast<int64_t>(std::nearbyint(scaled(grid, in.values[base + i]))) - before[i];
      r[i] = now - left;
      left = now;
    }
    std::copy_n(keys, row_room(in.extents[3]), residuals.keys(in.extents[3]));
    residuals.add(r, in.extents[3], valid);
  }
};

struct LorenzoDecoding {
  int64_t count;
  ResidualDecoder residuals;
  void row(int64_t, const int64_t*, const uint8_t* keys, const uint8_t* valid, int64_t* r) {
    residuals.next(r, keys, count, valid);
  }
};

}  // namespace

template <class T>
Estimate estimate_lorenzo(const BlockInput<T>& in, const Grid& grid) {
  std::array<int64_t, 4> stride{in.extents[1] * in.extents[2] * in.extents[3], in.extents[2] * in.extents[3],
                                in.extents[3], 1};
  std::vector<size_t> dimensions;
  for (size_t d = 0; d < 4; ++d)
    if (in.extents[d] > 1) dimensions.push_back(d);
  Estimate e;
  constexpr double kFiner = 1.3;
  BitSum bits, finer;
  const int64_t total = count_of(in.extents), every = std::max<int64_t>(1, total / 1000) | 1;
  for (int64_t place = 0; place < total; place += every) {
    bool inside = true;
    for (const size_t d : dimensions) inside &= place / stride[d] % in.extents[d] > 0;
    double r = 0;
    for (size_t set = 0; inside && set < size_t{1} << dimensions.size(); ++set) {
      int64_t from = place;
      double sign = 1;
      for (size_t i = 0; i < dimensions.size(); ++i)
        if ((set >> i & 1) != 0) from -= stride[dimensions[i]], sign = -sign;
      inside &= in.valid == nullptr || in.valid[from] != 0;
      r += sign * std::nearbyint(scaled(grid, in.values[from]));
    }
    if (!inside) continue;
    const double t = r * r + 1.0 / 12;
    bits.add(t);
    finer.add(t * kFiner);
    e.squares += 1.0 / 12;
    e.points += 1;
  }
  e.bits = bits.get();
  e.slope = (finer.get() - e.bits) * (2 / std::log2(kFiner));
  return e;
}

template <class T>
void encode_lorenzo(const BlockInput<T>& in, const Grid& grid, Isa isa, ByteWriter& out) {
  LorenzoEncoding<T> encoding{in, grid, ResidualEncoder(static_cast<size_t>(count_of(in.extents)), isa, *in.workspace)};
  LorenzoWalker(in.extents, in.valid, predict_table(isa)).run(encoding);
  encoding.residuals.finish(out);
}

template <class T>
void decode_lorenzo(ByteReader& in, const BlockOutput<T>& out, const Grid& grid, Isa isa) {
  LorenzoDecoding decoding{out.extents[3], ResidualDecoder(in, isa, *out.workspace)};
  LorenzoWalker walker(out.extents, out.valid, predict_table(isa));
  walker.run(decoding);
  decoding.residuals.finish();
  const double step = grid.unit * static_cast<double>(int64_t{1} << grid.fraction_bits);
  for (size_t i = 0; i < walker.values().size(); ++i)
    out.values[i] = static_cast<T>(grid.offset + static_cast<double>(walker.values()[i]) * step);
}

template Estimate estimate_lorenzo(const BlockInput<float>&, const Grid&);
template Estimate estimate_lorenzo(const BlockInput<double>&, const Grid&);
template void encode_lorenzo(const BlockInput<float>&, const Grid&, Isa, ByteWriter&);
template void encode_lorenzo(const BlockInput<double>&, const Grid&, Isa, ByteWriter&);
template void decode_lorenzo(ByteReader&, const BlockOutput<float>&, const Grid&, Isa);
template void decode_lorenzo(ByteReader&, const BlockOutput<double>&, const Grid&, Isa);

}  // namespace gregale::codec
