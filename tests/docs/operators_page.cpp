// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Prints docs/operators.md, or with --check PAGE tells whether PAGE is what it would print.
#include <fmt/format.h>

#include <string>

#include "gregale/ops.hpp"
#include "page.hpp"

namespace gregale {
namespace {

const char* kind_name(AttributeKind kind) {
  switch (kind) {
    case AttributeKind::integer:
      return "integer";
    case AttributeKind::real:
      return "real";
    case AttributeKind::boolean:
      return "boolean";
    case AttributeKind::string:
      return "string";
    case AttributeKind::integers:
      return "integers";
    case AttributeKind::reals:
      return "reals";
    case AttributeKind::dtype:
      return "dtype";
    case AttributeKind::tensor:
      return "tensor";
  }
  return "";
}

std::string text(int64_t v) { return fmt::format("{}", v); }
std::string text(double v) { return fmt::format("{}", v); }
std::string text(bool v) { return v ? "true" : "false"; }
std::string text(const std::string& v) { return '"' + v + '"'; }
std::string text(DType v) { return std::string(name_of(v)); }
std::string text(const Tensor& v) { return to_string(v.type()); }
template <class T>
std::string text(const std::vector<T>& v) {
  std::string all = "[";
  for (const T& x : v) all += (all.size() > 1 ? ", " : "") + text(x);
  return all + "]";
}

/// For a table's cell, where a bar would end it.
std::string cell(const std::string& doc) {
  std::string out;
  for (const char c : doc) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

void operands(std::string& page, const char* title, const std::vector<OperandDef>& all) {
  if (all.empty()) return;
  page += fmt::format("\n| {} | |\n|---|---|\n", title);
  for (const OperandDef& d : all)
    page += fmt::format("| `{}`{} | {} |\n", d.name, d.arity == OperandDef::Arity::variadic ? ", one or more" : "",
                        cell(d.doc));
}

void describe(std::string& page, const OpDef& op) {
  page += fmt::format("\n## {}\n\n{}\n", op.name, op.doc);
  operands(page, "operand", op.inputs);
  operands(page, "result", op.outputs);
  if (!op.attributes.empty()) {
    page += "\n| attribute | kind | default | |\n|---|---|---|---|\n";
    for (const AttributeDef& d : op.attributes) {
      const std::string value = d.default_value
                                    ? '`' + std::visit([](const auto& v) { return text(v); }, *d.default_value) + '`'
                                    : "required";
      page += fmt::format("| `{}` | {} | {} | {} |\n", d.name, kind_name(d.kind), value, cell(d.doc));
    }
  }
  if (op.gradient)
    page += "\nGradient: yes.";
  else if (op.expand && op.no_gradient.empty())
    page += "\nGradient: that of what it expands into.";
  else
    page += fmt::format("\nGradient: none; {}.", op.no_gradient);
  if (op.expand) page += " Expands into smaller operators.";
  page += " Lowerings: ";
  for (const Lowering& l : op.lowerings) page += fmt::format("`{}`, ", l.name);
  if (!op.reference)
    page += "none, the graph itself does it.\n";
  else
    page += op.lowerings.empty() ? "the reference alone.\n" : "then the reference.\n";
}

std::string operators_page() {
  const auto& all = ops::standard_ops().all();
  std::string page = fmt::format(
      "# Operators\n\n"
      "Made from the registry by `operators_page > docs/operators.md`; do not edit. One operator is one file of\n"
      "`src/ops/`; what a lowering or a gradient is, [design.md](design.md) says.\n\n"
      "{} operators:",
      all.size());
  for (const OpDef* op : all) page += fmt::format("{} [{}](#{})", op == all.front() ? "" : ",", op->name, op->name);
  page += ".\n";
  for (const OpDef* op : all) describe(page, *op);
  return page;
}

}  // namespace
}  // namespace gregale

int main(int argc, char** argv) {
  return gregale::page_main(argc, argv, "operators_page", "operators.md", gregale::operators_page);
}
