// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/block.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "codec/class_map.hpp"

// A block that is coded with loss has three parts: what is special (values that mean "no data", NaN, infinities, zeros
// that must stay) as a list of bit patterns and a map; values whose decompressed form misses the bound, exactly; and
// what the codec wrote for the rest.
namespace gregale::codec {
namespace {

constexpr size_t kMostPatterns = 200;  // more different NaNs than that, and the block is stored exactly

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Element types as stored (T), in their bits, and as codecs work on them.
template <class T>
struct Element;
template <>
struct Element<double> {
  using Bits = uint64_t;
  using Work = double;
  static double work(double x) { return x; }
  static double rounded(double x) { return x; }
  static double slack(double) { return 0; }
};
template <>
struct Element<float> {
  using Bits = uint32_t;
  using Work = float;
  static float work(float x) { return x; }
  static float rounded(float x) { return x; }
  static double slack(double) { return 0; }
};
template <>
struct Element<f16> {
  using Bits = uint16_t;
  using Work = float;
  static float work(f16 x) { return to_f32(x); }
  static f16 rounded(float x) { return to_f16(x); }
  static double slack(double greatest) { return std::max(greatest * 0x1p-11, 0x1p-25); }  // rounding at the end
};
template <>
struct Element<bf16> {
  using Bits = uint16_t;
  using Work = float;
  static float work(bf16 x) { return to_f32(x); }
  static bf16 rounded(float x) { return to_bf16(x); }
  static double slack(double greatest) { return greatest * 0x1p-8; }
};

template <class T>
typename Element<T>::Bits bits_of(T value) {
  typename Element<T>::Bits bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// What is no ordinary number in a block.
template <class T>
class Specials {
 public:
  using Bits = typename Element<T>::Bits;

  Specials(std::span<const T> values, const ErrorContract& contract) : contract_(contract) {
    for (const double m : contract.missing) missing_.push_back(static_cast<double>(Element<T>::work(rounded(m))));
    ordinary_.reserve(values.size());
    for (const T value : values) add(value);
    if (any_) std::fill_n(ordinary_.begin(), first_, ordinary_[first_]);
  }

  bool too_many() const { return too_many_; }
  const std::vector<Bits>& patterns() const { return patterns_; }
  /// Per place: 0, or one more than the index of its pattern. Empty where all are ordinary.
  const std::vector<uint8_t>& classes() const { return classes_; }
  /// The values as codecs see them, the last ordinary one where there is none.
  const std::vector<typename Element<T>::Work>& ordinary() const { return ordinary_; }
  /// Places that are no part of any comparison; empty where all are.
  const std::vector<uint8_t>& counted() const { return counted_; }

 private:
  using Work = typename Element<T>::Work;
  static T rounded(double m) {
    if constexpr (std::is_same_v<T, double>)
      return m;
    else
      return Element<T>::rounded(static_cast<float>(m));
  }

  void add(T value) {
    const Work x = Element<T>::work(value);
    const bool finite = std::isfinite(x);
    bool special = !finite && contract_.keep_nonfinite;
    special |= contract_.keep_zeros && x == 0;
    bool ordinary = finite;
    for (const double m : missing_) {
      if (static_cast<double>(x) != m && !(std::isnan(m) && std::isnan(x))) continue;
      special = true;
      ordinary = false;
    }
    if (special)
      mark(bits_of(value));
    else if (!classes_.empty())
      classes_.push_back(0);
    if (!ordinary && counted_.empty()) counted_.assign(ordinary_.size(), 1);
    if (!counted_.empty()) counted_.push_back(ordinary ? 1 : 0);
    if (ordinary && !special) {
      if (!any_) first_ = ordinary_.size();
      any_ = true;
      last_ = x;
    }
    ordinary_.push_back(ordinary && !special ? x : last_);
  }

  void mark(Bits bits) {
    if (classes_.empty()) classes_.assign(ordinary_.size(), 0);
    size_t at = 0;
    while (at < patterns_.size() && patterns_[at] != bits) ++at;
    if (at == patterns_.size()) {
      too_many_ |= at == kMostPatterns;
      if (!too_many_) patterns_.push_back(bits);
    }
    classes_.push_back(static_cast<uint8_t>(std::min(at, kMostPatterns) + 1));
  }

  const ErrorContract& contract_;
  std::vector<double> missing_;
  std::vector<Bits> patterns_;
  std::vector<uint8_t> classes_, counted_;
  std::vector<Work> ordinary_;
  Work last_ = 0;
  size_t first_ = 0;
  bool any_ = false, too_many_ = false;
};

std::vector<uint8_t> valid_of(const std::vector<uint8_t>& classes) {
  std::vector<uint8_t> valid(classes.size());
  for (size_t i = 0; i < classes.size(); ++i) valid[i] = classes[i] == 0 ? 1 : 0;
  return valid;
}

template <class T>
void decode_lossy(ByteSpan in, const BlockExtents& extents, const BlockCodec& codec, std::span<T> values) {
  using Bits = typename Element<T>::Bits;
  ByteReader reader(in);
  std::vector<Bits> patterns(static_cast<size_t>(reader.varint_to(kMostPatterns, "too many special values")));
  for (Bits& p : patterns) p = reader.number<Bits>();
  std::vector<uint8_t> classes, valid;
  if (!patterns.empty()) {
    classes.resize(values.size());
    decode_classes(reader.part(), classes.data(), extents, static_cast<uint8_t>(patterns.size()));
    valid = valid_of(classes);
  }
  std::vector<std::pair<size_t, Bits>> exceptions(
      static_cast<size_t>(reader.varint_to(reader.left() / (1 + sizeof(Bits)), "more exceptions than bytes")));
  size_t place = 0;
  for (auto& [at, bits] : exceptions) {
    place += static_cast<size_t>(reader.varint_to(values.size() - 1 - place, "an exception lies outside its block"));
    at = place;
    bits = reader.number<Bits>();
  }
  using Work = typename Element<T>::Work;
  const size_t payload = reader.position();
  const auto run = [&](Work* out) {
    try {
      codec.decode(reader.rest(), BlockOutput<Work>{out, valid.empty() ? nullptr : valid.data(), extents});
    } catch (Error& error) {
      if (error.code() != ErrorCode::corrupt_data) throw;
      throw error.add_context(fmt::format("its {} part from byte {}", codec.name(), payload));
    }
  };
  if constexpr (std::is_same_v<T, Work>) {
    run(values.data());
  } else {
    std::vector<Work> work(values.size());
    run(work.data());
    std::transform(work.begin(), work.end(), values.begin(), [](Work x) { return Element<T>::rounded(x); });
  }
  const auto put = [&](size_t at, Bits bits) {
    std::memcpy(static_cast<void*>(values.data() + at), &bits, sizeof bits);
  };
  for (size_t i = 0; i < classes.size(); ++i)
    if (classes[i] != 0) put(i, patterns[classes[i] - 1U]);
  for (const auto& [at, bits] : exceptions) put(at, bits);
}

template <class T>
class LossyEncoder {
 public:
  using Bits = typename Element<T>::Bits;
  using Work = typename Element<T>::Work;

  LossyEncoder(ByteSpan raw, const BlockExtents& extents, const ErrorContract& contract, double bound,
               const BlockCodec& codec, const RandomKey& key)
      : values_(reinterpret_cast<const T*>(raw.data()), raw.size() / sizeof(T)),
        extents_(extents),
        contract_(contract),
        bound_(bound),
        codec_(codec),
        key_(key) {}

  /// False where the codec cannot serve the block.
  bool run(EncodedBlock& block) {
    const int64_t begin = now_ns();
    const Specials<T> specials(values_, contract_);
    if (specials.too_many()) return false;
    double greatest = 0;
    for (const Work x : specials.ordinary()) greatest = std::max(greatest, std::abs(static_cast<double>(x)));
    const double slack = Element<T>::slack(greatest);
    if (slack > bound_ / 2) return false;
    std::vector<uint8_t> valid = valid_of(specials.classes());
    BlockInput<Work> in{
        specials.ordinary().data(), valid.empty() ? nullptr : valid.data(), extents_, {kind(), bound_ - slack, key_}};
    Bytes payload;
    // Errors spread evenly over +-bound have a root mean square of bound / sqrt(3).
    const bool spread = contract_.kind == ErrorContract::Kind::rms && kind() == ErrorContract::Kind::abs_max;
    if (spread) in.contract.bound *= std::sqrt(3.0) * 0.98;
    if (!codec_.encode(in, payload)) return false;
    assemble(specials, {}, payload, block.bytes);
    const int64_t coded = now_ns();
    block.decoded.resize(values_.size_bytes());
    const std::span<T> decoded(reinterpret_cast<T*>(block.decoded.data()), values_.size());
    decode_lossy<T>(block.bytes, extents_, codec_, decoded);
    block.statistics.decode_ns = now_ns() - coded;
    compare(specials, decoded, block.statistics);
    if (spread && block.statistics.squares > bound_ * bound_ * static_cast<double>(block.statistics.valid)) {
      in.contract.bound = bound_ - slack;
      payload.clear();
      if (!codec_.encode(in, payload)) return false;
      block.bytes.clear();
      assemble(specials, {}, payload, block.bytes);
      decode_lossy<T>(block.bytes, extents_, codec_, decoded);
      compare(specials, decoded, block.statistics);
    }
    if (!exceptions_.empty()) {
      block.bytes.clear();
      assemble(specials, exceptions_, payload, block.bytes);
      for (const size_t at : exceptions_) decoded[at] = values_[at];
      exceptions_.clear();
      compare(specials, decoded, block.statistics);
    }
    block.statistics.encode_ns = now_ns() - begin - block.statistics.decode_ns;
    block.kind = codec_.id();
    const double squares = bound_ * bound_ * static_cast<double>(block.statistics.valid);
    return exceptions_.empty() && (per_value() || block.statistics.squares <= squares);
  }

 private:
  bool per_value() const { return contract_.kind <= ErrorContract::Kind::rel_max; }
  /// What is asked of the codec: a bound for every value also serves a root mean square.
  ErrorContract::Kind kind() const {
    return contract_.kind == ErrorContract::Kind::unbiased ? contract_.kind : ErrorContract::Kind::abs_max;
  }

  void assemble(const Specials<T>& specials, const std::vector<size_t>& exceptions, const Bytes& payload, Bytes& out) {
    ByteWriter writer(out);
    writer.varint(specials.patterns().size());
    for (const Bits p : specials.patterns()) writer.number(p);
    if (!specials.patterns().empty()) {
      if (map_.empty()) map_ = encode_classes(specials.classes().data(), extents_);
      writer.part(map_);
    }
    writer.varint(exceptions.size());
    size_t place = 0;
    for (const size_t at : exceptions) {
      writer.varint(at - place);
      writer.number(bits_of(values_[at]));
      place = at;
    }
    writer.bytes(payload);
  }

  /// Finds the errors, and the places that must be stored exactly.
  void compare(const Specials<T>& specials, std::span<const T> decoded, BlockStatistics& s) {
    s.valid = 0;
    s.max_error = s.squares = s.sum = 0;
    const std::vector<uint8_t>& counted = specials.counted();
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!counted.empty() && counted[i] == 0) continue;
      const double x = static_cast<double>(Element<T>::work(values_[i]));
      const double error = static_cast<double>(Element<T>::work(decoded[i])) - x;
      const double size = std::abs(error);
      if (!(size <= bound_) && (per_value() || !std::isfinite(size))) {
        exceptions_.push_back(i);
        continue;
      }
      ++s.valid;
      s.max_error = std::max(s.max_error, size);
      s.squares += error * error;
      s.sum += error;
    }
  }

