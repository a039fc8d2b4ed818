// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/block.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "codec/class_map.hpp"
#include "codec/element.hpp"
#include "codec/values_isa.hpp"

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

/// What is no ordinary number in a block.
template <class T>
class Specials {
 public:
  using Bits = typename Element<T>::Bits;
  using Work = typename Element<T>::Work;

  /// `fill_in`: whether codecs need good values where there are none.
  Specials(std::span<const T> values, const ErrorContract& contract, bool fill_in, Isa isa, Workspace& workspace)
      : rows_(value_rows<Work>(isa)) {
    const auto count = static_cast<int64_t>(values.size());
    if constexpr (Element<T>::kSame) {
      work_ = values.data();
    } else {
      converted_ = workspace.take<Work>(values.size());
      std::transform(values.begin(), values.end(), converted_.begin(), [](T x) { return Element<T>::work(x); });
      work_ = converted_.data();
    }
    const std::vector<Work> missing = as_elements<T>(contract.missing);
    scan_ = rows_.scan(work_, count, missing.data(), static_cast<int64_t>(missing.size()));
    const bool zeros = contract.keep_zeros && scan_.zeros > 0;
    if (scan_.ordinary == count && !zeros) return;
    counted_ = workspace.take<uint8_t>(values.size());
    rows_.flag(work_, count, missing.data(), static_cast<int64_t>(missing.size()), counted_.data());
    Buffer<uint8_t> others;  // what codecs are to see as ordinary
    const uint8_t* ordinary = counted_.data();
    if (zeros) {
      others = workspace.take<uint8_t>(values.size());
      for (size_t i = 0; i < values.size(); ++i) others[i] = counted_[i] != 0 && work_[i] != 0 ? 1 : 0;
      ordinary = others.data();
    }
    fill(values, contract, missing, ordinary, fill_in, workspace);
  }

  bool too_many() const { return too_many_; }
  const std::vector<Bits>& patterns() const { return patterns_; }
  /// Per place: 0, or one more than the index of its pattern. Empty where all are ordinary.
  const Buffer<uint8_t>& classes() const { return classes_; }
  /// The values as codecs see them, the last ordinary one where there is none.
  const Work* ordinary() const { return work_; }
  const ValueScan& scan() const { return scan_; }
  /// Which places are part of comparisons; null where all are.
  const uint8_t* counted() const { return counted_.empty() ? nullptr : counted_.data(); }

 private:
  /// The quick way for most files, in which all others are the same bits; false where they are not.
  bool fill_alike(const uint8_t* ordinary, size_t count, Work* to) {
    const auto first = static_cast<size_t>(std::find(ordinary, ordinary + count, 0) - ordinary);
    const auto valid = static_cast<size_t>(std::find(ordinary, ordinary + count, 1) - ordinary);
    if (first == count || valid == count) return false;
    if (!rows_.separate(work_, ordinary, static_cast<int64_t>(count), work_[first], work_[valid], to, classes_.data()))
      return false;
    if constexpr (Element<T>::kSame) patterns_ = {Element<T>::bits(work_[first])};
    return true;
  }

  /// Runs of ordinary values stay; others become the last ordinary one, and get a class.
  void fill(std::span<const T> values, const ErrorContract& contract, const std::vector<Work>& missing,
            const uint8_t* ordinary, bool fill_in, Workspace& workspace) {
    const size_t count = values.size();
    const auto next = [&](size_t from, int flag) {
      const void* found = from < count ? std::memchr(ordinary + from, flag, count - from) : nullptr;
      return found == nullptr ? count : static_cast<size_t>(static_cast<const uint8_t*>(found) - ordinary);
    };
    Buffer<Work> filled;
    if (Element<T>::kSame) filled = workspace.take<Work>(count);
    Work* const to = Element<T>::kSame ? filled.data() : converted_.data();
    classes_ = workspace.take<uint8_t>(count);
    if (Element<T>::kSame && contract.keep_nonfinite && !fill_in && fill_alike(ordinary, count, to)) {
      if (Element<T>::kSame) converted_ = std::move(filled);
      work_ = converted_.data();
      return;
    }
    bool any_special = false;
    Work last = next(0, 1) < count ? work_[next(0, 1)] : 0;
    for (size_t i = 0; i < count;) {
      const size_t end = next(i, 0);
      if (Element<T>::kSame) std::copy(work_ + i, work_ + end, to + i);
      std::fill(classes_.data() + i, classes_.data() + end, uint8_t{0});
      if (end > i) last = work_[end - 1];
      i = end;
      for (const size_t stop = next(i, 1); i < stop; ++i) {
        const Work x = work_[i];
        to[i] = last;
        // What is neither finite nor missing may come back as anything where nobody asks for it.
        const bool free = counted_[i] == 0 && !contract.keep_nonfinite && !std::isfinite(x) && !is_missing(x, missing);
        classes_[i] = free ? 0 : class_of(Element<T>::bits(values[i]));
        any_special |= !free;
      }
    }
    if (Element<T>::kSame) converted_ = std::move(filled);
    work_ = converted_.data();
    if (!any_special) classes_ = {};
  }

