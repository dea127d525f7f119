#include "common/code_list.h"

#include <gtest/gtest.h>

#include "tests/unit/python_says.h"

namespace kiln {
namespace {

constexpr const char* kSource = R"(
class Shop:
    def sell(self):
        return lambda: 1

def sell():
    return Shop
)";

const std::string kCompile =
    "import marshal, sys\n"
    "code = compile(sys.argv[1], '/a.py', 'exec')\n"
    "getattr(sys.stdout, 'buffer', sys.stdout).write(marshal.dumps(code))\n";

TEST(CodeList, HoldsEveryCodeObject) {
  for (const auto& python : every_python()) {
    const auto body = python_says(python, kCompile, {kSource});
    const auto list = list_code_objects(body, python.magic).value();
    std::string shown;
    for (const auto& code : list) {
      EXPECT_EQ(code.filename, "/a.py");
      shown += std::string(static_cast<std::size_t>(code.depth), ' ') + std::string(code.name);
      if (!code.qualname.empty()) shown += " = " + std::string(code.qualname);
      if (code.depth > 0) shown += " @" + std::to_string(code.first_line);
      shown += "\n";
    }
    const bool qualified = python.major == 3 && python.minor >= 11;
    EXPECT_EQ(shown, qualified ? "<module> = <module>\n"
                                 " Shop = Shop @2\n"
                                 "  sell = Shop.sell @3\n"
                                 "   <lambda> = Shop.sell.<locals>.<lambda> @4\n"
                                 " sell = sell @6\n"
                               : "<module>\n Shop @2\n  sell @3\n   <lambda> @4\n sell @6\n")
        << python.path;
  }
}

TEST(CodeList, OfDamagedOrUnknownBytecodeThereIsNone) {
  EXPECT_FALSE(list_code_objects("", system_python().magic));
  EXPECT_FALSE(list_code_objects("c", system_python().magic));
  EXPECT_FALSE(list_code_objects("c", 0x0a0d0000 | 65'000));
}

}  // namespace
}  // namespace kiln
