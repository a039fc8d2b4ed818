// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/tile_program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "gregale/random.hpp"
#include "gregale/tensor.hpp"
#include "tile/ledger.hpp"
#include "tile/program_executor.hpp"

namespace gregale::tile {
namespace {

/// Two products with a gelu between, 50 rows in blocks of 16: the hidden layer never leaves its panel.
constexpr const char* kMlp = R"(program "mlp" {
  dim a "rows" 50 step 16
  dim b "hidden" 96 step 64
  dim c "k" 96 step 32 summed
  argument x f32 2000
  argument w1 f32 5120
  argument bias f32 96
  argument w2 f32 1920
  argument y f32 1000
  panel h f32 1536
  phase "A" {
    stage "b" {
      contract f32 m=a n=b k=40 (x a*40 /40, w1 b*40 /64, h b /96, bias b :row) {t0 = add(in0, in1); out0 = mul(t0, sigmoid(t0))}
    }
    stage "c" {
      contract f32 m=a n=20 k=c sum=c (h c /96, w2 c*20 /20, y a*20 /20) {out0 = relu(in0)}
    }
  }
}
)";

struct Arguments {
  explicit Arguments(const TileProgram& program) {
    for (const Buffer& b : program.buffers) {
      if (b.scope != Scope::argument) continue;
      Tensor t(DType::f32, {b.elements});
      for (uint64_t i = 0; float& x : t.as<float>())
        x = random_uniform(RandomKey{1, 2, static_cast<uint32_t>(tensors.size())}, i++) - 0.5f;
      tensors.push_back(t);
    }
  }
  std::vector<void*> pointers() {
    std::vector<void*> all;
    for (Tensor& t : tensors) all.push_back(t.data());
    return all;
  }
  std::vector<Tensor> tensors;
};

std::vector<Tensor> run(const TileProgram& program, int threads) {
  Target target = Target::detect();
  kernels::KernelCache cache(target);
  const CompiledProgram compiled(cache, program);
  Arguments memory(program);
  Tensor scratch(DType::u8, {compiled.memory_bytes() + 64}), own(DType::u8, {compiled.thread_bytes() * threads + 64});
  const auto pointers = memory.pointers();
  const auto team = make_thread_team(threads);
  compiled.run(*team, pointers.data(), static_cast<std::byte*>(scratch.data()), static_cast<std::byte*>(own.data()));
  return memory.tensors;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(TileProgram, PrintsWhatItParses) {
  const TileProgram program = parse_program(kMlp);
  EXPECT_EQ(print(program), kMlp);
  EXPECT_EQ(parse_program(print(program)), program);
}

TEST(TileProgram, RunsAsItIsInterpreted) {
  const TileProgram program = parse_program(kMlp);
  Arguments memory(program);
  interpret(program, memory.pointers());
  const std::vector<Tensor> got = run(program, 2);
  double written = 0;
  for (size_t i = 0; i < 1000; ++i) {
    EXPECT_NEAR(got.back().as<float>()[i], memory.tensors.back().as<float>()[i], 2e-6);
    written += got.back().as<float>()[i] != 0;
  }
  EXPECT_GT(written, 300);
}

/// Threads, order and the size of blocks of rows change nothing: not a bit.
TEST(TileProgram, SchedulesNeverChangeBits) {
  const std::vector<Tensor> expected = run(parse_program(kMlp), 1);
  std::string small = replaced(kMlp, "50 step 16", "50 step 4");
  for (const std::string& text : {std::string(kMlp), small, replaced(kMlp, "phase \"A\"", "phase \"a\"")})
    for (const int threads : {1, 2, 3})
      EXPECT_TRUE(run(parse_program(text), threads).back().identical(expected.back()));
}

TEST(TileProgram, RefusesTextWithItsLine) {
  const struct {
    std::string text, fact;
  } cases[] = {
      {"", "expected 'program'"},
      {"program \"x", "does not end"},
      {replaced(kMlp, "dim b", "dim d"), "line 3: dim 'd' is not the next letter"},
      {replaced(kMlp, "argument w1 f32", "argument w1 c64"), "line 6: 'c64' is no dtype"},
      {replaced(kMlp, "argument w1", "argument x"), "two buffers 'x'"},
      {replaced(kMlp, "(h c", "(g c"), "line 16: no buffer 'g'"},
      {replaced(kMlp, "sum=c", "sun=c"), "'sun=c' is no setting"},
      {replaced(kMlp, "relu(in0)", "rely(in0)"), "'rely' is no operation"},
      {replaced(kMlp, ":row", ":roe"), "no broadcast"},
      {"program \"x\" {\n dim a \"r\" 99999999999999999999 step 1 }", "line 2"},
      {std::string(kMlp) + "x", "after the program's end"},
  };
  for (const auto& c : cases) {
    try {
      parse_program(c.text);
      ADD_FAILURE() << c.text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::corrupt_data) << e.what();
      EXPECT_THAT(e.what(), testing::HasSubstr(c.fact));
    }
  }
}

