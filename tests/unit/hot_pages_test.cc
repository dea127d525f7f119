#include "daemon/image/hot_pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>

#include "common/unique_fd.h"

namespace kiln::image {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 16;

// Whether the page is this process's alone (pagemap in proc(5)).
bool is_own_alone(const char* page) {
  const UniqueFd pagemap{::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
  std::uint64_t entry = 0;
  const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(page) / kPage * sizeof entry);
  return ::pread(pagemap.get(), &entry, sizeof entry, at) == sizeof entry && (entry >> 56 & 1) != 0;
}

int exit_code_of_fork(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class HotPagesOf : public testing::Test {
 protected:
  void SetUp() override {
    memory_ = static_cast<char*>(
        ::mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory_, MAP_FAILED);
    ::madvise(memory_, kPages * kPage, MADV_NOHUGEPAGE);
    constexpr int kPopulateWrite = 23;
    if (::madvise(memory_, kPage, kPopulateWrite) != 0) GTEST_SKIP() << "a kernel before 5.14";
    for (std::size_t i = 0; i < kPages; ++i) *page(i) = 'i';
  }
  void TearDown() override { ::munmap(memory_, kPages * kPage); }

  char* page(std::size_t number) const { return memory_ + number * kPage; }

  // As in an image: a child writes to pages 3, 4 and 9.
  void practise(HotPages& hot) const {
    hot.expect();
    const int code = exit_code_of_fork([&] {
      for (const std::size_t number : {3, 4, 9}) *page(number) = 'c';
      hot.note();
      return 0;
    });
    ASSERT_EQ(code, 0);
    hot.learn();
  }

  char* memory_ = nullptr;
};

TEST_F(HotPagesOf, APracticeAreTheSparesOwn) {
  HotPages hot;
  practise(hot);
  const int code = exit_code_of_fork([&] {
    hot.touch();
    int wrong = 0;
    for (std::size_t i = 0; i < kPages; ++i) {
      const bool is_hot = i == 3 || i == 4 || i == 9;
      if (is_own_alone(page(i)) != is_hot || *page(i) != 'i') ++wrong;
    }
    return wrong;
  });
  EXPECT_EQ(code, 0) << "pages; -1: it ended otherwise";
}

TEST_F(HotPagesOf, WhatIsGoneIsPassedOver) {
  HotPages hot;
  practise(hot);
  const int code = exit_code_of_fork([&] {
    ::munmap(page(4), kPage);
    ::mprotect(page(9), kPage, PROT_READ);
    hot.touch();
    return is_own_alone(page(3)) && *page(9) == 'i' ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(HotPagesOf, NothingIsLearnedOfAChildThatDied) {
  HotPages hot;
  hot.expect();
  EXPECT_EQ(exit_code_of_fork([] { return 1; }), 1);
  hot.learn();
  const int code = exit_code_of_fork([&] {
    hot.touch();
    return is_own_alone(page(3)) ? 1 : 0;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace kiln::image
