// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "codec/autoencoder.hpp"
#include "codec/block.hpp"
#include "codec/element.hpp"
#include "codec/partition.hpp"
#include "codec/values_isa.hpp"

// A stream: header, table of blocks, checksum of both, blocks. docs/codecs.md has every field.
namespace gregale {
namespace {

using codec::BlockExtents;
using codec::ByteReader;
using codec::Bytes;
using codec::ByteSpan;
using codec::ByteWriter;

constexpr uint32_t kMagic = 0x43475247;  // "GRGC"
constexpr uint8_t kVersion = 2;
constexpr size_t kMostMissing = 255;
constexpr int64_t kMostRank = 32;

uint32_t checksum(ByteSpan bytes) { return static_cast<uint32_t>(XXH3_64bits(bytes.data(), bytes.size())); }

struct Header {
  StreamInfo info;
  BlockExtents array{}, block{};
  std::vector<uint8_t> kinds;
  std::vector<uint32_t> checksums;
};

Isa isa_here() {
  static const Isa isa = Target::detect().isa;
  return isa;
}

using MoreCodecs = std::vector<std::shared_ptr<const BlockCodec>>;

const BlockCodec* find_codec(uint8_t id, const MoreCodecs& more) {
  for (const auto* list : {&standard_codecs(), &more})
    for (const auto& c : *list)
      if (c->id() == id) return c.get();
  return nullptr;
}

std::string kind_name(uint8_t kind, const MoreCodecs& more) {
  if (kind == codec::kExactBlock) return "exact";
  if (kind == codec::kConstantBlock) return "constant";
  const BlockCodec* c = find_codec(kind, more);
  return c != nullptr ? std::string(c->name()) : fmt::format("codec {}", kind);
}

void write_header(const Header& h, Bytes& out) {
  ByteWriter w(out);
  const ErrorContract& c = h.info.contract;
  w.number(kMagic);
  w.number(kVersion);
  w.number(static_cast<uint8_t>(h.info.dtype));
  w.number(static_cast<uint8_t>(c.kind));
  w.number(static_cast<uint8_t>((c.keep_zeros ? 1 : 0) | (c.keep_nonfinite ? 2 : 0)));
  w.number(c.bound);
  w.number(h.info.absolute_bound);
  w.varint(h.info.extents.size());
  for (const int64_t e : h.info.extents) w.varint(static_cast<uint64_t>(e));
  w.varint(c.missing.size());
  for (const double m : c.missing) w.number(m);
  for (const int64_t e : h.block) w.varint(static_cast<uint64_t>(e));
  for (size_t i = 0; i < h.kinds.size(); ++i) {
    w.number(h.kinds[i]);
    w.varint(static_cast<uint64_t>(h.info.blocks[i].bytes));
    w.number(h.checksums[i]);
  }
  w.number(checksum(out));
}

Header read_header(ByteSpan stream, const MoreCodecs& more, int64_t max_bytes) {
  ByteReader r(stream);
  Header h;
  ErrorContract& c = h.info.contract;
  if (r.left() < 8 || r.number<uint32_t>() != kMagic) throw_error(ErrorCode::corrupt_data, "byte 0: no Gregale stream");
  if (const auto version = r.number<uint8_t>(); version != kVersion)
    throw_error(ErrorCode::unsupported, fmt::format("byte 4: version {} of the format is not known here", version));
  const auto dtype = r.number<uint8_t>();
  if (dtype >= kDTypeCount) r.fail("no element type has this number");
  h.info.dtype = static_cast<DType>(dtype);
  const auto kind = r.number<uint8_t>();
  if (kind > static_cast<uint8_t>(ErrorContract::Kind::unbiased)) r.fail("no contract has this number");
  c.kind = static_cast<ErrorContract::Kind>(kind);
  const auto flags = r.number<uint8_t>();
  c.keep_zeros = (flags & 1) != 0;
  c.keep_nonfinite = (flags & 2) != 0;
  c.bound = r.number<double>();
  h.info.absolute_bound = r.number<double>();
  h.info.extents.resize(r.varint_to(kMostRank, "the rank is above 32"));
  int64_t left = std::min(max_bytes, int64_t{1} << 62) / size_of(h.info.dtype);
  bool empty = false;
  for (int64_t& e : h.info.extents) {
    e = static_cast<int64_t>(r.varint_to(static_cast<uint64_t>(std::max<int64_t>(left, 1)), "more values than may be"));
    empty |= e == 0;
    left /= std::max<int64_t>(e, 1);
  }
  c.missing.resize(r.varint_to(kMostMissing, "too many missing values"));
  for (double& m : c.missing) m = r.number<double>();
  h.array = codec::as_four(h.info.extents);
  uint64_t blocks = empty ? 0 : 1;
  for (size_t d = 0; d < 4; ++d) {
    const auto greatest = static_cast<uint64_t>(std::max<int64_t>(h.array[d], 1));
    h.block[d] = static_cast<int64_t>(r.varint_to(greatest, "a block is larger than the array"));
    if (h.block[d] == 0) r.fail("a block is empty");
    blocks *=
        (static_cast<uint64_t>(h.array[d]) + static_cast<uint64_t>(h.block[d]) - 1) / static_cast<uint64_t>(h.block[d]);
    if (blocks > stream.size()) r.fail("more blocks than bytes");
  }
  uint64_t total = 0;
  for (uint64_t i = 0; i < blocks; ++i) {
    h.kinds.push_back(r.number<uint8_t>());
    StreamInfo::Block block;
    block.codec = kind_name(h.kinds.back(), more);
    block.bytes = static_cast<int64_t>(r.varint_to(stream.size() - total, "a block is longer than the stream"));
    block.offset = static_cast<int64_t>(total);
    total += static_cast<uint64_t>(block.bytes);
    h.info.blocks.push_back(std::move(block));
    h.checksums.push_back(r.number<uint32_t>());
  }
  const size_t end = r.position();
  if (r.number<uint32_t>() != checksum(stream.first(end))) r.fail("the header's checksum is wrong");
  for (auto& b : h.info.blocks) b.offset += static_cast<int64_t>(r.position());
  if (total > r.left())
    throw_error(ErrorCode::corrupt_data,
                fmt::format("byte {}: the stream ends, {} bytes too early", stream.size(), total - r.left()));
  if (total < r.left())
    throw_error(ErrorCode::corrupt_data,
                fmt::format("byte {}: something follows the last block", r.position() + total));
  return h;
}

Header read_header_for(const char* who, ByteSpan stream, const MoreCodecs& more, int64_t max_bytes) {
  try {
    return read_header(stream, more, max_bytes);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("[{}] {}", who, error.message()));
  }
}

/// The codec that a name stands for under a contract; null: exact.
const BlockCodec* choose(const std::string& name, ErrorContract::Kind kind, const MoreCodecs& more) {
  const bool automatic = name == "auto";
  const std::string wanted = !automatic                              ? name
                             : kind == ErrorContract::Kind::unbiased ? std::string("quantize")
                                                                     : std::string("predictive");
  if (wanted == "exact") return nullptr;
  for (const auto* list : {&more, &standard_codecs()})
    for (const auto& c : *list)
      if (c->name() == wanted) {
        GREGALE_CHECK(c->encodes(), invalid_argument, "[encode] the codec '{}' needs a model", wanted);
        return c.get();
      }
  throw_error(ErrorCode::invalid_argument,
              fmt::format("[encode] no codec is called '{}'; there are {}", name, fmt::join(codec_names(), ", ")));
}

void run_blocks(ThreadTeam* team, int64_t count, const auto& body) {
  if (team == nullptr) {
    for (int64_t i = 0; i < count; ++i) body(i);
  } else {
    parallel_for(*team, count, 1, [&](int64_t i, int64_t, int) { body(i); });
  }
}

Certificate certify(const Tensor& src, const std::vector<codec::EncodedBlock>& blocks) {
  Certificate c;
  double squares = 0, sum = 0, least = INFINITY, greatest = -INFINITY;
  for (const codec::EncodedBlock& b : blocks) {
    if (b.statistics.valid > 0) {
      least = std::min(least, b.statistics.least);
      greatest = std::max(greatest, b.statistics.greatest);
    }
    c.valid += b.statistics.valid;
    c.max_error = std::max(c.max_error, b.statistics.max_error);
    squares += b.statistics.squares;
    sum += b.statistics.sum;
    c.encode_ns += b.statistics.encode_ns;
    c.decode_ns += b.statistics.decode_ns;
  }
  const double n = static_cast<double>(std::max<int64_t>(c.valid, 1));
  c.rms = std::sqrt(squares / n);
  c.bias = sum / n;
  c.values = src.size();
  c.bytes_in = src.bytes();
  if (c.valid > 0 && is_real_float(src.dtype())) c.range = greatest - least;
  return c;
}

}  // namespace

