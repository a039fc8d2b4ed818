// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/random_model.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "gregale/random.hpp"
#include "onnx/tensor_data.hpp"

namespace gregale::onnx {
namespace {

using Integers = std::vector<int64_t>;

/// A value of the model: what is known of it while the model is made.
struct Item {
  std::string name;
  DType dtype = DType::f32;
  Extents extents;
  bool exact = false;  ///< moved, not computed: the same bits in every engine
  int64_t rank() const { return static_cast<int64_t>(extents.size()); }
  int64_t size() const { return element_count(extents); }
};

class Maker {
 public:
  explicit Maker(uint64_t seed) : key_{.seed = seed, .step = 0, .stream = 77} {
    result_.model.set_ir_version(8);
    result_.model.set_producer_name("random");
    result_.model.add_opset_import()->set_version(17);
    graph_ = result_.model.mutable_graph();
    graph_->set_name("random");
  }

  int64_t below(int64_t n) { return static_cast<int64_t>(random_below(key_, next_++, static_cast<uint64_t>(n))); }
  bool coin() { return below(2) == 0; }
  double uniform(double low, double high) { return low + (high - low) * random_uniform(key_, next_++); }
  int64_t extent() {
    static constexpr int64_t kRagged[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 33};
    return kRagged[below(11)];
  }

  Tensor draw(DType dtype, const Extents& extents, double low = -2, double high = 2) {
    Tensor t(DType::f64, extents);
    for (double& v : t.as<double>()) v = uniform(low, high);
    if (dtype == DType::boolean) {
      Tensor b(DType::boolean, extents);
      for (bool& v : b.as<bool>()) v = coin();
      return b;
    }
    return t.cast(dtype);
  }
  Item input(DType dtype, Extents extents) {
    Item item{fresh("in"), dtype, extents, true};
    result_.inputs.emplace_back(item.name,
                                draw(dtype, extents, dtype == DType::f32 ? -2 : -9, dtype == DType::f32 ? 2 : 9));
    declare(item, *graph_->add_input());
    items_.push_back(item);
    return item;
  }
  Item constant(const Tensor& tensor) {
    auto& t = *graph_->add_initializer();
    write_tensor(tensor, &t);
    t.set_name(fresh("const"));
    return {t.name(), tensor.dtype(), tensor.extents(), true};
  }
  Item integers(const Integers& values) {
    return constant(Tensor::from<int64_t>(values, {static_cast<int64_t>(values.size())}));
  }
  Item weights(Extents extents, double low = -1, double high = 1) {
    return constant(draw(DType::f32, std::move(extents), low, high));
  }

  /// A value there is already, or a new input, of a dtype and at least a rank.
  Item pick(DType dtype, int64_t least = 0, int64_t most = 4, bool exact = false) {
    std::vector<const Item*> fit;
    for (const Item& i : items_)
      if (i.dtype == dtype && i.rank() >= least && i.rank() <= most && (!exact || i.exact)) fit.push_back(&i);
    if (!fit.empty() && below(5) != 0) return *fit[static_cast<size_t>(below(static_cast<int64_t>(fit.size())))];
    Extents extents;
    for (int64_t r = least + below(most - least + 1); r > 0; --r) extents.push_back(extent());
    while (element_count(extents) > 3000) extents[static_cast<size_t>(below(static_cast<int64_t>(extents.size())))] = 2;
    return input(dtype, extents);
  }
  Item pick_float(int64_t least = 0, int64_t most = 4) { return pick(DType::f32, least, most); }
  Item pick_exact(int64_t least = 0, int64_t most = 4) { return pick(DType::f32, least, most, true); }
  /// One that broadcasts with `a`.
  Item partner(const Item& a, DType dtype, bool exact = false) {
    for (const Item& i : items_)
      if (i.dtype == dtype && i.extents == a.extents && i.name != a.name && (!exact || i.exact) && coin()) return i;
    Extents extents = a.extents;
    for (int64_t& e : extents)
      if (below(4) == 0) e = 1;
    if (!extents.empty() && below(4) == 0) extents.erase(extents.begin());
    return input(dtype, extents);
  }

