// One test process is one user with a daemon of their own: one session, one runtime directory, and nothing
// left behind. ctest starts one such process for each group of tests (CMakeLists.txt).
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

// Fails the run if a daemon, an image or a program outlives `kiln daemon stop`.
class PrivateSession : public testing::Environment {
 public:
  void TearDown() override {
    for (const std::string& process : leave_private_session()) {
      ADD_FAILURE() << "still running after `kiln daemon stop`: " << process;
    }
  }
};

}  // namespace
}  // namespace kiln::e2e

int main(int argc, char** argv) {
  kiln::e2e::enter_private_session();
  if (kiln::e2e::interpreters().empty()) {
    std::fprintf(stderr, "no CPython from 3.8 to 3.13 on this machine\n");
    return 1;
  }
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) {
    const int listed = RUN_ALL_TESTS();
    kiln::e2e::leave_private_session();
    return listed;
  }
  testing::AddGlobalTestEnvironment(new kiln::e2e::PrivateSession);
  return RUN_ALL_TESTS();
}
