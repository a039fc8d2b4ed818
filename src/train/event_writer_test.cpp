// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/event_writer.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/temporary_folder_for_tests.hpp"
#include "gregale/error.hpp"
#include "train/event_reader_for_tests.hpp"

namespace gregale::train {
namespace {

using data::read_text;
using data::TemporaryFolder;

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(Crc32c, MatchesThePublishedVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xe3069283u);
}

TEST(EventWriter, RoundTrips) {
  TemporaryFolder folder;
  double before = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EventWriter writer(folder.path());
  writer.add_scalar("loss/train", 0, 1.5);
  writer.add_scalar("loss/train", 300, std::nan(""));
  writer.mark_restart(200);
  writer.add_scalar("ü", int64_t{1} << 40, -2);
  writer.flush();
  std::vector<ReadEvent> events = EventReader::read(read_text(writer.path()));
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[1].tag, "loss/train");
  EXPECT_EQ(events[1].value, 1.5f);
  EXPECT_EQ(events[2].step, 300);
  EXPECT_TRUE(std::isnan(events[2].value));
  EXPECT_TRUE(events[3].restart);
  EXPECT_EQ(events[3].step, 200);
  EXPECT_EQ(events[4].tag, "ü");
  EXPECT_EQ(events[4].step, int64_t{1} << 40);
  for (const ReadEvent& event : events) {
    EXPECT_GE(event.wall_time, before);
    EXPECT_LT(event.wall_time, before + 60);
  }
}

TEST(EventWriter, EachWriterHasItsOwnFileAndTheDestructorFlushes) {
  TemporaryFolder folder;
  std::vector<std::string> paths;
  for (int run = 0; run < 3; ++run) {
    EventWriter writer(folder.path());
    writer.add_scalar("x", run, run);
    paths.push_back(writer.path());
  }
  EXPECT_EQ(folder.names().size(), 3u);
  for (int run = 0; run < 3; ++run) {
    std::vector<ReadEvent> events = EventReader::read(read_text(paths[static_cast<size_t>(run)]));
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[1].step, run);
  }
  EXPECT_THAT(folder.names()[0], testing::StartsWith("events.out.tfevents."));
}

TEST(EventWriter, LongLogsAreWrittenAsTheyGrow) {
  TemporaryFolder folder;
  EventWriter writer(folder.path());
  for (int step = 0; step < 5000; ++step) writer.add_scalar("loss/train", step, step);
  EXPECT_GT(read_text(writer.path()).size(), 100'000u);
  writer.flush();
  EXPECT_EQ(EventReader::read(read_text(writer.path())).size(), 5001u);
}

TEST(EventWriter, AFailedFlushCanBeContinued) {
  TemporaryFolder folder;
  EventWriter writer(folder.path());
  for (int step = 0; step < 100; ++step) writer.add_scalar("loss/train", step, step);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;  // in the middle of a record
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(writer.flush(), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  writer.flush();
  EXPECT_EQ(EventReader::read(read_text(writer.path())).size(), 101u);
}

TEST(EventWriter, NamesTheFileItCannotWrite) {
  try {
    EventWriter writer("/nonexistent");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_THAT(error.what(), testing::StartsWith("cannot write /nonexistent/events.out.tfevents."));
  }
}

}  // namespace
}  // namespace gregale::train
