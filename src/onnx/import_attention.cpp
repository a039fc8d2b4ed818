// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "gregale/ops.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Value cast_to(Graph& g, Value x, DType dtype) { return g.type(x).dtype == dtype ? x : ops::cast(g, x, dtype); }

/// What an attention is over: [batch, heads, length, size] of queries, and so on.
struct Attention {
  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, past = 0;
};

/// Input i as [batch, heads, length, size]; 3-D ones have the heads of `attribute` side by side in the last axis.
Value by_heads(OnnxNode& n, int64_t i, const char* attribute) {
  Graph& g = n.graph();
  const Extents e = n.extents(i);
  if (e.size() == 4) return n.input(i);
  if (e.size() != 3) n.fail(fmt::format("input {} is {}; it needs 3 or 4 axes", i, to_string(n.type(i))));
  const int64_t heads = n.required_integer(attribute);
  if (heads < 1 || e[2] % heads != 0) n.fail(fmt::format("{} is {} for {}", attribute, heads, to_string(n.type(i))));
  return ops::transpose(g, ops::reshape(g, n.input(i), Extents{e[0], e[1], heads, e[2] / heads}), {0, 2, 1, 3});
}

/// The mask with keys beyond its last masked.
Value padded_mask(OnnxNode& n, int64_t keys) {
  Graph& g = n.graph();
  const Value mask = n.input(3);
  Extents e = n.extents(3);
  if (e.empty()) n.fail("the mask is a scalar");
  if (e.back() >= keys || e.back() == 1) return mask;
  const auto last = static_cast<int64_t>(e.size()) - 1;
  e.back() = keys - e.back();
  const DType dtype = n.dtype(3);
  return ops::concat(g, {mask, g.constant(Tensor::full(dtype, e, dtype == DType::boolean ? 0 : -kInfinity))}, last);
}

/// What is added to the scores: -inf where a query must not see a key. Invalid where every query sees all keys.
/// `may_be_blind`: a query may see none.
Value attention_bias(OnnxNode& n, const Attention& a, DType dtype, bool* may_be_blind) {
  Graph& g = n.graph();
  const int64_t left = n.integer("left_window_size", -1), right = n.integer("right_window_size", -1);
  if (left < -1 || right < -1) n.fail(fmt::format("a window from {} to {}", left, right));
  const bool causal = n.integer("is_causal", 0) != 0;
  // The greatest and least j - i for a key j that query i sees, but for the keys before the queries.
  std::optional<int64_t> most, least;
  if (right >= 0) most = right;
  if (causal) most = 0;
  if (left >= 0) least = -left;

  Value seen, bias;  // booleans, and what else is added
  const auto restrict = [&](Value more) { seen = seen.valid() ? ops::logical_and(g, seen, more) : more; };
  const bool external = n.has_input(6);
  if (external) {  // a cache kept elsewhere, of which each sequence fills a part
    if (n.extents(6) != Extents{a.batch}) n.fail(fmt::format("nonpad_kv_seqlen is {}", to_string(n.type(6))));
    if (n.has_input(4)) n.fail("both past_key and nonpad_kv_seqlen");
    const Value filled = ops::reshape(g, cast_to(g, n.input(6), DType::i64), Extents{a.batch, 1, 1, 1});
    const auto keys = [&](auto&& element, int64_t rows) {
      std::vector<int64_t> v;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < a.keys; ++j) v.push_back(element(i, j));
      return g.constant(Tensor::from(v, {rows, a.keys}));
    };
    restrict(ops::less(g, keys([](int64_t, int64_t j) { return j; }, 1), filled));
    // Queries are the last of what is filled: j - i + queries is at most filled + most.
    if (most)
      restrict(ops::less_equal(
          g, keys([&](int64_t i, int64_t j) { return j - i + a.queries - std::min(*most, a.keys); }, a.queries),
          filled));
    if (least)
      restrict(ops::less_equal(
          g, filled,
          keys([&](int64_t i, int64_t j) { return j - i + a.queries - std::max(*least, -a.keys - a.queries); },
               a.queries)));
    *may_be_blind = true;
  } else if (most || least) {
    std::vector<double> v;
    for (int64_t i = 0; i < a.queries; ++i) {
      bool blind = true;
      for (int64_t j = 0; j < a.keys; ++j) {
        const int64_t distance = j - i - a.past;
        const bool sees = (!most || distance <= *most) && (!least || distance >= *least);
        blind = blind && !sees;
        v.push_back(sees ? 0 : -kInfinity);
      }
      *may_be_blind = *may_be_blind || blind;
    }
    bias = g.constant(Tensor::from(v, {a.queries, a.keys}).cast(dtype));
  }
  if (n.has_input(3)) {
    const Value mask = padded_mask(n, a.keys);
    *may_be_blind = true;
    if (n.dtype(3) == DType::boolean) {
      restrict(mask);
    } else {
      const Value more = cast_to(g, mask, dtype);
      bias = bias.valid() ? ops::add(g, bias, more) : more;
    }
  }
  if (seen.valid()) {
    const Value hidden = ops::scalar(g, dtype, -kInfinity);
    bias = ops::select(g, seen, bias.valid() ? bias : ops::scalar(g, dtype, 0), hidden);
  }
  return bias;
}

