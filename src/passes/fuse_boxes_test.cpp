// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Sums over several axes, and neighbours, in groups.
#include <algorithm>
#include <cstdlib>

#include "gregale/autodiff.hpp"
#include "gregale/random.hpp"
#include "passes/compiled_case_for_tests.hpp"

namespace gregale {
namespace {

using passes::expect_near;
using passes::isas;
using passes::steps_of;

Tensor values(DType dtype, const Extents& extents, uint32_t stream) {
  Tensor t(DType::f32, extents);
  for (uint64_t i = 0; float& x : t.as<float>())
    x = static_cast<float>(2 * random_uniform(RandomKey{4, 5, stream}, i++) - 1);
  return dtype == DType::f32 ? t : t.cast(dtype);
}

/// A graph and the inputs of one run.
struct Case {
  explicit Case(const std::string& name) : graph(name) {}
  Graph graph;
  std::vector<Tensor> inputs;
  Value input(const Extents& extents, DType dtype = DType::f32) {
    inputs.push_back(values(dtype, extents, static_cast<uint32_t>(inputs.size())));
    return graph.add_input(fmt::format("x{}", inputs.size()), Type(dtype, Shape(extents)));
  }
};

Value difference(Graph& g, Value x, int64_t axis) {
  return ops::sub(g, ops::slice_axis(g, x, axis, 1, INT64_MAX), ops::slice_axis(g, x, axis, 0, -1));
}

/// The sum over all elements of the squared differences of neighbours along every axis.
Value roughness(Graph& g, Value x) {
  Value total;
  for (int64_t a = 0; a < g.type(x).rank(); ++a) {
    const Value sum = ops::sum(g, ops::square(g, difference(g, x, a)));
    total = total.valid() ? ops::add(g, total, sum) : sum;
  }
  return total;
}

Case differences(const Extents& extents, bool gradient, bool both = false, DType dtype = DType::f32) {
  Case c("differences");
  const Value given = c.input(extents, dtype);
  const Value x = dtype == DType::f32 ? given : ops::cast(c.graph, given, DType::f32);
  const Value loss = roughness(c.graph, x);
  std::vector<Value> outputs;
  if (!gradient || both) outputs.push_back(loss);
  if (gradient) outputs.push_back(gradients(c.graph, loss, {x})[0]);
  c.graph.set_outputs(outputs);
  return c;
}

/// Against the interpreter on every instruction set, bits on 1, 2 and 3 threads, and the text of every program.
void check(const Case& c, int64_t steps = 1, double tolerance = 1e-6) {
  const std::vector<Tensor> expected = interpret(c.graph, c.inputs);
  for (const Isa isa : isas()) {
    SCOPED_TRACE(fmt::format("{} {}", print(c.graph), to_string(isa)));
    CompileOptions options;
    options.target = Target::detect().capped(isa);
    options.target.cores = 2;
    const Executable e = compile(c.graph, options);
    SCOPED_TRACE(e.describe());
    if (steps > 0) {
      EXPECT_EQ(steps_of(e), steps);
    }
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 3}) {
      ExecutionContext context(make_thread_team(threads));
      std::vector<Tensor> got = e.run(context, c.inputs);
      for (size_t i = 0; i < got.size() && threads == 1; ++i) expect_near(got[i], expected[i], tolerance);
      for (size_t i = 0; i < got.size() && threads > 1; ++i)
        EXPECT_TRUE(got[i].identical(first[i])) << threads << " threads, result " << i;
      if (threads == 1) first = std::move(got);
    }
    for (const auto& group : e.groups()) {
      if (group.program == nullptr) continue;
      const std::string text = tile::print(group.program->program());
      EXPECT_EQ(tile::print(tile::parse_program(text)), text);
    }
  }
}

/// One program, where no difference is of a single element (simplification sees to those).
int64_t steps_for(const Extents& e) { return *std::min_element(e.begin(), e.end()) > 2 ? 1 : 0; }

TEST(FuseBoxes, DifferencesOfEveryRank) {
  for (const Extents& e : std::vector<Extents>{{2},
                                               {37},
                                               {20011},
                                               {5, 2},
                                               {70, 33},
                                               {3, 9001},
                                               {9, 7, 19},
                                               {4, 130, 65},
                                               {40, 40, 40},
                                               {3, 4, 5, 6},
                                               {2, 9, 3, 17}})
    check(differences(e, false), steps_for(e));
}
TEST(FuseBoxes, GradientsOfEveryRank) {
  for (const Extents& e : std::vector<Extents>{
           {2}, {37}, {20011}, {5, 2}, {70, 33}, {3, 9001}, {9, 7, 19}, {4, 130, 65}, {40, 40, 40}, {3, 4, 5, 6}})
    check(differences(e, true), steps_for(e));
}
TEST(FuseBoxes, LossAndGradient) { check(differences({9, 21, 35}, true, true), 0); }
TEST(FuseBoxes, OfBf16) {
  check(differences({9, 21, 35}, false, false, DType::bf16));
  check(differences({9, 21, 35}, true, false, DType::bf16));
}

