// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <list>
#include <mutex>

#include "gregale/exec.hpp"

namespace gregale {

/// The programs of a symbolic graph, one for each set of extents, the most recently used ones kept. Thread-safe; a find
/// of a kept program allocates nothing.
class Executable::Shapes {
 public:
  /// From the graph with constant extents.
  using Compile = std::function<Executable(const Graph&)>;
  using Program = std::shared_ptr<const Executable>;

  /// Throws ErrorCode::invalid_argument unless at least one program is kept.
  Shapes(Graph source, int kept, Compile compile);

  /// Whether anything in the graph waits for an extent.
  static bool is_symbolic(const Graph& graph);

  const Graph& source() const { return source_; }
  /// The program for the extents of these tensors; compiles it where it is not kept.
  Program find(const std::vector<Tensor>& inputs, const VariableValues* state);
  Program bind(const std::map<std::string, int64_t>& extents);

  int64_t compilations() const;
  int64_t arena_bytes() const;        ///< the most any program so far needs
  std::vector<Program> kept() const;  ///< the most recently used one first

 private:
  /// Where the extent of a symbol is read.
  struct Symbol {
    std::string name;
    bool in_variable = false;
    size_t index = 0;  ///< of the input or variable
    int64_t axis = 0;
  };
  struct Entry {
    std::vector<int64_t> extents;  ///< in the order of symbols_
    Program program;
  };
  template <class ExtentOf, class Check>
  Program find_or_compile(const ExtentOf& extent_of, const Check& check);
  template <class ExtentOf>
  Program find_kept(const ExtentOf& extent_of);

  const Graph source_;
  const size_t kept_;
  const Compile compile_;
  std::vector<Symbol> symbols_;

  std::mutex compiling_;      // held while a program is made: never while mutex_ is
  mutable std::mutex mutex_;  // guards what follows
  std::list<Entry> entries_;  // the most recently used one first
  int64_t compilations_ = 0, arena_bytes_ = 0;
};

}  // namespace gregale