  format::Node& node(const std::string& type, const std::vector<Item>& inputs) {
    format::Node& n = *graph_->add_node();
    n.set_op_type(type);
    n.set_name(fresh("n"));
    for (const Item& i : inputs) n.add_input(i.name);
    return n;
  }
  Item output(format::Node& n, DType dtype, Extents extents, bool exact) {
    Item item{fresh("v"), dtype, std::move(extents), exact};
    n.add_output(item.name);
    items_.push_back(item);
    return item;
  }
  Item apply(const std::string& type, const std::vector<Item>& inputs, Extents extents, bool exact = false,
             DType dtype = DType::f32) {
    return output(node(type, inputs), dtype, std::move(extents), exact);
  }
  format::Node& last() { return *graph_->mutable_node(graph_->node_size() - 1); }
  void set(const char* name, int64_t v) {
    auto& a = attribute(name, 2);
    a.set_i(v);
  }
  void set(const char* name, double v) { attribute(name, 1).set_f(static_cast<float>(v)); }
  void set(const char* name, const char* v) { attribute(name, 3).set_s(v); }
  void set(const char* name, const Integers& v) {
    auto& a = attribute(name, 7);
    for (int64_t i : v) a.add_ints(i);
  }
  int64_t axis_of(const Item& a) { return below(a.rank()); }
  int64_t maybe_negative(int64_t axis, const Item& a) { return coin() ? axis : axis - a.rank(); }

  RandomModel finish() {
    // Everything that nothing reads is a result.
    std::vector<std::string> read;
    for (const auto& n : graph_->node()) read.insert(read.end(), n.input().begin(), n.input().end());
    for (const Item& i : items_) {
      const bool made = i.name[0] == 'v';
      if (made && std::find(read.begin(), read.end(), i.name) == read.end()) declare(i, *graph_->add_output());
    }
    return std::move(result_);
  }

 private:
  std::string fresh(const char* stem) { return stem + std::to_string(++names_); }
  static void declare(const Item& item, format::ValueInfo& to) {
    to.set_name(item.name);
    auto& dense = *to.mutable_type()->mutable_tensor_type();
    dense.set_elem_type(element_type(item.dtype));
    auto& shape = *dense.mutable_shape();
    for (int64_t e : item.extents) shape.add_dim()->set_dim_value(e);
  }
  format::Attribute& attribute(const char* name, int32_t kind) {
    auto& a = *last().add_attribute();
    a.set_name(name);
    a.set_type(kind);
    return a;
  }

