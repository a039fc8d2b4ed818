// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/block_codec.hpp"

#ifdef GREGALE_ZFP
#include <zfp.h>

#include <limits>

// P. Lindstrom, "Fixed-Rate Compressed Floating-Point Arrays", TVCG 2014: the library's fixed-accuracy mode.
namespace gregale::codec {
namespace {

struct Close {
  void operator()(zfp_field* field) const { zfp_field_free(field); }
  void operator()(zfp_stream* stream) const { zfp_stream_close(stream); }
  void operator()(bitstream* stream) const { stream_close(stream); }
};

template <class T>
class Zfp {
 public:
  Zfp(T* values, const BlockExtents& e, double tolerance)
      : field_(zfp_field_alloc()), stream_(zfp_stream_open(nullptr)) {
    zfp_field_set_type(field_.get(), sizeof(T) == 4 ? zfp_type_float : zfp_type_double);
    zfp_field_set_pointer(field_.get(), values);
    std::array<size_t, 4> sizes{};  // fastest first, without extents of one
    size_t rank = 0;
    for (size_t d = 4; d-- > 0;)
      if (e[d] > 1) sizes[rank++] = static_cast<size_t>(e[d]);
    if (rank == 0) sizes[rank++] = 1;
    if (rank == 1) zfp_field_set_size_1d(field_.get(), sizes[0]);
    if (rank == 2) zfp_field_set_size_2d(field_.get(), sizes[0], sizes[1]);
    if (rank == 3) zfp_field_set_size_3d(field_.get(), sizes[0], sizes[1], sizes[2]);
    if (rank == 4) zfp_field_set_size_4d(field_.get(), sizes[0], sizes[1], sizes[2], sizes[3]);
    zfp_stream_set_accuracy(stream_.get(), tolerance);
  }
  size_t greatest_size() const { return zfp_stream_maximum_size(stream_.get(), field_.get()); }
  size_t compress(void* buffer, size_t size) {
    open(buffer, size);
    return zfp_compress(stream_.get(), field_.get());
  }
  bool decompress(void* buffer, size_t size) {
    open(buffer, size);
    return zfp_decompress(stream_.get(), field_.get()) != 0;
  }

 private:
  void open(void* buffer, size_t size) {
    bits_.reset(stream_open(buffer, size));
    zfp_stream_set_bit_stream(stream_.get(), bits_.get());
    zfp_stream_rewind(stream_.get());
  }
  std::unique_ptr<bitstream, Close> bits_;
  std::unique_ptr<zfp_field, Close> field_;
  std::unique_ptr<zfp_stream, Close> stream_;
};

class ZfpCodec final : public FloatBlockCodec<ZfpCodec> {
 public:
  std::string_view name() const override { return "zfp"; }
  uint8_t id() const override { return 19; }

 private:
  friend FloatBlockCodec<ZfpCodec>;
  template <class T>
  bool encode_any(const BlockInput<T>& in, Bytes& out) const {
    if (in.contract.kind != ErrorContract::Kind::abs_max || !(in.contract.bound < 1e300)) return false;
    std::vector<T> values(in.values, in.values + count_of(in.extents));  // the library takes no const ones
    Zfp<T> zfp(values.data(), in.extents, in.contract.bound);
    ByteWriter(out).number(in.contract.bound);
    out.resize(sizeof(double) + zfp.greatest_size());
    const size_t size = zfp.compress(out.data() + sizeof(double), out.size() - sizeof(double));
    out.resize(sizeof(double) + size);
    return size > 0;
  }

  template <class T>
  void decode_any(ByteSpan in, const BlockOutput<T>& out) const {
    ByteReader reader(in);
    const auto tolerance = reader.number<double>();
    if (!(tolerance > 0) || tolerance > std::numeric_limits<double>::max()) reader.fail("a bound that cannot be");
    Zfp<T> zfp(out.values, out.extents, tolerance);
    // The library reads on where a stream is cut: it is given a buffer as long as its longest stream, zeros at the end.
    const ByteSpan coded = reader.rest();
    Bytes buffer(std::max(zfp.greatest_size(), coded.size()) + 64);
    std::copy(coded.begin(), coded.end(), buffer.begin());
    if (!zfp.decompress(buffer.data(), buffer.size())) reader.fail("zfp cannot read its part");
  }
};

}  // namespace

std::shared_ptr<const BlockCodec> zfp_codec() { return std::make_shared<ZfpCodec>(); }

}  // namespace gregale::codec
#endif
