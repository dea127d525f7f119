#include "tests/e2e/unwritable_tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

// Once; a daemon of the former namespace would refuse all runs of the new one.
bool enter_mount_namespace() {
  static const bool entered = [] {
    kiln({"daemon", "stop"});
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }();
  return entered;
}

bool mount_read_only(const std::string& from, const std::string& to) {
  return ::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
         ::mount("none", to.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
}

}  // namespace

UnwritableTree::UnwritableTree() : dir_(home_dir() + "/tree"), store_(dir_) {
  fs::create_directory(dir_);
  if (::geteuid() != 0) {
    works_ = true;
    allow(false);
    return;
  }
  store_ = home_dir() + "/store";
  fs::create_directory(store_);
  works_ = enter_mount_namespace() && mount_read_only(store_, dir_);
}

UnwritableTree::~UnwritableTree() {
  if (::geteuid() == 0) ::umount2(dir_.c_str(), MNT_DETACH);
  allow(true);
  fs::remove_all(dir_);
  fs::remove_all(store_);
}

void UnwritableTree::write(const std::string& name, std::string_view content) {
  allow(true);
  write_file(store_ + "/" + name, content);
  allow(false);
}

void UnwritableTree::remove(const std::string& name) {
  allow(true);
  fs::remove(store_ + "/" + name);
  allow(false);
}

void UnwritableTree::replace(const std::string& name, std::string_view content) {
  const auto time = fs::last_write_time(store_ + "/" + name);
  write(name, content);
  allow(true);
  fs::last_write_time(store_ + "/" + name, time);
  allow(false);
}

void UnwritableTree::allow(bool writing) {
  if (::geteuid() == 0) return;
  ::chmod(store_.c_str(), writing ? 0755 : 0555);
  for (const auto& entry : fs::recursive_directory_iterator(store_)) {
    if (entry.is_directory()) ::chmod(entry.path().c_str(), writing ? 0755 : 0555);
  }
}

}  // namespace kiln::e2e