  std::span<const T> values_;
  BlockExtents extents_;
  const ErrorContract& contract_;
  double bound_;
  const BlockCodec& codec_;
  RandomKey key_;
  Bytes map_;
  std::vector<size_t> exceptions_;
};

template <class T>
bool encode_lossy(ByteSpan values, const BlockExtents& extents, const ErrorContract& contract, double bound,
                  const BlockCodec& codec, const RandomKey& key, EncodedBlock& block) {
  return LossyEncoder<T>(values, extents, contract, bound, codec, key).run(block);
}

bool encode_lossy(DType dtype, ByteSpan values, const BlockExtents& extents, const ErrorContract& contract,
                  double bound, const BlockCodec& codec, const RandomKey& key, EncodedBlock& block) {
  switch (dtype) {
    case DType::f64:
      return encode_lossy<double>(values, extents, contract, bound, codec, key, block);
    case DType::f32:
      return encode_lossy<float>(values, extents, contract, bound, codec, key, block);
    case DType::f16:
      return encode_lossy<f16>(values, extents, contract, bound, codec, key, block);
    case DType::bf16:
      return encode_lossy<bf16>(values, extents, contract, bound, codec, key, block);
    default:
      return false;
  }
}

/// Finite values that are not missing: of a block that is stored exactly they have no error.
int64_t count_valid(ByteSpan values, DType dtype, const ErrorContract& contract) {
  return is_real_float(dtype) ? value_range(Tensor::borrow(const_cast<std::byte*>(values.data()), dtype,
                                                           {static_cast<int64_t>(values.size()) / size_of(dtype)}),
                                            contract.missing)
                                    .valid
                              : static_cast<int64_t>(values.size()) / size_of(dtype);
}

}  // namespace

