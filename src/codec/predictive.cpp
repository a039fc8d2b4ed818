// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "codec/lorenzo.hpp"
#include "codec/multilevel.hpp"

namespace gregale::codec {
namespace {

/// Without extents of one, which no neighbour lies along, but in front.
BlockExtents squeezed(const BlockExtents& extents) {
  BlockExtents e{1, 1, 1, 1};
  size_t to = 4;
  for (size_t d = 4; d-- > 0;)
    if (extents[d] > 1) e[--to] = extents[d];
  return e;
}

class PredictiveCodec final : public FloatBlockCodec<PredictiveCodec> {
 public:
  explicit PredictiveCodec(Isa isa) : isa_(isa) {}
  std::string_view name() const override { return "predictive"; }
  uint8_t id() const override { return 18; }
  bool looks_at_valid() const override { return true; }

 private:
  friend FloatBlockCodec<PredictiveCodec>;
  static constexpr uint8_t kMultilevel = 0, kLorenzo = 1;
  static constexpr double kWorth = -0.05;  // bits a value: estimates are no better than that

  template <class T>
  bool encode_any(BlockInput<T> in, Bytes& out) const {
    if (in.contract.kind != ErrorContract::Kind::abs_max) return false;
    in.extents = squeezed(in.extents);
    Grid grid;
    if (!make_grid<T>(in.least, in.greatest, in.contract.bound, grid)) return false;
    const MultilevelPlan plan = plan_multilevel(in, grid);
    ByteWriter writer(out);
    writer.number(grid.offset);
    writer.number(grid.unit);
    writer.number(static_cast<uint8_t>(grid.fraction_bits));
    writer.varint(static_cast<uint64_t>(grid.greatest));
    const Estimate lorenzo = estimate_lorenzo(in, grid);
    const bool rough = lorenzo.points > 100 && lorenzo.above(plan.estimate) < kWorth;
    writer.number(rough ? kLorenzo : kMultilevel);
    if (rough)
      encode_lorenzo(in, grid, isa_, writer);
    else
      encode_multilevel(in, grid, plan, isa_, writer);
    return true;
  }

  template <class T>
  void decode_any(ByteSpan in, BlockOutput<T> out) const {
    out.extents = squeezed(out.extents);
    ByteReader reader(in);
    Grid grid;
    grid.offset = reader.number<double>();
    grid.unit = reader.number<double>();
    if (!std::isfinite(grid.offset) || !std::isfinite(grid.unit)) reader.fail("a grid that cannot be");
    grid.fraction_bits = reader.number<uint8_t>();
    if (grid.fraction_bits > 8) reader.fail("a grid that cannot be");
    grid.greatest = static_cast<int64_t>(reader.varint_to(uint64_t{1} << 50, "a grid that cannot be"));
    grid.least = -grid.greatest;
    const auto predictor = reader.number<uint8_t>();
    if (predictor > kLorenzo) reader.fail("no predictor has this number");
    if (predictor == kLorenzo)
      decode_lorenzo(reader, out, grid, isa_);
    else
      decode_multilevel(reader, out, grid, isa_);
  }

  Isa isa_;
};

}  // namespace

std::shared_ptr<const BlockCodec> predictive_codec(Isa isa) { return std::make_shared<PredictiveCodec>(isa); }

}  // namespace gregale::codec