const char* to_string(ErrorContract::Kind kind) {
  switch (kind) {
    case ErrorContract::Kind::exact:
      return "exact";
    case ErrorContract::Kind::abs_max:
      return "abs_max";
    case ErrorContract::Kind::rel_max:
      return "rel_max";
    case ErrorContract::Kind::rms:
      return "rms";
    case ErrorContract::Kind::unbiased:
      return "unbiased";
  }
  return "exact";
}

double Certificate::psnr() const { return 20 * std::log10(range / rms); }

const std::vector<std::shared_ptr<const BlockCodec>>& standard_codecs() {
  static const std::vector<std::shared_ptr<const BlockCodec>> codecs = [] {
    const Isa isa = isa_here();
    return std::vector<std::shared_ptr<const BlockCodec>>{
        codec::predictive_codec(isa),
        codec::quantize_codec(isa),
        codec::split_frequency_codec(isa),
        codec::autoencoder_codec(isa),
#ifdef GREGALE_ZFP
        codec::zfp_codec(),
#endif
    };
  }();
  return codecs;
}

std::shared_ptr<CodecWorkspace> make_codec_workspace() { return std::make_shared<CodecWorkspace>(); }

std::vector<std::string> codec_names() {
  std::vector<std::string> names{"auto", "exact"};
  for (const auto& c : standard_codecs())
    if (c->encodes()) names.emplace_back(c->name());
  return names;
}

