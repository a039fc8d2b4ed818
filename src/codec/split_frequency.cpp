// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "codec/block_codec.hpp"
#include "codec/group_quantize.hpp"

// DIVISION (Wang et al., ICML 2023): means of boxes of 8 x 8 values in bf16 are the low frequencies; what is left is
// smaller than the values, and quantised by groups. Here the groups are the boxes themselves, four of them together,
// and have as many bits as the bound needs.
namespace gregale::codec {
namespace {

constexpr int64_t kBox = 8;

class SplitFrequencyCodec final : public FloatBlockCodec<SplitFrequencyCodec> {
 public:
  explicit SplitFrequencyCodec(Isa isa) : residual_(quantize_codec(isa)) {}
  std::string_view name() const override { return "split-frequency"; }
  uint8_t id() const override { return 17; }

 private:
  friend FloatBlockCodec<SplitFrequencyCodec>;
  /// Boxes over the last two dimensions, or the last where the one before is short: body(box, first place, rows,
  /// columns).
  template <class Body>
  static void for_each_box(const BlockExtents& e, Body&& body) {
    const bool flat = e[2] < kBox;
    const int64_t planes = flat ? e[0] * e[1] * e[2] : e[0] * e[1], rows = flat ? 1 : e[2], columns = e[3];
    const int64_t high = flat ? 1 : kBox, wide = flat ? kBox * kBox : kBox;
    int64_t box = 0;
    for (int64_t p = 0; p < planes; ++p)
      for (int64_t r = 0; r < rows; r += high)
        for (int64_t c = 0; c < columns; c += wide)
          body(box++, (p * rows + r) * columns + c, std::min(high, rows - r), std::min(wide, columns - c));
  }

  template <class T>
  bool encode_any(const BlockInput<T>& in, Bytes& out) const {
    const std::span<const T> values(in.values, static_cast<size_t>(count_of(in.extents)));
    const int64_t row = in.extents[3];
    std::vector<uint16_t> means;
    std::vector<T> left(values.size());  // box by box
    size_t to = 0;
    bool fits = true;
    for_each_box(in.extents, [&](int64_t, int64_t first, int64_t rows, int64_t columns) {
      double sum = 0;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
          sum += static_cast<double>(values[static_cast<size_t>(first + r * row + c)]);
      const bf16 mean = to_bf16(static_cast<float>(sum / static_cast<double>(rows * columns)));
      fits &= std::isfinite(to_f32(mean));
      means.push_back(mean.bits);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
          left[to++] = values[static_cast<size_t>(first + r * row + c)] - static_cast<T>(to_f32(mean));
    });
    if (!fits) return false;
    BlockInput<T> residual{left.data(), nullptr,     {1, 1, 1, static_cast<int64_t>(left.size())}, in.contract, 0,
                           0,           in.workspace};
    // The sum at the end rounds once more.
    const double greatest = std::max(std::abs(in.least), std::abs(in.greatest));
    residual.contract.bound -= greatest * (sizeof(T) == 4 ? 0x1p-22 : 0x1p-50);
    const auto [least, most] = std::minmax_element(left.begin(), left.end());
    residual.least = static_cast<double>(*least);
    residual.greatest = static_cast<double>(*most);
    if (!(residual.contract.bound > 0)) return false;
    ByteWriter(out).raw(means.data(), means.size() * sizeof(uint16_t));
    Bytes coded;
    if (!residual_->encode(residual, coded)) return false;
    out.insert(out.end(), coded.begin(), coded.end());
    return true;
  }

  template <class T>
  void decode_any(ByteSpan in, const BlockOutput<T>& out) const {
    ByteReader reader(in);
    int64_t boxes = 0;
    for_each_box(out.extents, [&](int64_t, int64_t, int64_t, int64_t) { ++boxes; });
    std::vector<uint16_t> means(static_cast<size_t>(boxes));
    const ByteSpan low = reader.take(means.size() * sizeof(uint16_t));
    std::memcpy(means.data(), low.data(), low.size());
    std::vector<T> left(static_cast<size_t>(count_of(out.extents)));
    residual_->decode(
        reader.rest(),
        BlockOutput<T>{left.data(), nullptr, {1, 1, 1, static_cast<int64_t>(left.size())}, out.workspace});
    size_t from = 0;
    const int64_t row = out.extents[3];
    for_each_box(out.extents, [&](int64_t box, int64_t first, int64_t rows, int64_t columns) {
      const T mean = static_cast<T>(to_f32(bf16{means[static_cast<size_t>(box)]}));
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c) out.values[first + r * row + c] = mean + left[from++];
    });
  }

  std::shared_ptr<const BlockCodec> residual_;
};

}  // namespace

std::shared_ptr<const BlockCodec> split_frequency_codec(Isa isa) { return std::make_shared<SplitFrequencyCodec>(isa); }

}  // namespace gregale::codec