TEST(TileProgram, RefusesWhatCannotRun) {
  const struct {
    std::string text, fact;
  } cases[] = {
      {replaced(kMlp, "argument y f32 1000", "argument y f32 999"), "reaches element 1000 of buffer 'y'"},
      {replaced(kMlp, "panel h f32 1536", "panel h f32 1535"), "of buffer 'h'"},
      {replaced(kMlp, "w1 b*40", "w1 b*80"), "of buffer 'w1'"},
      {replaced(kMlp, "y a*20 /20", "y /20"), "all tasks along 'rows' write the same part of 'y'"},
      {replaced(kMlp, "stage \"c\"", "stage \"cc\""), "has 1 steps and 2 loops"},
      {replaced(kMlp, "stage \"c\"", "stage \"C\""), "small letters"},
      {replaced(kMlp, "50 step 16", "50 step 0"), "multiple of the next"},
      {replaced(kMlp, "x a*40", "x a*-40"), "negative"},
      {replaced(kMlp, ", bias b :row)", ")"), "operands needs 4"},
  };
  for (const auto& c : cases) {
    try {
      parse_program(c.text);
      ADD_FAILURE() << c.text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument) << e.what();
      EXPECT_THAT(e.what(), testing::HasSubstr(c.fact));
    }
  }
}

/// Modes of real numbers down nine rows, there and back in two ways.
constexpr const char* kModes = R"(program "modes" {
  dim a "batch" 3 step 1
  argument x f32 540
  argument y f32 540
  argument z f32 1080
  panel modes f32 200
  panel whole f32 360
  phase "A" {
    stage "" {
      transform real_forward length=9 columns=20 scale=0.5 (x a*180 /20, modes /40)
    }
    stage "" {
      transform real_inverse length=9 columns=20 scale=0.25 (modes /40, y a*180 /20)
    }
    stage "" {
      transform forward length=9 columns=20 (z a*360 /40, whole /40)
    }
    stage "" {
      transform inverse length=9 columns=20 scale=0.125 (whole /40, z a*360 /40)
    }
  }
}
)";

TEST(TileProgram, Transforms) {
  const TileProgram program = parse_program(kModes);
  EXPECT_EQ(print(program), kModes);
  EXPECT_EQ(parse_program(print(program)), program);
  Arguments memory(program);
  const Arguments before(program);
  interpret(program, memory.pointers());
  const std::vector<Tensor> one = run(program, 1), two = run(program, 2);
  for (size_t i = 0; i < memory.tensors.size(); ++i) {
    EXPECT_TRUE(one[i].identical(two[i]));
    for (size_t j = 0; j < one[i].as<float>().size(); ++j)
      ASSERT_NEAR(one[i].as<float>()[j], memory.tensors[i].as<float>()[j], 1e-5) << i << " at " << j;
  }
  for (size_t j = 0; j < 540; ++j)  // nine times the product of the scales
    ASSERT_NEAR(one[1].as<float>()[j], 1.125 * before.tensors[0].as<float>()[j], 1e-5) << j;
  for (const auto& [from, to, fact] : {std::array<const char*, 3>{"y f32 540", "y f32 539", "of buffer 'y'"},
                                       {"modes f32 200", "modes f32 199", "of buffer 'modes'"},
                                       {"z f32 1080", "z bf16 1080", "tiles of f32"},
                                       {"y a*180 /20", "y /20", "write the same part of 'y'"},
                                       {"length=9", "length=0", "no rows"}}) {
    try {
      parse_program(replaced(kModes, from, to));
      ADD_FAILURE() << to;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::HasSubstr(fact));
    }
  }
  for (const auto& [from, to, fact] :
       {std::array<const char*, 3>{"transform forward", "transform up", "is no transform"},
        {"scale=0.5", "scale=nan", "is no number"}}) {
    try {
      parse_program(replaced(kModes, from, to));
      ADD_FAILURE() << to;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::corrupt_data);
      EXPECT_THAT(e.what(), testing::HasSubstr(fact));
    }
  }
}

