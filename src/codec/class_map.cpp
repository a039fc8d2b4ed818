// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/class_map.hpp"

#include <algorithm>

#include "codec/binary_coder.hpp"

namespace gregale::codec {
namespace {

struct Writer {
  BinaryEncoder coder;
  bool bit(BitModel& model, bool value) {
    coder.encode(model, value);
    return value;
  }
  uint8_t byte(ByteModel& model, uint8_t value) {
    model.encode(coder, value);
    return value;
  }
};

struct Reader {
  BinaryDecoder coder;
  bool bit(BitModel& model, bool) { return coder.decode(model); }
  uint8_t byte(ByteModel& model, uint8_t) { return model.decode(coder); }
};

/// One walk for both directions: `Coder` writes what stands in the map, or says what belongs there.
template <class Coder>
class Walk {
 public:
  Walk(Coder& coder, uint8_t* classes, const BlockExtents& extents) : coder_(coder), map_(classes), e_(extents) {}

  void run() {
    const int64_t rows = e_[0] * e_[1] * e_[2], n = e_[3];
    const std::vector<uint8_t> none(static_cast<size_t>(n), 0);
    const int64_t slice = e_[2], volume = e_[1] * e_[2];
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t* row = map_ + r * n;
      const uint8_t* north = r % slice > 0 ? row - n : none.data();
      const uint8_t* before = none.data();  // the same row, one time or, where there is no time, one level earlier
      if (r >= volume)
        before = row - volume * n;
      else if (r >= slice)
        before = row - slice * n;
      const bool sliced = before != none.data();
      line(row, north, before, sliced ? before : north, n, sliced);
    }
  }

 private:
  void line(uint8_t* row, const uint8_t* north, const uint8_t* before, const uint8_t* like, int64_t n, bool sliced) {
    const bool same = coder_.bit(same_[(sliced ? 2 : 0) + (last_same_ ? 1 : 0)], std::equal(row, row + n, like));
    last_same_ = same;
    if (same) {
      std::copy(like, like + n, row);
      return;
    }
    const bool uniform = coder_.bit(uniform_, std::all_of(row, row + n, [&](uint8_t c) { return c == row[0]; }));
    if (uniform) {
      std::fill(row, row + n, coder_.byte(bytes_, row[0]));
      return;
    }
    for (int64_t begin = 0; begin < n; begin += kSegment) {
      const int64_t end = std::min(n, begin + kSegment);
      const uint8_t like_all = north[begin];
      if (surrounded(row, north, before, begin, end, n)) {
        const bool goes_on = coder_.bit(goes_on_[like_all != 0 ? 1 : 0],
                                        std::all_of(row + begin, row + end, [&](uint8_t c) { return c == like_all; }));
        if (goes_on) {
          std::fill(row + begin, row + end, like_all);
          continue;
        }
      }
      points(row, north, before, begin, end, n);
    }
  }

  /// Whether all neighbours that are known are of one class.
  static bool surrounded(const uint8_t* row, const uint8_t* north, const uint8_t* before, int64_t begin, int64_t end,
                         int64_t n) {
    const int64_t first = std::max<int64_t>(begin - 1, 0), last = std::min(end + 1, n);
    const uint8_t c = north[begin];
    uint32_t others = begin > 0 ? row[begin - 1] ^ c : 0;
    for (int64_t i = first; i < last; ++i) others |= (north[i] ^ c) | (before[i] ^ c);
    return others == 0;
  }

  void points(uint8_t* row, const uint8_t* north, const uint8_t* before, int64_t begin, int64_t end, int64_t n) {
    for (int64_t i = begin; i < end; ++i) {
      const auto is = [](uint8_t c) { return c != 0 ? 1U : 0U; };
      const uint32_t west = i > 0 ? row[i - 1] : 0;
      uint32_t context = is(static_cast<uint8_t>(west)) | is(north[i]) << 1 | is(before[i]) << 2;
      context |= (i > 1 ? is(row[i - 2]) : 0) << 3 | (i > 0 ? is(north[i - 1]) : 0) << 4;
      context |= (i + 1 < n ? is(north[i + 1]) : 0) << 5 | (i + 1 < n ? is(before[i + 1]) : 0) << 6;
      if (!coder_.bit(special_[context], row[i] != 0)) {
        row[i] = 0;
      } else {
        if (!coder_.bit(repeated_, row[i] == last_class_)) last_class_ = coder_.byte(bytes_, row[i]);
        row[i] = last_class_;
      }
    }
  }

  Coder& coder_;
  uint8_t* map_;
  BlockExtents e_;
  static constexpr int64_t kSegment = 8;
  std::array<BitModel, 4> same_;
  std::array<BitModel, 2> goes_on_;
  std::array<BitModel, 128> special_;
  BitModel uniform_, repeated_;
  ByteModel bytes_;
  uint8_t last_class_ = 1;
  bool last_same_ = false;
};

}  // namespace

Bytes encode_classes(const uint8_t* classes, const BlockExtents& extents) {
  std::vector<uint8_t> copy(classes, classes + count_of(extents));  // the walk writes what is there already
  Writer writer;
  Walk<Writer>(writer, copy.data(), extents).run();
  return writer.coder.finish();
}

void decode_classes(ByteSpan in, uint8_t* classes, const BlockExtents& extents, uint8_t greatest) {
  std::fill_n(classes, count_of(extents), uint8_t{0});
  Reader reader{BinaryDecoder(in)};
  Walk<Reader>(reader, classes, extents).run();
  if (std::any_of(classes, classes + count_of(extents), [&](uint8_t c) { return c > greatest; }))
    throw_error(ErrorCode::corrupt_data, "byte 0: the map of special values names one that is not listed");
}

}  // namespace gregale::codec
