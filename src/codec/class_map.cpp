// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/class_map.hpp"

#include <algorithm>
#include <cstring>

#include "codec/binary_coder.hpp"

namespace gregale::codec {
namespace {

struct Writer {
  BinaryEncoder coder;
  /// What `says` is true of the map. A reader does not ask: nothing is there yet.
  template <class Says>
  bool bit(BitModel& model, Says&& says) {
    const bool value = says();
    coder.encode(model, value);
    return value;
  }
  uint8_t byte(ByteModel& model, const uint8_t* value) {
    model.encode(coder, *value);
    return *value;
  }
};

struct Reader {
  BinaryDecoder coder;
  template <class Says>
  bool bit(BitModel& model, Says&&) {
    return coder.decode(model);
  }
  uint8_t byte(ByteModel& model, const uint8_t*) { return model.decode(coder); }
};

/// One walk for both directions: `Coder` writes what stands in the map, or says what belongs there.
template <class Coder>
class ClassWalk {
 public:
  ClassWalk(Coder& coder, uint8_t* classes, const BlockExtents& extents, uint8_t greatest)
      : coder_(coder), map_(classes), e_(extents), greatest_(greatest) {}

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
    const bool same =
        coder_.bit(same_[(sliced ? 2 : 0) + (last_same_ ? 1 : 0)], [&] { return std::equal(row, row + n, like); });
    last_same_ = same;
    if (same) {
      std::copy(like, like + n, row);
      return;
    }
    const bool uniform = coder_.bit(uniform_, [&] { return std::count(row, row + n, row[0]) == n; });
    if (uniform) {
      std::fill(row, row + n, byte(coder_, row));
      return;
    }
    west_ = west2_ = 0;
    for (int64_t begin = 0; begin < n; begin += kSegment) {
      const int64_t end = std::min(n, begin + kSegment);
      const uint8_t c = north[begin];
      if (surrounded(north, before, begin, end, n)) {
        const auto all = [&] { return std::count(row + begin, row + end, c) == end - begin; };
        if (coder_.bit(goes_on_[c != 0 ? 1 : 0], all)) {
          std::fill(row + begin, row + end, c);
          west_ = west2_ = c;
          continue;
        }
      }
      points(row, north, before, begin, end, n);
    }
  }

  /// Whether all neighbours that are known are of one class.
  bool surrounded(const uint8_t* north, const uint8_t* before, int64_t begin, int64_t end, int64_t n) const {
    const uint8_t c = north[begin];
    if (begin > 0 && west_ != c) return false;
    if (begin > 0 && begin + kSegment < n) {
      const auto differs = [all = uint64_t{0x0101010101010101} * c](const uint8_t* from) {
        uint64_t eight;
        std::memcpy(&eight, from, sizeof eight);
        return eight ^ all;
      };
      return (differs(north + begin - 1) | differs(north + begin + 1) | differs(before + begin - 1) |
              differs(before + begin + 1)) == 0;
    }
    const int64_t last = std::min(end + 1, n);
    for (int64_t i = std::max<int64_t>(begin - 1, 0); i < last; ++i)
      if (north[i] != c || before[i] != c) return false;
    return true;
  }

  /// Bit j: whether the point at begin - 1 + j is special.
  static uint32_t specials_around(const uint8_t* row, int64_t begin, int64_t end, int64_t n) {
    uint32_t bits = 0;
    if (begin > 0 && begin + kSegment < n) {
      uint64_t eight;
      std::memcpy(&eight, row + begin, sizeof eight);
      eight |= eight >> 4;
      eight |= eight >> 2;
      eight |= eight >> 1;
      bits = static_cast<uint32_t>((eight & 0x0101010101010101) * 0x0102040810204080 >> 56) << 1;
      return bits | (row[begin - 1] != 0 ? 1U : 0U) | (row[end] != 0 ? 1U << (kSegment + 1) : 0U);
    }
    for (int64_t i = std::max<int64_t>(begin - 1, 0); i < std::min(end + 1, n); ++i)
      bits |= (row[i] != 0 ? 1U : 0U) << (i - begin + 1);
    return bits;
  }

  void points(uint8_t* row, const uint8_t* north, const uint8_t* before, int64_t begin, int64_t end, int64_t n) {
    uint32_t norths = specials_around(north, begin, end, n), befores = specials_around(before, begin, end, n);
    uint32_t west = west_ != 0 ? 1 : 0, west2 = west2_ != 0 ? 1 : 0;
    std::array<uint8_t, kSegment> segment;
    Coder coder = coder_;  // in registers: bytes that are written may be anything to a compiler
    for (int64_t i = 0; i < end - begin; ++i, norths >>= 1, befores >>= 1) {
      const uint32_t context = west | west2 << 3 | (norths & 2) | (norths & 1) << 4 | (norths & 4) << 3 |
                               (befores & 2) << 1 | (befores & 4) << 4;
      const uint8_t* c = row + begin + i;
      west2 = west;
      west = coder.bit(special_[context], [&] { return *c != 0; }) ? 1 : 0;
      segment[static_cast<size_t>(i)] = west != 0 ? special(coder, c) : 0;
    }
    coder_ = coder;
    std::copy_n(segment.begin(), end - begin, row + begin);
    west_ = segment[static_cast<size_t>(end - begin - 1)];
    west2_ = static_cast<uint8_t>(west2);
  }

  uint8_t byte(Coder& coder, const uint8_t* there) {
    const uint8_t c = coder.byte(bytes_, there);
    if (c > greatest_)
      throw_error(ErrorCode::corrupt_data, "byte 0: the map of special values names one that is not listed");
    return c;
  }

  uint8_t special(Coder& coder, const uint8_t* there) {
    if (greatest_ > 1 && !coder.bit(repeated_, [&] { return *there == last_class_; })) last_class_ = byte(coder, there);
    return last_class_;
  }

  Coder& coder_;
  uint8_t* map_;
  BlockExtents e_;
  uint8_t greatest_;
  static constexpr int64_t kSegment = 8;
  std::array<BitModel, 4> same_;
  std::array<BitModel, 2> goes_on_;
  std::array<BitModel, 128> special_;
  BitModel uniform_, repeated_;
  ByteModel bytes_;
  uint8_t last_class_ = 1;
  uint8_t west_ = 0, west2_ = 0;  ///< the points before in the row
  bool last_same_ = false;
};

}  // namespace

Bytes encode_classes(const uint8_t* classes, const BlockExtents& extents, uint8_t greatest, Workspace& workspace) {
  const auto count = static_cast<size_t>(count_of(extents));
  const auto copy = workspace.take<uint8_t>(count);  // the walk writes what is there already
  std::copy_n(classes, count, copy.data());
  // Decisions a point: one, with more classes nine more; and a few a row.
  const size_t rows = count / static_cast<size_t>(extents[3]);
  const auto out = workspace.take<std::byte>((greatest > 1 ? 24 : 4) * (count + 8 * rows + 64));
  Writer writer{BinaryEncoder(out.data())};
  ClassWalk<Writer>(writer, copy.data(), extents, greatest).run();
  const std::byte* end = writer.coder.finish();
  while (end > out.data() && end[-1] == std::byte{0}) --end;  // the decoder reads zeros beyond the end
  return Bytes(static_cast<const std::byte*>(out.data()), end);
}

void decode_classes(ByteSpan in, uint8_t* classes, const BlockExtents& extents, uint8_t greatest) {
  Reader reader{BinaryDecoder(in)};
  ClassWalk<Reader>(reader, classes, extents, greatest).run();
}

}  // namespace gregale::codec
