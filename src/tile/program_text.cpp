// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "tile/tile_program.hpp"

// The text form of tile programs (tile_program.hpp shows one). Words and values are separated by white space; an
// expression stands in braces; '#' begins a comment.
namespace gregale::tile {

using kernels::Broadcast;
using kernels::Compute;
using kernels::LayoutOp;

namespace {

constexpr const char* kBroadcasts[] = {"", "row", "column", "scalar"};
constexpr const char* kComputes[] = {"f32", "f64", "bf16", "fp32x3"};
constexpr std::pair<const char*, LayoutOp> kMoves[] = {{"copy", LayoutOp::copy},
                                                       {"zero", LayoutOp::zero},
                                                       {"transpose", LayoutOp::transpose},
                                                       {"panels16", LayoutOp::panels16},
                                                       {"panels16x3", LayoutOp::panels16x3},
                                                       {"column_panels", LayoutOp::column_panels}};
constexpr std::pair<const char*, kernels::FftKind> kTransforms[] = {{"forward", kernels::FftKind::forward},
                                                                    {"inverse", kernels::FftKind::inverse},
                                                                    {"real_forward", kernels::FftKind::real_forward},
                                                                    {"real_inverse", kernels::FftKind::real_inverse}};

constexpr std::pair<const char*, int64_t Window::*> kSliceFields[] = {
    {"d", &Window::d}, {"stride_d", &Window::stride_d}, {"shift_d", &Window::shift_d}};
constexpr std::pair<const char*, int64_t Window::*> kWindowFields[] = {
    {"h", &Window::h},
    {"w", &Window::w},
    {"channels", &Window::channels},
    {"stride_h", &Window::stride_h},
    {"stride_w", &Window::stride_w},
    {"pad_top", &Window::pad_top},
    {"pad_left", &Window::pad_left},
    {"reach_h", &Window::reach_h},
    {"reach_w", &Window::reach_w},
    {"band_rows", &Window::band_rows},
    {"band_columns", &Window::band_columns},
    {"depth", &Window::depth},
    {"blocks", &Window::blocks},
};

std::string text_of(const TileProgram& p, const Size& s) {
  return s.dim < 0 ? fmt::format("{}", s.constant) : std::string(1, p.letter(s.dim));
}

std::string text_of(const TileProgram& p, const Operand& o) {
  std::string text = p.buffers[static_cast<size_t>(o.buffer)].name;
  if (o.offset != 0) text += fmt::format(" {:+}", o.offset);
  for (size_t d = 0; d < o.strides.size(); ++d) {
    if (o.strides[d] == 0) continue;
    text += fmt::format(" {}", p.letter(static_cast<int32_t>(d)));
    if (o.strides[d] != 1) text += fmt::format("*{}", o.strides[d]);
  }
  if (o.leading != 0) text += fmt::format(" /{}", o.leading);
  if (o.broadcast != Broadcast::none) text += fmt::format(" :{}", kBroadcasts[static_cast<size_t>(o.broadcast)]);
  if (o.by_step) text += " :steps";
  return text;
}

std::string text_of(const TileProgram& p, const Call& call) {
  std::string text, expression;
  if (const auto* c = std::get_if<Contract>(&call.what)) {
    text = fmt::format("contract {} m={} n={} k={}", kComputes[static_cast<size_t>(c->compute)], text_of(p, c->m),
                       text_of(p, c->n), text_of(p, c->k));
    if (c->packing == kernels::Packing::panels16) text += " panels16";
    if (c->packing == kernels::Packing::panels16x3) text += " panels16x3";
    if (c->trans_a) text += " trans_a";
    if (c->trans_b) text += " trans_b";
    for (const Contract::Batch& b : c->batch) text += fmt::format(" batch={}:{}:{}", b.count, b.a_stride, b.b_stride);
    if (c->sum >= 0) text += fmt::format(" sum={}", p.letter(c->sum));
    if (c->accumulate) text += " accumulate";
    if (!c->own_chain) text += " one_chain";
    if (!c->epilogue.empty()) expression = c->epilogue.to_string();
  } else if (const auto* e = std::get_if<Express>(&call.what)) {
    text = fmt::format("express {} m={} n={}", name_of(e->compute), text_of(p, e->m), text_of(p, e->n));
    expression = e->expression.to_string();
  } else if (const auto* w = std::get_if<Window>(&call.what)) {
    text = fmt::format("window rows={} columns={}", text_of(p, w->rows), text_of(p, w->columns));
    for (const auto& [name, field] : kWindowFields) text += fmt::format(" {}={}", name, w->*field);
    if (w->slices.dim >= 0) {
      text += fmt::format(" slices={}", text_of(p, w->slices));
      for (const auto& [name, field] : kSliceFields) text += fmt::format(" {}={}", name, w->*field);
    }
  } else if (const auto* t = std::get_if<Transform>(&call.what)) {
    text = "transform";
    for (const auto& [name, kind] : kTransforms)
      if (kind == t->kind) text += fmt::format(" {}", name);
    text += fmt::format(" length={} columns={}", t->length, t->columns);
    if (t->scale != 1) text += fmt::format(" scale={}", t->scale);
  } else {
    const auto& m = std::get<Move>(call.what);
    text = "move";
    for (const auto& [name, op] : kMoves)
      if (op == m.op) text += fmt::format(" {}", name);
    text += fmt::format(" m={} n={}", text_of(p, m.m), text_of(p, m.n));
    if (m.trans) text += " trans";
    if (m.width != 0) text += fmt::format(" width={}", m.width);
    if (m.stream) text += " stream";
  }
  text += " (";
  for (size_t i = 0; i < call.operands.size(); ++i) text += (i == 0 ? "" : ", ") + text_of(p, call.operands[i]);
  text += ")";
  if (call.when.kind != When::Kind::always)
    text += fmt::format(" {} {}", call.when.kind == When::Kind::first ? "first" : "last", p.letter(call.when.dim));
  if (!expression.empty()) text += fmt::format(" {{{}}}", expression);
  return text;
}

}  // namespace

std::string print(const TileProgram& p) {
  std::string text = fmt::format("program \"{}\" {{\n", p.name);
  for (size_t d = 0; d < p.dims.size(); ++d) {
    text += fmt::format("  dim {} \"{}\" {}", p.letter(static_cast<int32_t>(d)), p.dims[d].name, p.dims[d].extent);
    for (const int64_t s : p.dims[d].steps) text += fmt::format(" step {}", s);
    text += p.dims[d].reduction ? " summed\n" : "\n";
  }
  for (const Buffer& b : p.buffers)
    text += fmt::format("  {} {} {} {}\n", to_string(b.scope), b.name, name_of(b.dtype), b.elements);
  for (const Phase& phase : p.phases) {
    text += fmt::format("  phase \"{}\" {{\n", phase.schedule);
    for (const Stage& stage : phase.stages) {
      text += fmt::format("    stage \"{}\"", stage.loops);
      for (const Range& w : stage.box) text += fmt::format(" within {} {} {}", p.letter(w.dim), w.begin, w.end);
      text += " {\n";
      for (const Call& call : stage.calls) text += fmt::format("      {}\n", text_of(p, call));
      text += "    }\n";
    }
    text += "  }\n";
  }
  return text + "}\n";
}

namespace {

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  TileProgram run() {
    expect("program");
    p_.name = quoted();
    expect("{");
    while (!take("}")) {
      if (take("dim")) {
        dim();
      } else if (take("phase")) {
        phase();
      } else {
        buffer();
      }
    }
    check(peek().empty(), "text after the program's end");
    verify(p_);
    return std::move(p_);
  }

