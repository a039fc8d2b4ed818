// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "gregale/error.hpp"
#include "gregale/random.hpp"

namespace gregale::fuzz {

/// Deterministic mutations: case `number` of a parser's seeds is the same in every run and on every machine, so that a
/// failure names the number and can be replayed.
class Mutator {
 public:
  /// `stream` tells parsers apart; `tokens` are what the grammar is made of, to be spliced in.
  Mutator(uint32_t stream, std::vector<std::string> seeds, std::vector<std::string> tokens)
      : stream_(stream), seeds_(std::move(seeds)), tokens_(std::move(tokens)) {}

  /// One of the seeds with one to six mutations. Case number n < number of seeds is that seed untouched.
  std::string make(uint64_t number) const {
    if (number < seeds_.size()) return seeds_[number];
    const RandomKey key{.seed = number, .step = 0, .stream = stream_};
    uint64_t next = 0;
    auto below = [&](uint64_t n) { return random_below(key, next++, n); };
    std::string text = seeds_[below(seeds_.size())];
    const uint64_t mutations = below(2) == 0 ? 1 : 1 + below(6);  // one alone often gets past the grammar
    for (uint64_t i = 0; i < mutations; ++i) {
      const uint64_t at = below(text.size() + 1);
      const uint64_t length = below(8 + text.size() / 8);
      switch (below(10)) {
        case 0:  // one bit
          if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
          break;
        case 1:  // any byte
          if (at < text.size()) text[at] = static_cast<char>(below(256));
          break;
        case 2:
          text.insert(at, 1, static_cast<char>(below(256)));
          break;
        case 3:  // another digit, the next one found
        {
          const size_t digit = text.find_first_of("0123456789", at);
          if (digit != std::string::npos) text[digit] = static_cast<char>('0' + below(10));
          break;
        }
        case 4:
          text.erase(at, length);
          break;
        case 5:  // truncated
          text.resize(at);
          break;
        case 6:  // a piece again, elsewhere
          text.insert(below(text.size() + 1), text.substr(at, length));
          break;
        case 7:  // a piece of another seed
        {
          const std::string& other = seeds_[below(seeds_.size())];
          text.insert(at, other.substr(below(other.size() + 1), length));
          break;
        }
        case 8:  // a number at the edge of its type
        {
          static const char* const kNumbers[] = {"0",
                                                 "-1",
                                                 "4294967296",
                                                 "9223372036854775807",
                                                 "-9223372036854775808",
                                                 "18446744073709551616",
                                                 "1e309",
                                                 "nan",
                                                 "99999999999999999999999"};
          text.insert(at, kNumbers[below(std::size(kNumbers))]);
          break;
        }
        default:
          if (!tokens_.empty()) text.insert(at, tokens_[below(tokens_.size())]);
      }
      if (text.size() > kLongest) text.resize(kLongest);
    }
    return text;
  }

 private:
  static constexpr size_t kLongest = 1 << 16;
  uint32_t stream_;
  std::vector<std::string> seeds_, tokens_;
};

/// Runs `parse` on `count` cases. Anything but a result or a gregale::Error that is not our own mistake fails, as does
/// a run in which everything, or nothing but the seeds, was accepted: then the mutations would test nothing.
template <class Parse>
void replay(const Mutator& mutator, uint64_t count, uint64_t seeds, Parse&& parse) {
  uint64_t accepted = 0, refused = 0;
  for (uint64_t number = 0; number < count; ++number) {
    const std::string text = mutator.make(number);
    try {
      parse(text);
      ++accepted;
    } catch (const Error& error) {
      ++refused;
      EXPECT_NE(error.code(), ErrorCode::internal) << "case " << number << ": " << error.what();
      EXPECT_GE(number, seeds) << "a seed was refused: " << error.what();
    } catch (const std::exception& error) {
      ADD_FAILURE() << "case " << number << " threw another exception: " << error.what() << "\n" << text;
    }
    if (testing::Test::HasFailure()) return;
  }
  testing::Test::RecordProperty("accepted", std::to_string(accepted));
  testing::Test::RecordProperty("refused", std::to_string(refused));
  EXPECT_GT(accepted, seeds);
  EXPECT_GT(refused, count / 10);
}

}  // namespace gregale::fuzz
