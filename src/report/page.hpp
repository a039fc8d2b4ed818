// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gregale::report {

/// Text for HTML, attributes included: & < > " '. Bytes that are not UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);
/// A <script type="application/json"> element; nothing in the data can end it early. NaN becomes null.
std::string json_island(const nlohmann::json& data, std::string_view id_or_class_attribute);

/// A table cell: HTML, with its alignment and meaning.
struct Cell {
  std::string html;
  std::string css;  ///< classes: "num", "best", "better", "worse", "same", ...
};
/// A table that scrolls sideways in itself where the page is narrow. The first cell of each row is its heading.
std::string html_table(const std::vector<std::string>& header, const std::vector<std::vector<Cell>>& rows,
                       std::string_view caption = "");
std::string paragraph(std::string_view text, std::string_view css = "");  ///< escapes the text

/// A self-contained page: style, scripts and pictures inside, nothing fetched from anywhere, light and dark, narrow and
/// wide. Sections appear in the order added, with a table of contents above them.
class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}
  /// HTML below the title, before the contents.
  Page& lead(std::string html);
  Page& section(std::string id, std::string heading, std::string html);
  /// The page loads itself anew after so many seconds; 0: never.
  Page& refresh(int seconds);
  /// A script of this page alone, after the common one.
  Page& script(std::string_view code);
  /// Style of this page alone, after the common one.
  Page& style(std::string_view css);
  std::string html() const;

 private:
  struct Section {
    std::string id, heading, html;
  };
  std::string title_, lead_, scripts_, styles_;
  std::vector<Section> sections_;
  int refresh_ = 0;
};

/// What every page carries (page_assets.cpp).
extern const char* const kPageStyle;
extern const char* const kPageScript;
/// The month slider of the test page (slider_script.cpp).
extern const char* const kSliderScript;
/// Of the page of a graph: its looks (graph_style.cpp), the panel beside it (graph_details_script.cpp), which comes
/// before drawing, pan, zoom and search (graph_script.cpp).
extern const char* const kGraphDetailsScript;
extern const char* const kGraphScript;
extern const char* const kGraphStyle;

}  // namespace gregale::report
