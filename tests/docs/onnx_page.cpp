// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Prints docs/onnx-operators.md, or with --check PAGE tells whether PAGE is what it would print.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "gregale/onnx.hpp"
#include "gregale/ops.hpp"
#include "page.hpp"

namespace gregale {
namespace {

std::string onnx_page() {
  struct Row {
    std::set<int64_t> since;
    std::set<std::string> how;
  };
  std::map<std::pair<std::string, std::string>, Row> rows;
  std::set<std::string> ours;
  for (const OpDef* op : ops::standard_ops().all()) ours.insert(op->name);
  for (const onnx::Coverage& c : onnx::coverage()) {
    Row& row = rows[{c.domain, c.name}];
    row.since.insert(c.since);
    row.how.insert(ours.count(c.how) > 0 ? fmt::format("[{0}](operators.md#{0})", c.how) : c.how);
  }
  const auto join = [](const auto& all) {
    std::string text;
    for (const auto& each : all) text += fmt::format("{}{}", text.empty() ? "" : ", ", each);
    return text;
  };
  const auto standard =
      std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.first.first.empty(); });
  std::string page = fmt::format(
      "# Operators of ONNX\n\n"
      "Made from the registry by `onnx_page > docs/onnx-operators.md`; do not edit.\n\n"
      "{} operators of the standard domain and {} of others can be imported. *Versions* are those of the operator set\n"
      "with which a form of the operator begins that has an import of its own; models of later versions take the\n"
      "newest. *How*: the operator of [operators.md](operators.md) that it is; or several of them; or code that runs\n"
      "between programs, because extents of its results depend on values, or because it holds strings or sequences.\n"
      "A function that a file defines itself is taken as what it is made of.\n\n"
      "| operator | versions | how |\n|---|---|---|\n",
      standard, static_cast<int64_t>(rows.size()) - standard);
  for (const auto& [name, row] : rows)
    page += fmt::format("| {}{}{} | {} | {} |\n", name.first, name.first.empty() ? "" : ".", name.second,
                        join(row.since), join(row.how));
  return page;
}

}  // namespace
}  // namespace gregale

int main(int argc, char** argv) {
  return gregale::page_main(argc, argv, "onnx_page", "onnx-operators.md", gregale::onnx_page);
}
