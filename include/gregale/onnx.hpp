// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "gregale/exec.hpp"
#include "gregale/tensor.hpp"

/// ONNX models: docs/onnx.md tells how they are run and which operators there are.
///
///   auto model = onnx::Model::load("resnet50.onnx");
///   auto context = ExecutionContext::...;                            // one a thread
///   Tensor image = Tensor::borrow(pixels, DType::f32, {1, 3, 224, 224});   // nothing is copied
///   Tensor scores = model.run(*context, {image})[0];
///
/// The file is read once; each combination of input extents is compiled when it is first met and kept. A Model does not
/// change when it is run, so that threads may share it, each with a context of its own.
namespace gregale::onnx {

/// A tensor of strings.
struct Strings {
  Extents extents;
  std::vector<std::string> values;  ///< row-major
  friend bool operator==(const Strings&, const Strings&) = default;
};

struct Datum;
/// A sequence of tensors (or of sequences).
struct Sequence {
  std::vector<Datum> items;
};

/// What an ONNX value holds: a tensor; strings; a sequence; or nothing, which is an empty optional. An optional that
/// holds something is that something.
struct Datum {
  std::variant<std::monostate, Tensor, Strings, Sequence> value;

  Datum() = default;
  Datum(Tensor tensor) : value(std::move(tensor)) {}        // NOLINT: a tensor is a datum
  Datum(Strings strings) : value(std::move(strings)) {}     // NOLINT
  Datum(Sequence sequence) : value(std::move(sequence)) {}  // NOLINT
  bool has_value() const { return value.index() != 0; }
  const Tensor* tensor() const { return std::get_if<Tensor>(&value); }
  const Strings* strings() const { return std::get_if<Strings>(&value); }
  const Sequence* sequence() const { return std::get_if<Sequence>(&value); }
};
/// "f32[2, 3]", "string[4]", "sequence of 3", "nothing"
std::string to_string(const Datum& datum);

/// An input or output of a model, as its file declares it.
struct Port {
  std::string name;
  enum class Kind { tensor, strings, sequence, optional } kind = Kind::tensor;
  DType dtype = DType::f32;  ///< of a tensor
  bool has_shape = false;    ///< the file may leave even the rank open
  Shape shape;               ///< symbolic where the file names a dim or leaves it open
};
std::string to_string(const Port& port);

struct LoadOptions {
  CompileOptions compile;
  /// Of the model's own folder, for tensors kept in files of their own; parse() refuses those without it.
  std::string folder;
};

class Model {
 public:
  /// Throws ErrorCode::io where the file cannot be read, corrupt_data where it is no ONNX model, unsupported for an
  /// operator set or a type that is not known here; each error names the node and attribute.
  static Model load(const std::string& path, LoadOptions options = {});
  static Model parse(std::string_view bytes, LoadOptions options = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  const std::vector<Port>& inputs() const;  ///< without those that the file gives a value
  const std::vector<Port>& outputs() const;
  /// Producer, versions, and the file's own metadata.
  const std::map<std::string, std::string>& metadata() const;
  int64_t opset() const;       ///< of the default domain
  int64_t parameters() const;  ///< elements of all tensors in the file
  /// How often each operator stands in the file, bodies of control flow included, and functions of the file where they
  /// are called: ("Conv", 53), ...
  std::vector<std::pair<std::string, int64_t>> operators() const;

  /// Runs once; tensors in the order of inputs(). Throws ErrorCode::unsupported where an output is not a tensor,
  /// ErrorCode::shape where one does not fit. Outputs are the caller's.
  std::vector<Tensor> run(ExecutionContext& context, const std::vector<Tensor>& inputs) const;
  /// The same with strings, sequences and optionals; an input may be left empty where it is optional.
  std::vector<Datum> run(ExecutionContext& context, const std::vector<Datum>& inputs) const;

  /// The whole model as one graph for inputs of these types, e.g. to inspect, differentiate or export it. Inputs whose
  /// values the shapes depend on are given in `values` (by name) and become constants. Throws ErrorCode::unsupported
  /// where that cannot be, naming the first node whose result's extents depend on what is computed.
  Graph graph(const std::vector<Type>& inputs, const std::map<std::string, Datum>& values = {}) const;

  /// Runs once and gives the programs that ran, in their order: one, where no extents depend on computed values.
  std::vector<std::shared_ptr<const Executable>> programs(ExecutionContext& context,
                                                          const std::vector<Datum>& inputs) const;

  struct State;

 private:
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct ExportOptions {
  bool fft_as_matmul = false;  ///< Fourier transforms as matrix products, for readers without DFT
  std::map<std::string, std::string> metadata;
};
/// The bytes of an ONNX file (IR version 8, operator set 17) of a graph of constant extents without variables
/// (gregale/exec.hpp: freeze). Inputs and outputs keep their names; complex ones get a last axis of two. Throws
/// ErrorCode::unsupported naming an operator that the operator set cannot say, and above 2 GiB.
std::string export_model(const Graph& graph, const ExportOptions& options = {});

/// An operator of ONNX that can be imported, with the first version of the operator set that its import follows.
struct Coverage {
  std::string domain, name;
  int64_t since = 1;
  std::string how;  ///< the operator of docs/operators.md, "in operators", or "between programs"
};
std::vector<Coverage> coverage();

}  // namespace gregale::onnx
