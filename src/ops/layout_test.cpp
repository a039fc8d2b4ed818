// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/graphs_for_tests.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

using Values = std::vector<Value>;
using Integers = std::vector<int64_t>;
constexpr int64_t kEnd = INT64_MAX;

Tensor counting(Extents extents) {
  std::vector<double> values(static_cast<size_t>(element_count(extents)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return Tensor::from(values, std::move(extents));
}

/// One input of the given type, for what inference says.
Type type_of(const Type& x, const std::function<Value(Graph&, Value)>& build) {
  Graph g;
  return g.type(build(g, g.add_input("x", x)));
}

const Dim kN = Dim::symbol("n", 64);

Value entries(Graph& g, Value x, Integers shape) { return g.add1(reshape_op(), {x}, {{"shape", std::move(shape)}}); }

TEST(Layout, EveryGradientIsTheAdjoint) {
  for (const OpDef* op : {&reshape_op(), &transpose_op(), &slice_op(), &reverse_op(), &pad_op(), &concat_op(),
                          &gather_op(), &scatter_add_op(), &update_slice_op(), &conv2d_op(), &conv2d_d_input_op(),
                          &conv2d_d_weights_op(), &fft_op(), &rfft_op(), &irfft_op(), &dropout_op()}) {
    int tried = 0;
    for (const Sample& sample : op->samples()) {
      for (size_t i = 0; i < sample.inputs.size(); ++i) {
        if (!is_differentiable(sample.inputs[0].dtype()) || !is_differentiable(sample.inputs[i].dtype())) continue;
        SCOPED_TRACE(fmt::format("{}, input {}, {}", op->name, i, to_string(sample.inputs[0].type())));
        expect_adjoint(
            sample.inputs, i, [&](Graph& g, const Values& x) { return g.add1(*op, x, sample.attributes); },
            sample.inputs[0].rank() == 0);
        ++tried;
      }
    }
    EXPECT_GE(tried, 3) << op->name;
  }
}

TEST(Reshape, InfersOneExtentAndKeepsSymbols) {
  const Type x(DType::f32, Shape{kN, 6, 4});
  EXPECT_EQ(type_of(x, [](Graph& g, Value v) { return entries(g, v, {-2, -1}); }), Type(DType::f32, Shape{kN, 24}));
  EXPECT_EQ(type_of(x,
                    [](Graph& g, Value v) {
                      return reshape(g, v, Shape{24, kN});
                    }),
            Type(DType::f32, Shape{24, kN}));
  EXPECT_EQ(type_of(x, [](Graph& g, Value v) { return entries(g, v, {-1, 24}); }), Type(DType::f32, Shape{kN, 24}));
  EXPECT_EQ(type_of(Type(DType::i8, Shape{4, 6}),
                    [](Graph& g, Value v) {
                      return entries(g, v, {3, -1});
                    }),
            Type(DType::i8, Shape{3, 8}));
}

TEST(Reshape, SurvivesBindingOfSymbols) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f64, Shape{3, kN, 2}));
  g.set_outputs({entries(g, x, {-3, -1})});
  const Graph bound = bind_symbols(g, {{"n", 5}});
  EXPECT_EQ(bound.type(bound.outputs()[0]).shape, (Shape{5, 6}));
}

TEST(Reshape, SaysWhatDoesNotFit) {
  const Type x(DType::f32, Shape{2, 3});
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return reshape(g, v, Shape{4, 2});
                       }),
               "[reshape] f32[2,3] does not fit shape [4,2]");
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return g.add1(reshape_op(), {v}, {{"shape", Integers{-1, -1}}});
                       }),
               "[reshape] shape -1,-1 has more than one -1");
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return g.add1(reshape_op(), {v}, {{"shape", Integers{-4, 6}}});
                       }),
               "[reshape] shape entry -4 names no axis of f32[2,3]");
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return g.add1(reshape_op(), {v}, {{"shape", Integers{INT64_MIN}}});
                       }),
               "names no axis");
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return reshape(g, v, Shape{kN, 6});
                       }),
               "[reshape] f32[2,3] has no symbolic extent n<=64");
  EXPECT_ERROR(type_of(Type(DType::f32, Shape{0, 3}),
                       [](Graph& g, Value v) {
                         return entries(g, v, {-1, 0});
                       }),
               "does not fit");
}