TEST(FuseBoxes, SumsOverAxes) {
  const std::vector<std::vector<int64_t>> axes{{}, {0}, {1}, {0, 1}, {0, 2}, {1, 2}, {2, 0}};
  for (const auto& a : axes)
    for (const bool keep : {false, true}) {
      Case c("sums");
      Graph& g = c.graph;
      const Value x = c.input({13, 37, 45}), y = c.input({37, 1}), z = c.input({45});
      g.set_outputs({ops::mean(g, ops::relu(g, ops::add(g, ops::mul(g, x, y), z)), a, keep)});
      check(c);
    }
  Case bias("bias");
  Graph& g = bias.graph;
  const Value x = bias.input({3000, 257}), y = bias.input({3000, 257});
  const Value d = ops::mul(g, x, ops::sub(g, ops::scalar(g, DType::f32, 1), ops::square(g, y)));
  g.set_outputs({d, ops::sum(g, d, {0})});  // what tanh and a bias leave to their operands
  check(bias);
  Case wide("wide");
  wide.graph.set_outputs({ops::sum(wide.graph, ops::abs(wide.graph, wide.input({100, 5000})), {0})});
  check(wide);
}

TEST(FuseBoxes, ArithmeticOfSums) {
  Case c("norm");
  Graph& g = c.graph;
  const Value x = c.input({50, 60}), y = c.input({50, 60}), s = c.input({});
  const Value a = ops::sum(g, ops::square(g, ops::sub(g, x, y))), b = ops::mean(g, ops::abs(g, x));
  g.set_outputs({ops::sqrt(g, ops::add(g, ops::mul(g, a, s), 3)), ops::sub(g, a, b)});
  check(c);
}

/// The second derivative through padding by zeros, and something that is no difference.
TEST(FuseBoxes, PaddedExpressions) {
  Case c("pads");
  Graph& g = c.graph;
  const Value x = c.input({9, 30}), y = c.input({9, 30});
  const Value p = ops::pad(g, ops::tanh(g, x), {1, 2}, {0, 1}), q = ops::pad(g, ops::mul(g, y, 3), {0, 3}, {1, 0});
  g.set_outputs({ops::mul(g, p, ops::add(g, q, 1)), ops::sum(g, ops::square(g, ops::sub(g, p, q)))});
  check(c);
  Case second("laplacian");
  Graph& h = second.graph;
  const Value f = second.input({12, 34});
  const Value inner = difference(h, difference(h, f, 1), 1);
  const Value loss = ops::sum(h, ops::square(h, inner));
  h.set_outputs({gradients(h, loss, {f})[0]});
  check(second);
}

/// f32 sums as the reduction kernel's, which accumulates in f64.
TEST(FuseBoxes, SumsAreAccurate) {
  for (const float value : {0.1F, 1.1F}) {
    Graph g("constant field");
    const Value x = g.add_input("x", Type(DType::f32, Shape{200, 70, 129}));
    g.set_outputs({ops::sum(g, ops::square(g, x))});
    Tensor t(DType::f32, {200, 70, 129});
    for (float& v : t.as<float>()) v = value;
    ExecutionContext context(make_thread_team(2));
    const double got = compile(g).run(context, {t})[0].as<float>()[0];
    const float square = value * value;
    EXPECT_NEAR(got / (static_cast<double>(square) * 200 * 70 * 129), 1, 5e-7);
  }
}

TEST(FuseBoxes, BytesAreAsPredicted) {
  struct {
    Extents extents;
    bool gradient;
  } const cases[] = {
      {{96, 160, 256}, false}, {{96, 160, 256}, true}, {{1200, 1000}, false}, {{1200, 1000}, true}, {{3000000}, false}};
  for (const auto& [extents, gradient] : cases) {
    CompileOptions options;
    options.target = Target::detect().capped(Isa::avx2);  // the same programs on every machine
    options.target.cores = 2;
    options.target.l2_bytes = 1 << 20;
    options.target.l3_bytes = 0;  // results are large
    const Executable e = compile(differences(extents, gradient).graph, options);
    for (const auto& group : e.groups()) {
      ASSERT_NE(group.program, nullptr);
      SCOPED_TRACE(tile::print(group.program->program()));
      const tile::Traffic predicted = tile::predict(group.program->program(), options.target),
                          counted = tile::simulate(*group.program, options.target, 2);
      EXPECT_NEAR(predicted.bytes / counted.bytes, 1, 0.1);
      int64_t elements = 1;
      for (const int64_t x : extents) elements *= x;
      const double once = 4.0 * static_cast<double>(elements) * (gradient ? 2 : 1);
      EXPECT_NEAR(counted.bytes / once, 1, 0.1) << "the field once, the gradient once";
      EXPECT_LE(predicted.least, counted.bytes * 1.01);
    }
  }
}