TEST(Expression, ReadsWhatItWrites) {
  using kernels::Expression;
  for (const char* text : {"out0 = in0", "out0 = add(in0, -0.5); out1 = row_sum(in1)",
                           "t0 = exp(sub(in0, row_max(in0))); out0 = div(t0, row_sum(t0))",
                           "out0 = round_to(mul(in0, p1), bf16)", "out0 = select(greater(in0, -inf), in0, 1e-30)"}) {
    const Result<Expression> parsed = Expression::parse(text);
    ASSERT_TRUE(parsed) << parsed.error().what();
    Result<Expression> copy = parsed;
    EXPECT_EQ(std::move(copy).value().to_string(), text);
  }
  for (const char* text : {"", "out1 = in0", "out0 = foo(in0)", "out0 = add(in0)", "out0 = add(in0, in1", "out0 in0",
                           "out0 = t3", "out0 = in99999", "out0 = 1..2", "x = in0"})
    EXPECT_FALSE(Expression::parse(text)) << text;
}

// --- the ledger ---

TEST(CacheSimulator, CountsLines) {
  CacheSimulator cache(64 * 64, 4);  // 64 lines
  cache.access(0, 32 * 64, false);
  EXPECT_EQ(cache.loaded(), 32 * 64);
  cache.access(10, 31 * 64, false);  // all there
  EXPECT_EQ(cache.loaded(), 32 * 64);
  cache.access(1 << 20, 64 * 64, true, false);  // writes whole lines: nothing is loaded, everything else leaves
  EXPECT_EQ(cache.loaded(), 32 * 64);
  EXPECT_EQ(cache.written_back(), 0);
  cache.access(0, 64, false);
  EXPECT_EQ(cache.loaded(), 33 * 64);
  EXPECT_EQ(cache.written_back(), 64);
  cache.flush();
  EXPECT_EQ(cache.written_back(), 64 * 64);
}

/// A schedule that streams b again for every few rows moves more, by prediction and by count.
TEST(Ledger, SeesAWorseSchedule) {
  constexpr const char* kProduct = R"(program "product" {
    dim a "rows" 1024 step 256
    dim b "n" 1024 step 64
    argument x f32 262144
    argument w f32 262144
    argument y f32 1048576
    phase "AB" { stage "" { contract f32 m=a n=b k=256 (x a*256 /256, w b*256 /64, y a*1024 b /1024) } }
  })";
  Target target;
  target.l2_bytes = 1 << 20;
  target.cores = 2;
  kernels::KernelCache cache(target);
  const auto both = [&](const std::string& text) {
    const TileProgram program = parse_program(text);
    return std::pair{predict(program, target).bytes, simulate(CompiledProgram(cache, program), target, 2).bytes};
  };
  const auto [predicted, counted] = both(kProduct);
  const auto [worse_predicted, worse_counted] = both(replaced(kProduct, "step 256", "step 32"));
  EXPECT_NEAR(predicted / counted, 1, 0.1);
  EXPECT_NEAR(worse_predicted / worse_counted, 1, 0.1);
  EXPECT_GT(worse_predicted, 1.5 * predicted);
  EXPECT_GT(worse_counted, 1.5 * counted);
}

/// A 3x3 convolution of an image of 7 x 6 pixels, bands of three rows.
constexpr const char* kConvolution = R"(program "convolution" {
  dim a "row" 7 step 3 step 1
  dim b "column" 6 step 6
  argument x f32 168
  argument w f32 288
  argument y f32 336
  panel band f32 160
  phase "AB" {
    stage "" {
      window rows=a columns=b h=7 w=6 channels=4 stride_h=1 stride_w=1 pad_top=1 pad_left=1 reach_h=3 reach_w=3 band_rows=5 band_columns=8 depth=4 blocks=1 (x a*24 b*4 /4, band)
    }
    stage "a" {
      contract f32 m=b n=8 k=4 batch=3:32:96 batch=3:4:32 (band a*32 /4, w /8, y a*48 b*8 /8)
    }
  }
}
)";

TEST(TileProgram, WindowsHaveZerosAround) {
  const TileProgram program = parse_program(kConvolution);
  EXPECT_EQ(print(program), kConvolution);
  Arguments memory(program);
  interpret(program, memory.pointers());
  const auto& x = memory.tensors[0].as<float>();
  const auto& w = memory.tensors[1].as<float>();
  const auto& y = memory.tensors[2].as<float>();
  for (int64_t i = 0; i < 7; ++i)
    for (int64_t j = 0; j < 6; ++j)
      for (int64_t k = 0; k < 8; ++k) {
        double sum = 0;
        for (int64_t r = 0; r < 3; ++r)
          for (int64_t s = 0; s < 3; ++s) {
            const int64_t row = i + r - 1, column = j + s - 1;
            if (row < 0 || row >= 7 || column < 0 || column >= 6) continue;
            for (int64_t c = 0; c < 4; ++c)
              sum += static_cast<double>(x[static_cast<size_t>((row * 6 + column) * 4 + c)]) *
                     w[static_cast<size_t>(((r * 3 + s) * 4 + c) * 8 + k)];
          }
        EXPECT_NEAR(y[static_cast<size_t>((i * 6 + j) * 8 + k)], sum, 1e-5) << i << " " << j << " " << k;
      }
  for (const int threads : {1, 2, 3}) {
    const std::vector<Tensor> got = run(program, threads);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(got[2].as<float>()[i], y[i], 1e-5);
  }
}

