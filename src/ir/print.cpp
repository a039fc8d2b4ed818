// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/op.hpp"

namespace gregale {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

/// Shortest text that gives the same double back, and never reads as an integer.
std::string real_text(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", v);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

class Printer {
 public:
  Printer(Blobs* blobs, int64_t inline_elements) : blobs_(blobs), inline_elements_(inline_elements) {}

  void graph(const Graph& g, int depth) {
    // Values are numbered in the order of the text, so that equal programs print alike.
    std::map<Value, int64_t> numbers;
    auto number = [&](Value v) { return numbers.try_emplace(v, static_cast<int64_t>(numbers.size())).first->second; };
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    out_ += "graph " + quoted(g.name()) + "(";
    for (size_t i = 0; i < g.inputs().size(); ++i) {
      const Value v = g.inputs()[i];
      out_ += fmt::format("{}%{} {}: {}", i ? ", " : "", number(v), quoted(g.name_of(v)), to_string(g.type(v)));
    }
    out_ += ") {\n";
    for (const Variable& v : g.variables())
      out_ += fmt::format("{}  var {}: {}\n", indent, quoted(v.name), to_string(v.type));
    for (const Node& node : g.nodes()) {
      std::string operands;
      for (Value v : node.inputs) operands += fmt::format("{}%{}", operands.empty() ? "" : ", ", number(v));
      out_ += indent + "  ";
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        out_ += fmt::format("{}%{}", i ? ", " : "", number(node.outputs[i]));
        if (!g.name_of(node.outputs[i]).empty()) out_ += fmt::format(" {}", quoted(g.name_of(node.outputs[i])));
      }
      out_ += fmt::format("{}{}({})", node.outputs.empty() ? "" : " = ", node.op->name, operands);
      attributes(node.attributes);
      if (!node.outputs.empty()) {
        out_ += " : ";
        for (size_t i = 0; i < node.outputs.size(); ++i) out_ += (i ? ", " : "") + to_string(g.type(node.outputs[i]));
      }
      for (const Graph& region : node.regions) {
        out_ += "\n" + indent + "    region ";
        this->graph(region, depth + 2);
      }
      out_ += "\n";
    }
    out_ += indent + "  return";
    for (size_t i = 0; i < g.outputs().size(); ++i) {
      out_ += fmt::format("{} %{}", i ? "," : "", number(g.outputs()[i]));
      if (i < g.output_names().size()) out_ += fmt::format(" {}", quoted(g.output_names()[i]));
    }
    out_ += "\n" + indent + "}";
  }

  std::string take() { return std::move(out_); }

 private:
  void attributes(const Attributes& all) {
    if (all.empty()) return;
    out_ += " {";
    bool first = true;
    for (const auto& [name, value] : all) {
      out_ += (first ? "" : ", ") + name + " = ";
      first = false;
      std::visit([this](const auto& v) { attribute(v); }, value);
    }
    out_ += "}";
  }

  void attribute(int64_t v) { out_ += fmt::format("{}", v); }
  void attribute(double v) { out_ += real_text(v); }
  void attribute(bool v) { out_ += v ? "true" : "false"; }
  void attribute(const std::string& v) { out_ += quoted(v); }
  void attribute(DType v) { out_ += name_of(v); }
  void attribute(const std::vector<int64_t>& v) {
    out_ += "[";
    for (size_t i = 0; i < v.size(); ++i) out_ += fmt::format("{}{}", i ? ", " : "", v[i]);
    out_ += "]";
  }
  void attribute(const std::vector<double>& v) {
    out_ += "[";
    for (size_t i = 0; i < v.size(); ++i) out_ += (i ? ", " : "") + real_text(v[i]);
    out_ += "]";
  }
  void attribute(const Tensor& t) {
    if (blobs_ != nullptr && t.size() > inline_elements_) {
      out_ += fmt::format("blob({})", blobs_->size());
      blobs_->push_back(t);
      return;
    }
    out_ += to_string(t.type()) + " (";
    const RefArray a = RefArray::from(t);
    bool first = true;
    auto item = [&](const std::string& text) {
      out_ += (first ? "" : ", ") + text;
      first = false;
    };
    if (is_real_float(t.dtype()))
      for (double v : a.real()) item(real_text(v));
    else if (is_complex(t.dtype()))
      for (const auto& v : a.complex()) item(real_text(v.real())), item(real_text(v.imag()));
    else if (t.dtype() == DType::u64)
      for (int64_t v : a.integer()) item(fmt::format("{}", static_cast<uint64_t>(v)));
    else
      for (int64_t v : a.integer()) item(fmt::format("{}", v));
    out_ += ")";
  }

  Blobs* blobs_;
  int64_t inline_elements_;
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph, Blobs* blobs, int64_t inline_elements) {
  Printer printer(blobs, inline_elements);
  printer.graph(graph, 0);
  return printer.take() + "\n";
}

}  // namespace gregale
