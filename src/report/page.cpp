// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/page.hpp"

#include <fmt/format.h>

#include "base/json.hpp"
#include "report/coastline.hpp"

namespace gregale::report {
namespace {

/// Length of the UTF-8 sequence at the beginning of `text`, 0 where there is none.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xc2 && first < 0xe0   ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);
  return overlong || beyond ? 0 : length;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    switch (text.front()) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string json_island(const nlohmann::json& data, std::string_view attribute) {
  std::string text = json_text(data);
  for (size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) text.replace(at, 1, "\\u003c");
  return fmt::format("<script type=\"application/json\" {}>{}</script>\n", attribute, text);
}

std::string html_table(const std::vector<std::string>& header, const std::vector<std::vector<Cell>>& rows,
                       std::string_view caption) {
  std::string out = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table\"><table>";
  if (!caption.empty()) out += "<caption>" + escape_html(caption) + "</caption>";
  if (!header.empty()) {
    out += "<thead><tr>";
    for (size_t i = 0; i < header.size(); ++i) {  // headings stand where their numbers do
      const bool right = !rows.empty() && i < rows.front().size() && rows.front()[i].css.starts_with("num");
      out += fmt::format("<th scope=\"col\"{}>{}</th>", right ? " class=\"num\"" : "", escape_html(header[i]));
    }
    out += "</tr></thead>";
  }
  out += "<tbody>";
  for (const std::vector<Cell>& row : rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string css = row[i].css.empty() ? "" : fmt::format(" class=\"{}\"", row[i].css);
      out += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>", css, row[i].html)
                    : fmt::format("<td{}>{}</td>", css, row[i].html);
    }
    out += "</tr>";
  }
  return out + "</tbody></table></div>\n";
}

std::string paragraph(std::string_view text, std::string_view css) {
  return css.empty() ? fmt::format("<p>{}</p>\n", escape_html(text))
                     : fmt::format("<p class=\"{}\">{}</p>\n", css, escape_html(text));
}

Page& Page::lead(std::string html) {
  lead_ += html;
  return *this;
}

Page& Page::section(std::string id, std::string heading, std::string html) {
  sections_.push_back({std::move(id), std::move(heading), std::move(html)});
  return *this;
}

Page& Page::refresh(int seconds) {
  refresh_ = seconds;
  return *this;
}

Page& Page::script(std::string_view code) {
  scripts_ += fmt::format("<script>{}</script>\n", code);
  return *this;
}

Page& Page::style(std::string_view css) {
  styles_ += css;
  return *this;
}

std::string Page::html() const {
  const std::string_view use = "#coast";
  bool maps = lead_.find(use) != std::string::npos || scripts_.find(use) != std::string::npos;
  for (const Section& section : sections_) maps |= section.html.find(use) != std::string::npos;
  const std::string coast =
      maps ? fmt::format(
                 "<svg width=\"0\" height=\"0\" class=\"defs\" aria-hidden=\"true\"><defs><path id=\"coast\" "
                 "class=\"coast\" d=\"{}\"/></defs></svg>\n",
                 coastline_path())
           : "";
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"gregale\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}{}</style>\n",
      escape_html(title_), kPageStyle, styles_);
  if (refresh_ > 0) out += fmt::format("<noscript><meta http-equiv=\"refresh\" content=\"{}\"></noscript>\n", refresh_);
  out += fmt::format("</head>\n<body data-refresh=\"{}\">\n{}<header>\n<h1>{}</h1>\n{}</header>\n", refresh_, coast,
                     escape_html(title_), lead_);
  if (sections_.size() > 2) {
    out += "<nav aria-label=\"Contents\"><ul>";
    for (const Section& section : sections_)
      out += fmt::format("<li><a href=\"#{}\">{}</a></li>", section.id, escape_html(section.heading));
    out += "</ul></nav>\n";
  }
  out += "<main>\n";
  for (const Section& section : sections_)
    out += fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", section.id, escape_html(section.heading),
                       section.html);
  out += fmt::format(
      "</main>\n<footer>Made by gregale. One file, nothing fetched: it can be mailed as it is.</footer>\n"
      "<script>{}</script>\n{}</body>\n</html>\n",
      kPageScript, scripts_);
  return out;
}

}  // namespace gregale::report