/// Of a volume of 3 slices of 2 x 3 pixels, what each sees of the slice before it and of itself.
constexpr const char* kVolume = R"(program "volume" {
  dim a "row" 2 step 2
  dim b "slice" 3 step 1
  dim c "column" 3 step 3
  argument x f32 36
  argument y f32 72
  panel band f32 24
  phase "B" {
    stage "" {
      window rows=a columns=c h=2 w=3 channels=2 stride_h=1 stride_w=1 pad_top=0 pad_left=0 reach_h=1 reach_w=1 band_rows=2 band_columns=3 depth=2 blocks=1 slices=b d=3 stride_d=1 shift_d=-1 (x a*6 b*12 c*2 /2, band)
      window rows=a columns=c h=2 w=3 channels=2 stride_h=1 stride_w=1 pad_top=0 pad_left=0 reach_h=1 reach_w=1 band_rows=2 band_columns=3 depth=2 blocks=1 slices=b d=3 stride_d=1 shift_d=0 (x a*6 b*12 c*2 /2, band +12)
    }
    stage "" {
      move copy m=1 n=24 (band, y b*24)
    }
  }
}
)";

TEST(TileProgram, WindowsSeeSlicesThatAreNotThere) {
  const TileProgram program = parse_program(kVolume);
  EXPECT_EQ(print(program), kVolume);
  Arguments memory(program);
  interpret(program, memory.pointers());
  const auto& x = memory.tensors[0].as<float>();
  for (const int threads : {0, 1, 2}) {  // 0: the interpreter
    const Tensor y = threads == 0 ? memory.tensors[1] : run(program, threads)[1];
    for (size_t slice = 0; slice < 3; ++slice)
      for (size_t i = 0; i < 12; ++i) {
        EXPECT_EQ(y.as<float>()[slice * 24 + i], slice == 0 ? 0 : x[(slice - 1) * 12 + i]);
        EXPECT_EQ(y.as<float>()[slice * 24 + 12 + i], x[slice * 12 + i]);
      }
  }
}

TEST(TileProgram, RefusesWindowsThatDoNotFit) {
  const std::pair<std::string, const char*> cases[] = {
      {replaced(kConvolution, "band_rows=5", "band_rows=4"), "larger than its band"},
      {replaced(kConvolution, "x f32 168", "x f32 167"), "larger than its buffer"},
      {replaced(kConvolution, "band f32 160", "band f32 159"), "buffer 'band'"},
      {replaced(kConvolution, "(x a*24", "(x a*12"), "does not move with its pixels"},
      {replaced(kConvolution, "depth=4", "depth=3"), "hold its channels"},
      {replaced(kConvolution, "stride_h=1", "stride_h=0"), "not positive"},
      {replaced(kConvolution, "pad_top=1", "pad_top=-1"), "padding"},
      {replaced(kConvolution, "/4, band)", "/3, band)"), "pixels of a window overlap"},
      {replaced(kConvolution, "batch=3:32:96", "batch=99999:32:96"), "sums 1 to"},
      {replaced(kConvolution, "batch=3:32:96", "batch=3:32"), "no count"},
      {replaced(kConvolution, "reach_h=3", "reech_h=3"), "no setting of a window"},
      {replaced(kConvolution, "blocks=1 (", "blocks=1 slices=1 d=2 stride_d=1 shift_d=0 ("), "larger than its buffer"},
      {replaced(kConvolution, "blocks=1 (", "blocks=1 slices=1 d=1 stride_d=0 shift_d=0 ("), "not positive"},
      {replaced(kConvolution, "blocks=1 (", "blocks=1 slices=1 d=1 stride_d=1 shift_d=-9999999 ("), "absurdly far"},
      {replaced(kVolume, "b*12", "b*13"), "does not move with its pixels"},
      {replaced(kVolume, "d=3", "d=4"), "larger than its buffer"},
  };
  for (const auto& [text, message] : cases) {
    try {
      parse_program(text);
      ADD_FAILURE() << "accepted: " << message;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(message));
    }
  }
}

}  // namespace
}  // namespace gregale::tile