TEST(Transpose, PermutesAndRefuses) {
  const Tensor y = evaluate({counting({2, 3})}, [](Graph& g, const Values& v) { return transpose(g, v[0], {1, 0}); });
  EXPECT_EQ(values_of<double>(y), (std::vector<double>{0, 3, 1, 4, 2, 5}));
  const Type x(DType::f32, Shape{kN, 3});
  EXPECT_EQ(type_of(x, [](Graph& g, Value v) { return transpose(g, v, {-1, 0}); }).shape, (Shape{3, kN}));
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return transpose(g, v, {0, 0});
                       }),
               "[transpose] axis 0 is named twice");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return transpose(g, v, {0}); }),
               "[transpose] permutation has 1 entries for rank 2");
  EXPECT_ERROR(type_of(x,
                       [](Graph& g, Value v) {
                         return transpose(g, v, {0, 2});
                       }),
               "[transpose] axis 2 is out of range for rank 2");
}

TEST(Slice, TakesStepsAndCountsFromTheEnd) {
  const auto one = [](int64_t start, int64_t stop, int64_t step) {
    return values_of<double>(evaluate(
        {counting({7})}, [&](Graph& g, const Values& v) { return slice_axis(g, v[0], -1, start, stop, step); }));
  };
  EXPECT_EQ(one(1, 6, 2), (std::vector<double>{1, 3, 5}));
  EXPECT_EQ(one(1, 7, 2), (std::vector<double>{1, 3, 5}));
  EXPECT_EQ(one(-3, kEnd, 1), (std::vector<double>{4, 5, 6}));
  EXPECT_EQ(one(0, -5, 1), (std::vector<double>{0, 1}));
  EXPECT_EQ(one(3, 3, 1), (std::vector<double>{}));
  EXPECT_EQ(one(2, 7, kEnd), (std::vector<double>{2}));
}

TEST(Slice, KeepsSymbolsAndRefuses) {
  const Type x(DType::f32, Shape{kN, 5});
  EXPECT_EQ(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 1, 1, 3); }).shape, (Shape{kN, 2}));
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 0, 1, 3); }),
               "[slice] axis 0 of f32[n<=64,5] is symbolic: it can only be kept whole");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 3, 0, 1); }),
               "[slice] axis 3 is out of range for rank 2");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 1, 0, 6); }),
               "[slice] 0:6 is out of range for axis 1 of extent 5");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 1, -6, 2); }),
               "[slice] -6:2 is out of range");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 1, 3, 2); }), "[slice] 3:2 is out of range");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice_axis(g, v, 1, 0, 4, 0); }),
               "[slice] step 0 of axis 1 is not positive");
  EXPECT_ERROR(type_of(x, [](Graph& g, Value v) { return slice(g, v, {0}, {1}); }),
               "[slice] starts has 1 entries for rank 2");
}

TEST(Slice, GradientOfASymbolicBatchKeepsIt) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f64, Shape{kN, 5}));
  const Value y = slice_axis(g, x, 1, 1, 5, 2);
  const Value d = pull_back(g, y, y, 0);
  EXPECT_EQ(g.type(d), g.type(x));
  const Value back = pull_back(g, d, x, 0);  // pad's, back again
  EXPECT_EQ(g.type(back), g.type(y));
}

TEST(Reverse, RunsBackwards) {
  const Tensor y = evaluate({counting({2, 3})}, [](Graph& g, const Values& v) { return reverse(g, v[0], {-1}); });
  EXPECT_EQ(values_of<double>(y), (std::vector<double>{2, 1, 0, 5, 4, 3}));
  EXPECT_ERROR(type_of(Type(DType::f32, Shape{3}),
                       [](Graph& g, Value v) {
                         return reverse(g, v, {0, -1});
                       }),
               "[reverse] axis -1 is named twice");
}

// numpy.pad(numpy.arange(6).reshape(2, 3), ((2, 1), (1, 3)), mode="wrap"), NumPy 1.24
TEST(Pad, PeriodicIsNumpysWrap) {
  const Tensor y = evaluate({counting({2, 3})}, [](Graph& g, const Values& v) {
    return pad(g, v[0], {2, 1}, {1, 3}, "periodic");
  });
  EXPECT_EQ(y.extents(), (Extents{5, 7}));
  EXPECT_EQ(values_of<double>(y), (std::vector<double>{2, 0, 1, 2, 0, 1, 2, 5, 3, 4, 5, 3, 4, 5, 2, 0, 1, 2,
                                                       0, 1, 2, 5, 3, 4, 5, 3, 4, 5, 2, 0, 1, 2, 0, 1, 2}));
}

