// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "codec/block_codec.hpp"
#include "codec/group_quantize.hpp"

// The codec `quantize`: groups of 256 values, each with the fewest bits that keep the bound, at most eight.
namespace gregale::codec {
namespace {

class QuantizeCodec final : public BlockCodec {
 public:
  explicit QuantizeCodec(Isa isa) : table_(group_table(isa)) {}
  std::string_view name() const override { return "quantize"; }
  uint8_t id() const override { return 16; }
  bool encode(const BlockInput<float>& in, Bytes& out) const override {
    return encode_values({in.values, static_cast<size_t>(count_of(in.extents))}, in.contract, out);
  }
  bool encode(const BlockInput<double>& in, Bytes& out) const override {
    std::vector<float> narrow(static_cast<size_t>(count_of(in.extents)));
    std::transform(in.values, in.values + narrow.size(), narrow.begin(),
                   [](double x) { return static_cast<float>(x); });
    BlockContract contract = in.contract;  // what rounding to f32 takes of the bound
    contract.bound -= std::max(std::abs(in.least), std::abs(in.greatest)) * 0x1p-23;
    return contract.bound > 0 && encode_values(narrow, contract, out);
  }
  void decode(ByteSpan in, const BlockOutput<float>& out) const override {
    decode_values(in, count_of(out.extents), out.values);
  }
  void decode(ByteSpan in, const BlockOutput<double>& out) const override {
    std::vector<float> values(static_cast<size_t>(count_of(out.extents)));
    decode_values(in, count_of(out.extents), values.data());
    std::copy(values.begin(), values.end(), out.values);
  }

 private:
  bool encode_values(std::span<const float> values, const BlockContract& contract, Bytes& out) const {
    const Rounding rounding{contract.kind == ErrorContract::Kind::unbiased,
                            contract.key.seed ^ static_cast<uint64_t>(contract.key.step) << 32 ^ contract.key.stream};
    const auto count = static_cast<int64_t>(values.size());
    Bytes groups;
    for (int64_t begin = 0; begin < count; begin += kGroup) {
      const int64_t some = std::min(kGroup, count - begin);
      const auto [least, greatest] = std::minmax_element(values.data() + begin, values.data() + begin + some);
      const double range = static_cast<double>(*greatest) - static_cast<double>(*least);
      // A step of twice the bound: to the nearest, errors are at most the bound; at random, their variance is at most
      // its square.
      int bits = 0;
      while (bits <= kMostBits &&
             range > 2 * contract.bound * 0.9999 * (bits == 0 ? rounding.stochastic ? 0 : 1 : (1 << bits) - 1))
        ++bits;
      if (bits > kMostBits) return false;
      out.push_back(static_cast<std::byte>(bits));
      groups.resize(groups.size() + static_cast<size_t>(group_bytes(bits)));
      table_.encode(values.data() + begin, some, bits, rounding, static_cast<uint64_t>(begin),
                    groups.data() + groups.size() - group_bytes(bits));
    }
    out.insert(out.end(), groups.begin(), groups.end());
    return true;
  }

  void decode_values(ByteSpan in, int64_t count, float* values) const {
    ByteReader reader(in);
    const ByteSpan bits = reader.take(static_cast<size_t>(group_count(count)));
    for (int64_t begin = 0; begin < count; begin += kGroup) {
      const auto b = static_cast<int>(bits[static_cast<size_t>(begin / kGroup)]);
      if (b > kMostBits) reader.fail("a group of more than eight bits");
      table_.decode(reader.take(static_cast<size_t>(group_bytes(b))).data(), std::min(kGroup, count - begin), b,
                    values + begin);
    }
  }

  const GroupTable& table_;
};

}  // namespace

std::shared_ptr<const BlockCodec> quantize_codec(Isa isa) { return std::make_shared<QuantizeCodec>(isa); }

}  // namespace gregale::codec
