// Writes seeds for the fuzzers of our own messages, and of the kernel's: `fuzz_seeds NAME DIRECTORY`.
#include <sys/inotify.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/config_key.h"
#include "common/frame.h"
#include "common/image_channel.h"
#include "common/launch.h"
#include "daemon/store_object.h"

namespace kiln {
namespace {

std::vector<std::string> launch_seeds() {
  Launch launch{.kind = TargetKind::module,
                .target = "package.module",
                .arguments = {"-v", "", "x"},
                .command_line = {"python", "-m", "package.module", "-v", "", "x"},
                .environment = {"HOME=/", "LANG=C.UTF-8"},
                .descriptors = {0, 1, 2, 9},
                .umask = 022,
                .affinity = std::string(128, '\3'),
                .oom_score_adj = -5};
  return {encode_launch({}), encode_launch(launch), encode_ready({1'234, 1'233}), encode_ended(256),
          encode_refused({Reason::setup, "cannot change the directory", {}})};
}

std::vector<std::string> frame_seeds() {
  return {encode_frame(FrameType::request, "x"), encode_frame(FrameType::ended, encode_ended(0))};
}

std::vector<std::string> greeting_seeds() {
  const ImageGreeting greeting{.build_id = "0123456789abcdef",
                               .reason = "served",
                               .version = "3.11.2",
                               .tag = "cpython-311",
                               .magic = 0x0a0d0da7,
                               .pid = 1'234,
                               .reads = {"HOME", "LANG"},
                               .inputs = {"/usr/lib/python3/dist-packages"}};
  return {encode_image_greeting({}), encode_image_greeting(greeting),
          encode_image_report({3, 1, false, {"/a/main.py", {"/a/b.py", "/a/c.py"}, {{"/a/b.py"}, 022, 2}}})};
}

std::vector<std::string> store_seeds() {
  return {encode_object({}, {}), encode_object({}, {"code", "a warning"}),
          encode_object({}, {std::string(10'000, 'x'), "a warning"})};
}

std::vector<std::string> config_seeds() {
  std::string all;
  for (const auto& key : config_keys()) {
    all += std::string(key.name) + " = " + toml_text(default_config(), key) + "\n";
  }
  return {all, "[watch]\nignore = [\"a b\", \"c/*\"]\nlimit = 7\n[daemon]\nidle_exit = \"90s\"\n"};
}

// As inotify(7) has it: the name is padded with null bytes.
std::string inotify_event_of(int watch, std::uint32_t mask, std::string name, std::uint32_t room) {
  inotify_event header{};
  header.wd = watch;
  header.mask = mask;
  header.len = room;
  name.resize(room);
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + name;
}

std::vector<std::string> inotify_seeds() {
  const auto created = inotify_event_of(1, IN_CREATE, "module.py", 16);
  const auto attributes = inotify_event_of(2, IN_ATTRIB, "", 0);
  const auto overflow = inotify_event_of(-1, IN_Q_OVERFLOW, "", 0);
  return {created, attributes, created + attributes + overflow + created};
}

std::vector<std::string> seeds_of(const std::string& fuzzer) {
  if (fuzzer == "launch") return launch_seeds();
  if (fuzzer == "frame") return frame_seeds();
  if (fuzzer == "greeting") return greeting_seeds();
  if (fuzzer == "config") return config_seeds();
  if (fuzzer == "script_start") {
    return {"#!/usr/bin/python3 -sE\n", "#!/usr/bin/env -S python3 -u\n",
            "#!/bin/sh\n'''exec' \"/a path/python3\" -E \"$0\" \"$@\"\n' '''\n"};
  }
  if (fuzzer == "store") return store_seeds();
  if (fuzzer == "inotify") return inotify_seeds();
  return {};
}

}  // namespace
}  // namespace kiln

int main(int count, char** arguments) {
  if (count != 3) return 2;
  int number = 0;
  for (const auto& seed : kiln::seeds_of(arguments[1])) {
    const auto path = std::filesystem::path(arguments[2]) / ("message-" + std::to_string(number++));
    std::ofstream(path, std::ios::binary) << seed;
  }
}
