// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "exec/shapes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"

namespace gregale {
namespace {

const Type& type_of(const Graph& g, bool in_variable, size_t index) {
  return in_variable ? g.variables()[index].type : g.type(g.inputs()[index]);
}

}  // namespace

bool Executable::Shapes::is_symbolic(const Graph& graph) {
  for (const Variable& v : graph.variables())
    if (!v.type.shape.is_constant()) return true;
  return std::any_of(graph.inputs().begin(), graph.inputs().end(),
                     [&](Value v) { return !graph.type(v).shape.is_constant(); });
}

Executable::Shapes::Shapes(Graph source, int kept, Compile compile)
    : source_(std::move(source)), kept_(static_cast<size_t>(std::max(kept, 0))), compile_(std::move(compile)) {
  GREGALE_CHECK(kept >= 1, invalid_argument, "[compile] '{}' is symbolic: kept_programs must be positive, not {}",
                source_.name(), kept);
  for (const bool in_variable : {false, true}) {
    const size_t count = in_variable ? source_.variables().size() : source_.inputs().size();
    for (size_t index = 0; index < count; ++index) {
      const Shape& shape = type_of(source_, in_variable, index).shape;
      for (int64_t axis = 0; axis < shape.rank(); ++axis) {
        const Dim& d = shape[axis];
        const bool known = std::any_of(symbols_.begin(), symbols_.end(),
                                       [&](const Symbol& symbol) { return symbol.name == d.name(); });
        if (!d.is_constant() && !known) symbols_.push_back({d.name(), in_variable, index, axis});
      }
    }
  }
}

template <class ExtentOf>
Executable::Shapes::Program Executable::Shapes::find_kept(const ExtentOf& extent_of) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    bool same = true;
    for (size_t i = 0; same && i < symbols_.size(); ++i) same = entry->extents[i] == extent_of(symbols_[i]);
    if (!same) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return entries_.front().program;
  }
  return nullptr;
}

template <class ExtentOf, class Check>
Executable::Shapes::Program Executable::Shapes::find_or_compile(const ExtentOf& extent_of, const Check& check) {
  if (Program program = find_kept(extent_of)) return program;
  check();  // before anything is compiled for what will be refused
  const std::lock_guard one_at_a_time(compiling_);
  if (Program program = find_kept(extent_of)) return program;  // another thread made it meanwhile
  std::map<std::string, int64_t> extents;
  Entry entry;
  for (const Symbol& symbol : symbols_) {
    entry.extents.push_back(extent_of(symbol));
    extents[symbol.name] = entry.extents.back();
  }
  entry.program = std::make_shared<const Executable>(compile_(bind_symbols(source_, extents)));
  Program program = entry.program;
  std::list<Entry> dropped;  // destroyed after the lock is released
  const std::lock_guard lock(mutex_);
  ++compilations_;
  arena_bytes_ = std::max(arena_bytes_, program->arena_bytes());
  entries_.push_front(std::move(entry));
  if (entries_.size() > kept_) dropped.splice(dropped.begin(), entries_, std::prev(entries_.end()));
  return program;
}

Executable::Shapes::Program Executable::Shapes::find(const std::vector<Tensor>& inputs, const VariableValues* state) {
  GREGALE_CHECK(inputs.size() == source_.inputs().size(), invalid_argument, "[run] '{}' takes {} inputs, got {}",
                source_.name(), source_.inputs().size(), inputs.size());
  GREGALE_CHECK(source_.variables().empty() || state != nullptr, invalid_argument,
                "[run] '{}' has variables and needs their values", source_.name());
  const auto tensor_at = [&](bool in_variable, size_t index) -> const Tensor& {
    if (!in_variable) return inputs[index];
    const std::string& name = source_.variables()[index].name;
    const auto at = state->find(name);
    GREGALE_CHECK(at != state->end(), invalid_argument, "[run] variable '{}' has no value", name);
    return at->second;
  };
  // -1, which no program has, where there is no such axis: the check tells.
  const auto extent_of = [&](const Symbol& symbol) {
    const Tensor& t = tensor_at(symbol.in_variable, symbol.index);
    return symbol.axis < t.rank() ? t.extent(symbol.axis) : -1;
  };
  const auto check = [&] {
    std::map<std::string, int64_t> extents;
    for (const bool in_variable : {false, true}) {
      const size_t count = in_variable ? source_.variables().size() : source_.inputs().size();
      for (size_t index = 0; index < count; ++index) {
        const Type& type = type_of(source_, in_variable, index);
        const Tensor& t = tensor_at(in_variable, index);
        const auto what = [&] {
          return fmt::format("[run] {} '{}' is {}, got {}", in_variable ? "variable" : "input",
                             in_variable ? source_.variables()[index].name : source_.name_of(source_.inputs()[index]),
                             to_string(type), to_string(t.type()));
        };
        GREGALE_CHECK(t.dtype() == type.dtype && t.rank() == type.rank(), shape, "{}", what());
        for (int64_t axis = 0; axis < t.rank(); ++axis) {
          const Dim& d = type.shape[axis];
          const int64_t n = t.extent(axis);
          if (d.is_constant()) {
            GREGALE_CHECK(n == d.value(), shape, "{}", what());
            continue;
          }
          GREGALE_CHECK(n <= d.bound(), shape, "{}: {} is at most {}", what(), d.name(), d.bound());
          const int64_t known = extents.emplace(d.name(), n).first->second;
          GREGALE_CHECK(n == known, shape, "{}: {} is {} in another operand", what(), d.name(), known);
        }
      }
    }
  };
  return find_or_compile(extent_of, check);
}

Executable::Shapes::Program Executable::Shapes::bind(const std::map<std::string, int64_t>& extents) {
  const auto extent_of = [&](const Symbol& symbol) {
    const auto at = extents.find(symbol.name);
    return at == extents.end() ? -1 : at->second;
  };
  const auto check = [&] {
    for (const Symbol& symbol : symbols_) {
      const int64_t bound = type_of(source_, symbol.in_variable, symbol.index).shape[symbol.axis].bound();
      const auto at = extents.find(symbol.name);
      GREGALE_CHECK(at != extents.end(), shape, "[bind] '{}' needs an extent for '{}'", source_.name(), symbol.name);
      GREGALE_CHECK(at->second >= 0 && at->second <= bound, shape, "[bind] {} = {} is outside [0, {}]", symbol.name,
                    at->second, bound);
    }
  };
  return find_or_compile(extent_of, check);
}

int64_t Executable::Shapes::compilations() const {
  const std::lock_guard lock(mutex_);
  return compilations_;
}

int64_t Executable::Shapes::arena_bytes() const {
  const std::lock_guard lock(mutex_);
  return arena_bytes_;
}

std::vector<Executable::Shapes::Program> Executable::Shapes::kept() const {
  const std::lock_guard lock(mutex_);
  std::vector<Program> programs;
  for (const Entry& entry : entries_) programs.push_back(entry.program);
  return programs;
}

}  // namespace gregale
