// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gregale {

/// What kind of thing went wrong. The program maps `usage` to exit status 2 and all others to 1.
enum class ErrorCode {
  invalid_argument,  ///< a value the caller gave is wrong
  usage,             ///< an unknown subcommand, option, key, or a value out of range in a configuration
  shape,             ///< extents do not fit together
  dtype,             ///< an element type is not accepted here
  unsupported,       ///< right, but not something this build or this operator does
  out_of_memory,
  io,            ///< the operating system refused: missing file, no space, no permission
  corrupt_data,  ///< a file's bytes are not what its format promises
  interrupted,   ///< the user asked to stop; state was saved first
  internal,      ///< our mistake: please report it
};

const char* to_string(ErrorCode code);

/// The one exception of the library. `what()` is the message, e.g. "[softmax] axis 3 is out of range for rank 2",
/// preceded by the context frames, outermost first: "train: data.path: no such file: winds.nc".
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message);
  Error(const Error&);
  Error(Error&&) noexcept;
  Error& operator=(const Error&);
  Error& operator=(Error&&) noexcept;
  ~Error() override;
  ErrorCode code() const noexcept { return code_; }
  const char* what() const noexcept override { return text_.c_str(); }
  /// The message alone, without frames.
  const std::string& message() const noexcept { return message_; }
  /// Prepends a frame ("data.path"); returns *this so that `throw error.add_context(...)` reads well.
  Error& add_context(const std::string& frame);

 private:
  ErrorCode code_;
  std::string message_;
  std::vector<std::string> frames_;  // innermost first
  std::string text_;
};

/// A value or the reason why there is none, for places where refusal is ordinary (kernel candidates, parsing).
template <class T>
class Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  explicit operator bool() const noexcept { return state_.index() == 0; }
  /// The value; throws the error where there is none.
  T& value() & {
    if (state_.index() == 1) throw std::get<1>(state_);
    return std::get<0>(state_);
  }
  T&& value() && {
    if (state_.index() == 1) throw std::get<1>(state_);
    return std::move(std::get<0>(state_));
  }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

[[noreturn]] void throw_error(ErrorCode code, std::string message);
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace gregale

/// For users' mistakes: GREGALE_CHECK(axis < rank, shape, "[softmax] axis {} is out of range for rank {}", axis, rank).
/// The message is formatted by fmt; include <fmt/format.h> (and <fmt/ranges.h> for vectors) where it has arguments.
#define GREGALE_CHECK(condition, code, ...)                                                         \
  do {                                                                                              \
    if (!(condition)) ::gregale::throw_error(::gregale::ErrorCode::code, fmt::format(__VA_ARGS__)); \
  } while (false)

/// For our mistakes: what must hold whatever the user gives.
#define GREGALE_ASSERT(condition)                                                  \
  do {                                                                             \
    if (!(condition)) ::gregale::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
