// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/autodiff.hpp"
#include "passes/compiled_case_for_tests.hpp"
#include "passes/minimum_cut.hpp"
#include "tile/convolution.hpp"

namespace gregale::passes {
namespace {

using tile::Conv2d;

// n, c, h, w, k, r, s; strides; padding top, left, bottom, right; dilation; groups
const Conv2d kShapes[] = {
    {2, 16, 6, 13, 24, 1, 1, 2, 2},                      // read where it is
    {1, 9, 6, 5, 7, 1, 1, 2, 1, 1, 1, 1, 1},             // one tap, padded
    {2, 32, 7, 7, 70, 3, 3, 1, 1, 1, 1, 1, 1},           // narrow rows, a tail of outputs
    {1, 230, 6, 6, 65, 3, 3, 1, 1, 1, 1, 1, 1},          // blocks of channels
    {1, 301, 6, 6, 65, 3, 3, 1, 1, 1, 1, 1, 1},          // the last block shorter
    {1, 300, 4, 5, 20, 1, 1, 2, 2, 0, 1},                // many channels, one tap
    {2, 3, 23, 21, 64, 7, 7, 2, 2, 3, 3, 3, 3},          // the stem
    {1, 3, 9, 11, 5, 3, 3, 1, 1, 0, 2, 1, 0},            // odd channels, uneven padding
    {1, 5, 13, 12, 9, 3, 2, 1, 2, 2, 1, 2, 1, 2, 3},     // dilation
    {2, 12, 6, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3},  // groups
    {2, 10, 1, 1, 6, 3, 3, 1, 1, 1, 1, 1, 1},            // images of a pixel
    {1, 4, 3, 300, 6, 3, 3, 1, 1, 1, 1, 1, 1},           // wide rows, cut in columns
    {1, 8, 40, 40, 16, 3, 3, 1, 1, 1, 1, 1, 1},          //
    {2, 1, 3, 3, 2, 2, 2, 1, 1, 5, 5, 4, 4},             // pixels that see no image
    {2, 6, 40, 1, 9, 5, 1, 2, 1, 2, 0, 1, 0, 2, 1},      // one column
    {1, 1, 1, 40000, 4, 1, 9, 1, 3, 0, 4, 0, 4},         // a signal
};

ops::Conv2dOptions layout_options_of(const Conv2d& s) {
  return {.strides = {s.stride_h, s.stride_w},
          .pads = {s.pad_top, s.pad_left, s.pad_bottom, s.pad_right},
          .dilations = {s.dilation_h, s.dilation_w},
          .groups = s.groups};
}

Case convolution(const Conv2d& s, bool epilogue, bool constant = true) {
  Case c(fmt::format("{}x{}x{}x{} {} of {}x{}", s.n, s.h, s.w, s.c, s.k, s.r, s.s));
  Graph& g = c.graph;
  const Value x = c.input({s.n, s.h, s.w, s.c});
  const Extents shape{s.r, s.s, s.c / s.groups, s.k};
  const Value w = constant ? c.weights(shape, 0.1) : c.input(shape);
  Value y = ops::conv2d_nhwc(g, x, w, layout_options_of(s));
  if (epilogue) {
    y = ops::add(g, y, c.weights({s.k}, 0.5));
    y = ops::relu(g, ops::add(g, y, c.input({s.n, s.out_h(), s.out_w(), s.k})));
  }
  g.set_outputs({y});
  return c;
}

TEST(ChannelsLast, ConvolutionsAgreeWithTheInterpreter) {
  for (const Conv2d& shape : kShapes)
    for (const bool epilogue : {false, true}) check(convolution(shape, epilogue));
}

TEST(ChannelsLast, WeightsThatChangeArePackedEachTime) {
  for (const size_t i : {2u, 4u, 6u, 9u}) check(convolution(kShapes[i], true, false));
}

TEST(ChannelsLast, Bf16) {
  for (const Conv2d& shape : kShapes) check(convolution(shape, true), 4e-3, Precision::bf16);
}

/// Bias, residual and activation are part of the convolution's program.
TEST(ChannelsLast, EpiloguesJoin) {
  EXPECT_EQ(steps_of(compile(convolution(kShapes[2], true).graph)), 1);
  EXPECT_EQ(steps_of(compile(convolution(kShapes[3], true).graph)), 1);
}

TEST(ChannelsLast, ProgramsAreWhatTheySay) {
  check_programs(convolution({1, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, 1, 1}, true));
  check_programs(convolution({2, 128, 28, 28, 128, 3, 3, 1, 1, 1, 1, 1, 1}, true));
  check_programs(convolution({1, 512, 7, 7, 512, 3, 3, 1, 1, 1, 1, 1, 1}, true));
  check_programs(convolution({1, 3, 112, 112, 64, 7, 7, 2, 2, 3, 3, 3, 3}, true));
  check_programs(convolution({2, 128, 28, 28, 256, 1, 1, 2, 2}, true));
}

/// An image's bits are the same alone and among others.
TEST(ChannelsLast, BitsOfAnImageDependOnItAlone) {
  ExecutionContext context(make_thread_team(2));
  for (const Conv2d& shape :
       {Conv2d{7, 40, 9, 8, 70, 3, 3, 1, 1, 1, 1, 1, 1}, Conv2d{3, 3, 30, 31, 20, 7, 7, 2, 2, 3, 3, 3, 3}}) {
    const Case all = convolution(shape, false);
    const Tensor whole = compile(all.graph).run(context, all.inputs)[0];
    for (const int64_t image : {int64_t{0}, shape.n - 1}) {
      Conv2d one = shape;
      one.n = 1;
      Case alone = convolution(one, false);
      std::memcpy(alone.inputs[0].data(),
                  static_cast<const std::byte*>(all.inputs[0].data()) + image * alone.inputs[0].bytes(),
                  static_cast<size_t>(alone.inputs[0].bytes()));
      const Tensor part = compile(alone.graph).run(context, alone.inputs)[0];
      EXPECT_EQ(0, std::memcmp(part.data(), static_cast<const std::byte*>(whole.data()) + image * part.bytes(),
                               static_cast<size_t>(part.bytes())));
    }
  }
}

// --- gradients ---

// Beside those above, strides that do not fit the extents, or the dilation, or are wider than the kernel.
const Conv2d kStrided[] = {
    {2, 24, 14, 14, 40, 3, 3, 2, 2, 1, 1, 1, 1},           // the ordinary one
    {1, 8, 15, 13, 12, 3, 3, 2, 2, 1, 1, 1, 1},            // parts of different extents
    {2, 16, 9, 11, 8, 1, 1, 2, 2},                         // pixels that no tap reaches
    {1, 12, 17, 16, 20, 2, 2, 3, 3, 0, 1, 1, 0},           // the same among others
    {1, 8, 19, 20, 6, 3, 2, 4, 2, 1, 2, 0, 1, 2, 3},       // strides that share a factor with the dilation
    {1, 6, 12, 12, 8, 3, 3, 1, 1, 4, 4, 4, 4},             // more padding than the kernel reaches: d_y is cut
    {3, 260, 6, 6, 230, 3, 3, 2, 2, 1, 1, 1, 1},           // blocks of outputs
    {2, 16, 12, 12, 24, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 2},  // groups
    {1, 4, 5, 700, 6, 1, 3, 1, 1, 0, 1, 0, 1},             // rows that are cut
    {2, 15, 6, 40, 8, 3, 25, 1, 1, 1, 12, 1, 12},          // few channels and many columns: several blocks of both
    {2, 4, 8, 12, 8, 1, 3, 1, 1, 0, 0, 0, 2},              // padding on one side
    {9, 20, 7, 7, 24, 3, 3, 1, 1, 1, 1, 1, 1},             // several images together, an odd width
};

Case input_gradient(const Conv2d& s, bool epilogue, bool constant = true) {
  Case c(fmt::format("d_input {}x{}x{}x{} {} of {}x{}", s.n, s.h, s.w, s.c, s.k, s.r, s.s));
  Graph& g = c.graph;
  const Value d = c.input({s.n, s.out_h(), s.out_w(), s.k});
  const Extents shape{s.r, s.s, s.c / s.groups, s.k};
  const Value w = constant ? c.weights(shape, 0.1) : c.input(shape);
  Value y = ops::conv2d_nhwc_d_input(g, d, w, s.h, s.w, layout_options_of(s));
  if (epilogue) {
    const Value x = c.input({s.n, s.h, s.w, s.c}), zero = ops::scalar(g, DType::f32, 0);
    y = ops::add(g, y, c.input({s.n, s.h, s.w, s.c}));
    y = ops::select(g, ops::greater(g, x, zero), y, zero);
  }
  g.set_outputs({y});
  return c;
}

Case weights_gradient(const Conv2d& s) {
  Case c(fmt::format("d_weights {}x{}x{}x{} {} of {}x{}", s.n, s.h, s.w, s.c, s.k, s.r, s.s));
  const Value x = c.input({s.n, s.h, s.w, s.c}), d = c.input({s.n, s.out_h(), s.out_w(), s.k});
  c.graph.set_outputs({ops::conv2d_nhwc_d_weights(c.graph, x, d, s.r, s.s, layout_options_of(s))});
  return c;
}

template <class Body>
void for_each_shape(Body body) {
  for (const Conv2d& s : kShapes) body(s);
  for (const Conv2d& s : kStrided) body(s);
}

TEST(ChannelsLast, InputGradientsAgreeWithTheInterpreter) {
  for_each_shape([](const Conv2d& s) {
    for (const bool epilogue : {false, true}) check(input_gradient(s, epilogue));
    check(input_gradient(s, true), 4e-3, Precision::bf16);
  });
  for (const size_t i : {0u, 3u, 6u, 7u}) check(input_gradient(kStrided[i], true, false));
}

TEST(ChannelsLast, WeightsGradientsAgreeWithTheInterpreter) {
  for_each_shape([](const Conv2d& s) {
    check(weights_gradient(s), 4e-6);
    check(weights_gradient(s), 1e-4, Precision::bf16);
  });
}

/// The mask of an activation and the other branch's cotangent are part of the gradient's program.
TEST(ChannelsLast, EpiloguesJoinGradients) {
  for (const size_t i : {0u, 2u, 11u}) EXPECT_EQ(steps_of(compile(input_gradient(kStrided[i], true).graph)), 1) << i;
}

TEST(ChannelsLast, GradientsProgramsAreWhatTheySay) {
  check_programs(input_gradient({1, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, 1, 1}, true));
  check_programs(input_gradient({2, 64, 112, 112, 64, 3, 3, 2, 2, 1, 1, 1, 1}, true));
  check_programs(input_gradient({2, 128, 56, 56, 256, 1, 1, 2, 2}, true));
}

// --- volumes ---

using tile::Conv3d;

// n, c, h, w, k, r, s; strides; padding; dilation; groups. Then depth, taps, stride, padding front and back, dilation.
const Conv3d kVolumes[] = {
    {{1, 32, 10, 12, 32, 3, 3, 1, 1, 1, 1, 1, 1}, 6, 3, 1, 1, 1},         // the ordinary one
    {{2, 1, 9, 8, 16, 3, 3, 1, 1, 1, 1, 1, 1}, 5, 3, 1, 1, 1},            // one channel: taps of a row are joined
    {{1, 24, 7, 9, 40, 3, 3, 2, 2, 1, 1, 1, 1}, 8, 3, 2, 1, 1},           // strides: eight parts
    {{1, 8, 6, 5, 12, 2, 3, 1, 2, 0, 1, 1, 1, 1, 2}, 9, 2, 3, 0, 2, 2},   // unlike in each axis
    {{2, 16, 6, 6, 24, 1, 1}, 4},                                         // one tap, read where it is
    {{1, 16, 5, 6, 8, 1, 1}, 7, 3, 1, 2, 0},                              // taps in depth only
    {{1, 300, 4, 4, 20, 3, 3, 1, 1, 1, 1, 1, 1}, 3, 2, 1, 0, 1},          // blocks of channels
    {{1, 12, 6, 6, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3}, 4, 3, 1, 1, 1},  // groups
    {{1, 8, 4, 4, 8, 3, 3, 1, 1, 1, 1, 1, 1}, 2, 3, 1, 3, 3},             // slices that see no volume
};

ops::Conv3dOptions layout_options_of(const Conv3d& v) {
  const Conv2d& s = v.plane;
  return {.strides = {v.stride_d, s.stride_h, s.stride_w},
          .pads = {v.pad_front, s.pad_top, s.pad_left, v.pad_back, s.pad_bottom, s.pad_right},
          .dilations = {v.dilation_d, s.dilation_h, s.dilation_w},
          .groups = s.groups};
}

enum class Of : uint8_t { result, volume, weights };

Case volumes(const Conv3d& v, Of of) {
  const Conv2d& s = v.plane;
  Case c(fmt::format("{} {}x{}x{}x{}x{} {} of {}x{}x{}", static_cast<int>(of), s.n, v.d, s.h, s.w, s.c, s.k, v.t, s.r,
                     s.s));
  Graph& g = c.graph;
  const Extents x{s.n, v.d, s.h, s.w, s.c}, w{v.t, s.r, s.s, s.c / s.groups, s.k},
      y{s.n, v.out_d(), s.out_h(), s.out_w(), s.k};
  if (of == Of::weights) {
    const Value image = c.input(x), d = c.input(y);
    g.set_outputs({ops::conv3d_ndhwc_d_weights(g, image, d, {v.t, s.r, s.s}, layout_options_of(v))});
    return c;
  }
  const bool forward = of == Of::result;
  const Value from = c.input(forward ? x : y), weights = c.weights(w, 0.1);
  const Value z = forward ? ops::conv3d_ndhwc(g, from, weights, layout_options_of(v))
                          : ops::conv3d_ndhwc_d_input(g, from, weights, {v.d, s.h, s.w}, layout_options_of(v));
  g.set_outputs({ops::relu(g, ops::add(g, z, c.input(forward ? y : x)))});
  return c;
}

TEST(ChannelsLast, VolumesAgreeWithTheInterpreter) {
  for (const Conv3d& v : kVolumes) {
    for (const Of of : {Of::result, Of::volume}) {
      const Case c = volumes(v, of);
      check(c);
      check(c, 4e-3, Precision::bf16);
      EXPECT_EQ(steps_of(compile(c.graph)), 1) << c.graph.name();
    }
    check(volumes(v, Of::weights), 4e-6);
    check(volumes(v, Of::weights), 1e-4, Precision::bf16);
  }
}

TEST(ChannelsLast, ProgramsOfVolumesAreWhatTheySay) {
  const Conv3d v{{1, 16, 32, 32, 16, 3, 3, 1, 1, 1, 1, 1, 1}, 32, 3, 1, 1, 1};
  check_programs(volumes(v, Of::result));
  check_programs(volumes(v, Of::volume));
}

/// A small residual network with channels first: stem, pooling, a block with a shortcut, means over the image.
Case network(int64_t n, int64_t size) {
  Case c("network");
  Graph& g = c.graph;
  const auto convolve = [&](Value x, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    const Value w = c.weights({out, in, kernel, kernel}, 1 / std::sqrt(static_cast<double>(in * kernel * kernel)));
    const int64_t pad = kernel / 2;
    const Value y = ops::conv2d(g, x, w, {.strides = {stride, stride}, .pads = {pad, pad, pad, pad}});
    return ops::add(g, y, c.weights({out, 1, 1}, 0.2));
  };
  Value x = ops::relu(g, convolve(c.input({n, 3, size, size}), 3, 32, 7, 2));
  x = ops::max_pool2d(g, x, {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}});
  Value y = ops::relu(g, convolve(x, 32, 16, 1, 1));
  y = ops::relu(g, convolve(y, 16, 16, 3, 2));
  y = ops::relu(g, ops::add(g, convolve(y, 16, 64, 1, 1), convolve(x, 32, 64, 1, 2)));
  y = ops::concat(g, {y, ops::mul(g, y, c.weights({1, 64, 1, 1}, 1))}, 1);
  g.set_outputs({c.linear(ops::mean(g, y, {2, 3}), 128, 10)});
  return c;
}

int64_t count_of_op(const Graph& g, const std::string& op) {
  return std::count_if(g.nodes().begin(), g.nodes().end(), [&](const Node& n) { return n.op->name == op; });
}

TEST(ChannelsLast, AWholeNetworkTurnsOnce) {
  const Case c = network(2, 40);
  const Graph turned = drop_dead_nodes(fold_constants(drop_dead_nodes(channels_last(c.graph))));
  EXPECT_EQ(count_of_op(turned, "transpose"), 1) << "only the input";
  EXPECT_EQ(count_of_op(turned, "conv2d"), 0);
  EXPECT_EQ(count_of_op(turned, "conv2d_nhwc"), 3);
  EXPECT_EQ(count_of_op(turned, "matmul"), 3) << "the products of one tap, and the head";
  const Tensor expected = interpret(c.graph, c.inputs)[0], got = interpret(turned, c.inputs)[0];
  expect_near(got, expected, 1e-6);
  check(c);
  check(c, 8e-3, Precision::bf16);
}

// As kShapes, with as many groups as channels.
const Conv2d kDepthwise[] = {
    {1, 48, 64, 50, 48, 5, 5, 1, 1, 2, 2, 2, 2, 1, 1, 48},       // rows are shared among threads
    {2, 37, 12, 11, 37, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 37},       // a tail of channels
    {1, 72, 9, 7, 72, 5, 5, 1, 2, 2, 2, 2, 2, 1, 1, 72},         // rows of few pixels
    {3, 24, 6, 2, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 24},         // of two
    {1, 8, 13, 30, 8, 3, 2, 1, 1, 4, 0, 1, 5, 2, 3, 8},          // uneven padding, dilation
    {2, 5, 1, 1, 5, 3, 3, 1, 1, 4, 4, 4, 4, 1, 1, 5},            // pixels that see no image
    {1, 1500, 2, 60, 1500, 5, 5, 1, 1, 2, 2, 2, 2, 1, 1, 1500},  // so are channels
};

TEST(ChannelsLast, DepthwiseConvolutionsAgreeWithTheInterpreter) {
  for (const Conv2d& shape : kDepthwise) {
    check(convolution(shape, true));
    check(convolution(shape, false, false));
    check(convolution(shape, true), 4e-3, Precision::bf16);
  }
}

/// The bf16 policy is for products: these keep f32, and the kernel that they have.
TEST(ChannelsLast, DepthwiseConvolutionsHaveAKernel) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    CompileOptions options;
    options.precision = precision;
    const std::string text = compile(convolution(kDepthwise[1], true).graph, options).describe();
    EXPECT_NE(text.find("depthwise"), std::string::npos) << text;
  }
}