// numpy.pad(numpy.arange(12).reshape(3, 4), ((2, 1), (3, 0)), mode="reflect"), NumPy 1.24
TEST(Pad, ReflectIsNumpys) {
  const Tensor y = evaluate({counting({3, 4})}, [](Graph& g, const Values& v) {
    return pad(g, v[0], {2, 3}, {1, 0}, "reflect");
  });
  EXPECT_EQ(y.extents(), (Extents{6, 7}));
  EXPECT_EQ(values_of<double>(y),
            (std::vector<double>{11, 10, 9, 8, 9, 10, 11, 7,  6,  5, 4, 5, 6,  7,  3, 2, 1, 0, 1, 2, 3,
                                 7,  6,  5, 4, 5, 6,  7,  11, 10, 9, 8, 9, 10, 11, 7, 6, 5, 4, 5, 6, 7}));
}

TEST(Pad, ZeroWithInterior) {
  const Tensor y = evaluate({counting({3})},
                            [](Graph& g, const Values& v) { return pad(g, add(g, v[0], 1.0), {1}, {2}, "zero", {2}); });
  EXPECT_EQ(values_of<double>(y), (std::vector<double>{0, 1, 0, 0, 2, 0, 0, 3, 0, 0}));
}

TEST(Pad, KeepsSymbolsAndRefuses) {
  const Type x(DType::f32, Shape{kN, 3});
  const auto type = [&](Integers low, Integers high, const std::string& mode, Integers interior) {
    return type_of(x, [&](Graph& g, Value v) { return pad(g, v, low, high, mode, interior); });
  };
  EXPECT_EQ(type({0, 1}, {0, 2}, "zero", {0, 1}).shape, (Shape{kN, 8}));
  EXPECT_ERROR(type({1, 0}, {0, 0}, "zero", {}), "[pad] axis 0 of f32[n<=64,3] is symbolic: it cannot be padded");
  EXPECT_ERROR(type({0, -1}, {0, 0}, "zero", {}), "[pad] axis 1 is padded by a negative number");
  EXPECT_ERROR(type({0, 1}, {0, 0}, "wrap", {}), "[pad] mode 'wrap' is none of zero, periodic, reflect, edge");
  EXPECT_ERROR(type({0, 4}, {0, 0}, "periodic", {}),
               "[pad] periodic padding of axis 1 by 4 and 0 is above 3 for extent 3");
  EXPECT_ERROR(type({0, 0}, {0, 3}, "reflect", {}),
               "[pad] reflect padding of axis 1 by 0 and 3 is above 2 for extent 3");
  EXPECT_ERROR(type({0, 0}, {0, 1}, "reflect", {0, 1}), "[pad] interior needs mode zero, not reflect");
  EXPECT_ERROR(type({0, kEnd}, {0, 1}, "zero", {}), "[pad] extent overflows");
  EXPECT_ERROR(type({0, 1}, {0, 1}, "zero", {0, kEnd}), "[pad] extent overflows");
}

TEST(Concat, JoinsAndRefuses) {
  const Tensor y = evaluate({counting({2, 1}), counting({2, 2})}, [](Graph& g, const Values& v) {
    return concat(g, {v[0], v[1]}, -1);
  });
  EXPECT_EQ(values_of<double>(y), (std::vector<double>{0, 0, 1, 1, 2, 3}));
  Graph g;
  const Value a = g.add_input("a", Type(DType::f32, Shape{kN, 3})),
              b = g.add_input("b", Type(DType::f32, Shape{kN, 2})), c = g.add_input("c", Type(DType::f32, Shape{3, 3})),
              d = g.add_input("d", Type(DType::f64, Shape{kN, 3}));
  EXPECT_EQ(g.type(concat(g, {a, b}, 1)).shape, (Shape{kN, 5}));
  EXPECT_ERROR(concat(g, {a, b}, 0), "[concat] axis 0 of f32[n<=64,3] is symbolic");
  EXPECT_ERROR(concat(g, {a, c}, 1), "[concat] operand 1 is f32[3,3], which does not join f32[n<=64,3] along axis 1");
  EXPECT_ERROR(concat(g, {a, d}, 1), "[concat] operand 1 is f64 but operand 0 is f32");
  EXPECT_ERROR(concat(g, {a, b}, 2), "[concat] axis 2 is out of range for rank 2");
  EXPECT_ERROR(concat(g, {}, 0), "[concat] needs at least one operand");
}

