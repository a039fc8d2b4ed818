// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What the compiler makes of the graphs it was designed for, word by word, for one declared machine. After a wanted
// change: GREGALE_WRITE_GOLDEN=1 build/ci/bin/programs_test, and read what git diff shows.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gregale/exec.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "passes/passes.hpp"
#include "program_cases.hpp"
#include "tile/ledger.hpp"
#include "tile/lower_region.hpp"

namespace gregale::passes {
namespace {

/// Two cores with AVX-512 and 1 MB of L2 each.
Target declared_target() {
  Target target;
  target.isa = Isa::avx512;
  target.cores = 2;
  return target;
}

struct Programs {
  std::string text;
  double bytes = 0;  ///< predicted, of all groups
  int groups = 0, others = 0;
};

Programs programs_of(const Graph& graph) {
  CompileOptions options;
  options.target = declared_target();
  const Graph fused = run_all(graph, options);
  Programs programs;
  for (const Node& node : fused.nodes()) {
    if (node.op->name == kConstantOp) continue;
    if (node.op->name != "fused") {
      programs.text += fmt::format("# {}, by itself\n\n", node.op->name);
      ++programs.others;
      continue;
    }
    const std::vector<tile::Given> given = tile::given_of(view_of(fused, node), options.target, false);
    auto lowered = tile::lower_region(node.regions[0], options.target, given);
    EXPECT_TRUE(lowered) << (lowered ? "" : lowered.error().what());
    if (!lowered) continue;
    const tile::TileProgram& program = lowered.value().program;
    const tile::Traffic traffic = tile::predict(program, options.target);
    programs.text += fmt::format("# {:.2f} MB predicted, {:.2f} MB at least\n{}\n", traffic.bytes / 1e6,
                                 traffic.least / 1e6, tile::print(program));
    EXPECT_EQ(tile::print(tile::parse_program(tile::print(program))), tile::print(program));
    programs.bytes += traffic.bytes;
    ++programs.groups;
  }
  return programs;
}

std::string path_of(const std::string& name) { return std::string(GREGALE_GOLDEN) + "/" + name + ".txt"; }

TEST(GoldenPrograms, ComeOutOfTheCompiler) {
  for (const auto& make : golden_cases()) {
    const GoldenCase c = make();
    const Programs programs = programs_of(c.graph);
    if (std::getenv("GREGALE_WRITE_GOLDEN") != nullptr) std::ofstream(path_of(c.name)) << programs.text;
    std::ifstream file(path_of(c.name));
    std::stringstream expected;
    expected << file.rdbuf();
    EXPECT_EQ(programs.text, expected.str()) << c.name;
  }
}

/// One program each, but where the compiler is to see that more of them move less.
TEST(GoldenPrograms, AreAsManyAsPay) {
  EXPECT_EQ(programs_of(golden_mlp().graph).groups, 1);
  EXPECT_EQ(programs_of(golden_wide_mlp().graph).groups, 2);
  EXPECT_EQ(programs_of(golden_attention().graph).groups, 1);
  EXPECT_EQ(programs_of(golden_chain().graph).groups, 1);
  const Programs convolutions = programs_of(golden_convolutions().graph);
  EXPECT_EQ(convolutions.groups, 2);
  EXPECT_EQ(convolutions.others, 2) << "an image comes and goes with channels first";
}

}  // namespace
}  // namespace gregale::passes