/// Separable convolutions, a gate of each channel made of its mean, and two resolutions: all but the input in one
/// layout.
TEST(ChannelsLast, ASeparableNetworkTurnsOnce) {
  for (const int64_t n : {int64_t{1}, int64_t{3}}) {
    Case c("separable");
    Graph& g = c.graph;
    const auto convolve = [&](Value x, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
      const Value w =
          c.weights({out, in / groups, kernel, kernel}, 1 / std::sqrt(static_cast<double>(in / groups * kernel)));
      const int64_t pad = kernel / 2;
      const Value y =
          ops::conv2d(g, x, w, {.strides = {stride, stride}, .pads = {pad, pad, pad, pad}, .groups = groups});
      return ops::add(g, y, c.weights({out, 1, 1}, 0.2));
    };
    Value x = ops::relu(g, convolve(c.input({n, 3, 32, 32}), 3, 24, 3, 2, 1));
    Value y = ops::relu(g, convolve(x, 24, 24, 3, 2, 24));
    const Value gate = ops::sigmoid(g, convolve(ops::mean(g, y, {2, 3}, true), 24, 24, 1, 1, 1));
    y = convolve(ops::mul(g, y, gate), 24, 24, 1, 1, 1);
    y = ops::gather(
        g, y, g.constant(Tensor::from(std::vector<int64_t>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}, {16})), 2);
    std::vector<int64_t> indices;
    std::vector<float> shares;
    for (int64_t j = 0; j < 16; ++j) {
      indices.insert(indices.end(), {j / 2, std::min<int64_t>(j / 2 + 1, 7)});
      shares.insert(shares.end(), {0.75F, 0.25F});
    }
    y = ops::resample(g, y, g.constant(Tensor::from(indices, {16, 2})), g.constant(Tensor::from(shares, {16, 2})), -1);
    y = convolve(ops::relu(g, ops::add(g, x, y)), 24, 24, 5, 1, 24);
    g.set_outputs({c.linear(ops::mean(g, y, {2, 3}), 24, 10)});
    const Graph turned = drop_dead_nodes(fold_constants(drop_dead_nodes(channels_last(g))));
    EXPECT_EQ(count_of_op(turned, "transpose"), 1) << "only the input: " << print(turned);
    EXPECT_EQ(count_of_op(turned, "conv2d"), 0);
    EXPECT_EQ(count_of_op(turned, "conv2d_nhwc"), 3);
    expect_near(interpret(turned, c.inputs)[0], interpret(g, c.inputs)[0], 1e-6);
    check(c);
  }
}

