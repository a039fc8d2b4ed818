// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gregale::data {

/// Incremental SHA-256 (FIPS 180-4). `Sha256().update("abc").hex()` is "ba7816bf...".
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  Sha256& update(const void* bytes, size_t count);
  Sha256& update(std::string_view text) { return update(text.data(), text.size()); }
  /// 64 lower-case hexadecimal digits of everything given so far; more may be given afterwards.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The hash of a whole file, read in pieces; throws ErrorCode::io naming it.
std::string sha256_of_file(const std::string& path);

}  // namespace gregale::data