  static bool is_missing(Work x, const std::vector<Work>& missing) {
    return std::any_of(missing.begin(), missing.end(),
                       [&](Work m) { return m == x || (std::isnan(m) && std::isnan(x)); });
  }

  uint8_t class_of(Bits bits) {
    if (last_class_ > 0 && patterns_[last_class_ - 1U] == bits) return last_class_;
    const auto at = static_cast<size_t>(std::find(patterns_.begin(), patterns_.end(), bits) - patterns_.begin());
    if (at == kMostPatterns) {
      too_many_ = true;
      return 0;
    }
    if (at == patterns_.size()) patterns_.push_back(bits);
    return last_class_ = static_cast<uint8_t>(at + 1);
  }

  const ValueRows<Work>& rows_;
  const Work* work_ = nullptr;
  Buffer<Work> converted_;
  ValueScan scan_;
  std::vector<Bits> patterns_;
  Buffer<uint8_t> classes_, counted_;
  uint8_t last_class_ = 0;
  bool too_many_ = false;
};

/// 1 where a value is ordinary; empty where all are.
Buffer<uint8_t> valid_of(const Buffer<uint8_t>& classes, Workspace& workspace) {
  Buffer<uint8_t> valid;
  if (classes.empty()) return valid;
  valid = workspace.take<uint8_t>(classes.size());
  const uint8_t* __restrict from = classes.data();
  uint8_t* __restrict to = valid.data();
  for (size_t i = 0, n = classes.size(); i < n; ++i) to[i] = from[i] == 0 ? 1 : 0;
  return valid;
}

template <class T>
void decode_lossy(ByteSpan in, const BlockExtents& extents, const BlockCodec& codec, std::span<T> values,
                  Workspace& workspace) {
  using Bits = typename Element<T>::Bits;
  ByteReader reader(in);
  std::vector<Bits> patterns(static_cast<size_t>(reader.varint_to(kMostPatterns, "too many special values")));
  for (Bits& p : patterns) p = reader.number<Bits>();
  Buffer<uint8_t> classes;
  if (!patterns.empty()) {
    classes = workspace.take<uint8_t>(values.size());
    decode_classes(reader.part(), classes.data(), extents, static_cast<uint8_t>(patterns.size()));
  }
  const Buffer<uint8_t> valid = valid_of(classes, workspace);
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
      codec.decode(reader.rest(), BlockOutput<Work>{out, valid.empty() ? nullptr : valid.data(), extents, &workspace});
    } catch (Error& error) {
      if (error.code() != ErrorCode::corrupt_data) throw;
      throw error.add_context(fmt::format("its {} part from byte {}", codec.name(), payload));
    }
  };
  if constexpr (Element<T>::kSame) {
    run(values.data());
  } else {
    const Buffer<Work> work = workspace.take<Work>(values.size());
    run(work.data());
    std::transform(work.begin(), work.end(), values.begin(), [](Work x) { return Element<T>::rounded(x); });
  }
  const auto put = [&](size_t at, Bits bits) {
    std::memcpy(static_cast<void*>(values.data() + at), &bits, sizeof bits);
  };
  if (patterns.size() == 1) {
    auto* __restrict to = reinterpret_cast<Bits*>(values.data());
    const uint8_t* __restrict special = classes.data();
    const Bits pattern = patterns[0];
    for (size_t i = 0, n = classes.size(); i < n; ++i) to[i] = special[i] != 0 ? pattern : to[i];
  } else {
    for (size_t i = 0; i < classes.size(); ++i)
      if (classes[i] != 0) put(i, patterns[classes[i] - 1U]);
  }
  for (const auto& [at, bits] : exceptions) put(at, bits);
}

template <class T>
class LossyEncoder {
 public:
  using Bits = typename Element<T>::Bits;
  using Work = typename Element<T>::Work;

  LossyEncoder(ByteSpan raw, const BlockExtents& extents, const ErrorContract& contract, double bound,
               const BlockCodec& codec, const RandomKey& key, Isa isa, Workspace& workspace)
      : values_(reinterpret_cast<const T*>(raw.data()), raw.size() / sizeof(T)),
        extents_(extents),
        contract_(contract),
        bound_(bound),
        codec_(codec),
        key_(key),
        isa_(isa),
        workspace_(workspace) {}

