// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "base/expect_error_for_tests.hpp"
#include "onnx/one_node_for_tests.hpp"

namespace gregale::onnx {
namespace {

using Floats = std::vector<float>;
using Integers = std::vector<int64_t>;

void expect_wrong(const OneNode& n, const std::string& part, ErrorCode code = ErrorCode::corrupt_data) {
  expect_error(code, part, [&] { run_node(n, true); });
}

TEST(Layout, OldForms) {
  const Tensor x = counted<float>({2, 3});
  expect_values(result_of({"Reshape", 1, {x}, {{"shape", Integers{3, -1}}}}), {3, 2}, Floats{0, 1, 2, 3, 4, 5});
  expect_values(result_of({"Concat", 1, {x, x}}), {2, 6}, Floats{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
  expect_values(result_of({"Tile", 1, {counted<float>({2}), Tensor::scalar<int64_t>(2), Tensor::scalar<int64_t>(0)}}),
                {4}, Floats{0, 1, 0, 1});
  expect_values(result_of({"Slice", 1, {x}, {{"axes", Integers{1}}, {"starts", Integers{-2}}, {"ends", Integers{9}}}}),
                {2, 2}, Floats{1, 2, 4, 5});
  expect_values(result_of({"Split", 2, {x}, {{"axis", int64_t{1}}, {"split", Integers{1, 2}}}, 2}), {2, 1},
                Floats{0, 3});
  expect_values(result_of({"Pad", 1, {counted<float>({1, 2})}, {{"paddings", Integers{0, 1, 0, 0}}, {"value", 7.0}}}),
                {1, 3}, Floats{7, 0, 1});
  expect_values(result_of({"Pad", 2, {counted<float>({2})}, {{"pads", Integers{0, 2}}, {"mode", std::string("edge")}}}),
                {4}, Floats{0, 1, 1, 1});
  expect_values(result_of({"Squeeze", 1, {counted<float>({1, 2, 1})}, {{"axes", Integers{0}}}}), {2, 1}, Floats{0, 1});
  expect_values(result_of({"Unsqueeze", 11, {counted<float>({2})}, {{"axes", Integers{-1, 0}}}}), {1, 2, 1},
                Floats{0, 1});
  expect_values(result_of({"TopK", 1, {x}, {{"k", int64_t{2}}}, 2}), {2, 2}, Floats{2, 1, 5, 4});
  expect_values(result_of({"Scatter",
                           9,
                           {x, Tensor::from<int64_t>({-1}, {1, 1}), Tensor::from<float>({9}, {1, 1})},
                           {{"axis", int64_t{1}}}}),
                {2, 3}, Floats{0, 1, 9, 3, 4, 5});
}

TEST(Layout, ReshapesWhatIsEmpty) {
  const Tensor none = counted<float>({0, 4});
  EXPECT_EQ(to_string(result_of({"Reshape", 13, {none, integers({0, -1})}})), "f32[0,4]");
  EXPECT_EQ(to_string(result_of({"Reshape",
                                 14,
                                 {
                                     none,
                                     integers({2, 0}),
                                 },
                                 {{"allowzero", int64_t{1}}}})),
            "f32[2,0]");
  EXPECT_EQ(to_string(result_of({"Reshape", 13, {none, integers({-1, 2})}})), "f32[0,2]");
  expect_wrong({"Reshape", 14, {counted<float>({2}), integers({0, -1})}, {{"allowzero", int64_t{1}}}}, "extent of 0");
  expect_wrong({"Reshape", 13, {counted<float>({2}), integers({INT64_MAX, 4})}}, "more elements than",
               ErrorCode::shape);
  expect_wrong({"Reshape", 13, {counted<float>({2}), integers({-2})}}, "extent -2");
  expect_wrong({"Reshape", 13, {counted<float>({2}), integers({1, 0})}}, "rank 1");
}

TEST(Layout, SlicesAtTheEdgesOfIntegers) {
  const auto slice = [](int64_t from, int64_t to, int64_t step) {
    return result_of(
        {"Slice", 13, {counted<float>({5}), integers({from}), integers({to}), integers({0}), integers({step})}});
  };
  expect_values(slice(INT64_MAX, INT64_MIN, -2), {3}, Floats{4, 2, 0});
  expect_values(slice(INT64_MIN, INT64_MAX, INT64_MAX), {1}, Floats{0});
  expect_values(slice(-1, INT64_MIN, INT64_MIN), {1}, Floats{4});
  expect_values(slice(3, 1, 1), {0}, Floats{});
  expect_values(slice(1, 3, -1), {0}, Floats{});
  expect_wrong({"Slice", 13, {counted<float>({5}), integers({0}), integers({1}), integers({0}), integers({0})}},
               "a step of 0");
  expect_wrong({"Slice", 13, {counted<float>({5}), integers({0}), integers({1}), integers({1})}}, "out of range");
}

TEST(Layout, PadsBeyondTheExtent) {
  const auto pad = [](const char* mode, int64_t low, int64_t high) {
    return result_of({"Pad", 19, {counted<float>({3}), integers({low, high})}, {{"mode", std::string(mode)}}});
  };
  expect_values(pad("reflect", 5, 0), {8}, Floats{1, 0, 1, 2, 1, 0, 1, 2});
  expect_values(pad("wrap", 1, 4), {8}, Floats{2, 0, 1, 2, 0, 1, 2, 0});
  expect_values(pad("edge", -2, 2), {3}, Floats{2, 2, 2});
  expect_values(pad("constant", 2, -4), {1}, Floats{0});
  expect_values(result_of({"Pad", 13, {counted<int64_t>({2}), integers({1, -1}), Tensor::scalar(INT64_MAX)}}), {2},
                Integers{INT64_MAX, 0});
  expect_wrong({"Pad", 13, {counted<float>({3}), integers({-4, 0})}}, "is cut by");
  expect_wrong({"Pad", 13, {counted<float>({0}), integers({1, 0})}, {{"mode", std::string("edge")}}}, "is empty");
}

TEST(Layout, HostileAttributes) {
  const Tensor image = counted<float>({1, 4, 2, 2});
  for (const int64_t b : {int64_t{0}, int64_t{-1}, int64_t{3}, INT64_MAX}) {
    expect_wrong({"DepthToSpace", 13, {image}, {{"blocksize", b}}}, "blocks of");
    expect_wrong({"SpaceToDepth", 13, {image}, {{"blocksize", b}}}, "blocks of");
  }
  expect_wrong({"Split", 13, {image, integers({3, INT64_MAX})}, {{"axis", int64_t{1}}}, 2}, "parts");
  expect_wrong({"Tile", 13, {image, integers({1, 1, INT64_MAX, 4})}}, "overflow", ErrorCode::shape);
  expect_wrong({"Expand", 13, {counted<float>({1}), integers({INT64_MAX, 4})}}, "more elements than", ErrorCode::shape);
  expect_wrong({"Flatten", 13, {image}, {{"axis", int64_t{5}}}}, "out of range");
  expect_wrong({"Unsqueeze", 13, {image, integers({0, 0})}}, "named twice");
  expect_wrong({"Squeeze", 13, {image, integers({1})}}, "is not 1");
}

TEST(Indexing, IndicesOfBothWidthsAndFromTheEnd) {
  const Tensor x = counted<int64_t>({3, 2});
  const Tensor narrow = Tensor::from<int32_t>({-1, 0}, {2});
  expect_values(result_of({"Gather", 13, {x, narrow}}), {2, 2}, Integers{4, 5, 0, 1});
  expect_values(result_of({"Gather", 13, {x, Tensor::scalar<int64_t>(-2)}}), {2}, Integers{2, 3});
  expect_values(result_of({"Gather", 13, {x, integers({1})}, {{"axis", int64_t{-1}}}}), {3, 1}, Integers{1, 3, 5});
  expect_wrong({"Gather", 13, {x, integers({3})}}, "index 3 is out of range");
  // Shorter along the other axis than the data.
  expect_values(result_of({"GatherElements", 13, {x, Tensor::from<int64_t>({2, -3}, {2, 1})}}), {2, 1}, Integers{4, 0});
  expect_values(result_of({"ScatterElements",
                           18,
                           {x, Tensor::from<int64_t>({2, -1}, {2, 1}), Tensor::from<int64_t>({10, 20}, {2, 1})},
                           {{"reduction", std::string("add")}}}),
                {3, 2}, Integers{0, 1, 2, 3, 34, 5});
  expect_error(ErrorCode::invalid_argument, "index is out of range", [&] {
    run_node({"GatherElements", 13, {x, Tensor::from<int64_t>({5, 0}, {1, 2})}}, false);
  });
}

TEST(Indexing, OneHotOfIndicesOutOfRange) {
  expect_values(
      result_of(
          {"OneHot", 11, {integers({0, -1, 3, -4}), Tensor::scalar<int64_t>(3), Tensor::from<float>({0, 1}, {2})}}),
      {4, 3}, Floats{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  expect_wrong({"OneHot", 11, {integers({0}), Tensor::scalar(-1.f), Tensor::from<float>({0, 1}, {2})}}, "depth -1");
}

TEST(Indexing, EyesAndTrianglesFarFromTheDiagonal) {
  const Tensor x = counted<float>({2, 2});
  for (const int64_t k : {INT64_MIN, int64_t{-2}, int64_t{2}, INT64_MAX})
    expect_values(result_of({"EyeLike", 9, {x}, {{"k", k}}}), {2, 2}, Floats{0, 0, 0, 0});
  expect_values(result_of({"Trilu", 14, {x, Tensor::scalar(INT64_MIN)}}), {2, 2}, Floats{0, 1, 2, 3});
  expect_values(result_of({"Trilu", 14, {x, Tensor::scalar(INT64_MAX)}}), {2, 2}, Floats{0, 0, 0, 0});
}

TEST(Indexing, StringsBetweenPrograms) {
  const Strings names{{3}, {"b", "a", "b"}};
  const std::vector<Datum> unique = run_node({"Unique", 11, {names}, {}, 4}, false);
  EXPECT_EQ(*unique[0].strings(), (Strings{{2}, {"a", "b"}}));
  expect_values(unique[1], {2}, Integers{1, 0});
  expect_values(unique[2], {3}, Integers{1, 0, 1});
  expect_values(unique[3], {2}, Integers{1, 2});
  const Datum kept =
      run_node({"Compress", 11, {names, Tensor::from<int64_t>({1, 0, 1}, {3}).cast(DType::boolean)}}, false)[0];
  EXPECT_EQ(*kept.strings(), (Strings{{2}, {"b", "b"}}));
  const Datum constant =
      run_node({"Constant", 13, {}, {{"value_strings", std::vector<std::string>{"x", "y"}}}}, false)[0];
  EXPECT_EQ(*constant.strings(), (Strings{{2}, {"x", "y"}}));
}

TEST(Indexing, NonZeroOfScalarsAndNothing) {
  EXPECT_EQ(to_string(result_of({"NonZero", 13, {Tensor::scalar(3.f)}})), "i64[0,1]");
  EXPECT_EQ(to_string(result_of({"NonZero", 13, {counted<float>({0, 2})}})), "i64[2,0]");
}

}  // namespace
}  // namespace gregale::onnx