 private:
  void check(bool holds, const std::string& what) const {
    if (holds) return;
    int line = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) line += text_[i] == '\n';
    throw_error(ErrorCode::corrupt_data, fmt::format("[tile program] line {}: {}", line, what));
  }

  // Words end at white space and at the punctuation that stands for itself.
  static bool alone(char c) { return c == '{' || c == '}' || c == '(' || c == ')' || c == ',' || c == '"'; }

  void skip() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
        ++at_;
      } else if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        return;
      }
    }
  }

  std::string peek() {
    skip();
    if (at_ == text_.size()) return "";
    size_t end = at_;
    if (alone(text_[end])) return text_.substr(end, 1);
    while (end < text_.size() && !alone(text_[end]) && std::isspace(static_cast<unsigned char>(text_[end])) == 0) ++end;
    return text_.substr(at_, end - at_);
  }
  std::string word() {
    std::string w = peek();
    check(!w.empty(), "the text ends too early");
    at_ += w.size();
    return w;
  }
  bool take(const char* wanted) {
    if (peek() != wanted) return false;
    word();
    return true;
  }
  void expect(const char* wanted) {
    const std::string w = peek();
    check(w == wanted, fmt::format("expected '{}', found '{}'", wanted, w));
    word();
  }
  std::string quoted() {
    expect("\"");
    const size_t end = text_.find('"', at_);
    check(end != std::string::npos, "a quotation does not end");
    std::string inside = text_.substr(at_, end - at_);
    at_ = end + 1;
    return inside;
  }
  int64_t number(std::string_view w) const {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
    check(error == std::errc() && end == w.data() + w.size(), fmt::format("'{}' is no whole number", w));
    check(value > -(int64_t{1} << 48) && value < (int64_t{1} << 48), fmt::format("{} is absurd", value));
    return value;
  }
  double real(std::string_view w) const {
    double value = 0;
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
    check(error == std::errc() && end == w.data() + w.size() && std::isfinite(value),
          fmt::format("'{}' is no number", w));
    return value;
  }
  int32_t letter(std::string_view w) const {
    check(w.size() == 1 && w[0] >= 'a' && w[0] < 'a' + static_cast<int>(p_.dims.size()),
          fmt::format("'{}' is no dim", w));
    return w[0] - 'a';
  }
  DType dtype() {
    const std::string w = word();
    for (const DType d :
         {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64, DType::u8, DType::i8})
      if (w == name_of(d)) return d;
    check(false, fmt::format("'{}' is no dtype of a buffer", w));
    return {};
  }

  void dim() {
    const std::string name = word();
    check(name.size() == 1 && name[0] == 'a' + static_cast<char>(p_.dims.size()) && p_.dims.size() < kMaxDims,
          fmt::format("dim '{}' is not the next letter", name));
    Dim d;
    d.name = quoted();
    d.extent = number(word());
    while (take("step")) d.steps.push_back(number(word()));
    d.reduction = take("summed");
    p_.dims.push_back(std::move(d));
  }

  void buffer() {
    const std::string scope = word();
    Buffer b;
    if (scope == "argument") {
      b.scope = Scope::argument;
    } else if (scope == "memory") {
      b.scope = Scope::memory;
    } else {
      check(scope == "panel", fmt::format("'{}' begins no declaration", scope));
      b.scope = Scope::panel;
    }
    b.name = word();
    for (const Buffer& other : p_.buffers) check(other.name != b.name, fmt::format("two buffers '{}'", b.name));
    b.dtype = dtype();
    b.elements = number(word());
    check(p_.buffers.size() < kMaxBuffers, "too many buffers");
    p_.buffers.push_back(std::move(b));
  }

  void phase() {
    Phase phase;
    phase.schedule = quoted();
    expect("{");
    while (!take("}")) {
      expect("stage");
      Stage stage;
      stage.loops = quoted();
      while (take("within")) {
        Range range;
        range.dim = letter(word());
        range.begin = number(word());
        range.end = number(word());
        stage.box.push_back(range);
      }
      expect("{");
      while (!take("}")) stage.calls.push_back(call());
      phase.stages.push_back(std::move(stage));
    }
    p_.phases.push_back(std::move(phase));
  }

  Size size(std::string_view w) const {
    if (!w.empty() && std::isalpha(static_cast<unsigned char>(w[0])) != 0) return Size::along(letter(w));
    return Size::of(number(w));
  }

  Operand operand() {
    Operand o;
    const std::string name = word();
    o.buffer = -1;
    for (size_t i = 0; i < p_.buffers.size(); ++i)
      if (p_.buffers[i].name == name) o.buffer = static_cast<int32_t>(i);
    check(o.buffer >= 0, fmt::format("no buffer '{}'", name));
    for (std::string w = peek(); w != "," && w != ")"; w = peek()) {
      word();
      if (w[0] == '+' || w[0] == '-') {
        o.offset = number(std::string_view(w).substr(w[0] == '+' ? 1 : 0));
      } else if (w[0] == '/') {
        o.leading = number(std::string_view(w).substr(1));
      } else if (w[0] == ':') {
        bool known = w == ":steps";
        o.by_step |= known;
        for (size_t i = 1; i < 4; ++i)
          if (w.substr(1) == kBroadcasts[i]) {
            o.broadcast = static_cast<Broadcast>(i);
            known = true;
          }
        check(known, fmt::format("'{}' is no broadcast", w));
      } else {
        const size_t star = w.find('*');
        const auto d = static_cast<size_t>(letter(std::string_view(w).substr(0, star)));
        if (o.strides.size() <= d) o.strides.resize(d + 1, 0);
        o.strides[d] = star == std::string::npos ? 1 : number(std::string_view(w).substr(star + 1));
      }
    }
    return o;
  }

  std::optional<std::string> value(const std::string& w, const char* key) const {
    const std::string start = std::string(key) + "=";
    if (w.rfind(start, 0) != 0) return {};
    return w.substr(start.size());
  }

  Contract::Batch batch(std::string_view text) const {
    const size_t first = text.find(':'), second = first == text.npos ? first : text.find(':', first + 1);
    check(second != text.npos, fmt::format("batch={} is no count, stride of a and stride of b", text));
    return {number(text.substr(0, first)), number(text.substr(first + 1, second - first - 1)),
            number(text.substr(second + 1))};
  }

  void window_setting(const std::string& w, Window& window) const {
    if (const auto v = value(w, "rows")) {
      window.rows = size(*v);
      return;
    }
    if (const auto v = value(w, "columns")) {
      window.columns = size(*v);
      return;
    }
    if (const auto v = value(w, "slices")) {
      window.slices = size(*v);
      return;
    }
    const auto set = [&](const auto& fields) {
      for (const auto& [name, field] : fields)
        if (const auto v = value(w, name)) {
          window.*field = number(*v);
          return true;
        }
      return false;
    };
    if (set(kWindowFields) || set(kSliceFields)) return;
    check(false, fmt::format("'{}' is no setting of a window", w));
  }

  Call call() {
    const std::string kind = word();
    Call call;
    Contract c;
    Express e;
    Move m;
    Window window;
    Transform t;
    if (kind == "contract") {
      const std::string compute = word();
      bool known = false;
      for (size_t i = 0; i < 4; ++i)
        if (compute == kComputes[i]) {
          c.compute = static_cast<Compute>(i);
          known = true;
        }
      check(known, fmt::format("'{}' is no computation", compute));
    } else if (kind == "express") {
      e.compute = dtype();
    } else if (kind == "transform") {
      const std::string name = word();
      bool known = false;
      for (const auto& [text, which] : kTransforms)
        if (name == text) {
          t.kind = which;
          known = true;
        }
      check(known, fmt::format("'{}' is no transform", name));
    } else if (kind != "window") {
      check(kind == "move", fmt::format("'{}' begins no call", kind));
      const std::string name = word();
      bool known = false;
      for (const auto& [text, op] : kMoves)
        if (name == text) {
          m.op = op;
          known = true;
        }
      check(known, fmt::format("'{}' is no move", name));
    }
    while (!take("(")) {
      const std::string w = word();
      if (kind == "window") {
        window_setting(w, window);
      } else if (const auto v = value(w, "m")) {
        c.m = e.m = m.m = size(*v);
      } else if (const auto v = value(w, "n")) {
        c.n = e.n = m.n = size(*v);
      } else if (const auto v = value(w, "k")) {
        c.k = size(*v);
      } else if (const auto v = value(w, "sum")) {
        c.sum = letter(*v);
      } else if (const auto v = value(w, "batch")) {
        c.batch.push_back(batch(*v));
      } else if (const auto v = value(w, "width")) {
        m.width = number(*v);
      } else if (const auto v = value(w, "length")) {
        t.length = number(*v);
      } else if (const auto v = value(w, "columns")) {
        t.columns = number(*v);
      } else if (const auto v = value(w, "scale")) {
        t.scale = real(*v);
      } else if (w == "panels16") {
        c.packing = kernels::Packing::panels16;
      } else if (w == "panels16x3") {
        c.packing = kernels::Packing::panels16x3;
      } else if (w == "trans_a") {
        c.trans_a = true;
      } else if (w == "trans_b") {
        c.trans_b = true;
      } else if (w == "accumulate") {
        c.accumulate = true;
      } else if (w == "one_chain") {
        c.own_chain = false;
      } else if (w == "trans") {
        m.trans = true;
      } else if (w == "stream") {
        m.stream = true;
      } else {
        check(false, fmt::format("'{}' is no setting of a {}", w, kind));
      }
    }
    do call.operands.push_back(operand());
    while (take(","));
    expect(")");
    for (const auto& [name, when] : {std::pair{"first", When::Kind::first}, {"last", When::Kind::last}})
      if (take(name)) {
        call.when.kind = when;
        call.when.dim = letter(word());
      }
    if (take("{")) {
      const size_t end = text_.find('}', at_);
      check(end != std::string::npos, "an expression does not end");
      Result<kernels::Expression> parsed = kernels::Expression::parse(text_.substr(at_, end - at_));
      check(static_cast<bool>(parsed), parsed ? "" : parsed.error().what());
      c.epilogue = e.expression = std::move(parsed).value();
      at_ = end + 1;
    }
    if (kind == "contract") {
      call.what = c;
    } else if (kind == "express") {
      check(!e.expression.outputs().empty(), "an expression is missing");
      call.what = e;
    } else if (kind == "window") {
      call.what = window;
    } else if (kind == "transform") {
      call.what = t;
    } else {
      call.what = m;
    }
    return call;
  }

  const std::string& text_;
  size_t at_ = 0;
  TileProgram p_;
};

}  // namespace

TileProgram parse_program(const std::string& text) { return Parser(text).run(); }

}  // namespace gregale::tile