TEST(Gather, TakesAndRefusesAtRunTime) {
  const auto run = [](Integers indices) {
    const auto n = static_cast<int64_t>(indices.size());
    return evaluate({counting({2, 3}), Tensor::from(indices, {n})},
                    [](Graph& g, const Values& v) { return gather(g, v[0], v[1], 1); });
  };
  EXPECT_EQ(values_of<double>(run({2, 0, 2})), (std::vector<double>{2, 0, 2, 5, 3, 5}));
  EXPECT_EQ(values_of<double>(run({-1, 1})), (std::vector<double>{2, 1, 5, 4}));
  EXPECT_ERROR(run({-4}), "[gather] index -4 is out of range for axis 1 of extent 3");
  EXPECT_ERROR(run({0, 3}), "[gather] index 3 is out of range for axis 1 of extent 3");
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{5, kN})), i = g.add_input("i", Type(DType::i64, Shape{2, 2})),
              j = g.add_input("j", Type(DType::u8, Shape{2}));
  EXPECT_EQ(g.type(gather(g, x, i, 0)).shape, (Shape{2, 2, kN}));
  EXPECT_ERROR(gather(g, x, j, 0), "[gather] indices has dtype u8; expected i64 or i32");
}

TEST(ScatterAdd, AddsRepeatedIndicesAndRefuses) {
  const auto run = [](Integers indices) {
    return evaluate({counting({3}), Tensor::from(indices, {3}), counting({3})},
                    [](Graph& g, const Values& v) { return scatter_add(g, v[0], v[1], v[2], 0); });
  };
  EXPECT_EQ(values_of<double>(run({1, 1, 0})), (std::vector<double>{2, 2, 2}));
  EXPECT_ERROR(run({0, 1, -4}), "[scatter_add] index -4 is out of range for axis 0 of extent 3");
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{5, 2})), i = g.add_input("i", Type(DType::i64, Shape{3})),
              u = g.add_input("u", Type(DType::f32, Shape{2, 3}));
  EXPECT_ERROR(scatter_add(g, x, i, u, 0), "[scatter_add] updates are f32[2,3]; expected f32[3,2]");
}

TEST(UpdateSlice, WritesABlockAndRefuses) {
  const Tensor y = evaluate({counting({2, 3}), Tensor::from<double>({-1, -2}, {2, 1})}, [](Graph& g, const Values& v) {
    return update_slice(g, v[0], v[1], {0, 1});
  });
  EXPECT_EQ(values_of<double>(y), (std::vector<double>{0, -1, 2, 3, -2, 5}));
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{kN, 5})),
              u = g.add_input("u", Type(DType::f32, Shape{kN, 2}));
  const Value z = update_slice(g, x, u, {0, 3});
  EXPECT_EQ(g.type(z), g.type(x));
  const Value d = pull_back(g, z, z, 1);
  EXPECT_EQ(g.type(d), g.type(u));
  EXPECT_ERROR(update_slice(g, x, u, {0, 4}), "[update_slice] 2 elements from 4 do not fit axis 1 of extent 5");
  EXPECT_ERROR(update_slice(g, x, u, {0, -1}), "[update_slice] 2 elements from -1 do not fit axis 1 of extent 5");
  EXPECT_ERROR(update_slice(g, x, u, {0, kEnd}), "do not fit axis 1");
  EXPECT_ERROR(update_slice(g, x, u, {1, 0}), "[update_slice] axis 0 is symbolic: it can only be updated as a whole");
}

TEST(Layout, MovesIntegersAndBooleansUnchanged) {
  const Tensor bits = Tensor::from<bool>({true, false, true, true, false, false}, {2, 3});
  const Tensor y = evaluate({bits}, [](Graph& g, const Values& v) {
    return pad(g, reverse(g, transpose(g, v[0], {1, 0}), {0}), {0, 1}, {0, 0});
  });
  const auto values = y.as<bool>();
  EXPECT_EQ(std::vector<bool>(values.begin(), values.end()), (std::vector<bool>{0, 1, 0, 0, 0, 0, 0, 1, 1}));
  const Tensor big = Tensor::from<uint64_t>({UINT64_MAX, 1}, {2});
  const Tensor z = evaluate({big}, [](Graph& g, const Values& v) {
    return concat(g, {v[0], reverse(g, v[0], {0})}, 0);
  });
  EXPECT_EQ(values_of<uint64_t>(z), (std::vector<uint64_t>{UINT64_MAX, 1, 1, UINT64_MAX}));
}

}  // namespace
}  // namespace gregale::ops
