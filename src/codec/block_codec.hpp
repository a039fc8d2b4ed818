// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "codec/bytes.hpp"
#include "codec/workspace.hpp"
#include "gregale/codec.hpp"

/// The interface one codec implements. The stream around it (stream.cpp) cuts arrays into blocks, takes out what is no
/// ordinary number, runs the decoder on every block, and stores values that miss their bound; so a codec only has to be
/// good, never right.
namespace gregale {

namespace codec {

using BlockExtents = std::array<int64_t, 4>;  ///< slowest first, leading ones where the rank is lower
inline int64_t count_of(const BlockExtents& e) { return e[0] * e[1] * e[2] * e[3]; }

/// What a block's values owe: per value `bound`, but for `rms` and `unbiased` the root mean square.
struct BlockContract {
  ErrorContract::Kind kind = ErrorContract::Kind::abs_max;  ///< abs_max, rms or unbiased
  double bound = 0;
  RandomKey key;
};

/// T is float or double. `valid` is null where all values are; at other places stands the last valid value before (or
/// the first there is), so that codecs which know of no such places lose little; for codecs that look_at_valid(), any
/// ordinary value.
template <class T>
struct BlockInput {
  const T* values = nullptr;
  const uint8_t* valid = nullptr;
  BlockExtents extents{};
  BlockContract contract;
  double least = 0, greatest = 0;  ///< of the values that are ordinary numbers
  Workspace* workspace = nullptr;  ///< never null where a stream calls
};

template <class T>
struct BlockOutput {
  T* values = nullptr;  ///< every one is to be written
  const uint8_t* valid = nullptr;
  BlockExtents extents{};
  Workspace* workspace = nullptr;
};

}  // namespace codec

class BlockCodec {
 public:
  virtual ~BlockCodec() = default;
  virtual std::string_view name() const = 0;
  /// In streams, for ever. 0 to 15 belong to the stream itself.
  virtual uint8_t id() const = 0;
  /// False of one that needs something first, such as a model: it only decodes.
  virtual bool encodes() const { return true; }
  /// Whether `valid` is looked at, so that what stands where there is no value costs nothing.
  virtual bool looks_at_valid() const { return false; }
  /// False where it cannot serve this contract or these values; `out` may then hold anything.
  virtual bool encode(const codec::BlockInput<float>& in, codec::Bytes& out) const = 0;
  virtual bool encode(const codec::BlockInput<double>& in, codec::Bytes& out) const = 0;
  /// Reads bytes of unknown origin: throws ErrorCode::corrupt_data for what cannot be, and stays within its block.
  virtual void decode(codec::ByteSpan in, const codec::BlockOutput<float>& out) const = 0;
  virtual void decode(codec::ByteSpan in, const codec::BlockOutput<double>& out) const = 0;
};

namespace codec {

/// A codec that does the same for both precisions: Codec::encode_any and Codec::decode_any, templates of the element
/// type.
template <class Codec>
class FloatBlockCodec : public BlockCodec {
 public:
  bool encode(const BlockInput<float>& in, Bytes& out) const final { return self().encode_any(in, out); }
  bool encode(const BlockInput<double>& in, Bytes& out) const final { return self().encode_any(in, out); }
  void decode(ByteSpan in, const BlockOutput<float>& out) const final { self().decode_any(in, out); }
  void decode(ByteSpan in, const BlockOutput<double>& out) const final { self().decode_any(in, out); }

 private:
  const Codec& self() const { return static_cast<const Codec&>(*this); }
};

/// The standard codecs, one a file. `isa`: for speed alone.
std::shared_ptr<const BlockCodec> quantize_codec(Isa isa);
std::shared_ptr<const BlockCodec> split_frequency_codec(Isa isa);
std::shared_ptr<const BlockCodec> predictive_codec(Isa isa);
#ifdef GREGALE_ZFP
std::shared_ptr<const BlockCodec> zfp_codec();
#endif

/// Any bytes exactly: bytes of equal significance together (`width` a value), then zstd.
Bytes encode_exact(ByteSpan values, int64_t width, Workspace& workspace);
/// Fills `values`; throws ErrorCode::corrupt_data.
void decode_exact(ByteSpan in, std::span<std::byte> values, int64_t width, Workspace& workspace);

}  // namespace codec
}  // namespace gregale
