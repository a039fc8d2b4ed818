// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/sha256.hpp"

#include <sys/types.h>

#include <sha2.h>  // after sys/types.h, which it needs

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gregale/error.hpp"

namespace gregale::data {

struct Sha256::State {
  SHA2_CTX context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) { SHA256Init(&state_->context); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(const void* bytes, size_t count) {
  if (count > 0) SHA256Update(&state_->context, static_cast<const uint8_t*>(bytes), count);
  return *this;
}

std::string Sha256::hex() const {
  SHA2_CTX copy = state_->context;  // finishing destroys the context
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256Final(digest.data(), &copy);
  std::string text;
  for (uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string sha256_of_file(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  GREGALE_CHECK(file != nullptr, io, "cannot read {}: {}", path, std::strerror(errno));
  Sha256 hash;
  std::vector<char> piece(1 << 16);
  while (size_t count = std::fread(piece.data(), 1, piece.size(), file.get())) hash.update(piece.data(), count);
  GREGALE_CHECK(!std::ferror(file.get()), io, "cannot read {}: {}", path, std::strerror(errno));
  return hash.hex();
}

}  // namespace gregale::data