/// Heads of queries in groups that share a head of keys: one more axis where there are such.
Value grouped(Graph& g, Value x, const Attention& a, bool of_queries) {
  if (a.heads == a.kv_heads) return x;
  const Extents e = g.type(x).shape.extents();
  const int64_t group = of_queries ? a.heads / a.kv_heads : 1;
  return ops::reshape(g, x, Extents{a.batch, a.kv_heads, group, e[2], e[3]});
}
Value ungrouped(Graph& g, Value x, const Attention& a) {
  if (a.heads == a.kv_heads) return x;
  const Extents e = g.type(x).shape.extents();
  return ops::reshape(g, x, Extents{a.batch, a.heads, e[3], e[4]});
}

std::vector<Value> attention(OnnxNode& n) {
  Graph& g = n.graph();
  for (int64_t i = 0; i < 3; ++i)
    if (!is_real_float(n.dtype(i))) n.fail(fmt::format("input {} is {}", i, to_string(n.type(i))));
  const DType dtype = n.dtype(0);
  const Value q = by_heads(n, 0, "q_num_heads");
  Value k = by_heads(n, 1, "kv_num_heads"), v = by_heads(n, 2, "kv_num_heads");
  if (n.has_input(4) != n.has_input(5)) n.fail("past_key and past_value go together");
  Attention a;
  if (n.has_input(4)) {
    if (n.rank(4) != 4 || n.rank(5) != 4) n.fail("past_key and past_value need 4 axes");
    a.past = n.extents(4)[2];
    k = ops::concat(g, {n.input(4), k}, 2);
    v = ops::concat(g, {n.input(5), v}, 2);
  }
  const Extents eq = g.type(q).shape.extents(), ek = g.type(k).shape.extents(), ev = g.type(v).shape.extents();
  a.batch = eq[0];
  a.heads = eq[1];
  a.kv_heads = ek[1];
  a.queries = eq[2];
  a.keys = ek[2];
  if (ek[0] != a.batch || ev[0] != a.batch || ev[1] != a.kv_heads || ev[2] != a.keys || ek[3] != eq[3] ||
      a.kv_heads < 1 || a.heads % a.kv_heads != 0)
    n.fail(fmt::format("queries {}, keys {} and values {} do not fit", to_string(g.type(q)), to_string(g.type(k)),
                       to_string(g.type(v))));
  const double scale = n.real("scale", eq[3] > 0 ? 1 / std::sqrt(static_cast<double>(eq[3])) : 1);
  const int64_t mode = n.integer("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3) n.fail(fmt::format("qk_matmul_output_mode is {}", mode));

  Value scores = ops::matmul(g, grouped(g, q, a, true), grouped(g, k, a, false), false, true);
  scores = ungrouped(g, ops::mul(g, scores, scale), a);
  Value shown = scores;
  if (const double cap = n.real("softcap", 0); cap != 0)
    scores = ops::mul(g, ops::tanh(g, ops::mul(g, scores, 1 / cap)), cap);
  if (mode == 1) shown = scores;
  bool may_be_blind = false;
  const Value bias = attention_bias(n, a, dtype, &may_be_blind);
  if (bias.valid()) {
    const Type before = g.type(scores);
    scores = ops::add(g, scores, bias);
    if (g.type(scores) != before) n.fail("the mask does not broadcast to the scores");
  }
  if (mode == 2) shown = scores;
  const DType precision = n.has("softmax_precision") ? dtype_of_onnx(n.integer("softmax_precision", 1)) : dtype;
  Value shares = cast_to(g, ops::softmax(g, cast_to(g, scores, precision), -1), dtype);
  if (may_be_blind && a.keys > 0) {  // who sees nothing gets nothing
    const Value blind = ops::equal(g, ops::max(g, bias, {-1}, true), ops::scalar(g, dtype, -kInfinity));
    shares = ops::select(g, blind, ops::scalar(g, dtype, 0), shares);
  }
  if (mode == 3) shown = shares;
  Value y = ops::matmul(g, grouped(g, shares, a, true), grouped(g, v, a, false));
  y = ungrouped(g, y, a);
  if (n.rank(0) == 3)
    y = ops::reshape(g, ops::transpose(g, y, {0, 2, 1, 3}), Extents{a.batch, a.queries, a.heads * ev[3]});
  return {y, k, v, shown};
}

/// x whose heads' first elements are turned, in pairs, by the angles of their positions.
std::vector<Value> rotary_embedding(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents e = n.extents(0);
  if (e.size() != 3 && e.size() != 4) n.fail(fmt::format("X is {}; it needs 3 or 4 axes", to_string(n.type(0))));
  // [batch, length, heads, size], or heads before the length where X has four axes.
  const bool heads_first = e.size() == 4;
  Value x = n.input(0);
  Extents by_heads = e;
  if (!heads_first) {
    const int64_t heads = n.required_integer("num_heads");
    if (heads < 1 || e[2] % heads != 0) n.fail(fmt::format("num_heads is {} for {}", heads, to_string(n.type(0))));
    by_heads = {e[0], e[1], heads, e[2] / heads};
    x = ops::reshape(g, x, by_heads);
  }
  const int64_t length = by_heads[heads_first ? 2 : 1], size = by_heads[3];
  int64_t turned = n.integer("rotary_embedding_dim", 0);
  if (turned == 0) turned = size;
  if (turned < 0 || turned > size || turned % 2 != 0)
    n.fail(fmt::format("{} elements of {} cannot be turned", turned, size));
  const int64_t half = turned / 2;
  const auto angles = [&](int64_t i) {
    Value v = n.input(i);
    if (n.has_input(3)) {
      if (n.rank(i) != 2) n.fail(fmt::format("input {} is {}; it needs two axes", i, to_string(n.type(i))));
      v = ops::gather(g, v, cast_to(g, n.input(3), DType::i64), 0);
    }
    if (g.type(v).shape != Shape{by_heads[0], length, half})
      n.fail(fmt::format("input {} gives angles {}", i, to_string(g.type(v))));
    return ops::reshape(g, v,
                        heads_first ? Extents{by_heads[0], 1, length, half} : Extents{by_heads[0], length, 1, half});
  };
  const Value cosine = angles(1), sine = angles(2);
  const bool interleaved = n.integer("interleaved", 0) != 0;
  const Value front = turned == size ? x : ops::slice_axis(g, x, 3, 0, turned);
  const Value re = interleaved ? ops::slice_axis(g, front, 3, 0, turned, 2) : ops::slice_axis(g, front, 3, 0, half);
  const Value im =
      interleaved ? ops::slice_axis(g, front, 3, 1, turned, 2) : ops::slice_axis(g, front, 3, half, turned);
  const Value new_re = ops::sub(g, ops::mul(g, cosine, re), ops::mul(g, sine, im));
  const Value new_im = ops::add(g, ops::mul(g, sine, re), ops::mul(g, cosine, im));
  Value y;
  if (interleaved) {
    Extents pairs = by_heads, flat = by_heads;
    pairs[3] = half;
    pairs.push_back(1);
    flat[3] = turned;
    y = ops::reshape(g, ops::concat(g, {ops::reshape(g, new_re, pairs), ops::reshape(g, new_im, pairs)}, 4), flat);
  } else {
    y = ops::concat(g, {new_re, new_im}, 3);
  }
  if (turned < size) y = ops::concat(g, {y, ops::slice_axis(g, x, 3, turned, size)}, 3);
  return {heads_first ? y : ops::reshape(g, y, e)};
}

}  // namespace

std::vector<OnnxMapping> attention_mappings() {
  return {{"Attention", 23, attention}, {"RotaryEmbedding", 23, rotary_embedding}};
}

}  // namespace gregale::onnx
