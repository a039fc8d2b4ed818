// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/autoencoder.hpp"
#include "gregale/codec.hpp"

/// Streams of the room codec to start fuzzing from, and what gets mutations of them past their checksums.
namespace gregale::fuzz {

/// A small array of each kind that codecs treat differently, in every codec, element type and contract.
inline std::vector<std::string> codec_seeds() {
  std::vector<std::string> seeds;
  const auto add = [&](const Tensor& src, const ErrorContract& contract, const std::string& codec) {
    EncodeOptions options;
    options.codec = codec;
    const Encoded e = encode(src, contract, options);
    seeds.emplace_back(reinterpret_cast<const char*>(e.bytes.data()), e.bytes.size());
  };
  const auto waves = [](DType dtype, const Extents& extents, bool gaps) {
    Tensor t(DType::f64, extents);
    const auto v = t.as<double>();
    for (size_t i = 0; i < v.size(); ++i) {
      const double x = static_cast<double>(i);
      v[i] = 20 * std::sin(x / 17) + 3 * std::cos(x / 5) + 0.1 * std::sin(x * x);
      if (gaps && i / 7 % 5 == 2) v[i] = -999;
      if (gaps && i % 41 == 0) v[i] = std::numeric_limits<double>::quiet_NaN();
      if (gaps && i % 43 == 0) v[i] = std::numeric_limits<double>::infinity();
      if (gaps && i % 47 == 0) v[i] = 1e30;
    }
    return t.cast(dtype);
  };
  const std::vector<Extents> shapes = {{}, {1}, {0}, {60}, {9, 13}, {5, 6, 7}, {2, 3, 5, 7}, {2, 2, 3, 3, 4}};
  for (const std::string& codec : codec_names())
    for (size_t s = 0; s < shapes.size(); ++s)
      for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
        if (s % 2 == 1 && dtype != DType::f32) continue;
        for (const bool gaps : {false, true}) {
          ErrorContract contract{gaps ? ErrorContract::Kind::abs_max : ErrorContract::Kind::rel_max, gaps ? 0.5 : 1e-2};
          if (gaps) contract.missing = {-999};
          contract.keep_zeros = s % 3 == 0;
          add(waves(dtype, shapes[s], gaps), contract, codec);
        }
      }
  // Long enough for the coders that fill vectors.
  for (const bool gaps : {false, true}) {
    ErrorContract contract = ErrorContract::absolute(4);
    if (gaps) contract.missing = {-999};
    add(waves(DType::f32, {90, 200}, gaps), contract, "predictive");
  }
  const auto model = std::make_shared<codec::AutoencoderModel>();
  model->latents = 2;
  model->channels = 3;
  const auto sizes = codec::AutoencoderModel::decoder_sizes(2, 3);
  for (size_t i = 0; i < sizes.size(); ++i)
    model->decoder[i] = codec::AutoencoderModel::Tensor8::rounded(std::vector<float>(sizes[i], 0.1F));
  for (size_t i = 0; const size_t size : {27, 3, 162, 6, 192, 2}) model->encoder[i++] = std::vector<float>(size, 0.1F);
  EncodeOptions learned;
  learned.codec = "autoencoder";
  learned.more_codecs = {codec::autoencoder_codec(Isa::reference, model, nullptr, true)};
  for (const bool gaps : {false, true}) {
    ErrorContract contract = ErrorContract::absolute(0.5);
    if (gaps) contract.missing = {-999};
    const Encoded e = encode(waves(DType::f32, {2, 19, 37}, gaps), contract, learned);
    seeds.emplace_back(reinterpret_cast<const char*>(e.bytes.data()), e.bytes.size());
  }
  add(waves(DType::f32, {300}, false), {ErrorContract::Kind::rms, 0.1}, "auto");
  add(waves(DType::f32, {300}, true), {ErrorContract::Kind::unbiased, 0.3}, "auto");
  add(waves(DType::i16, {4, 30}, false), ErrorContract::lossless(), "auto");
  add(Tensor::full(DType::f32, {40}, 7), ErrorContract::absolute(1), "auto");
  return seeds;
}

/// Puts right checksums into a stream that may be anything else; nullopt where its header does not reach that far.
/// docs/codecs.md has the format.
inline std::optional<std::string> with_checksums(std::string stream) {
  size_t at = 0;
  bool whole = true;
  const auto skip = [&](size_t bytes) {
    whole = whole && bytes <= stream.size() - at;
    if (whole) at += bytes;
  };
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0; whole && shift < 64; shift += 7) {
      if (at == stream.size()) return whole = false, uint64_t{0};
      const auto byte = static_cast<uint8_t>(stream[at++]);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    return value;
  };
  const auto checksum = [&](size_t begin, size_t size, size_t to) {
    const auto sum = static_cast<uint32_t>(XXH3_64bits(stream.data() + begin, size));
    std::memcpy(stream.data() + to, &sum, sizeof sum);
  };
  skip(24);  // magic, version, element type, contract, flags, two bounds
  const uint64_t rank = varint();
  if (!whole || rank > 32) return std::nullopt;
  std::vector<uint64_t> extents(rank);
  for (uint64_t& e : extents) e = varint();
  const uint64_t missing = varint();
  if (missing > 255) return std::nullopt;
  skip(8 * missing);
  uint64_t four[4] = {1, 1, 1, 1}, blocks = 1;
  for (size_t i = 0; i < extents.size(); ++i) {
    uint64_t& e = four[extents.size() - i <= 4 ? 4 - (extents.size() - i) : 0];
    if (extents[i] > (1U << 24) || (e *= extents[i]) > (1U << 24)) return std::nullopt;
  }
  for (const uint64_t e : four) {
    const uint64_t block = varint();
    if (!whole || block == 0) return std::nullopt;
    blocks *= (e + block - 1) / block;
    if (blocks > stream.size()) return std::nullopt;
  }
  struct Place {
    uint64_t bytes;
    size_t sum;
  };
  std::vector<Place> places;
  for (uint64_t i = 0; i < blocks; ++i) {
    skip(1);
    const uint64_t bytes = varint();
    places.push_back({bytes, at});
    skip(4);
  }
  const size_t end = at;
  skip(4);
  if (!whole) return std::nullopt;
  for (const Place& place : places) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(place.bytes, stream.size() - at));
    checksum(at, size, place.sum);
    at += size;
  }
  checksum(0, end, end);
  return stream;
}

/// Everything that reading does. Errors are the answer to most bytes, and pass.
inline void decode_stream(std::string_view stream) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(stream.data()), stream.size());
  DecodeOptions options;
  options.max_bytes = 1 << 20;
  const Tensor values = decode(bytes, options);
  const StreamInfo info = describe(bytes);
  GREGALE_ASSERT(info.extents == values.extents() && info.dtype == values.dtype());
}

}  // namespace gregale::fuzz