/// Forward and backward: the weights' gradients as well as the activations' stay in one layout.
TEST(ChannelsLast, AStepOfTrainingTurnsOnce) {
  for (const bool bias : {false, true}) {
    Case c(bias ? "training with bias" : "training");
    Graph& g = c.graph;
    std::vector<Value> parameters;
    const auto parameter = [&](const Extents& extents) {
      parameters.push_back(c.input(extents));
      return parameters.back();
    };
    const auto convolve = [&](Value x, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
      const int64_t pad = kernel / 2;
      const Value w = ops::mul(g, parameter({out, in, kernel, kernel}), 1 / std::sqrt(in * kernel * kernel));
      const Value y = ops::conv2d(g, x, w, {.strides = {stride, stride}, .pads = {pad, pad, pad, pad}});
      return bias ? ops::add(g, y, ops::reshape(g, parameter({out}), {out, 1, 1})) : y;
    };
    Value x = ops::relu(g, convolve(c.input({2, 3, 40, 40}), 3, 32, 7, 2));
    x = ops::max_pool2d(g, x, {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}});
    Value y = ops::relu(g, convolve(x, 32, 16, 1, 1));
    y = ops::relu(g, convolve(y, 16, 16, 3, 2));
    y = ops::relu(g, ops::add(g, convolve(y, 16, 64, 1, 1), convolve(x, 32, 64, 1, 2)));
    y = ops::relu(g, convolve(y, 64, 32, 3, 1));
    const Value loss = ops::mean(g, ops::square(g, ops::matmul(g, ops::mean(g, y, {2, 3}), parameter({32, 10}))));
    std::vector<Value> results = gradients(g, loss, parameters);
    results.insert(results.begin(), loss);
    g.set_outputs(results);
    const Graph once = expand_composites(g, Target::detect());
    const Graph turned = drop_dead_nodes(fold_constants(drop_dead_nodes(channels_last(once))));
    EXPECT_EQ(count_of_op(turned, "conv2d"), 0);
    EXPECT_EQ(count_of_op(turned, "conv2d_d_input"), 0);
    EXPECT_EQ(count_of_op(turned, "conv2d_d_weights"), 0);
    for (const Node& n : turned.nodes()) {
      const Shape& s = turned.type(n.inputs.empty() ? n.outputs[0] : n.inputs[0]).shape;
      if (n.op->name != "transpose" || s[0] != Dim(2)) continue;
      EXPECT_EQ(s[1], Dim(3)) << "only the input turns: " << print(turned);
    }
    const std::vector<Tensor> expected = interpret(g, c.inputs), got = interpret(turned, c.inputs);
    for (size_t i = 0; i < expected.size(); ++i) expect_near(got[i], expected[i], 2e-6);
    // Sums that end near zero may pass an activation here and not there.
    check(c, 1e-4);
    Case rounded = c;
    rounded.graph = turned;
    check(rounded, 2e-2, Precision::bf16);
  }
}

