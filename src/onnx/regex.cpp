// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/regex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "gregale/error.hpp"
#include "onnx/code_points.hpp"

namespace gregale::onnx {

constexpr size_t kMostSteps = 20'000, kMostWork = 1'000'000'000;  // a text's characters times the pattern's steps
constexpr int kDeepestGroup = 200, kMostRepeats = 1000;
constexpr uint32_t kLast = 0x3FFFFF;  // beyond the bytes that are no UTF-8

/// Recursive descent over the pattern. A piece is made back to front: it is told the step that follows it and gives the
/// one it begins with, so that a repeated piece is parsed once for each copy.
class RegexParser {
 public:
  RegexParser(Regex& regex, std::string_view pattern) : regex_(regex), pattern_(code_points(pattern)) {}

  void parse() {
    if (starts("(?i)")) {
      regex_.any_case_ = true;
      at_ = 4;
    }
    const Tree tree = alternatives(0);
    if (at_ < pattern_.size()) fail("a ')' that closes nothing");
    regex_.start_ = make(tree, add({.kind = Regex::Step::Kind::match}));
  }

 private:
  using Set = Regex::Set;
  using Step = Regex::Step;

  struct Tree {
    enum class Kind { nothing, set, begin, end, edge, no_edge, sequence, either, repeat } kind = Kind::nothing;
    std::vector<Tree> parts;
    int set = -1, least = 0, most = 0;  ///< most: -1 for any number
  };

  [[noreturn]] void fail(const std::string& why) const {
    throw_error(ErrorCode::corrupt_data, fmt::format("[onnx] the pattern has, at {}, {}", at_, why));
  }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw_error(ErrorCode::unsupported, fmt::format("[onnx] the pattern has, at {}, {}", at_, what));
  }
  bool more() const { return at_ < pattern_.size(); }
  uint32_t peek() const { return more() ? pattern_[at_] : 0; }
  bool starts(std::string_view text) const {
    return at_ + text.size() <= pattern_.size() &&
           std::equal(text.begin(), text.end(), pattern_.begin() + static_cast<int64_t>(at_),
                      [](char a, uint32_t b) { return static_cast<unsigned char>(a) == b; });
  }
  bool take(std::string_view text) {
    if (!starts(text)) return false;
    at_ += text.size();
    return true;
  }

  Tree alternatives(int depth) {
    if (depth > kDeepestGroup) unsupported("groups that are nested too deeply");
    Tree either{.kind = Tree::Kind::either, .parts = {sequence(depth)}};
    while (take("|")) either.parts.push_back(sequence(depth));
    return either.parts.size() == 1 ? std::move(either.parts[0]) : either;
  }

  Tree sequence(int depth) {
    Tree all{.kind = Tree::Kind::sequence};
    while (more() && peek() != '|' && peek() != ')') all.parts.push_back(repeated(atom(depth)));
    return all;
  }

  Tree repeated(Tree piece) {
    for (int stacked = 0; more(); ++stacked) {
      int least = 0, most = -1;
      if (take("+")) {
        least = 1;
      } else if (take("?")) {
        most = 1;
      } else if (!take("*") && !(peek() == '{' && counts(least, most))) {
        break;
      }
      if (stacked >= 8) unsupported("repetitions of repetitions");
      take("?");  // lazy: as a whole, the same matches
      if (peek() == '+') unsupported("a possessive repetition");
      piece = Tree{.kind = Tree::Kind::repeat, .parts = {std::move(piece)}, .least = least, .most = most};
    }
    return piece;
  }

  /// {m}, {m,} or {m,n}; anything else in braces is text.
  bool counts(int& least, int& most) {
    const size_t begin = at_++;
    const auto number = [&] {
      int value = -1;
      while (more() && peek() >= '0' && peek() <= '9') {
        value = std::max(value, 0) * 10 + static_cast<int>(peek() - '0');
        if (value > kMostRepeats) unsupported(fmt::format("more than {} repetitions", kMostRepeats));
        ++at_;
      }
      return value;
    };
    least = number();
    most = least;
    if (least >= 0 && take(",")) most = number();
    if (least < 0 || !take("}")) {
      at_ = begin;
      return false;
    }
    if (most >= 0 && most < least) fail("a repetition of more than its most");
    return true;
  }

  Tree atom(int depth) {
    if (take("(")) {
      if (take("?:")) {
      } else if (peek() == '?') {
        unsupported("a group of this kind");
      }
      Tree inner = alternatives(depth + 1);
      if (!take(")")) fail("a '(' that is not closed");
      return inner;
    }
    if (take("^") || take("\\A")) return {.kind = Tree::Kind::begin};
    if (take("$") || take("\\z")) return {.kind = Tree::Kind::end};
    if (take("\\b")) return {.kind = Tree::Kind::edge};
    if (take("\\B")) return {.kind = Tree::Kind::no_edge};
    if (take(".")) return of_set({{{'\n', '\n'}}, true});
    if (take("[")) return of_set(bracket());
    if (peek() == '*' || peek() == '+' || peek() == '?') fail("a repetition of nothing");
    if (take("\\")) return of_set(escape());
    const uint32_t point = pattern_[at_++];
    return of_set({{{point, point}}, false});
  }

