// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/type.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "base/expect_error_for_tests.hpp"
#include "gregale/error.hpp"
#include "gregale/random.hpp"

namespace gregale {
namespace {

TEST(Extents, CountDetectsNegativeAndOverflow) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({8, 73, 144}), 84096);
  EXPECT_EQ(element_count({5, 0, 3}), 0);
  EXPECT_EQ(element_count({INT64_MAX}), INT64_MAX);
  EXPECT_EQ(error_of([] { element_count({4, -1}); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([] { element_count({0, -1}); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([] { element_count({int64_t{1} << 32, int64_t{1} << 31}); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([] { element_count({0, int64_t{1} << 62, 4}); }).code(), ErrorCode::shape);
  EXPECT_EQ(to_string(Extents{8, 73, 144}), "[8, 73, 144]");
  EXPECT_EQ(to_string(Extents{}), "[]");
}

TEST(Dim, ConstantsAndSymbols) {
  EXPECT_EQ(Dim(144).to_string(), "144");
  EXPECT_EQ(Dim::symbol("n", 64).to_string(), "n<=64");
  EXPECT_EQ(Dim::symbol("n").to_string(), "n");
  EXPECT_EQ(Dim::symbol("n", 64).bound(), 64);
  EXPECT_EQ(error_of([] { Dim::symbol("n", 64).value(); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([] { Dim(-1); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([] { Dim::symbol("n", -1); }).code(), ErrorCode::shape);
  for (const char* name : {"", "4n", "a b", "n]", "n<"}) {
    EXPECT_EQ(error_of([&] { Dim::symbol(name); }).code(), ErrorCode::invalid_argument) << name;
  }
  EXPECT_NE(Dim::symbol("n", 64), Dim::symbol("n", 32));
  EXPECT_NE(Dim::symbol("n", 64), Dim(64));
}

TEST(Shape, ExtentsNeedConstants) {
  const Shape constant{2, 3};
  EXPECT_EQ(constant.extents(), (Extents{2, 3}));
  EXPECT_EQ(constant.elements(), 6);
  const Shape symbolic{2, Dim::symbol("n", 64)};
  EXPECT_FALSE(symbolic.is_constant());
  EXPECT_EQ(error_of([&] { symbolic.elements(); }).code(), ErrorCode::shape);
  EXPECT_EQ(to_string(symbolic), "[2,n<=64]");
  EXPECT_EQ(Type(DType::f64, {2, 3}).bytes(), 48);
  EXPECT_EQ(error_of([] { Type(DType::f64, {int64_t{1} << 61}).bytes(); }).code(), ErrorCode::shape);
}

TEST(Shape, Broadcast) {
  const Dim n = Dim::symbol("n", 64);
  EXPECT_EQ(broadcast({8, 1, 6, 1}, {7, 1, 5}, "add"), (Shape{8, 7, 6, 5}));
  EXPECT_EQ(broadcast({}, {3}, "add"), (Shape{3}));
  EXPECT_EQ(broadcast({0}, {1}, "add"), (Shape{0}));
  EXPECT_EQ(broadcast({n, 4}, {n, 1}, "add"), (Shape{n, 4}));
  EXPECT_EQ(broadcast({1, 4}, {n, 1}, "add"), (Shape{n, 4}));
  EXPECT_STREQ(error_of([] { broadcast({2, 3}, {2}, "add"); }).what(), "[add] shapes [2,3] and [2] do not broadcast");
  EXPECT_EQ(error_of([&] { broadcast({n}, {64}, "add"); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([&] { broadcast({n}, {Dim::symbol("m", 64)}, "add"); }).code(), ErrorCode::shape);
}

TEST(Shape, NormalizeAxis) {
  EXPECT_EQ(normalize_axis(-1, 3, "softmax"), 2);
  EXPECT_EQ(normalize_axis(-3, 3, "softmax"), 0);
  EXPECT_EQ(normalize_axis(2, 3, "softmax"), 2);
  EXPECT_STREQ(error_of([] { normalize_axis(3, 2, "softmax"); }).what(), "[softmax] axis 3 is out of range for rank 2");
  EXPECT_THROW(normalize_axis(-3, 2, "softmax"), Error);
  EXPECT_THROW(normalize_axis(0, 0, "softmax"), Error);
}

TEST(TypeText, TheDocumentedExample) {
  const std::string text = "f32[8,n<=64,144]{split hi:bf16 lo:u16}@(data: shard 0, model: partial sum)";
  const Type type = parse_type(text);
  EXPECT_EQ(to_string(type), text);
  EXPECT_EQ(type.dtype, DType::f32);
  EXPECT_EQ(type.shape, (Shape{8, Dim::symbol("n", 64), 144}));
  EXPECT_EQ(type.encoding.kind, Encoding::Kind::split);
  ASSERT_EQ(type.encoding.components.size(), 2u);
  EXPECT_EQ(type.encoding.components[1], (Encoding::Component{"lo", DType::u16}));
  EXPECT_EQ(type.distribution.at("data"), (Placement{Placement::Kind::sharded, 0, ""}));
  EXPECT_EQ(type.distribution.at("model"), (Placement{Placement::Kind::partial, 0, "sum"}));
}

TEST(TypeText, PrintedFormsParseToThemselves) {
  for (const char* text :
       {"f32[]", "bool[0]", "c128[9223372036854775807]", "bf16[n]", "i8[batch.1<=0,n_2]",
        "f32[768,3072]{quantized values:i8 scales:f16 zeros:i8}", "f32[64,64]{ell values:f32 indices:i32}",
        "f32[64,64]{bsr values:f32 columns:i32 starts:i32}", "f64[n<=9]{compressed bytes:u8}",
        "f32[64,64]@(data: shard 1)", "f32[4]@(a: partial max, b: partial min, c: replicated)"}) {
    EXPECT_EQ(to_string(parse_type(text)), text);
  }
  EXPECT_EQ(to_string(parse_type(" f32 [ 8 , n <=64 ]@( b:shard 1,a : replicated ) ")),
            "f32[8,n<=64]@(a: replicated, b: shard 1)");
}

TEST(TypeText, RandomTypesRoundTrip) {
  const RandomKey key{7, 0, 0};
  uint64_t index = 0;
  const auto pick = [&](uint64_t n) { return random_below(key, index++, n); };
  const auto name = [&] { return std::string(1, static_cast<char>('a' + pick(26))) + std::to_string(pick(100)); };
  for (int round = 0; round < 500; ++round) {
    Type type;
    type.dtype = static_cast<DType>(pick(kDTypeCount));
    const uint64_t rank = pick(6);
    for (uint64_t axis = 0; axis < rank; ++axis) {
      const auto bound = static_cast<int64_t>(pick(1u << 20));
      const uint64_t kind = pick(3);
      type.shape.dims().push_back(kind == 0 ? Dim(bound) : Dim::symbol(name(), kind == 1 ? bound : Dim::kUnbounded));
    }
    type.encoding.kind = static_cast<Encoding::Kind>(pick(6));
    if (type.encoding.kind != Encoding::Kind::dense) {
      const uint64_t components = 1 + pick(4);
      for (uint64_t i = 0; i < components; ++i) {
        type.encoding.components.push_back({name() + "_" + std::to_string(i), static_cast<DType>(pick(kDTypeCount))});
      }
    }
    for (uint64_t axes = pick(4); axes > 0; --axes) {
      Placement placement;
      placement.kind = static_cast<Placement::Kind>(pick(3));
      if (placement.kind == Placement::Kind::sharded && rank == 0) placement.kind = Placement::Kind::replicated;
      if (placement.kind == Placement::Kind::sharded) placement.dim = static_cast<int64_t>(pick(rank));
      if (placement.kind == Placement::Kind::partial) placement.reduction = std::array{"sum", "max", "min"}[pick(3)];
      type.distribution[name()] = placement;
    }
    ASSERT_EQ(parse_type(to_string(type)), type) << to_string(type);
  }
}

TEST(TypeText, HostileTextIsRefusedWithTheOffset) {
  const struct {
    std::string text;
    size_t offset;
  } cases[] = {
      {"", 0},
      {"x32[4]", 0},
      {"f32", 3},
      {"f32[", 4},
      {"f32[4", 5},
      {"f32[4,]", 6},
      {"f32[-4]", 4},
      {"f32[9223372036854775808]", 4},
      {"f32[99999999999999999999999999]", 4},
      {"f32[n<64]", 6},
      {"f32[n<=]", 7},
      {"f32[4] x", 7},
      {"f32[4]]", 6},
      {"f32[4]{}", 7},
      {"f32[4]{dense}", 7},
      {"f32[4]{ell}", 10},
      {"f32[4]{split hi:bf17}", 16},
      {"f32[4]{split hi:bf16 hi:u16}", 21},
      {"f32[4]{split hi:bf16", 20},
      {"f32[4]@()", 8},
      {"f32[4]@(data: shard 1)", 20},
      {"f32[]@(data: shard 0)", 19},
      {"f32[4]@(data: partial mean)", 22},
      {"f32[4]@(data: whole)", 14},
      {"f32[4]@(a: replicated, a: replicated)", 23},
      {"f32[4]@(a: replicated", 21},
      {std::string("f32[4]\0", 7), 6},
      {"f32[\xff]", 4},
      {"f32[" + std::string(200, 'n') + "]", 4},
      {std::string(1 << 20, '['), 0},
  };
  for (const auto& c : cases) {
    const Error error = error_of([&] { parse_type(c.text); });
    EXPECT_EQ(error.code(), ErrorCode::corrupt_data) << c.text.substr(0, 80);
    EXPECT_NE(std::string(error.what()).find("offset " + std::to_string(c.offset) + ":"), std::string::npos)
        << c.text.substr(0, 80) << "\n"
        << error.what();
  }
  std::string many = "f32[1";
  for (int i = 0; i < 64; ++i) many += ",1";
  EXPECT_EQ(error_of([&] { parse_type(many + "]"); }).code(), ErrorCode::corrupt_data);
}

TEST(TypeText, EveryPrefixAndEveryByteIsHandled) {
  const std::string text = "f32[8,n<=64,144]{split hi:bf16 lo:u16}@(data: shard 0, model: partial sum)";
  int accepted = 0;
  const auto attempt = [&](const std::string& candidate) {
    try {
      const Type type = parse_type(candidate);
      EXPECT_EQ(parse_type(to_string(type)), type);
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt_data) << candidate;
    }
  };
  for (size_t length = 0; length < text.size(); ++length) attempt(text.substr(0, length));
  EXPECT_EQ(accepted, 2);  // after the shape and after the encoding
  for (size_t i = 0; i < text.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[i] = static_cast<char>(byte);
      attempt(changed);
    }
  }
}

}  // namespace
}  // namespace gregale