  /// False where the codec cannot serve the block. `target`: EncodedBlock's `decoded`.
  bool run(EncodedBlock& block, std::span<std::byte> target) {
    const int64_t begin = now_ns();
    const Specials<T> specials(values_, contract_, !codec_.looks_at_valid(), isa_, workspace_);
    if (specials.too_many()) return false;
    const ValueScan& scan = specials.scan();
    const double slack = Element<T>::slack(std::max(std::abs(scan.least), std::abs(scan.greatest)));
    if (slack > bound_ / 2) return false;
    const Buffer<uint8_t> valid = valid_of(specials.classes(), workspace_);
    BlockInput<Work> in{specials.ordinary(),
                        valid.empty() ? nullptr : valid.data(),
                        extents_,
                        {kind(), bound_ - slack, key_},
                        scan.least,
                        scan.greatest,
                        &workspace_};
    Bytes payload;
    // Errors spread evenly over +-bound have a root mean square of bound / sqrt(3).
    const bool spread = contract_.kind == ErrorContract::Kind::rms && kind() == ErrorContract::Kind::abs_max;
    if (spread) in.contract.bound *= std::sqrt(3.0) * 0.98;
    if (!codec_.encode(in, payload)) return false;
    assemble(specials, {}, payload, block.bytes);
    block.kind = codec_.id();
    const int64_t coded = now_ns();
    block.statistics.encode_ns = coded - begin;
    block.statistics.valid = scan.ordinary;
    block.statistics.least = scan.least;
    block.statistics.greatest = scan.greatest;
    if (target.empty() && per_value()) return true;
    Buffer<std::byte> own;
    if (target.empty()) {
      own = workspace_.take<std::byte>(values_.size_bytes());
      target = {own.data(), own.size()};
    }
    const std::span<T> decoded(reinterpret_cast<T*>(target.data()), values_.size());
    decode_lossy<T>(block.bytes, extents_, codec_, decoded, workspace_);
    block.statistics.decode_ns = now_ns() - coded;
    compare(specials, decoded, block.statistics);
    if (spread && block.statistics.squares > bound_ * bound_ * static_cast<double>(block.statistics.valid)) {
      in.contract.bound = bound_ - slack;
      payload.clear();
      if (!codec_.encode(in, payload)) return false;
      block.bytes.clear();
      assemble(specials, {}, payload, block.bytes);
      decode_lossy<T>(block.bytes, extents_, codec_, decoded, workspace_);
      compare(specials, decoded, block.statistics);
    }
    if (!exceptions_.empty()) {
      block.bytes.clear();
      assemble(specials, exceptions_, payload, block.bytes);
      for (const size_t at : exceptions_) decoded[at] = values_[at];
      compare(specials, decoded, block.statistics);
    }
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
      if (map_.empty())
        map_ = encode_classes(specials.classes().data(), extents_, static_cast<uint8_t>(specials.patterns().size()),
                              workspace_);
      writer.part(map_);
    }
    writer.varint(exceptions.size());
    size_t place = 0;
    for (const size_t at : exceptions) {
      writer.varint(at - place);
      writer.number(Element<T>::bits(values_[at]));
      place = at;
    }
    writer.bytes(payload);
  }

  /// Finds the errors, and the places that must be stored exactly.
  void compare(const Specials<T>& specials, std::span<const T> decoded, BlockStatistics& s) {
    const Work *values = nullptr, *other = nullptr;
    Buffer<Work> a, b;
    if constexpr (Element<T>::kSame) {
      values = values_.data();
      other = decoded.data();
    } else {
      a = workspace_.take<Work>(values_.size());
      b = workspace_.take<Work>(values_.size());
      std::transform(values_.begin(), values_.end(), a.begin(), Element<T>::work);
      std::transform(decoded.begin(), decoded.end(), b.begin(), Element<T>::work);
      values = a.data();
      other = b.data();
    }
    const auto count = static_cast<int64_t>(values_.size());
    const uint8_t* counted = specials.counted();
    const double bound = per_value() ? bound_ : std::numeric_limits<double>::max();
    const ErrorScan scan = value_rows<Work>(isa_).compare(values, other, counted, count, bound);
    s.valid = specials.scan().ordinary;
    exceptions_.clear();
    s.max_error = scan.greatest;
    s.squares = scan.squares;
    s.sum = scan.sum;
    // No value may become one that means "no data"; such values mostly lie far from all others.
    const std::vector<Work> missing = as_elements<T>(contract_.missing);
    const double least = specials.scan().least - scan.greatest, greatest = specials.scan().greatest + scan.greatest;
    Buffer<uint8_t> ordinary;
    if (std::any_of(missing.begin(), missing.end(), [&](Work m) { return m >= least && m <= greatest; })) {
      ordinary = workspace_.take<uint8_t>(values_.size());
      value_rows<Work>(isa_).flag(other, count, missing.data(), static_cast<int64_t>(missing.size()), ordinary.data());
    }
    if (scan.violations == 0 && ordinary.empty()) return;
    for (int64_t i = 0; i < count; ++i) {
      if (counted != nullptr && counted[i] == 0) continue;
      const double error = std::abs(static_cast<double>(other[i]) - static_cast<double>(values[i]));
      if (!(error <= bound) || (!ordinary.empty() && ordinary[static_cast<size_t>(i)] == 0))
        exceptions_.push_back(static_cast<size_t>(i));
    }
  }

  std::span<const T> values_;
  BlockExtents extents_;
  const ErrorContract& contract_;
  double bound_;
  const BlockCodec& codec_;
  RandomKey key_;
  Isa isa_;
  Workspace& workspace_;
  Bytes map_;
  std::vector<size_t> exceptions_;
};

