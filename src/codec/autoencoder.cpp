// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/autoencoder.hpp"

#include <algorithm>
#include <cmath>

#include "codec/multilevel.hpp"
#include "codec/residuals.hpp"

// A block is planes of the two fastest dimensions. Of every strip of boxes first come what predicts each (a kind, its
// mean, latents), then rows of residuals, each in the context of those above it.
namespace gregale::codec {
namespace {

enum Kind : uint8_t { kMean = 0, kLorenzo = 1, kLearned = 2, kKinds = 3, kEmpty = 3 };
constexpr uint8_t kBoxKeys = 0xF0, kLatentKeys = 0xE0;
constexpr double kMostSteps = 1 << 26;  // from the least value to the greatest
// What a residual of 0, one of 1, and a latent are thought to take when a box's kind is chosen.
constexpr double kZeroBits = 0.2, kFirstBits = 2.5, kLatentBits = 3.5;

/// How values become integers: prediction + integer * step.
struct BoxGrid {
  double least = 0, step = 1;
  double at(int32_t steps) const { return least + static_cast<double>(steps) * step; }
};

struct Box {
  Kind kind = kEmpty;
  int32_t mean = 0;  ///< in steps above the least
  std::array<int32_t, AutoencoderModel::kMostLatents> latents{};
  std::array<float, kBoxSide * kBoxSide> shape{};  ///< the decoder's, over the scale
};

/// A box's place in its plane.
struct Place {
  int64_t plane = 0, y = 0, x = 0, rows = 0, columns = 0;
};

/// The walk both directions share. `Coder` says what predicts a box, its shape with it, and which residuals a row has.
template <class T, class Coder>
class Walk {
 public:
  Walk(const BlockExtents& e, const uint8_t* valid, const BoxGrid& grid, const AutoencoderModel& model, Isa isa,
       T* values, Coder& coder)
      : e_(e),
        valid_(valid),
        grid_(grid),
        scale_(static_cast<double>(model.scale)),
        latents_(model.latents),
        keys_(predict_table(isa)),
        decoder_(model, isa),
        values_(values),
        coder_(coder),
        boxes_(static_cast<size_t>((e[3] + kBoxSide - 1) / kBoxSide)),
        above_(static_cast<size_t>(e[3] + 2 * kRowTile + 2)),
        sizes_(above_.size()) {}

  void run() {
    for (int64_t plane = 0; plane < e_[0] * e_[1]; ++plane) {
      std::fill(above_.begin(), above_.end(), uint8_t{0});
      for (int64_t y = 0; y < e_[2]; y += kBoxSide) strip(plane, y, std::min(kBoxSide, e_[2] - y));
    }
  }

 private:
  int64_t at(int64_t plane, int64_t y, int64_t x) const { return (plane * e_[2] + y) * e_[3] + x; }
  bool any_valid(const Place& p) const {
    if (valid_ == nullptr) return true;
    for (int64_t y = p.y; y < p.y + p.rows; ++y) {
      const uint8_t* row = valid_ + at(p.plane, y, p.x);
      if (std::any_of(row, row + p.columns, [](uint8_t v) { return v != 0; })) return true;
    }
    return false;
  }

  void strip(int64_t plane, int64_t y, int64_t rows) {
    for (size_t b = 0; b < boxes_.size(); ++b) {
      const int64_t x = static_cast<int64_t>(b) * kBoxSide;
      const Place place{plane, y, x, rows, std::min(kBoxSide, e_[3] - x)};
      Box& box = boxes_[b];
      box.kind = kEmpty;
      if (!any_valid(place)) continue;
      coder_.box(place, decoder_, latents_, box);
    }
    for (int64_t r = 0; r < rows; ++r) {
      std::fill(sizes_.begin(), sizes_.end(), uint8_t{0});
      for (size_t b = 0; b < boxes_.size(); ++b) {
        const int64_t x = static_cast<int64_t>(b) * kBoxSide;
        if (boxes_[b].kind != kEmpty)
          row(boxes_[b], plane, y + r, r, x);
        else  // what Lorenzo's predictor finds there
          std::fill_n(values_ + at(plane, y + r, x), std::min(kBoxSide, e_[3] - x), static_cast<T>(grid_.least));
      }
      std::swap(sizes_, above_);
    }
  }

