// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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

// --- com.microsoft: what optimised transformers are made of ---

/// What their masks of integers add: `filter` where a key must not be seen. One row a sequence, of which keys are seen
/// or how many; or one for each query.
Value fused_mask(OnnxNode& n, int64_t i, int64_t batch, int64_t keys, DType dtype, double filter) {
  Graph& g = n.graph();
  const Extents e = n.extents(i);
  if (!is_integer(n.dtype(i)) && n.dtype(i) != DType::boolean)
    n.fail(fmt::format("the mask is {}", to_string(n.type(i))));
  const Value mask = cast_to(g, n.input(i), DType::i64);
  Value seen;
  if (e == Extents{batch}) {
    std::vector<int64_t> numbers(static_cast<size_t>(keys));
    for (int64_t j = 0; j < keys; ++j) numbers[static_cast<size_t>(j)] = j;
    seen = ops::less(g, g.constant(Tensor::from(numbers, {keys})), ops::reshape(g, mask, Extents{batch, 1, 1, 1}));
  } else if ((e.size() == 2 || e.size() == 3) && e[0] == batch && e.back() == keys) {
    const Extents spread{batch, 1, e.size() == 3 ? e[1] : 1, keys};
    seen = ops::not_equal(g, ops::reshape(g, mask, spread), ops::scalar(g, DType::i64, 0));
  } else {
    n.unsupported(fmt::format("masks of the form {}", to_string(n.type(i))));
  }
  return ops::select(g, seen, ops::scalar(g, dtype, 0), ops::scalar(g, dtype, filter));
}

/// softmax(q k^T scale + bias) v of [batch, heads, length, size], as [batch, length, heads * size].
Value fused_attention(OnnxNode& n, Value q, Value k, Value v, Value bias, bool causal) {
  Graph& g = n.graph();
  const Extents eq = g.type(q).shape.extents(), ev = g.type(v).shape.extents();
  const DType dtype = g.type(q).dtype;
  double scale = n.real("scale", 0);
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, eq[3])));
  Value scores = ops::mul(g, ops::matmul(g, q, k, false, true), scale);
  const Type type = g.type(scores);
  if (causal) {
    std::vector<double> hidden;
    for (int64_t i = 0; i < eq[2]; ++i)
      for (int64_t j = 0; j < ev[2]; ++j) hidden.push_back(j - i > ev[2] - eq[2] ? -kInfinity : 0);
    const Value more = g.constant(Tensor::from(hidden, {eq[2], ev[2]}).cast(dtype));
    bias = bias.valid() ? ops::add(g, bias, more) : more;
  }
  if (bias.valid()) scores = ops::add(g, scores, bias);
  if (g.type(scores) != type) n.fail("the mask does not broadcast to the scores");
  const Value y = ops::matmul(g, ops::softmax(g, scores, -1), v);
  return ops::reshape(g, ops::transpose(g, y, {0, 2, 1, 3}), Extents{eq[0], eq[2], eq[1] * ev[3]});
}

/// Columns [from, from + width) of x [batch, length, columns] as [batch, heads, length, size].
Value heads_of(Graph& g, Value x, int64_t from, int64_t width, int64_t heads) {
  const Extents e = g.type(x).shape.extents();
  if (from != 0 || width != e[2]) x = ops::slice_axis(g, x, 2, from, from + width);
  return ops::transpose(g, ops::reshape(g, x, Extents{e[0], e[1], heads, width / heads}), {0, 2, 1, 3});
}