/// Where the convolution is a drop in a sea of operators that want channels first, nothing is turned.
TEST(ChannelsLast, StaysWhereTransposesCostMore) {
  Case c("drop");
  Graph& g = c.graph;
  const Value x = c.input({1, 4, 64, 64});
  g.set_outputs({ops::conv2d(g, x, c.weights({4, 4, 1, 1}, 1))});
  EXPECT_EQ(count_of_op(channels_last(g), "conv2d"), 1);
}

/// One transpose serves two readers; one that reads the image with channels first keeps it so.
TEST(ChannelsLast, TransposesAreShared) {
  Case c("shared");
  Graph& g = c.graph;
  const Value x = c.input({1, 32, 32, 32});
  const auto convolve = [&](Value v) {
    return ops::relu(g, ops::conv2d(g, v, c.weights({32, 32, 3, 3}, 0.1), {.pads = {1, 1, 1, 1}}));
  };
  const Value y = convolve(x), z = convolve(x);
  g.set_outputs({y, ops::mean(g, z, {2, 3}), ops::tanh(g, x)});
  const Graph turned = drop_dead_nodes(fold_constants(drop_dead_nodes(channels_last(g))));
  EXPECT_EQ(count_of_op(turned, "transpose"), 2) << "the input, and the result";
  check(c);
}