/// Of a block that is stored exactly: finite values that are not missing have no error.
BlockStatistics without_error(ByteSpan values, DType dtype, const ErrorContract& contract) {
  BlockStatistics s;
  s.valid = static_cast<int64_t>(values.size()) / size_of(dtype);
  if (!is_real_float(dtype)) return s;
  const Tensor block = Tensor::borrow(const_cast<std::byte*>(values.data()), dtype, {s.valid});
  const ValueRange range = value_range(block, contract.missing);
  s.valid = range.valid;
  s.least = range.least;
  s.greatest = range.greatest;
  return s;
}

}  // namespace

EncodedBlock encode_block(ByteSpan values, DType dtype, const BlockExtents& extents, const ErrorContract& contract,
                          double bound, const BlockCodec* codec, const RandomKey& key, Isa isa, Workspace& workspace,
                          std::span<std::byte> decoded) {
  EncodedBlock block;
  const int64_t begin = now_ns();
  const auto width = static_cast<size_t>(size_of(dtype));
  const auto exactly = [&](uint8_t kind) {
    block.kind = kind;
    if (!decoded.empty()) std::copy(values.begin(), values.end(), decoded.begin());
    block.statistics = without_error(values, dtype, contract);
    block.statistics.encode_ns = now_ns() - begin;
  };
  if (std::equal(values.begin() + static_cast<std::ptrdiff_t>(width), values.end(), values.begin())) {
    block.bytes.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(width));
    exactly(kConstantBlock);
    return block;
  }
  bool lossy = false;
  if (codec != nullptr)
    for_real_float(dtype, [&]<class T>(T) {
      lossy = LossyEncoder<T>(values, extents, contract, bound, *codec, key, isa, workspace).run(block, decoded);
    });
  if (lossy) {
    if (block.bytes.size() < values.size() / 2) return block;
    Bytes exact = encode_exact(values, size_of(dtype), workspace);
    if (exact.size() >= block.bytes.size()) return block;
    block.bytes = std::move(exact);
  } else {
    block.bytes = encode_exact(values, size_of(dtype), workspace);
  }
  exactly(kExactBlock);
  if (decoded.empty()) return block;
  const int64_t coded = now_ns();
  decode_block(kExactBlock, block.bytes, dtype, extents, nullptr, decoded, workspace);
  block.statistics.decode_ns = now_ns() - coded;
  GREGALE_ASSERT(std::equal(values.begin(), values.end(), decoded.begin()));
  return block;
}

void decode_block(uint8_t kind, ByteSpan in, DType dtype, const BlockExtents& extents, const BlockCodec* codec,
                  std::span<std::byte> values, Workspace& workspace) {
  const auto width = static_cast<size_t>(size_of(dtype));
  if (kind == kExactBlock) return decode_exact(in, values, size_of(dtype), workspace);
  if (kind == kConstantBlock) {
    if (in.size() != width) throw_error(ErrorCode::corrupt_data, "byte 0: a constant block holds one value");
    for (size_t at = 0; at < values.size(); at += width)
      std::copy(in.begin(), in.end(), values.begin() + static_cast<std::ptrdiff_t>(at));
    return;
  }
  const bool real = for_real_float(dtype, [&]<class T>(T) {
    decode_lossy<T>(in, extents, *codec, std::span<T>(reinterpret_cast<T*>(values.data()), values.size() / width),
                    workspace);
  });
  if (!real) throw_error(ErrorCode::corrupt_data, fmt::format("byte 0: {} is never coded with loss", name_of(dtype)));
}

}  // namespace gregale::codec