  Tree of_set(Set set) {
    regex_.sets_.push_back(std::move(set));
    return {.kind = Tree::Kind::set, .set = static_cast<int>(regex_.sets_.size()) - 1};
  }

  static Set named(char name) {
    switch (name) {
      case 'd':
        return {{{'0', '9'}}};
      case 'w':
        return {{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}}};
      default:
        return {{{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}};
    }
  }

  /// After a backslash.
  Set escape() {
    if (!more()) fail("a '\\' that ends it");
    const uint32_t c = pattern_[at_++];
    if (c == 'd' || c == 'w' || c == 's') return named(static_cast<char>(c));
    if (c == 'D' || c == 'W' || c == 'S') {
      Set set = named(static_cast<char>(c + 32));
      set.negated = true;
      return set;
    }
    const auto of = [](uint32_t p) { return Set{{{p, p}}}; };
    static const std::map<uint32_t, uint32_t> controls = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'},
                                                          {'f', '\f'}, {'v', '\v'}, {'a', '\a'}};
    if (const auto at = controls.find(c); at != controls.end()) return of(at->second);
    if (c == 'x') {
      const bool braces = take("{");
      uint32_t value = 0;
      int digits = 0;
      for (; more() && digits < (braces ? 6 : 2); ++digits, ++at_) {
        const uint32_t d = peek();
        if (d >= '0' && d <= '9') {
          value = value * 16 + (d - '0');
        } else if ((d | 32) >= 'a' && (d | 32) <= 'f') {
          value = value * 16 + ((d | 32) - 'a' + 10);
        } else {
          break;
        }
      }
      if (digits == 0 || (!braces && digits < 2) || (braces && !take("}"))) fail("an escape that is no number");
      return of(value);
    }
    if (c < 0x80 && ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
      unsupported(fmt::format("the escape '\\{}'", static_cast<char>(c)));
    return of(c);
  }

  /// After "[".
  Set bracket() {
    Set set;
    set.negated = take("^");
    for (bool first = true; first || peek() != ']'; first = false) {
      if (!more()) fail("a '[' that is not closed");
      if (take("[:")) {
        posix(set);
        continue;
      }
      const Set low = one_of_bracket();
      if (low.negated) {
        for (auto [from, to] : complement(low)) set.ranges.emplace_back(from, to);
        continue;
      }
      const bool single = low.ranges.size() == 1 && low.ranges[0].first == low.ranges[0].second;
      if (single && peek() == '-' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']') {
        ++at_;
        const Set high = one_of_bracket();
        if (high.negated || high.ranges.size() != 1 || high.ranges[0].first != high.ranges[0].second ||
            high.ranges[0].first < low.ranges[0].first)
          fail("a range that goes down");
        set.ranges.emplace_back(low.ranges[0].first, high.ranges[0].first);
      } else {
        set.ranges.insert(set.ranges.end(), low.ranges.begin(), low.ranges.end());
      }
    }
    ++at_;
    return set;
  }

  Set one_of_bracket() {
    if (take("\\")) return escape();
    if (!more()) fail("a '[' that is not closed");
    const uint32_t point = pattern_[at_++];
    return {{{point, point}}};
  }

  static std::vector<std::pair<uint32_t, uint32_t>> complement(Set set) {
    std::sort(set.ranges.begin(), set.ranges.end());
    std::vector<std::pair<uint32_t, uint32_t>> rest;
    uint32_t from = 0;
    for (auto [low, high] : set.ranges) {
      if (low > from) rest.emplace_back(from, low - 1);
      from = std::max(from, high + 1);
    }
    rest.emplace_back(from, kLast);
    return rest;
  }

