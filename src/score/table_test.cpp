// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/table.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"

namespace gregale::score {
namespace {

TEST(TextTable, AlignsColumns) {
  TextTable table({"name", "RMSE", "verdict"});
  table.align(2, TextTable::Align::left);
  table.add({"persistence", "2.36", "better"}).add({"Zürich", "11.9"}).add_rule().add({"x"});
  EXPECT_EQ(table.text(1),
            " name         RMSE  verdict\n"
            " --------------------------\n"
            " persistence  2.36  better\n"
            " Zürich       11.9\n"
            " --------------------------\n"
            " x\n");
  EXPECT_THROW(table.add({"1", "2", "3", "4"}), Error);
}

TEST(TextTable, FormatsNumbers) {
  EXPECT_EQ(format_number(1.8994), "1.899");
  EXPECT_EQ(format_number(0.5, 1, true), "+0.5");
  EXPECT_EQ(format_number(-0.25, 2, true), "-0.25");
  EXPECT_EQ(format_number(std::nan("")), "-");
}

}  // namespace
}  // namespace gregale::score