  /// One row of one box.
  void row(const Box& box, int64_t plane, int64_t y, int64_t r, int64_t x) {
    static constexpr std::array<uint8_t, 3> kWeights{1, 2, 1};
    const std::array<int64_t, 3> places{x, x + 1, x + 2};  // sizes begin with one that is not there
    const int64_t columns = std::min(kBoxSide, e_[3] - x), first = at(plane, y, x);
    const uint8_t* valid = valid_ == nullptr ? nullptr : valid_ + first;
    std::array<uint8_t, kBoxSide> there{};
    if (valid != nullptr) std::copy_n(valid, columns, there.begin());
    const uint8_t* flags = valid == nullptr ? nullptr : there.data();
    keys_.keys(above_.data(), places.data(), kWeights.data(), 3, columns, 1024 / 4,
               static_cast<uint8_t>(box.kind * kActivities), coder_.keys(columns));
    std::array<int32_t, kBoxSide> residuals{};
    coder_.before(residuals.data(), columns, flags);
    const double mean = grid_.at(box.mean);
    T* values = values_ + first;
    for (int64_t i = 0; i < columns; ++i) {
      double predicted = mean;
      if (box.kind == kLearned)
        predicted += scale_ * static_cast<double>(box.shape[static_cast<size_t>(r * kBoxSide + i)]);
      if (box.kind == kLorenzo) predicted = lorenzo(values + i, x + i > 0, y > 0, mean);
      int32_t& k = residuals[static_cast<size_t>(i)];
      const bool is = valid == nullptr || valid[i] != 0;
      k = coder_.residual(first + i, predicted, is, k);
      // Where there is no value, Lorenzo's predictor finds the mean and not what it would run away to.
      values[i] = static_cast<T>(is ? predicted + static_cast<double>(k) * grid_.step : mean);
      const uint32_t size = k < 0 ? 0 - static_cast<uint32_t>(k) : static_cast<uint32_t>(k);
      sizes_[static_cast<size_t>(x + i + 1)] = static_cast<uint8_t>(std::min<uint32_t>(size, kGreatestSize));
    }
    coder_.after(residuals.data(), columns, flags);
  }

  double lorenzo(const T* value, bool has_left, bool has_above, double mean) const {
    const auto left = [&](const T* v) { return static_cast<double>(v[-1]); };
    const T* above = value - e_[3];
    if (has_left && has_above) return left(value) + static_cast<double>(*above) - left(above);
    return has_left ? left(value) : has_above ? static_cast<double>(*above) : mean;
  }

  BlockExtents e_;
  const uint8_t* valid_;
  BoxGrid grid_;
  double scale_;
  int64_t latents_;
  const PredictTable& keys_;
  BoxDecoder decoder_;
  T* values_;  ///< as a reader will see them
  Coder& coder_;
  std::vector<Box> boxes_;  ///< of a strip
  std::vector<uint8_t> above_, sizes_;
};

template <class T>
class PredictedEncoding {
 public:
  PredictedEncoding(const BlockInput<T>& in, const BoxGrid& grid, const AutoencoderModel& model, Isa isa,
                    AutoencoderCounts& counts)
      : in_(in),
        grid_(grid),
        model_(model),
        counts_(counts),
        residuals_(static_cast<size_t>(count_of(in.extents)), isa, *in.workspace) {}

  /// Chooses by the bits that residuals are expected to take.
  void box(const Place& p, BoxDecoder& decoder, int64_t latents, Box& box) {
    double sum = 0;
    int64_t count = 0;
    each(p, [&](int64_t, double x) {
      sum += x;
      ++count;
    });
    box.mean = static_cast<int32_t>(std::nearbyint((sum / static_cast<double>(count) - grid_.least) / grid_.step));
    const double mean = grid_.at(box.mean);
    std::array<float, kBoxSide * kBoxSide> normal{};
    const double scale = static_cast<double>(model_.scale);
    each(p, [&](int64_t i, double x) { normal[static_cast<size_t>(i)] = static_cast<float>((x - mean) / scale); });
    const std::vector<int32_t> z = model_.encode(normal.data());
    std::copy(z.begin(), z.end(), box.latents.begin());
    decoder.decode(box.latents.data(), box.shape.data());
    std::array<double, kKinds> cost{0, 0, kLatentBits * static_cast<double>(latents)};
    std::array<double, kBoxSide * kBoxSide> seen{};  // as Lorenzo's predictor will see the box
    const int64_t w = in_.extents[3], plane = p.plane * in_.extents[2];
    each(p, [&](int64_t i, double x) {
      const auto at = static_cast<size_t>(i);
      const auto add = [&](Kind kind, double predicted) {
        const double k = std::nearbyint((x - predicted) / grid_.step);
        cost[kind] += k == 0 ? kZeroBits : kFirstBits + 2 * std::log2(std::abs(k));
        return predicted + k * grid_.step;
      };
      add(kMean, mean);
      add(kLearned, mean + scale * static_cast<double>(box.shape[at]));
      const int64_t row = i / kBoxSide, column = i % kBoxSide;
      const T* v = in_.values + (plane + p.y + row) * w + p.x + column;
      const auto neighbour = [&](int64_t up, int64_t left) {  // outside the box the original values
        const bool inside = row >= up && column >= left;
        return inside ? seen[at - static_cast<size_t>(up * kBoxSide + left)] : static_cast<double>(v[-up * w - left]);
      };
      const bool has_left = p.x + column > 0, has_above = p.y + row > 0;
      const double predicted = has_left && has_above ? neighbour(0, 1) + neighbour(1, 0) - neighbour(1, 1)
                               : has_left            ? neighbour(0, 1)
                               : has_above           ? neighbour(1, 0)
                                                     : mean;
      seen[at] = add(kLorenzo, predicted);
    });
    box.kind = static_cast<Kind>(std::min_element(cost.begin(), cost.end()) - cost.begin());
    ++(box.kind == kMean ? counts_.mean_boxes : box.kind == kLorenzo ? counts_.lorenzo_boxes : counts_.learned_boxes);

    std::array<int32_t, kBoxSide> row{static_cast<int32_t>(box.kind),
                                      static_cast<int32_t>(static_cast<uint32_t>(box.mean) - last_mean_)};
    last_mean_ = static_cast<uint32_t>(box.mean);
    fill_keys(residuals_.keys(2), kBoxKeys);
    residuals_.add(row.data(), 2, nullptr);
    if (box.kind != kLearned) return;
    std::copy(box.latents.begin(), box.latents.end(), row.begin());
    fill_keys(residuals_.keys(latents), kLatentKeys);
    residuals_.add(row.data(), latents, nullptr);
  }
  static void fill_keys(uint8_t* keys, uint8_t base) {
    for (uint8_t l = 0; l < kBoxSide; ++l) keys[l] = static_cast<uint8_t>(base + l);
  }