  void posix(Set& set) {
    static const std::map<std::string_view, std::vector<std::pair<uint32_t, uint32_t>>> classes = {
        {"alpha:]", {{'A', 'Z'}, {'a', 'z'}}},
        {"digit:]", {{'0', '9'}}},
        {"alnum:]", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
        {"upper:]", {{'A', 'Z'}}},
        {"lower:]", {{'a', 'z'}}},
        {"space:]", {{'\t', '\r'}, {' ', ' '}}},
        {"blank:]", {{'\t', '\t'}, {' ', ' '}}},
        {"punct:]", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
        {"xdigit:]", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
        {"word:]", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}}}};
    for (const auto& [name, ranges] : classes)
      if (take(name)) {
        set.ranges.insert(set.ranges.end(), ranges.begin(), ranges.end());
        return;
      }
    fail("a class of characters with no known name");
  }

  int add(Step step) {
    if (regex_.steps_.size() >= kMostSteps) unsupported("too much in all, repetitions written out");
    regex_.steps_.push_back(step);
    return static_cast<int>(regex_.steps_.size()) - 1;
  }

  /// The step that the tree begins with, where `next` follows it.
  int make(const Tree& tree, int next) {
    using Kind = Tree::Kind;
    switch (tree.kind) {
      case Kind::nothing:
        return next;
      case Kind::set:
        return add({.kind = Step::Kind::one_of, .next = next, .set = tree.set});
      case Kind::begin:
        return add({.kind = Step::Kind::begin, .next = next});
      case Kind::end:
        return add({.kind = Step::Kind::end, .next = next});
      case Kind::edge:
        return add({.kind = Step::Kind::edge, .next = next});
      case Kind::no_edge:
        return add({.kind = Step::Kind::no_edge, .next = next});
      case Kind::sequence:
        for (size_t i = tree.parts.size(); i-- > 0;) next = make(tree.parts[i], next);
        return next;
      case Kind::either: {
        int first = make(tree.parts.back(), next);
        for (size_t i = tree.parts.size() - 1; i-- > 0;)
          first = add({.kind = Step::Kind::split, .next = make(tree.parts[i], next), .other = first});
        return first;
      }
      case Kind::repeat: {
        // A piece that makes no step costs nothing to repeat, and what repeats it need not go around.
        if (tree.most < 0) {
          const int turn = add({.kind = Step::Kind::split, .other = next});
          const int piece = make(tree.parts[0], turn);
          regex_.steps_[static_cast<size_t>(turn)].next = piece;
          next = turn;
        } else {
          const int after = next;
          for (int i = tree.least; i < tree.most; ++i) {
            const int piece = make(tree.parts[0], next);
            next = add({.kind = Step::Kind::split, .next = piece, .other = after});
          }
        }
        for (int i = 0; i < tree.least; ++i) {
          const size_t before = regex_.steps_.size();
          next = make(tree.parts[0], next);
          if (regex_.steps_.size() == before) break;
        }
        return next;
      }
    }
    return next;
  }

  Regex& regex_;
  std::vector<uint32_t> pattern_;
  size_t at_ = 0;
};

Regex::Regex(std::string_view pattern) {
  GREGALE_CHECK(pattern.size() <= kMostSteps, unsupported, "[onnx] a pattern of {} bytes", pattern.size());
  RegexParser(*this, pattern).parse();
}

bool Regex::matches(std::string_view text) const {
  const std::vector<uint32_t> points = code_points(text);
  GREGALE_CHECK(points.size() * steps_.size() <= kMostWork, unsupported,
                "[onnx] a text of {} characters for a pattern of {} steps", points.size(), steps_.size());
  std::vector<int> now, then, open;
  std::vector<size_t> seen(steps_.size(), SIZE_MAX);  // at which position a step was last reached
  const auto in_word = [&](size_t i) {                // of ASCII, as \w is
    const uint32_t p = i < points.size() ? points[i] : ' ';
    return p == '_' || (p >= '0' && p <= '9') || (p >= 'A' && p <= 'Z') || (p >= 'a' && p <= 'z');
  };
  const auto reach = [&](int step, size_t at, std::vector<int>& to) {
    open.push_back(step);
    while (!open.empty()) {
      const int s = open.back();
      open.pop_back();
      if (s < 0 || seen[static_cast<size_t>(s)] == at) continue;
      seen[static_cast<size_t>(s)] = at;
      const Step& st = steps_[static_cast<size_t>(s)];
      switch (st.kind) {
        case Step::Kind::split:
          open.push_back(st.other);
          open.push_back(st.next);
          break;
        case Step::Kind::begin:
          if (at == 0) open.push_back(st.next);
          break;
        case Step::Kind::end:
          if (at == points.size()) open.push_back(st.next);
          break;
        case Step::Kind::edge:
        case Step::Kind::no_edge:
          if ((in_word(at) != (at > 0 && in_word(at - 1))) == (st.kind == Step::Kind::edge)) open.push_back(st.next);
          break;
        default:
          to.push_back(s);
      }
    }
  };
  const auto holds = [&](const Set& set, uint32_t point) {
    const auto within = [&](uint32_t p) {
      return std::any_of(set.ranges.begin(), set.ranges.end(), [&](auto r) { return p >= r.first && p <= r.second; });
    };
    const bool in = within(point) || (any_case_ && (within(lower_of(point)) || within(upper_of(point))));
    return in != set.negated;
  };
  reach(start_, 0, now);
  for (size_t i = 0; i < points.size() && !now.empty(); ++i) {
    then.clear();
    for (int s : now) {
      const Step& st = steps_[static_cast<size_t>(s)];
      if (st.kind == Step::Kind::one_of && holds(sets_[static_cast<size_t>(st.set)], points[i]))
        reach(st.next, i + 1, then);
    }
    std::swap(now, then);
  }
  return std::any_of(now.begin(), now.end(),
                     [&](int s) { return steps_[static_cast<size_t>(s)].kind == Step::Kind::match; });
}

}  // namespace gregale::onnx