  RandomKey key_;
  uint64_t next_ = 0;
  int names_ = 0;
  RandomModel result_;
  format::Graph* graph_ = nullptr;
  std::vector<Item> items_;
};

Extents broadcast_extents(const Item& a, const Item& b) {
  Extents result = a.rank() >= b.rank() ? a.extents : b.extents;
  const Extents& small = a.rank() >= b.rank() ? b.extents : a.extents;
  for (size_t i = 0; i < small.size(); ++i) {
    int64_t& e = result[result.size() - small.size() + i];
    e = std::max(e, small[i]);
  }
  return result;
}

using Draw = std::function<void(Maker&)>;
struct Entry {
  std::string name;
  Draw draw;
};

Entry unary(const char* name, bool exact = false) {
  return {name, [=](Maker& m) {
            const Item x = exact ? m.pick_exact() : m.pick_float();
            m.apply(name, {x}, x.extents, exact);
          }};
}
/// Of |x| + 0.5: where the operator has a pole or an edge at 0.
Entry positive(const char* name) {
  return {name, [=](Maker& m) {
            const Item x = m.pick_float();
            const Item a = m.apply("Abs", {x}, x.extents);
            const Item p = m.apply("Add", {a, m.constant(Tensor::scalar<float>(0.5F))}, x.extents);
            m.apply(name, {p}, x.extents);
          }};
}
Entry binary(const char* name, DType in = DType::f32, DType out = DType::f32, bool exact = false) {
  return {name, [=](Maker& m) {
            const Item a = m.pick(in, 0, 4, exact), b = m.partner(a, in, exact);
            m.apply(name, {a, b}, broadcast_extents(a, b), out != DType::f32 || in != DType::f32, out);
          }};
}
Entry reduction(const char* name, bool axes_input = false) {
  return {name, [=](Maker& m) {
            const Item x = m.pick_float(1);
            const int64_t axis = m.axis_of(x), keep = m.below(2);
            Extents extents = x.extents;
            if (keep != 0)
              extents[static_cast<size_t>(axis)] = 1;
            else
              extents.erase(extents.begin() + axis);
            std::vector<Item> in{x};
            if (axes_input) in.push_back(m.integers({m.maybe_negative(axis, x)}));
            m.apply(name, in, extents);
            if (!axes_input) m.set("axes", Integers{m.maybe_negative(axis, x)});
            m.set("keepdims", keep);
          }};
}
Entry along_axis(const char* name) {
  return {name, [=](Maker& m) {
            const Item x = m.pick_float(1);
            m.apply(name, {x}, x.extents);
            m.set("axis", m.maybe_negative(m.axis_of(x), x));
          }};
}
Entry extreme_index(const char* name) {
  return {name, [=](Maker& m) {
            const Item x = m.pick_exact(1);
            const int64_t axis = m.axis_of(x);
            Extents extents = x.extents;
            extents[static_cast<size_t>(axis)] = 1;
            m.apply(name, {x}, extents, true, DType::i64);
            m.set("axis", axis);
            m.set("keepdims", int64_t{1});
          }};
}
/// An image [n, c, h, w] of at least 4 x 4.
Item image(Maker& m) {
  return m.input(DType::f32, {1 + m.below(2), 2 * (1 + m.below(4)), 4 + m.below(8), 4 + m.below(8)});
}
Entry pooling(const char* name) {
  return {name, [=](Maker& m) {
            const Item x = image(m);
            const int64_t k = 1 + m.below(3), s = 1 + m.below(2), p = m.below(k);
            Extents extents = x.extents;
            for (size_t a = 2; a < 4; ++a) extents[a] = (extents[a] + 2 * p - k) / s + 1;
            m.apply(name, {x}, extents);
            m.set("kernel_shape", Integers{k, k});
            m.set("strides", Integers{s, s});
            m.set("pads", Integers{p, p, p, p});
          }};
}

std::vector<Entry> make_entries() {
  const DType f = DType::f32, i = DType::i64, b = DType::boolean;
  std::vector<Entry> all;
  for (const char* name : {"Relu", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "HardSwish",
                           "Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Atan", "Celu", "ThresholdedRelu"})
    all.push_back(unary(name));
  for (const char* name : {"Floor", "Ceil", "Round", "Sign", "Neg", "Abs", "Identity"})
    all.push_back(unary(name, true));
  for (const char* name : {"Log", "Sqrt", "Reciprocal"}) all.push_back(positive(name));
  for (const char* name : {"Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"}) all.push_back(binary(name));
  for (const char* name : {"Greater", "Less", "GreaterOrEqual", "LessOrEqual"}) all.push_back(binary(name, f, b, true));
  all.push_back(binary("Equal", i, b));
  for (const char* name : {"And", "Or", "Xor"}) all.push_back(binary(name, b, b));
  for (const char* name :
       {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"})
    all.push_back(reduction(name));
  all.push_back(reduction("ReduceSum", true));
  for (const char* name : {"Softmax", "LogSoftmax"}) all.push_back(along_axis(name));
  for (const char* name : {"ArgMax", "ArgMin"}) all.push_back(extreme_index(name));
  for (const char* name : {"MaxPool", "AveragePool"}) all.push_back(pooling(name));
  const auto add = [&](const char* name, Draw draw) { all.push_back({name, std::move(draw)}); };
  add("Not", [](Maker& m) {
    const Item x = m.pick(DType::boolean);
    m.apply("Not", {x}, x.extents, true, DType::boolean);
  });
  add("Exp", [](Maker& m) {
    const Item x = m.pick_float();
    m.apply("Exp", {m.apply("Tanh", {x}, x.extents)}, x.extents);
  });
  add("Div", [](Maker& m) {
    const Item x = m.pick_float(), y = m.partner(x, DType::f32);
    const Item d = m.apply("Add", {m.apply("Abs", {y}, y.extents), m.constant(Tensor::scalar<float>(0.5F))}, y.extents);
    m.apply("Div", {x, d}, broadcast_extents(x, d));
  });
  add("Pow", [](Maker& m) {
    const Item x = m.pick_float();
    m.apply("Pow", {m.apply("Tanh", {x}, x.extents), m.constant(Tensor::scalar<float>(m.coin() ? 2.0F : 3.0F))},
            x.extents);
  });
  add("Clip", [](Maker& m) {
    const Item x = m.pick_float();
    m.apply("Clip", {x, m.constant(Tensor::scalar<float>(-0.7F)), m.constant(Tensor::scalar<float>(1.1F))}, x.extents);
  });
  add("PRelu", [](Maker& m) {
    const Item x = m.pick_float(1);
    m.apply("PRelu", {x, m.weights({x.extents.back()})}, x.extents);
  });
  add("Where", [](Maker& m) {
    const Item x = m.pick_float(), y = m.partner(x, DType::f32);
    const Item c = m.partner({"", DType::f32, broadcast_extents(x, y)}, DType::boolean);
    m.apply("Where", {c, x, y}, broadcast_extents({"", DType::f32, broadcast_extents(x, y)}, c));
  });
  add("Cast", [](Maker& m) {
    const bool from_bool = m.coin();
    const Item x = m.pick(from_bool ? DType::boolean : DType::i64);
    m.apply("Cast", {x}, x.extents, true);
    m.set("to", int64_t{1});
  });
  add("Concat", [](Maker& m) {
    const Item x = m.pick_float(1);
    const int64_t axis = m.axis_of(x);
    Extents other = x.extents, extents = x.extents;
    other[static_cast<size_t>(axis)] = m.extent();
    const Item y = m.input(DType::f32, other);
    extents[static_cast<size_t>(axis)] += other[static_cast<size_t>(axis)];
    m.apply("Concat", {x, y}, extents, x.exact);
    m.set("axis", m.maybe_negative(axis, x));
  });
  add("Split", [](Maker& m) {
    const Item x = m.pick_float(1);
    const int64_t axis = m.axis_of(x), extent = x.extents[static_cast<size_t>(axis)];
    if (extent < 2) return;
    const int64_t first = 1 + m.below(extent - 1);
    auto& n = m.node("Split", {x, m.integers({first, extent - first})});
    for (int64_t e : {first, extent - first}) {
      Extents part = x.extents;
      part[static_cast<size_t>(axis)] = e;
      m.output(n, DType::f32, part, x.exact);
    }
    m.set("axis", axis);
  });
  add("Slice", [](Maker& m) {
    const Item x = m.pick_float(1);
    const int64_t axis = m.axis_of(x), extent = x.extents[static_cast<size_t>(axis)], step = 1 + m.below(2);
    const int64_t from = m.below(extent), to = from + 1 + m.below(extent - from);
    Extents extents = x.extents;
    const bool backwards = m.below(4) == 0;
    extents[static_cast<size_t>(axis)] = backwards ? extent : (to - from + step - 1) / step;
    const std::vector<Item> in =
        backwards
            ? std::vector<Item>{x, m.integers({-1}), m.integers({INT64_MIN}), m.integers({axis}), m.integers({-1})}
            : std::vector<Item>{x, m.integers({from}), m.integers({to}), m.integers({axis}), m.integers({step})};
    m.apply("Slice", in, extents, x.exact);
  });
  add("Transpose", [](Maker& m) {
    const Item x = m.pick_float(1);
    Integers order(x.extents.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    for (size_t k = order.size(); k > 1; --k)
      std::swap(order[k - 1], order[static_cast<size_t>(m.below(static_cast<int64_t>(k)))]);
    Extents extents;
    for (int64_t a : order) extents.push_back(x.extents[static_cast<size_t>(a)]);
    m.apply("Transpose", {x}, extents, x.exact);
    m.set("perm", order);
  });
  add("Reshape", [](Maker& m) {
    const Item x = m.pick_float();
    const bool flat = m.coin() || x.rank() < 2;
    const Extents extents = flat ? Extents{x.size()} : Extents{x.extents[0], x.size() / x.extents[0]};
    m.apply("Reshape", {x, m.integers(flat ? Integers{-1} : Integers{0, -1})}, extents, x.exact);
  });
  add("Flatten", [](Maker& m) {
    const Item x = m.pick_float(1);
    const int64_t axis = m.below(x.rank() + 1);
    int64_t front = 1;
    for (int64_t a = 0; a < axis; ++a) front *= x.extents[static_cast<size_t>(a)];
    m.apply("Flatten", {x}, {front, x.size() / front}, x.exact);
    m.set("axis", axis);
  });
  add("Unsqueeze", [](Maker& m) {
    const Item x = m.pick_float(0, 3);
    const int64_t axis = m.below(x.rank() + 1);
    Extents extents = x.extents;
    extents.insert(extents.begin() + axis, 1);
    m.apply("Unsqueeze", {x, m.integers({axis})}, extents, x.exact);
  });
  add("Squeeze", [](Maker& m) {
    const Item x = m.pick_float(1);
    for (int64_t a = 0; a < x.rank(); ++a) {
      if (x.extents[static_cast<size_t>(a)] != 1) continue;
      Extents extents = x.extents;
      extents.erase(extents.begin() + a);
      m.apply("Squeeze", {x, m.integers({a})}, extents, x.exact);
      return;
    }
  });
  add("Pad", [](Maker& m) {
    const Item x = m.pick_float(1);
    const bool reflect = m.coin();
    Integers pads;
    Extents extents = x.extents;
    for (int side = 0; side < 2; ++side)
      for (size_t a = 0; a < extents.size(); ++a)
        pads.push_back(reflect ? std::min<int64_t>(m.below(2), x.extents[a] - 1) : m.below(3));
    for (size_t a = 0; a < extents.size(); ++a) extents[a] += pads[a] + pads[a + extents.size()];
    std::vector<Item> in{x, m.integers(pads)};
    if (!reflect) in.push_back(m.constant(Tensor::scalar<float>(0.25F)));
    m.apply("Pad", in, extents, x.exact);
    m.set("mode", reflect ? "reflect" : "constant");
  });
  add("Expand", [](Maker& m) {
    const Item x = m.pick_float(0, 3);
    Extents extents = x.extents;
    for (int64_t& e : extents)
      if (e == 1) e = 3;
    extents.insert(extents.begin(), 2);
    m.apply("Expand", {x, m.integers(extents)}, extents, x.exact);
  });
  add("Tile", [](Maker& m) {
    const Item x = m.pick_float(1, 3);
    Integers times;
    Extents extents = x.extents;
    for (int64_t& e : extents) {
      times.push_back(1 + m.below(2));
      e *= times.back();
    }
    m.apply("Tile", {x, m.integers(times)}, extents, x.exact);
  });
  add("Gather", [](Maker& m) {
    const Item x = m.pick_float(1, 3);
    const int64_t axis = m.axis_of(x), extent = x.extents[static_cast<size_t>(axis)];
    Integers at;
    for (int k = 0; k < 3; ++k) at.push_back(m.below(2 * extent) - extent);
    Extents extents = x.extents;
    extents[static_cast<size_t>(axis)] = 3;
    m.apply("Gather", {x, m.integers(at)}, extents, x.exact);
    m.set("axis", m.maybe_negative(axis, x));
  });
  add("GatherElements", [](Maker& m) {
    const Item x = m.pick_float(1, 3);
    const int64_t axis = m.axis_of(x);
    Tensor at(DType::i64, x.extents);
    for (int64_t& v : at.as<int64_t>()) v = m.below(x.extents[static_cast<size_t>(axis)]);
    m.apply("GatherElements", {x, m.constant(at)}, x.extents, x.exact);
    m.set("axis", axis);
  });
  add("GatherND", [](Maker& m) {
    const Item x = m.pick_float(2, 4);
    Tensor at(DType::i64, {3, 2});
    for (size_t k = 0; k < 6; ++k) at.as<int64_t>()[k] = m.below(x.extents[k % 2]);
    Extents extents(x.extents.begin() + 1, x.extents.end());
    extents[0] = 3;
    m.apply("GatherND", {x, m.constant(at)}, extents, x.exact);
  });
  add("ScatterElements", [](Maker& m) {
    const Item x = m.pick_float(1, 3);
    const int64_t axis = m.axis_of(x);
    Extents one = x.extents;
    one[static_cast<size_t>(axis)] = 1;
    Tensor at(DType::i64, one);
    for (int64_t& v : at.as<int64_t>()) v = m.below(x.extents[static_cast<size_t>(axis)]);
    m.apply("ScatterElements", {x, m.constant(at), m.weights(one)}, x.extents, false);
    m.set("axis", axis);
    if (m.coin()) m.set("reduction", "add");
  });
  add("ScatterND", [](Maker& m) {
    const Item x = m.pick_float(1, 3);
    Extents row = x.extents;
    row[0] = 1;
    m.apply("ScatterND", {x, m.constant(Tensor::from<int64_t>({m.below(x.extents[0])}, {1, 1})), m.weights(row)},
            x.extents);
  });
  add("OneHot", [](Maker& m) {
    const Item x = m.pick(DType::i64, 1, 3, true);
    Extents extents = x.extents;
    extents.push_back(5);
    m.apply("OneHot", {x, m.constant(Tensor::scalar<int64_t>(5)), m.constant(Tensor::from<float>({-1, 2}, {2}))},
            extents, true);
  });
  add("TopK", [](Maker& m) {
    const Item x = m.input(DType::f32, {1 + m.below(3), 5 + m.below(9)});
    auto& n = m.node("TopK", {x, m.integers({3})});
    m.output(n, DType::f32, {x.extents[0], 3}, true);
    m.output(n, DType::i64, {x.extents[0], 3}, true);
    m.set("largest", m.below(2));
  });
  add("CumSum", [](Maker& m) {
    const Item x = m.pick_float(1);
    m.apply("CumSum", {x, m.constant(Tensor::scalar<int64_t>(m.axis_of(x)))}, x.extents);
    m.set("exclusive", m.below(2));
    m.set("reverse", m.below(2));
  });
  add("Trilu", [](Maker& m) {
    const Item x = m.pick_float(2);
    m.apply("Trilu", {x}, x.extents, x.exact);
    m.set("upper", m.below(2));
  });
  add("MatMul", [](Maker& m) {
    const Item x = m.pick_float(2);
    const int64_t n = m.extent();
    Extents extents = x.extents;
    extents.back() = n;
    m.apply("MatMul", {x, m.weights({x.extents.back(), n})}, extents);
  });
  add("Gemm", [](Maker& m) {
    const Item x = m.pick_float(2, 2);
    const int64_t n = m.extent(), ta = m.below(2), tb = m.below(2);
    const int64_t rows = x.extents[ta != 0 ? 1 : 0], k = x.extents[ta != 0 ? 0 : 1];
    m.apply("Gemm", {x, m.weights(tb != 0 ? Extents{n, k} : Extents{k, n}), m.weights({n})}, {rows, n});
    m.set("transA", ta);
    m.set("transB", tb);
    m.set("alpha", 0.75);
    m.set("beta", 0.5);
  });
  add("Einsum", [](Maker& m) {
    const Item x = m.pick_float(2, 2);
    const int64_t n = m.extent();
    m.apply("Einsum", {x, m.weights({n, x.extents[1]})}, {n, x.extents[0]});
    m.set("equation", "ij,kj->ki");
  });
  add("Conv", [](Maker& m) {
    const Item x = image(m);
    const int64_t groups = m.coin() ? 2 : 1, k = 2 * (1 + m.below(4)), r = 1 + m.below(3), s = 1 + m.below(2),
                  p = m.below(r);
    Extents extents{x.extents[0], k, (x.extents[2] + 2 * p - r) / s + 1, (x.extents[3] + 2 * p - r) / s + 1};
    m.apply("Conv", {x, m.weights({k, x.extents[1] / groups, r, r}), m.weights({k})}, extents);
    m.set("strides", Integers{s, s});
    m.set("pads", Integers{p, p, p, p});
    m.set("group", groups);
  });
  add("ConvTranspose", [](Maker& m) {
    const Item x = image(m);
    const int64_t k = 1 + m.below(5), r = 1 + m.below(3), s = 1 + m.below(2);
    Extents extents{x.extents[0], k, s * (x.extents[2] - 1) + r, s * (x.extents[3] - 1) + r};
    m.apply("ConvTranspose", {x, m.weights({x.extents[1], k, r, r})}, extents);
    m.set("strides", Integers{s, s});
  });
  for (const char* name : {"GlobalAveragePool", "GlobalMaxPool"})
    add(name, [name](Maker& m) {
      const Item x = image(m);
      m.apply(name, {x}, {x.extents[0], x.extents[1], 1, 1});
    });
  add("BatchNormalization", [](Maker& m) {
    const Item x = image(m);
    const Extents c{x.extents[1]};
    m.apply("BatchNormalization", {x, m.weights(c), m.weights(c), m.weights(c), m.weights(c, 0.5, 2)}, x.extents);
  });
  add("InstanceNormalization", [](Maker& m) {
    const Item x = image(m);
    m.apply("InstanceNormalization", {x, m.weights({x.extents[1]}), m.weights({x.extents[1]})}, x.extents);
  });
  add("LayerNormalization", [](Maker& m) {
    const Item x = m.input(DType::f32, {m.extent(), 3 + m.below(30)});
    m.apply("LayerNormalization", {x, m.weights({x.extents[1]}), m.weights({x.extents[1]})}, x.extents);
  });
  add("LRN", [](Maker& m) {
    const Item x = image(m);
    m.apply("LRN", {x}, x.extents);
    m.set("size", int64_t{3});
  });
  add("DepthToSpace", [](Maker& m) {
    const Item x = m.input(DType::f32, {1, 8, 2 + m.below(3), 3});
    m.apply("DepthToSpace", {x}, {1, 2, 2 * x.extents[2], 6}, true);
    m.set("blocksize", int64_t{2});
    m.set("mode", m.coin() ? "DCR" : "CRD");
  });
  add("SpaceToDepth", [](Maker& m) {
    const Item x = m.input(DType::f32, {1, 3, 4, 6});
    m.apply("SpaceToDepth", {x}, {1, 12, 2, 3}, true);
    m.set("blocksize", int64_t{2});
  });
  add("Resize", [](Maker& m) {
    const Item x = image(m);
    const bool linear = m.coin();
    auto& n = m.node("Resize", {x});
    n.add_input("");
    n.add_input(m.constant(Tensor::from<float>({1, 1, 2, 2}, {4})).name);
    m.output(n, DType::f32, {x.extents[0], x.extents[1], 2 * x.extents[2], 2 * x.extents[3]}, false);
    m.set("mode", linear ? "linear" : "nearest");
    m.set("coordinate_transformation_mode", linear ? "half_pixel" : "asymmetric");
    if (!linear) m.set("nearest_mode", "floor");
  });
  return all;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = make_entries();
  return all;
}

}  // namespace

std::vector<std::string> random_model_operators() {
  std::vector<std::string> names;
  for (const Entry& e : entries()) names.push_back(e.name);
  return names;
}

RandomModel random_model(uint64_t seed) {
  Maker m(seed);
  const int64_t count = 6 + m.below(19);
  for (int64_t i = 0; i < count; ++i)
    entries()[static_cast<size_t>(m.below(static_cast<int64_t>(entries().size())))].draw(m);
  return m.finish();
}

}  // namespace gregale::onnx