  uint8_t* keys(int64_t count) { return residuals_.keys(count); }
  void before(int32_t*, int64_t, const uint8_t*) {}
  int32_t residual(int64_t place, double predicted, bool valid, int32_t) {
    if (!valid) return 0;
    const double k = std::nearbyint((static_cast<double>(in_.values[place]) - predicted) / grid_.step);
    failed_ |= !(std::abs(k) < kMostSteps);
    return failed_ ? 0 : static_cast<int32_t>(k);
  }
  void after(int32_t* residuals, int64_t count, const uint8_t* valid) { residuals_.add(residuals, count, valid); }
  /// A prediction was so far off that no integer holds the rest.
  bool failed() const { return failed_; }
  void finish(ByteWriter& out) { residuals_.finish(out); }

 private:
  /// body(place in the box, value) of every valid value.
  template <class Body>
  void each(const Place& p, Body&& body) const {
    for (int64_t y = 0; y < p.rows; ++y)
      for (int64_t x = 0; x < p.columns; ++x) {
        const int64_t place = (p.plane * in_.extents[2] + p.y + y) * in_.extents[3] + p.x + x;
        if (in_.valid == nullptr || in_.valid[place] != 0)
          body(y * kBoxSide + x, static_cast<double>(in_.values[place]));
      }
  }

  const BlockInput<T>& in_;
  BoxGrid grid_;
  const AutoencoderModel& model_;
  AutoencoderCounts& counts_;
  ResidualEncoder residuals_;
  uint32_t last_mean_ = 0;
  bool failed_ = false;
};

class PredictedDecoding {
 public:
  PredictedDecoding(ByteReader& in, Isa isa, Workspace& workspace) : in_(in), residuals_(in, isa, workspace) {
    for (uint8_t l = 0; l < kBoxSide; ++l) {
      box_keys_[l] = static_cast<uint8_t>(kBoxKeys + l);
      latent_keys_[l] = static_cast<uint8_t>(kLatentKeys + l);
    }
  }
  void box(const Place&, BoxDecoder& decoder, int64_t latents, Box& box) {
    std::array<int32_t, kBoxSide> row;
    residuals_.next(row.data(), box_keys_.data(), 2, nullptr);
    if (row[0] < 0 || row[0] >= kKinds) in_.fail("a box of no kind");
    box.kind = static_cast<Kind>(row[0]);
    last_mean_ += static_cast<uint32_t>(row[1]);
    box.mean = static_cast<int32_t>(last_mean_);
    if (box.kind != kLearned) return;
    residuals_.next(box.latents.data(), latent_keys_.data(), latents, nullptr);
    decoder.decode(box.latents.data(), box.shape.data());
  }
  uint8_t* keys(int64_t) { return keys_.data(); }
  void before(int32_t* residuals, int64_t count, const uint8_t* valid) {
    residuals_.next(residuals, keys_.data(), count, valid);
  }
  int32_t residual(int64_t, double, bool, int32_t k) { return k; }
  void after(int32_t*, int64_t, const uint8_t*) {}
  void finish() const { residuals_.finish(); }