TEST(MinimumCut, FindsTheCheapestChoice) {
  // Two things in a chain: the first costs 3 on the sink's side, the second 2 on the source's, 1 where they differ.
  MinimumCut cut;
  const int32_t a = cut.add_vertex(), b = cut.add_vertex();
  cut.add_edge(MinimumCut::kSource, a, 3);
  cut.add_edge(b, MinimumCut::kSink, 2);
  cut.add_edge(a, b, 1);
  EXPECT_THAT(cut.solve(), ::testing::ElementsAre(true, false, true, false));
}

/// Against all choices of small graphs.
TEST(MinimumCut, AgreesWithEveryChoice) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    uint64_t draw = 0;
    const auto random = [&] { return random_uniform(RandomKey{seed, 0, 0}, draw++); };
    constexpr int kVertices = 7;
    struct Edge {
      int32_t from, to;
      double capacity;
    };
    std::vector<Edge> edges;
    MinimumCut cut;
    for (int i = 2; i < kVertices; ++i) cut.add_vertex();
    for (int i = 0; i < 16; ++i) {
      const auto from = static_cast<int32_t>(random() * kVertices), to = static_cast<int32_t>(random() * kVertices);
      if (from == to) continue;
      edges.push_back({from, to, std::floor(random() * 8)});
      cut.add_edge(from, to, edges.back().capacity);
    }
    const auto cost = [&](uint32_t source_side) {
      double total = 0;
      for (const Edge& e : edges)
        if ((source_side >> e.from & 1) != 0 && (source_side >> e.to & 1) == 0) total += e.capacity;
      return total;
    };
    double best = MinimumCut::kInfinite;
    for (uint32_t side = 0; side < 1u << kVertices; ++side)
      if ((side & 3) == 1) best = std::min(best, cost(side));
    const std::vector<bool> found = cut.solve();
    uint32_t side = 0;
    for (int i = 0; i < kVertices; ++i) side |= static_cast<uint32_t>(found[static_cast<size_t>(i)]) << i;
    EXPECT_EQ(side & 3, 1u);
    EXPECT_EQ(cost(side), best) << "seed " << seed;
  }
}

}  // namespace
}  // namespace gregale::passes
