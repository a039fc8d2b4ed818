// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/error.hpp"

#include <fmt/format.h>

namespace gregale {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::shape:
      return "shape";
    case ErrorCode::dtype:
      return "dtype";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::out_of_memory:
      return "out_of_memory";
    case ErrorCode::io:
      return "io";
    case ErrorCode::corrupt_data:
      return "corrupt_data";
    case ErrorCode::interrupted:
      return "interrupted";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

Error::Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)), text_(message_) {}
Error::Error(const Error&) = default;
Error::Error(Error&&) noexcept = default;
Error& Error::operator=(const Error&) = default;
Error& Error::operator=(Error&&) noexcept = default;
Error::~Error() = default;

Error& Error::add_context(const std::string& frame) {
  frames_.push_back(frame);
  text_ = frame + ": " + text_;
  return *this;
}

void throw_error(ErrorCode code, std::string message) { throw Error(code, std::move(message)); }

void assertion_failed(const char* condition, const char* file, int line) {
  throw Error(ErrorCode::internal,
              fmt::format("{}:{}: assertion failed: {} (a bug in Gregale; please report it)", file, line, condition));
}

}  // namespace gregale
