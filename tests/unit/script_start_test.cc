#include "common/script_start.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

using Start = std::optional<ScriptStart>;

TEST(ScriptStart, TheKernelHandsOverOneArgument) {
  EXPECT_EQ(script_start("#!/usr/bin/python3\nimport x\n"), (ScriptStart{"/usr/bin/python3", {}}));
  EXPECT_EQ(script_start("#! /usr/bin/python3 \t -sE -u \nx"), (ScriptStart{"/usr/bin/python3", {"-sE -u"}}));
  EXPECT_EQ(script_start("#!python3\n"), Start()) << "by the working directory";
  EXPECT_EQ(script_start("#!/opt/it's/python\n"), (ScriptStart{"/opt/it's/python", {}}))
      << "no shell reads it";
  EXPECT_EQ(script_start("#!/usr/bin/python3\r\n"), (ScriptStart{"/usr/bin/python3\r", {}}))
      << "nor trims it";
}

TEST(ScriptStart, WhatIsNone) {
  for (const std::string_view head : {"", "#", "#!", "#!\n", "#! \t \n", "import x\n",
                                      "\x7f"
                                      "ELF",
                                      " #!/bin/x\n"}) {
    EXPECT_EQ(script_start(head), Start()) << head;
  }
  EXPECT_EQ(script_start(std::string_view("#!/usr/bin/py\0thon\n", 19)), Start());
  EXPECT_EQ(script_start("#!/usr/bin/python3"), Start()) << "no newline";
  EXPECT_EQ(script_start("#!/" + std::string(252, 'p') + "\n"),
            (ScriptStart{"/" + std::string(252, 'p'), {}}));
  EXPECT_EQ(script_start("#!/" + std::string(253, 'p') + "\n"), Start()) << "longer than the kernel reads";
}

TEST(ScriptStart, Env) {
  EXPECT_EQ(script_start("#!/usr/bin/env python3\n"), (ScriptStart{"python3", {}, Starter::env}));
  EXPECT_EQ(script_start("#!/usr/bin/env -S python3 -u -O\n"),
            (ScriptStart{"python3", {"-u", "-O"}, Starter::env}));
  EXPECT_EQ(script_start("#!/bin/env -Spython3\n"), (ScriptStart{"python3", {}, Starter::env}));
  for (const std::string_view head :
       {"#!/usr/bin/env\n", "#!/usr/bin/env python3 -u\n", "#!/usr/bin/env -i python3\n",
        "#!/usr/bin/env -S\n", "#!/usr/bin/env -S A=1 python3\n", "#!/usr/bin/env A=1\n",
        "#!/usr/bin/env -S python3 '-c x'\n", "#!/usr/bin/env -S ${X}/python3\n",
        "#!/usr/bin/env -S -u X python3\n"}) {
    EXPECT_EQ(script_start(head), Start()) << head;
  }
}

TEST(ScriptStart, TheHeaderThatPipWrites) {
  const std::string rest = "' '''\nimport sys\n";
  EXPECT_EQ(script_start("#!/bin/sh\n'''exec' /long/python \"$0\" \"$@\"\n" + rest),
            (ScriptStart{"/long/python", {}, Starter::shell}));
  EXPECT_EQ(script_start("#!/bin/sh\n'''exec' \"/a path/python3.11\" -E -s \"$0\" \"$@\"\n" + rest),
            (ScriptStart{"/a path/python3.11", {"-E", "-s"}, Starter::shell}));
  for (const std::string_view second :
       {"exec python \"$0\" \"$@\"", "'''exec' python \"$0\"", "'''exec' \"$HOME/python\" \"$0\" \"$@\"",
        "'''exec' \"/a path/python \"$0\" \"$@\"", "'''exec' \"\" \"$0\" \"$@\"", "'''exec'  \"$0\" \"$@\"",
        "echo hello", ""}) {
    EXPECT_EQ(script_start("#!/bin/sh\n" + std::string(second) + "\n" + rest), Start()) << second;
  }
  EXPECT_EQ(script_start("#!/bin/sh -e\n'''exec' /long/python \"$0\" \"$@\"\n"),
            (ScriptStart{"/bin/sh", {"-e"}}));
}

}  // namespace
}  // namespace kiln
