// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For tests: runs the built `gregale` as a process of its own.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

extern char** environ;

namespace gregale::cli {

struct How {
  double timeout = 120;          ///< seconds; the process is then killed and the test fails
  std::string folder;            ///< to run in
  uint64_t file_size_limit = 0;  ///< bytes; a write past it fails, as on a full disk
  int signal = 0;                ///< sent once, when `signal_when` first says so
  std::function<bool(double seconds, const std::string& err)> signal_when;
};

struct Outcome {
  int status = -1;  ///< exit status, or 128 + the signal that ended it
  std::string out, err;
  double seconds = 0;
};

inline Outcome run(const std::vector<std::string>& arguments, const How& how = {}) {
  // All that allocates is done before the fork: between it and exec only async-signal-safe calls are allowed.
  std::vector<std::string> texts{GREGALE_PROGRAM};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv, environment;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (std::strncmp(*variable, "OMP_", 4) != 0 && std::strncmp(*variable, "XDG_CACHE_HOME=", 15) != 0)
      environment.push_back(*variable);
  std::string cache =
      "XDG_CACHE_HOME=" + how.folder + "/cache";  // not the user's: ceilings measured beside tests are low
  if (!how.folder.empty()) environment.push_back(cache.data());
  environment.push_back(nullptr);
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    if (!how.folder.empty() && ::chdir(how.folder.c_str()) != 0) ::_exit(126);
    if (how.file_size_limit > 0) {
      const rlimit limit{how.file_size_limit, how.file_size_limit};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      ::signal(SIGXFSZ, SIG_IGN);  // write() then fails with EFBIG
    }
    ::execve(argv[0], argv.data(), environment.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);

  Outcome outcome;
  bool signalled = how.signal == 0, timed_out = false;
  pollfd ends[] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  std::string* texts_of[] = {&outcome.out, &outcome.err};
  for (int open = 2; open > 0;) {
    ::poll(ends, 2, signalled ? 200 : 2);
    outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    for (int i = 0; i < 2; ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char bytes[65536];
      const ssize_t got = ::read(ends[i].fd, bytes, sizeof bytes);
      if (got > 0) {
        texts_of[i]->append(bytes, static_cast<size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        ::close(ends[i].fd);
        ends[i].fd = -1;  // poll() passes over it
        --open;
      }
    }
    if (!signalled && how.signal_when(outcome.seconds, outcome.err)) {
      ::kill(child, how.signal);
      signalled = true;
    }
    if (!timed_out && outcome.seconds > how.timeout) {
      ::kill(child, SIGKILL);
      timed_out = true;
    }
  }
  int state = 0;
  while (::waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
  outcome.status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  EXPECT_FALSE(timed_out) << "no end after " << how.timeout << " s\n" << outcome.err;
  return outcome;
}

/// A run that must succeed.
inline Outcome run_well(const std::vector<std::string>& arguments, const How& how = {}) {
  Outcome outcome = run(arguments, how);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

/// The last line of standard error is the one beginning with `gregale:`, and it says all of `facts`.
inline void expect_failure(const Outcome& outcome, int status, const std::vector<std::string>& facts) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with("\n"));
  const auto lines = lines_of(outcome.err);
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines)
    EXPECT_EQ(line.rfind("gregale: ", 0) == 0, &line == &lines.back()) << outcome.err;
  for (const std::string& fact : facts)
    EXPECT_NE(lines.back().find(fact), std::string::npos) << fact << "\n" << lines.back();
  EXPECT_EQ(lines.back().find("internal error"), std::string::npos) << lines.back();
}

/// Bad input: that line, and nothing else printed.
inline void expect_refusal(const Outcome& outcome, int status, const std::vector<std::string>& facts) {
  expect_failure(outcome, status, facts);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
}

}  // namespace gregale::cli