Encoded encode(const Tensor& src, const ErrorContract& contract, const EncodeOptions& options) {
  using Kind = ErrorContract::Kind;
  const bool lossy = contract.kind != Kind::exact;
  GREGALE_CHECK(!lossy || is_real_float(src.dtype()), dtype, "[encode] {} is only compressed exactly",
                name_of(src.dtype()));
  GREGALE_CHECK(!lossy || (contract.bound > 0 && std::isfinite(contract.bound)), invalid_argument,
                "[encode] the bound {} is to be positive and finite", contract.bound);
  GREGALE_CHECK(contract.missing.size() <= kMostMissing, invalid_argument,
                "[encode] {} missing values; {} are the most", contract.missing.size(), kMostMissing);
  GREGALE_CHECK(src.rank() <= kMostRank, shape, "[encode] rank {} is above {}", src.rank(), kMostRank);

  Header h;
  h.info.dtype = src.dtype();
  h.info.extents = src.extents();
  h.info.contract = contract;
  h.array = codec::as_four(src.extents());
  h.block = codec::block_extents(h.array);
  double& bound = h.info.absolute_bound;
  bound = !lossy ? 0 : contract.bound;
  if (contract.kind == Kind::rel_max) bound *= value_range(src, contract.missing).width();
  if (!std::isfinite(bound)) bound = 0;  // a range beyond f64: exactly
  const BlockCodec* codec = choose(options.codec, contract.kind, options.more_codecs);
  if (!lossy || !(bound > 0)) codec = nullptr;

  const Isa isa = isa_here();
  const codec::Partition partition(h.array, h.block);
  const int64_t count = src.size() == 0 ? 0 : partition.size(), width = size_of(src.dtype());
  const bool verify = options.verify || contract.kind > Kind::rel_max;
  CodecWorkspace own;
  CodecWorkspace& workspace = options.workspace != nullptr ? *options.workspace : own;
  std::vector<codec::EncodedBlock> blocks(static_cast<size_t>(count));
  const auto decoded = workspace.take<std::byte>(verify ? static_cast<size_t>(src.bytes()) : 0);
  run_blocks(options.team, count, [&](int64_t i) {
    const codec::Partition::Box box = partition.box(i);
    const auto bytes = static_cast<size_t>(codec::count_of(box.extents) * width);
    const auto* const values = static_cast<const std::byte*>(src.data());
    const std::optional<size_t> place = partition.dense(box, width);
    codec::Buffer<std::byte> gathered, result;
    ByteSpan dense;
    std::span<std::byte> target;
    if (place) {
      dense = {values + *place, bytes};
      if (verify) target = {decoded.data() + *place, bytes};
    } else {
      gathered = workspace.take<std::byte>(bytes);
      partition.gather(values, box, gathered.data(), width);
      dense = {gathered.data(), bytes};
      if (verify) result = workspace.take<std::byte>(bytes);
      target = {result.data(), result.size()};
    }
    RandomKey key = options.key;
    key.seed ^= static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15U;
    codec::EncodedBlock& b = blocks[static_cast<size_t>(i)];
    b = codec::encode_block(dense, src.dtype(), box.extents, contract, bound, codec, key, isa, workspace, target);
    if (!place && verify) partition.scatter(target.data(), box, decoded.data(), width);
  });
  std::map<uint8_t, int64_t> votes;
  for (const codec::EncodedBlock& b : blocks) {
    h.kinds.push_back(b.kind);
    h.info.blocks.push_back({{}, 0, static_cast<int64_t>(b.bytes.size())});
    h.checksums.push_back(checksum(b.bytes));
    ++votes[b.kind];
  }
  Encoded result;
  write_header(h, result.bytes);
  for (const codec::EncodedBlock& b : blocks) result.bytes.insert(result.bytes.end(), b.bytes.begin(), b.bytes.end());
  Certificate& c = result.certificate = certify(src, blocks);
  c.bound = bound;
  c.bytes_out = static_cast<int64_t>(result.bytes.size());
  if (verify) c.hash = XXH3_64bits(decoded.data(), decoded.size());
  const auto most = std::max_element(votes.begin(), votes.end(), [](auto& a, auto& b) { return a.second < b.second; });
  c.codec = votes.empty() ? "exact" : kind_name(most->first, options.more_codecs);
  return result;
}

