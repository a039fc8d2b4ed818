// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

constexpr int64_t kRows = 3, kColumns = 4;

/// Field 10 row + column in channel 0, the same plus 100 in channel 1.
Tensor field() {
  Tensor t(DType::f32, {1, 2, kRows, kColumns});
  for (int64_t i = 0; i < t.size(); ++i)
    t.as<float>()[static_cast<size_t>(i)] =
        static_cast<float>(100 * (i / (kRows * kColumns)) + 10 * (i / kColumns % kRows) + i % kColumns);
  return t;
}

std::vector<float> padded(const SpherePadding& padding, int64_t channel = 0) {
  Graph g;
  const Value x = g.add_input("x", field().type());
  const Value y = pad_sphere(g, x, padding);
  g.set_outputs({y});
  EXPECT_EQ(g.type(y),
            Type(DType::f32, {1, 2, kRows + padding.south + padding.north, kColumns + padding.west + padding.east}));
  const Tensor out = interpret(g, {field()})[0];
  const auto all = out.as<float>();
  const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
  return {all.begin() + channel * half, all.begin() + (channel + 1) * half};
}

using Rows = std::vector<float>;

TEST(PadSphere, NothingToAddIsNothing) {
  Graph g;
  const Value x = g.add_input("x", field().type());
  EXPECT_EQ(pad_sphere(g, x, {}), x);
}

TEST(PadSphere, CellsGoOnHalfWayRound) {
  // Row 0 lies half a cell from the pole: what follows it is row 0 itself, 180 degrees further along.
  EXPECT_EQ(padded({.south = 2, .north = 1}), (Rows{12, 13, 10, 11,  //
                                                    2,  3,  0,  1,   //
                                                    0,  1,  2,  3,   //
                                                    10, 11, 12, 13,  //
                                                    20, 21, 22, 23,  //
                                                    22, 23, 20, 21}));
}

TEST(PadSphere, PoleRowsAreNotRepeated) {
  EXPECT_EQ(padded({.south = 1, .north = 2, .pole_rows = true}), (Rows{12, 13, 10, 11,  //
                                                                       0,  1,  2,  3,   //
                                                                       10, 11, 12, 13,  //
                                                                       20, 21, 22, 23,  //
                                                                       12, 13, 10, 11,  //
                                                                       2,  3,  0,  1}));
}

TEST(PadSphere, VectorsTurnOverThePole) {
  const SpherePadding padding{.north = 1, .signs = {1, -1}};
  const Rows scalar = padded(padding, 0), vector = padded(padding, 1);
  EXPECT_EQ(Rows(scalar.end() - 4, scalar.end()), (Rows{22, 23, 20, 21}));
  EXPECT_EQ(Rows(vector.end() - 4, vector.end()), (Rows{-122, -123, -120, -121}));
  EXPECT_EQ(Rows(vector.begin(), vector.begin() + 4), (Rows{100, 101, 102, 103}));
}

TEST(PadSphere, LongitudesWrap) {
  EXPECT_EQ(padded({.west = 1, .east = 2}), (Rows{3,  0,  1,  2,  3,  0,  1,   //
                                                  13, 10, 11, 12, 13, 10, 11,  //
                                                  23, 20, 21, 22, 23, 20, 21}));
}

TEST(PadSphere, CornersAgreeWithBothRules) {
  EXPECT_EQ(padded({.south = 1, .east = 1}), (Rows{2,  3,  0,  1,  2,   //
                                                   0,  1,  2,  3,  0,   //
                                                   10, 11, 12, 13, 10,  //
                                                   20, 21, 22, 23, 20}));
}

TEST(PadSphere, RegionsAreReflected) {
  EXPECT_EQ(padded({.north = 1, .west = 1, .across_poles = false, .periodic = false}), (Rows{1,  0,  1,  2,  3,   //
                                                                                             11, 10, 11, 12, 13,  //
                                                                                             21, 20, 21, 22, 23,  //
                                                                                             11, 10, 11, 12, 13}));
}

TEST(PadSphere, RefusesWhatHasNoMeaning) {
  const auto refused = [](const SpherePadding& padding, Shape shape) {
    Graph g;
    const Value x = g.add_input("x", Type(DType::f32, std::move(shape)));
    try {
      pad_sphere(g, x, padding);
    } catch (const Error& e) {
      return e.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  EXPECT_TRUE(refused({.south = 1}, {1, 2, 3, 5})) << "odd number of longitudes";
  EXPECT_TRUE(refused({.south = 4}, {1, 2, 3, 4})) << "more rows than there are";
  EXPECT_TRUE(refused({.south = 3, .pole_rows = true}, {1, 2, 3, 4}));
  EXPECT_TRUE(refused({.east = 5}, {1, 2, 3, 4}));
  EXPECT_TRUE(refused({.east = 4, .periodic = false}, {1, 2, 3, 4}));
  EXPECT_TRUE(refused({.north = 1, .periodic = false}, {1, 2, 3, 4}));
  EXPECT_TRUE(refused({.north = 1, .signs = {1}}, {1, 2, 3, 4}));
  EXPECT_TRUE(refused({.west = -1}, {1, 2, 3, 4}));
  EXPECT_FALSE(refused({.south = 3, .east = 4}, {Dim::symbol("b"), 2, 3, 4}));
}

}  // namespace
}  // namespace gregale::nn