/// The executor's kernels against the program as it is written.
TEST(FuseBoxes, ProgramsAreWhatTheySay) {
  for (const bool gradient : {false, true}) {
    CompileOptions options;
    options.target.cores = 2;
    options.target.l2_bytes = options.target.l3_bytes = 1 << 10;  // a result in panels
    const Case c = differences({17, 90, 66}, gradient);
    const Executable e = compile(c.graph, options);
    const tile::CompiledProgram& program = *e.groups()[0].program;
    Tensor out(DType::f32, {gradient ? 17 * 90 * 66 : 1}), again(DType::f32, out.extents());
    Tensor in = c.inputs[0];
    tile::interpret(program.program(), {in.data(), out.data()});
    const auto team = make_thread_team(2);
    Tensor memory(DType::u8, {program.memory_bytes() + 64}), threads(DType::u8, {2 * program.thread_bytes() + 64});
    const void* arguments[] = {in.data(), again.data()};
    program.run(*team, arguments, static_cast<std::byte*>(memory.data()), static_cast<std::byte*>(threads.data()));
    expect_near(again, out, 1e-6);
  }
}

/// Random graphs of shifts, pads, sums and elementwise operators. GREGALE_FUZZ_GRAPHS=N runs the first N of them.
class RandomBoxes {
 public:
  explicit RandomBoxes(uint32_t seed) : c(fmt::format("boxes{}", seed)), seed_(seed) {
    const uint64_t rank = 1 + pick(4);
    Extents e;
    for (uint64_t a = 0; a < rank; ++a)
      e.push_back(2 + static_cast<int64_t>(pick(rank == 1 ? 9000 : rank == 2 ? 90 : 20)));
    pool_ = {c.input(e), c.input(e)};
    const uint64_t count = 2 + pick(8);
    for (uint64_t i = 0; i < count; ++i) pool_.push_back(step(pool_[pick(pool_.size())]));
    std::vector<int64_t> axes;
    for (int64_t a = 0; a < static_cast<int64_t>(rank); ++a)
      if (pick(2) == 0) axes.push_back(a);
    const Value last = pool_.back();
    std::vector<Value> outputs{ops::sum(c.graph, ops::square(c.graph, ops::mul(c.graph, last, 0.5)), axes)};
    if (c.graph.producer(last) >= 0 && pick(2) == 0) outputs.push_back(last);
    if (pick(3) == 0)
      outputs.push_back(gradients(c.graph, ops::sum(c.graph, ops::square(c.graph, last)), {pool_[0]})[0]);
    c.graph.set_outputs(outputs);
  }
  Case c;

 private:
  uint64_t pick(uint64_t n) { return random_below({seed_, 7, 0}, draws_++, n); }
  Value step(Value x) {
    Graph& g = c.graph;
    const Shape shape = g.type(x).shape;
    const int64_t rank = shape.rank(), axis = static_cast<int64_t>(pick(static_cast<uint64_t>(rank)));
    switch (pick(5)) {
      case 0:
        return shape[axis].value() > 1 ? difference(g, x, axis) : ops::abs(g, x);
      case 1: {
        std::vector<int64_t> low, high;
        for (int64_t a = 0; a < rank; ++a) {
          low.push_back(static_cast<int64_t>(pick(3)));
          high.push_back(static_cast<int64_t>(pick(2)));
        }
        return ops::pad(g, x, low, high);
      }
      case 2:
        for (const Value y : pool_)
          if (!(y == x) && g.type(y).shape == shape) return ops::add(g, x, ops::mul(g, y, 0.7));
        return ops::neg(g, x);
      case 3:
        return ops::tanh(g, x);
      default:
        return ops::mul(g, ops::abs(g, x), 0.9);
    }
  }
  uint32_t seed_;
  uint64_t draws_ = 0;
  std::vector<Value> pool_;
};

TEST(FuseBoxes, RandomGraphs) {
  const char* given = std::getenv("GREGALE_FUZZ_GRAPHS");
  const uint32_t count = given == nullptr ? 40 : static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
  for (uint32_t seed = 0; seed < count && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("GREGALE_FUZZ_GRAPHS={} reaches seed {}", seed + 1, seed));
    check(RandomBoxes(seed).c, 0, 2e-6);
  }
}

}  // namespace
}  // namespace gregale