std::vector<Value> microsoft_attention(OnnxNode& n) {
  Graph& g = n.graph();
  if (n.rank(0) != 3 || n.rank(1) != 2) n.fail("the input needs 3 axes, the weights 2");
  if (n.integer("do_rotary", 0) != 0 || n.integer("past_present_share_buffer", 0) != 0)
    n.unsupported("do_rotary and past_present_share_buffer");
  const Extents e = n.extents(0), w = n.extents(1);
  const int64_t heads = n.required_integer("num_heads");
  const std::vector<int64_t> sizes = n.integers("qkv_hidden_sizes", {w[1] / 3, w[1] / 3, w[1] / 3});
  if (sizes.size() != 3 || heads < 1 || w[0] != e[2])
    n.fail(fmt::format("{} heads, weights {}", heads, to_string(n.type(1))));
  int64_t rest = w[1];
  for (int64_t size : sizes) {
    if (size < 0 || size > rest || size % heads != 0) n.fail(fmt::format("{} columns for {} heads", size, heads));
    rest -= size;
  }
  if (rest != 0) n.fail(fmt::format("weights {} are more than queries, keys and values need", to_string(n.type(1))));
  Value qkv = ops::matmul(g, n.input(0), n.input(1));
  if (n.has_input(2)) qkv = ops::add(g, qkv, ops::reshape(g, n.input(2), Extents{w[1]}));
  const Value q = heads_of(g, qkv, 0, sizes[0], heads);
  Value k = heads_of(g, qkv, sizes[0], sizes[1], heads), v = heads_of(g, qkv, sizes[0] + sizes[1], sizes[2], heads);
  if (n.has_input(4)) {
    const Extents p = n.extents(4);
    if (p.size() != 5 || p[0] != 2) n.fail(fmt::format("past is {}", to_string(n.type(4))));
    const auto part = [&](int64_t i) {
      return ops::reshape(g, ops::slice_axis(g, n.input(4), 0, i, i + 1), Extents{p[1], p[2], p[3], p[4]});
    };
    k = ops::concat(g, {part(0), k}, 2);
    v = ops::concat(g, {part(1), v}, 2);
  }
  const Extents ek = g.type(k).shape.extents();
  Value bias;
  if (n.has_input(3)) bias = fused_mask(n, 3, e[0], ek[2], n.dtype(0), n.real("mask_filter_value", -10000));
  if (n.has_input(5)) bias = bias.valid() ? ops::add(g, bias, n.input(5)) : n.input(5);
  std::vector<Value> results{fused_attention(n, q, k, v, bias, n.integer("unidirectional", 0) != 0)};
  if (n.has_output(1)) {
    Extents one = ek;
    one.insert(one.begin(), 1);
    results.push_back(ops::concat(g, {ops::reshape(g, k, one), ops::reshape(g, v, one)}, 0));
  }
  return results;
}

std::vector<Value> microsoft_multi_head_attention(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t heads = n.required_integer("num_heads");
  if (!n.has_input(1) || !n.has_input(2)) n.unsupported("queries, keys and values in one input");
  for (int64_t i = 0; i < 3; ++i)
    if (n.rank(i) != 3 || heads < 1 || n.extents(i)[2] % heads != 0) {
      // Keys and values of a cross attention may come as heads.
      if (i == 0 || n.rank(i) != 4) n.fail(fmt::format("input {} is {} for {} heads", i, to_string(n.type(i)), heads));
    }
  Value parts[3];
  int64_t from = 0;
  for (int64_t i = 0; i < 3; ++i) {
    Value x = n.input(i);
    if (n.rank(i) == 4) {
      parts[i] = x;
      continue;
    }
    const int64_t width = n.extents(i)[2];
    if (n.has_input(3)) x = ops::add(g, x, ops::slice_axis(g, n.input(3), 0, from, from + width));
    from += width;
    parts[i] = heads_of(g, x, 0, width, heads);
  }
  auto& [q, k, v] = parts;
  if (n.has_input(6)) k = ops::concat(g, {n.input(6), k}, 2);
  if (n.has_input(7)) v = ops::concat(g, {n.input(7), v}, 2);
  Value bias;
  if (n.has_input(4))
    bias =
        fused_mask(n, 4, n.extents(0)[0], g.type(k).shape[2].value(), n.dtype(0), n.real("mask_filter_value", -10000));
  if (n.has_input(5)) bias = bias.valid() ? ops::add(g, bias, n.input(5)) : n.input(5);
  return {fused_attention(n, q, k, v, bias, n.integer("unidirectional", 0) != 0), k, v};
}

}  // namespace

std::vector<OnnxMapping> attention_mappings() {
  const int64_t last = std::numeric_limits<int64_t>::max();
  return {{"Attention", 23, attention},
          {"RotaryEmbedding", 23, rotary_embedding},
          {"Attention", 1, microsoft_attention, last, "com.microsoft"},
          {"MultiHeadAttention", 1, microsoft_multi_head_attention, last, "com.microsoft"}};
}

}  // namespace gregale::onnx
