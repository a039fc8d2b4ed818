// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gregale/exec.hpp"
#include "report/graph_page.hpp"

/// The page of `gregale inspect --html`, made of any graph and the program it was compiled to.
namespace gregale::tools {

/// The ledger of one group of a program.
struct GroupFigures {
  double predicted = 0, counted = 0, least = 0;  ///< bytes past L2
  double flops = 0, joules = 0;
  double time = 0, ceiling = 0, expected = 0;  ///< seconds; time 0: not measured
  GroupFigures& operator+=(const GroupFigures& other);
};

/// `program` is `source` compiled with `options`; of a symbolic graph, both are bound (bind_symbols(), Executable::
/// bind()). `figures`: one for each of the program's groups. The passes run once more, to be looked at. The page's
/// title, subtitle and notes are left to the caller.
report::GraphPage make_graph_page(const Graph& source, const CompileOptions& options, const Executable& program,
                                  const std::vector<GroupFigures>& figures);

}  // namespace gregale::tools
