// What is recommended for a mistake in a configuration must leave a file without one.
#include "client/configuration_mending.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "common/config_file.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

std::string mending_of_file(const std::string& path) {
  const auto file = read_config_file(path, ConfigScope::project);
  return file ? "none" : mending_of(file.error());
}

TEST(ConfigurationMending, LinesThatAreMistakenBecomeComments) {
  const Scratch scratch;
  const std::string path =
      scratch.write("a: 1: b/kiln.toml", "loud = 1\n[watch]\nignore = [\"a\"]\npolicy = 3\n");
  const std::string command = mending_of_file(path);
  EXPECT_EQ(command, "sed -i --follow-symlinks '1s/^/# /;4s/^/# /' '" + path + "'");
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(mending_of_file(path), "none");
}

TEST(ConfigurationMending, WhatNoCommentMendsIsSetAside) {
  const Scratch scratch;
  const std::string path = scratch.write("kiln.toml", "[watch]\nignore = [\"a\",\n");
  const std::string command = mending_of_file(path);
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  EXPECT_EQ(mending_of_file(path), "none") << command;
}

TEST(ConfigurationMending, AMistakeOfNoLineHasItsOwnHint) {
  EXPECT_EQ(mending_of({Reason::config, "KILN_STORE_LIMIT: not a size: 3: 4", "unset KILN_STORE_LIMIT"}),
            "unset KILN_STORE_LIMIT");
}

}  // namespace
}  // namespace kiln