 private:
  ByteReader& in_;
  ResidualDecoder residuals_;
  std::array<uint8_t, kRowTile> keys_{};
  std::array<uint8_t, kBoxSide> box_keys_{}, latent_keys_{};
  uint32_t last_mean_ = 0;
};

class AutoencoderCodec final : public FloatBlockCodec<AutoencoderCodec> {
 public:
  AutoencoderCodec(Isa isa, std::shared_ptr<const AutoencoderModel> model, std::shared_ptr<AutoencoderCounts> counts,
                   bool alone)
      : isa_(isa),
        model_(std::move(model)),
        counts_(counts != nullptr ? std::move(counts) : std::make_shared<AutoencoderCounts>()),
        alone_(alone),
        predictive_(predictive_codec(isa)) {}
  std::string_view name() const override { return "autoencoder"; }
  uint8_t id() const override { return 20; }
  bool encodes() const override { return model_ != nullptr; }
  bool looks_at_valid() const override { return true; }

 private:
  friend FloatBlockCodec<AutoencoderCodec>;
  static constexpr uint8_t kByBoxes = 0, kByOther = 1;

  template <class T>
  bool encode_any(const BlockInput<T>& in, Bytes& out) const {
    Bytes boxes, other;
    const bool by_boxes = encode_boxes(in, boxes);
    const bool by_other = !alone_ && predictive_->encode(in, other);
    if (!by_boxes && !by_other) return false;
    const bool better = by_boxes && (!by_other || boxes.size() < other.size());
    const Bytes& bytes = better ? boxes : other;
    out.push_back(static_cast<std::byte>(better ? kByBoxes : kByOther));
    out.insert(out.end(), bytes.begin(), bytes.end());
    ++(better ? counts_->blocks : counts_->other_blocks);
    return true;
  }

  template <class T>
  bool encode_boxes(const BlockInput<T>& in, Bytes& out) const {
    if (in.contract.kind != ErrorContract::Kind::abs_max) return false;
    Grid fine;
    if (!make_grid<T>(in.least, in.greatest, in.contract.bound, fine)) return false;
    const BoxGrid grid{in.least, fine.unit * static_cast<double>(int64_t{1} << fine.fraction_bits)};
    if (!((in.greatest - in.least) / grid.step < kMostSteps) || !(model_->scale > 0)) return false;
    ByteWriter writer(out);
    writer.number(grid.least);
    writer.number(grid.step);
    const size_t before = out.size();
    model_->write(writer);
    const auto model_bytes = static_cast<int64_t>(out.size() - before);
    AutoencoderCounts counts;
    PredictedEncoding<T> encoding(in, grid, *model_, isa_, counts);
    const auto seen = in.workspace->template take<T>(static_cast<size_t>(count_of(in.extents)));
    Walk<T, PredictedEncoding<T>>(in.extents, in.valid, grid, *model_, isa_, seen.data(), encoding).run();
    if (encoding.failed()) return false;
    encoding.finish(writer);
    counts_->learned_boxes += counts.learned_boxes;
    counts_->mean_boxes += counts.mean_boxes;
    counts_->lorenzo_boxes += counts.lorenzo_boxes;
    counts_->model_bytes = model_bytes;
    return true;
  }

  template <class T>
  void decode_any(ByteSpan in, const BlockOutput<T>& out) const {
    ByteReader reader(in);
    const auto by = reader.number<uint8_t>();
    if (by == kByOther) return predictive_->decode(reader.rest(), out);
    if (by != kByBoxes) reader.fail("no predictor has this number");
    BoxGrid grid;
    grid.least = reader.number<double>();
    grid.step = reader.number<double>();
    if (!std::isfinite(grid.least) || !std::isfinite(grid.step)) reader.fail("a grid that cannot be");
    const AutoencoderModel model = AutoencoderModel::read(reader);
    PredictedDecoding decoding(reader, isa_, *out.workspace);
    Walk<T, PredictedDecoding>(out.extents, out.valid, grid, model, isa_, out.values, decoding).run();
    decoding.finish();
  }

  Isa isa_;
  std::shared_ptr<const AutoencoderModel> model_;
  std::shared_ptr<AutoencoderCounts> counts_;
  bool alone_;
  std::shared_ptr<const BlockCodec> predictive_;
};

}  // namespace

std::shared_ptr<const BlockCodec> autoencoder_codec(Isa isa, std::shared_ptr<const AutoencoderModel> model,
                                                    std::shared_ptr<AutoencoderCounts> counts, bool alone) {
  return std::make_shared<AutoencoderCodec>(isa, std::move(model), std::move(counts), alone);
}

}  // namespace gregale::codec