EncodedBlock encode_block(ByteSpan values, DType dtype, const BlockExtents& extents, const ErrorContract& contract,
                          double bound, const BlockCodec* codec, const RandomKey& key) {
  EncodedBlock block;
  const int64_t begin = now_ns();
  const auto width = static_cast<size_t>(size_of(dtype));
  const auto exactly = [&](uint8_t kind) {
    block.kind = kind;
    block.decoded.assign(values.begin(), values.end());
    block.statistics = {};
    block.statistics.valid = count_valid(values, dtype, contract);
    block.statistics.encode_ns = now_ns() - begin;
  };
  if (std::equal(values.begin() + static_cast<std::ptrdiff_t>(width), values.end(), values.begin())) {
    block.bytes.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(width));
    exactly(kConstantBlock);
    return block;
  }
  if (codec != nullptr && encode_lossy(dtype, values, extents, contract, bound, *codec, key, block)) {
    if (block.bytes.size() < values.size() / 2) return block;
    Bytes exact = encode_exact(values, size_of(dtype));
    if (exact.size() >= block.bytes.size()) return block;
    block.bytes = std::move(exact);
  } else {
    block.bytes = encode_exact(values, size_of(dtype));
  }
  exactly(kExactBlock);
  const int64_t coded = now_ns();
  decode_block(kExactBlock, block.bytes, dtype, extents, nullptr, block.decoded);
  block.statistics.decode_ns = now_ns() - coded;
  GREGALE_ASSERT(std::equal(values.begin(), values.end(), block.decoded.begin()));
  return block;
}

void decode_block(uint8_t kind, ByteSpan in, DType dtype, const BlockExtents& extents, const BlockCodec* codec,
                  std::span<std::byte> values) {
  const auto width = static_cast<size_t>(size_of(dtype));
  if (kind == kExactBlock) return decode_exact(in, values, size_of(dtype));
  if (kind == kConstantBlock) {
    if (in.size() != width) throw_error(ErrorCode::corrupt_data, "byte 0: a constant block holds one value");
    for (size_t at = 0; at < values.size(); at += width)
      std::copy(in.begin(), in.end(), values.begin() + static_cast<std::ptrdiff_t>(at));
    return;
  }
  const auto lossy = [&]<class T>(T) {
    decode_lossy<T>(in, extents, *codec, std::span<T>(reinterpret_cast<T*>(values.data()), values.size() / width));
  };
  switch (dtype) {
    case DType::f64:
      return lossy(double{});
    case DType::f32:
      return lossy(float{});
    case DType::f16:
      return lossy(f16{});
    case DType::bf16:
      return lossy(bf16{});
    default:
      throw_error(ErrorCode::corrupt_data, fmt::format("byte 0: {} is never coded with loss", name_of(dtype)));
  }
}

}  // namespace gregale::codec