namespace {

void decode_blocks(const Header& h, std::span<const std::byte> stream, Tensor& result, const DecodeOptions& options) {
  const codec::Partition partition(h.array, h.block);
  const int64_t width = size_of(h.info.dtype);
  CodecWorkspace own;
  CodecWorkspace& workspace = options.workspace != nullptr ? *options.workspace : own;
  run_blocks(options.team, static_cast<int64_t>(h.kinds.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    const StreamInfo::Block& b = h.info.blocks[at];
    const ByteSpan bytes = stream.subspan(static_cast<size_t>(b.offset), static_cast<size_t>(b.bytes));
    const auto where = [&] { return fmt::format("[decode] block {} at byte {} ({})", i, b.offset, b.codec); };
    GREGALE_CHECK(checksum(bytes) == h.checksums[at], corrupt_data, "{}: its checksum is wrong", where());
    const BlockCodec* codec = find_codec(h.kinds[at], options.more_codecs);
    GREGALE_CHECK(codec != nullptr || h.kinds[at] < 2, unsupported, "{}: this codec is not known here", where());
    const codec::Partition::Box box = partition.box(i);
    const auto size = static_cast<size_t>(codec::count_of(box.extents) * width);
    auto* const values = static_cast<std::byte*>(result.data());
    const std::optional<size_t> place = partition.dense(box, width);
    codec::Buffer<std::byte> own_block;
    if (!place) own_block = workspace.take<std::byte>(size);
    const std::span<std::byte> dense(place ? values + *place : own_block.data(), size);
    try {
      codec::decode_block(h.kinds[at], bytes, h.info.dtype, box.extents, codec, dense, workspace);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", where(), error.what()));
    }
    if (!place) partition.scatter(dense.data(), box, values, width);
  });
}

}  // namespace

Tensor decode(std::span<const std::byte> stream, const DecodeOptions& options) {
  const Header h = read_header_for("decode", stream, options.more_codecs, options.max_bytes);
  Tensor result(h.info.dtype, h.info.extents);
  decode_blocks(h, stream, result, options);
  return result;
}

void decode_into(std::span<const std::byte> stream, Tensor& values, const DecodeOptions& options) {
  const Header h = read_header_for("decode", stream, options.more_codecs, options.max_bytes);
  GREGALE_CHECK(h.info.dtype == values.dtype() && h.info.extents == values.extents(), corrupt_data,
                "[decode] the stream holds {} of {}, not {} of {}", name_of(h.info.dtype), to_string(h.info.extents),
                name_of(values.dtype()), to_string(values.extents()));
  decode_blocks(h, stream, values, options);
}

StreamInfo describe(std::span<const std::byte> stream) {
  return read_header_for("describe", stream, {}, INT64_MAX).info;
}

ValueRange value_range(const Tensor& values, const std::vector<double>& missing) {
  ValueRange range;
  const bool real = codec::for_real_float(values.dtype(), [&]<class T>(T) {
    using Work = typename codec::Element<T>::Work;
    const std::vector<Work> none = codec::as_elements<T>(missing);
    const auto scan = [&](const Work* data) {
      const codec::ValueScan found =
          codec::value_rows<Work>(isa_here()).scan(data, values.size(), none.data(), static_cast<int64_t>(none.size()));
      range = {found.least, found.greatest, found.ordinary};
    };
    if constexpr (codec::Element<T>::kSame)
      scan(values.as<T>().data());
    else
      scan(values.cast(DType::f32).as<float>().data());
  });
  GREGALE_CHECK(real, dtype, "[value_range] {} has no range", name_of(values.dtype()));
  return range;
}

}  // namespace gregale
