// Findings of `kiln doctor` that no test can make come true on every machine.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "client/daemon_findings.h"
#include "client/place_findings.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

TEST(Findings, LittleRoom) {
  const Scratch scratch;
  EXPECT_EQ(room_finding(std::uint64_t{1} << 40, scratch.path()),
            (Finding{Severity::ok, "1.0 TiB are free"}));
  const auto little = room_finding(1 << 20, scratch.path());
  EXPECT_EQ(little.what, "only 1.0 MiB are free");
  EXPECT_TRUE(little.hint.find("KILN_CACHE_DIR") != std::string::npos) << little.hint;
  scratch.write("store/ab/object", std::string(10'000, 'x'));
  EXPECT_EQ(room_finding(1 << 20, scratch.path()).hint, little.hint) << "which would not be enough";
  EXPECT_EQ(room_finding((256 << 20) - 4096, scratch.path()).hint, "kiln gc --limit 0");
}

TEST(Findings, FewWatches) {
  EXPECT_EQ(watch_limit_finding(1'048'576).severity, Severity::ok);
  EXPECT_EQ(watch_limit_finding(8'192),
            (Finding{Severity::warn, "fs.inotify.max_user_watches is 8,192: few for large projects",
                     "sudo sysctl fs.inotify.max_user_watches=524288"}));
}

TEST(Findings, InotifyThatIsRefusedIsNoMatterOfLimits) {
  EXPECT_EQ(inotify_finding(EMFILE).hint, "sudo sysctl fs.inotify.max_user_instances=1024");
  EXPECT_EQ(
      inotify_finding(ENOSYS),
      (Finding{Severity::warn,
               "the kernel refuses inotify here, as in a sandbox: Function not implemented; what changes "
               "in watched directories is found late, by looking"}));
  EXPECT_EQ(watch_limit_finding(std::nullopt).severity, Severity::skip);
}

TEST(Findings, ACacheOnAnotherMachine) {
  EXPECT_EQ(file_system_finding(file_system_kind_of(0xEF53)),
            (Finding{Severity::ok, "the cache lies on ext4"}));
  EXPECT_EQ(file_system_finding(file_system_kind_of(0x794C7630)).severity, Severity::ok) << "a container's";
  const auto finding = file_system_finding(file_system_kind_of(0x6969));
  EXPECT_EQ(finding.severity, Severity::warn);
  EXPECT_EQ(finding.what, "the cache lies on nfs, on another machine: the index may be slow, or damaged");
}

proto::ExamineReply watched(std::uint64_t used, std::uint64_t limit) {
  proto::ExamineReply reply;
  auto& status = *reply.mutable_status();
  status.set_unwatched_imports(3);
  auto& watches = *status.add_limits();
  watches.set_name("watches");
  watches.set_used(used);
  watches.set_limit(limit);
  return reply;
}

TEST(Findings, ImportsThatAreNotWatched) {
  const Finding full{Severity::warn, "3 directories of what was imported are not watched",
                     "KILN_WATCH_LIMIT=100% kiln daemon restart"};
  EXPECT_EQ(watch_findings(watched(100, 100)).back(), full);
  EXPECT_TRUE(watch_findings(watched(1U << 31, 1U << 31))
                  .back()
                  .hint.starts_with("sudo sysctl fs.inotify.max_user_watches="));
  auto other = watched(10, 100);
  EXPECT_EQ(watch_findings(other).back().hint, "kiln status") << "for another reason";
  other.mutable_status()->set_unwatched_imports(1);
  other.mutable_status()->add_unwatched_directories("/m: cannot be read: Permission denied");
  EXPECT_EQ(watch_findings(other).back().what,
            "1 directory of what was imported is not watched: /m: cannot be read: Permission denied");
}

TEST(Findings, AnInterpreterThatFailsIsToldWithWhatItWasStartedWith) {
  proto::ExamineReply reply;
  auto& image = *reply.mutable_status()->add_images();
  image.set_python("/usr/bin/python3");
  image.set_state("failed: image-failed");
  image.add_options("-I");
  image.add_environment("LANG=C");
  image.add_environment("PYTHONHOME=/nosuch");
  EXPECT_TRUE(image_findings(reply).front().what.starts_with(
      "runs of /usr/bin/python3 -I with PYTHONHOME=/nosuch are executed: "))
      << image_findings(reply).front().what;
}

TEST(Findings, AnIndexThatCannotBeOpened) {
  proto::ExamineReply reply;
  reply.mutable_status()->mutable_daemon();
  reply.set_index_problem("the index failed: unable to open database file");
  const Scratch scratch;
  scratch.write("index.db", "");
  EXPECT_EQ(
      index_findings(scratch.path(), reply).front(),
      (Finding{Severity::bad, "the index failed: unable to open database file", "kiln daemon restart"}));
}

TEST(Findings, AnIndexThatMayNotBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  proto::ExamineReply reply;
  reply.mutable_status()->mutable_daemon();
  const Scratch scratch;
  scratch.write("index.db", "");
  const std::string index = scratch / "index.db";
  ASSERT_EQ(::chmod(index.c_str(), 0), 0);
  EXPECT_EQ(index_findings(scratch.path(), reply).front().hint, "chmod 600 " + index);
}

TEST(Findings, ASocketThatCannotBeReached) {
  const Scratch scratch;
  scratch.write("file", "");
  const std::string socket = scratch / "file/kilnd.sock";
  EXPECT_EQ(socket_findings(socket).front().what, socket + " cannot be reached: Not a directory");
}

TEST(Findings, AnIndexWithoutRoom) {
  proto::ExamineReply reply;
  reply.mutable_status()->mutable_daemon();
  reply.set_index_problem("the index failed: database or disk is full");
  const Scratch scratch;
  scratch.write("index.db", "");
  scratch.write("store/ab/object", std::string(5 << 20, 'x'));
  EXPECT_EQ(index_findings(scratch.path(), reply).front().hint, "kiln gc --limit 0");
}

TEST(Findings, AStoreThatCannotBeRead) {
  proto::ExamineReply reply;
  reply.set_store_problem("cannot read /x/store: Permission denied");
  EXPECT_EQ(
      store_findings("/x", reply),
      (Findings{{Severity::bad, "cannot read /x/store: Permission denied", "mv /x/store /x/store.aside"}}));
}

}  // namespace
}  // namespace kiln
