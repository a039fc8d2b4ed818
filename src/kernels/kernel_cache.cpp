// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/kernel_cache.hpp"

#include <cstring>

namespace gregale::kernels {
namespace {

/// FNV-1a over 64-bit words, with a final mix of the upper bits into the lower.
class Hash {
 public:
  template <class T>
  Hash& add(T value) {
    uint64_t word = 0;
    static_assert(sizeof value <= sizeof word);
    std::memcpy(&word, &value, sizeof value);
    state_ = (state_ ^ word) * 0x100000001b3u;
    state_ ^= state_ >> 29;
    return *this;
  }
  uint64_t value() const { return state_ ^ state_ >> 32; }

 private:
  uint64_t state_ = 0xcbf29ce484222325u;
};

void add(Hash& hash, const std::vector<ExpressionOperand>& operands) {
  hash.add(operands.size());
  for (const ExpressionOperand& o : operands) hash.add(o.dtype).add(o.broadcast).add(o.leading);
}

}  // namespace

uint64_t hash_of(const Expression& expression) {
  Hash hash;
  for (const Expression::Node& n : expression.nodes())
    hash.add(n.op).add(n.a).add(n.b).add(n.c).add(n.index).add(n.value);
  for (Expression::Id id : expression.outputs()) hash.add(id);
  return hash.value();
}

uint64_t hash_of(const ExpressionDesc& d) {
  Hash hash;
  hash.add(d.m).add(d.n).add(d.compute).add(hash_of(d.expression)).add(d.stream);
  add(hash, d.inputs);
  add(hash, d.outputs);
  return hash.value();
}

uint64_t hash_of(const ContractionDesc& d) {
  Hash hash;
  hash.add(d.m).add(d.n).add(d.k).add(d.lda).add(d.ldb).add(d.ldc).add(d.a).add(d.b).add(d.c);
  hash.add(d.compute).add(d.b_packing).add(d.trans_a).add(d.trans_b).add(d.accumulate).add(d.own_chain).add(d.b_part);
  hash.add(d.addressing).add(d.batch).add(d.a_stride).add(d.b_stride);
  if (!d.prologue_a.empty()) hash.add('a').add(hash_of(d.prologue_a));
  if (!d.prologue_b.empty()) hash.add('b').add(hash_of(d.prologue_b));
  if (!d.epilogue.empty()) hash.add('c').add(hash_of(d.epilogue));
  add(hash, d.epilogue_inputs);
  return hash.value();
}

uint64_t hash_of(const LayoutDesc& d) {
  Hash hash;
  hash.add(d.op).add(d.m).add(d.n).add(d.src_leading).add(d.dst_leading).add(d.src).add(d.dst).add(d.trans);
  hash.add(d.dst_m).add(d.dst_n).add(d.width).add(d.parts).add(d.part).add(d.index).add(d.pooling);
  hash.add(d.accumulate).add(d.stream);
  return hash.value();
}

}  // namespace gregale::kernels
