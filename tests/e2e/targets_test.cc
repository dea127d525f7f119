// What can stand after `python`, and in which encodings and states a main script can be.
#include "tests/e2e/table.h"

namespace kiln::e2e {
namespace {

const std::vector<Row> kTargets = {
    {.name = "module_package", .target = {"-m", "package", "a", "b"}, .with = {"package"}},
    {.name = "module_inner", .target = {"-m", "package.inner"}, .with = {"package"}},
    {.name = "module_in_directory", .target = {"-m", "dump_main"}, .with = {"dump_main.py"}},
    {.name = "module_attached", .target = {"-mdump_arguments", "-x", "y"}, .with = {"dump_arguments.py"}},
    {.name = "module_of_library", .target = {"-m", "json.tool", "data.json"}, .files = {{"data.json", "{\"a\": [1]}"}}},
    {.name = "module_frozen_or_not", .target = {"-m", "this"}},
    {.name = "module_missing", .target = {"-m", "no_such_module"}, .expect = Expect::any},
    {.name = "module_missing_inner", .target = {"-m", "package.missing"}, .expect = Expect::any, .with = {"package"}},
    {.name = "module_is_package_without_main", .target = {"-m", "json"}, .expect = Expect::any},
    {.name = "module_raises", .target = {"-m", "uncaught"}, .with = {"uncaught.py"}},
    {.name = "module_does_not_compile", .target = {"-m", "broken_syntax"}, .expect = Expect::any,
     .with = {"broken_syntax.py"}},
    {.name = "module_stack", .target = {"-m", "print_stack"}, .with = {"print_stack.py"}},
    {.name = "module_sys", .target = {"-m", "dump_sys", "x"}, .with = {"dump_sys.py"}},
    {.name = "module_modules", .target = {"-m", "dump_modules"}, .with = {"dump_modules.py"}},
    {.name = "module_isolated", .options = {"-I"}, .target = {"-m", "dump_main"}, .expect = Expect::any,
     .with = {"dump_main.py"}},
    {.name = "module_multiprocessing", .target = {"-m", "processes", "spawn"}, .with = {"processes.py"}},
    {.name = "runpy_path", .target = {"-c", "import runpy; runpy.run_path('hello.py', run_name='__main__')"},
     .with = {"hello.py"}},
    {.name = "command", .target = {"-c", "print(1)", "-c", "x"}},
    {.name = "command_arguments", .target = {"-c", "import sys; print(sys.argv, sys.orig_argv)", "-O", "--", "z"},
     .since = 10},
    {.name = "command_attached", .target = {"-cprint(2)"}},
    {.name = "command_empty", .target = {"-c", ""}},
    {.name = "command_exception", .target = {"-c", "def f():\n    raise OSError(2, 'x')\nprint(1)\nf()"}},
    {.name = "command_multi_line", .target = {"-c", "\n\nimport sys\nfor i in range(2):\n    print(i)\n"}},
    {.name = "command_indented", .target = {"-c", "  print(1)\n  print(2)"}, .expect = Expect::any},
    {.name = "command_unicode", .target = {"-c", "print('\u00e4\u20ac'); x"}},
    {.name = "command_not_utf8", .target = {"-c", "print('caf\xe9')"}, .expect = Expect::any},
    {.name = "command_syntax_error", .target = {"-c", "print(1"}, .expect = Expect::any},
    {.name = "command_warning", .target = {"-c", "print(1 is 1)"}, .expect = Expect::any},
    {.name = "command_stack", .target = {"-c", "import traceback\ntraceback.print_stack()\nimport sys\n"
                                               "print(sys.path, sys._getframe().f_back)"}},
    {.name = "command_warn", .target = {"-c", "import warnings\nwarnings.warn('x', stacklevel=2)\nwarnings.warn('y')"}},
    {.name = "command_main", .target = {"-c", "print(__name__, __loader__, __spec__, list(globals()))"}},
    {.name = "directory", .target = {"app", "x"},
     .files = {{"app/__main__.py", "import sys, helper\nprint(sys.argv, sys.path[0], __file__, __package__, __spec__)\n"
                                   "print(list(globals()), __loader__)\nimport traceback\ntraceback.print_stack()\n"},
               {"app/helper.py", "print('helper', __file__)\n"}}},
    {.name = "directory_raises", .target = {"app/"}, .files = {{"app/__main__.py", "1/0\n"}}},
    {.name = "directory_without_main", .target = {"empty"}, .expect = Expect::any, .files = {{"empty/x.txt", ""}}},
    {.name = "directory_dot", .target = {"."}, .files = {{"__main__.py", "import sys\nprint(sys.path[0], __file__)\n"}}},
    {.name = "zip", .target = {"app.zip", "x"},
     .prepare = "import zipfile\nwith zipfile.ZipFile('app.zip', 'w') as z:\n"
                "    z.writestr('__main__.py', 'import sys, helper\\nprint(sys.argv, sys.path[0], __file__, __spec__)\\n"
                "print(list(globals()), __loader__.archive)\\n1/0')\n"
                "    z.writestr('helper.py', 'print(__file__)')"},
    {.name = "zip_with_shebang", .target = {"./app"},
     .prepare = "import zipapp, os\nos.mkdir('d'); open('d/__main__.py', 'w').write('print(__name__)')\n"
                "zipapp.create_archive('d', 'app', '/usr/bin/env python3')"},
    {.name = "zip_without_main", .target = {"app.zip"}, .expect = Expect::any,
     .prepare = "import zipfile\nwith zipfile.ZipFile('app.zip', 'w') as z: z.writestr('x.py', '')"},
    {.name = "pyc", .target = {"dump_main.pyc", "x"},
     .with = {"dump_main.py"}, .prepare = "import py_compile; py_compile.compile('dump_main.py', 'dump_main.pyc')"},
    {.name = "pyc_source_gone", .target = {"uncaught.pyc"}, .with = {"uncaught.py"},
     .prepare = "import py_compile, os; py_compile.compile('uncaught.py', 'uncaught.pyc'); os.remove('uncaught.py')"},
    {.name = "pyc_in_cache", .target = {"cached.pyc"}, .with = {"hello.py"},
     .prepare = "import py_compile, os, shutil; shutil.copy(py_compile.compile('hello.py'), 'cached.pyc')"},
    {.name = "pyc_without_suffix", .target = {"program"}, .with = {"hello.py"},
     .prepare = "import py_compile; py_compile.compile('hello.py', 'program')"},
    {.name = "pyc_hash_based", .target = {"h.pyc"}, .with = {"hello.py"},
     .prepare = "import py_compile; py_compile.compile('hello.py', 'h.pyc',"
                " invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"},
    {.name = "pyc_bad_magic", .target = {"bad.pyc"}, .expect = Expect::any,
     .files = {{"bad.pyc", std::string("\x01\x02\r\n\0\0\0\0\0\0\0\0\0\0\0\0rest", 20)}}},
    {.name = "pyc_truncated", .target = {"cut.pyc"}, .expect = Expect::any, .with = {"hello.py"},
     .prepare = "import py_compile; py_compile.compile('hello.py', 'cut.pyc')\n"
                "data = open('cut.pyc', 'rb').read(); open('cut.pyc', 'wb').write(data[:len(data) // 2])"},
    {.name = "pyc_header_only", .target = {"cut.pyc"}, .expect = Expect::any, .with = {"hello.py"},
     .prepare = "import py_compile; py_compile.compile('hello.py', 'cut.pyc')\n"
                "data = open('cut.pyc', 'rb').read(); open('cut.pyc', 'wb').write(data[:16])"},
    {.name = "pyc_empty", .target = {"empty.pyc"}, .expect = Expect::any, .files = {{"empty.pyc", ""}}},
    {.name = "pyc_holds_no_code", .target = {"number.pyc"}, .expect = Expect::any,
     .prepare = "import marshal, importlib.util as u\n"
                "open('number.pyc', 'wb').write(u.MAGIC_NUMBER + bytes(12) + marshal.dumps(7))"},
    {.name = "relative", .target = {"./dump_main.py"}, .with = {"dump_main.py"}},
    {.name = "relative_up", .target = {"../dump_main.py"}, .with = {"dump_main.py"}, .files = {{"sub/x", ""}},
     .cwd = "sub"},
    {.name = "in_subdirectory", .target = {"sub//main.py"},
     .files = {{"sub/main.py", "import sys, beside\nprint(sys.path[0], __file__, sys.argv)\n"},
               {"sub/beside.py", "print(__file__)\n"}}},
    {.name = "absolute", .target = {"{cwd}/dump_main.py"}, .with = {"dump_main.py"}},
    {.name = "absolute_from_elsewhere", .target = {"{cwd}/modules.py"},
     .with = {"modules.py", "imported.py", "package", "broken_module.py"}, .files = {{"sub/x", ""}}, .cwd = "sub"},
    {.name = "symlink", .target = {"link.py"},
     .files = {{"real/main.py", "import sys, beside\nprint(sys.path[0], __file__)\n"}, {"real/beside.py", ""}},
     .prepare = "import os; os.symlink('real/main.py', 'link.py')"},
    {.name = "symlink_chain", .target = {"a/link.py"},
     .files = {{"real/main.py", "import sys\nprint(sys.path[0], __file__)\n"}, {"a/x", ""}},
     .prepare = "import os; os.symlink('../real/main.py', 'middle'); os.unlink('middle')\n"
                "os.symlink('../real/main.py', 'a/middle.py'); os.symlink('middle.py', 'a/link.py')"},
    {.name = "through_linked_directory", .target = {"link/main.py"},
     .files = {{"real/main.py", "import sys\nprint(sys.path[0], __file__)\n"}},
     .prepare = "import os; os.symlink('real', 'link')"},
    {.name = "directory_with_space", .target = {"a directory/main file.py", "an argument"},
     .files = {{"a directory/main file.py", "import sys\nprint(sys.path[0], __file__, sys.argv)\n1/0\n"}}},
    {.name = "name_not_utf8", .target = {"caf\xe9.py"}, .expect = Expect::any,
     .files = {{"caf\xe9.py", "print(ascii(__file__))\n"}}},
    {.name = "name_unicode", .target = {"\u00fcber.py"}, .files = {{"\u00fcber.py", "print(__file__)\n1/0\n"}}},
    {.name = "without_suffix", .target = {"tool"}, .files = {{"tool", "#!/usr/bin/env python3\nprint(__file__)\n1/0\n"}}},
    {.name = "missing", .target = {"no_such_file.py"}, .expect = Expect::any},
    {.name = "missing_directory", .target = {"no/such/file.py"}, .expect = Expect::any},
    {.name = "dangling_link", .target = {"link.py"}, .expect = Expect::any,
     .prepare = "import os; os.symlink('nowhere', 'link.py')"},
    {.name = "empty_name", .target = {""}, .expect = Expect::any},
    {.name = "dev_null", .target = {"/dev/null"}, .expect = Expect::any},
    {.name = "double_dash", .target = {"--", "hello.py"}, .expect = Expect::any, .with = {"hello.py"}},
    {.name = "edits_itself", .target = {"edit.py"},
     .files = {{"edit.py", "open(__file__, 'w').write('# nothing left\\n\\n\\n\\n')\n\n1/0\n"}}},
};
KILN_TABLE(Targets, kTargets);

Row source(const std::string& name, const std::string& content, Expect expect = Expect::any) {
  return {.name = name, .target = {"main.py"}, .expect = expect, .files = {{"main.py", content}}};
}

std::vector<Row> source_rows() {
  using namespace std::string_literals;
  return {
      source("empty", "", Expect::bare),
      source("only_comment", "# nothing", Expect::bare),
      source("no_trailing_newline", "print(1)\nif True:\n    print(2)", Expect::bare),
      source("utf8", "# \u00e4\nprint('\u00e4\u20ac\U0001F600')\n'\u00e4'.no_such\n", Expect::bare),
      source("utf8_cookie", "# -*- coding: utf-8 -*-\nprint('\u00e4')\n"),
      source("bom", "\xef\xbb\xbfprint('\u00e4', __file__)\n1/0\n"),
      source("bom_with_utf8_cookie", "\xef\xbb\xbf# coding: utf-8\nprint('\u00e4')\n"),
      source("bom_conflict", "\xef\xbb\xbf# coding: latin-1\nprint(1)\n"),
      source("crlf", "import sys\r\nprint('''a\r\nb''')\r\n1/0\r\n"),
      source("cr_only", "print(1)\rprint(2)\r"),
      source("mixed_line_ends", "print(1)\r\nprint('''x\ny\r\nz''')\n"),
      source("form_feed", "\fprint(1)\n\fprint(2)\n"),
      source("latin1_cookie", "# coding: latin-1\nprint('caf\xe9')\nraise ValueError('caf\xe9')  # \xe9\n"),
      source("cookie_on_second_line", "#!/usr/bin/python3\n# vim: set fileencoding=iso-8859-15 :\nprint('\xa4')\n"),
      source("latin1_without_cookie", "print('ok')\nprint('caf\xe9')\n"),
      source("latin1_in_comment", "# caf\xe9\nprint('ok')\n"),
      source("unknown_coding", "# coding: no-such-codec\nprint(1)\n"),
      source("no_text_coding", "# coding: rot13\nprint(1)\n"),
      source("utf16_with_bom", "\xff\xfep\0r\0i\0n\0t\0(\0001\0)\0\n\0"s),
      source("nul_byte", "print(1)\nx = '\0'\nprint(2)\n"s),
      source("nul_byte_in_comment", "# \0\nprint(2)\n"s),
      source("nul_byte_at_end", "print(1)\n\0"s),
      source("control_z", "print(1)\n\x1a\nprint(2)\n"),
      source("syntax_error", "print(1)\nif True\n    print(2)\n"),
      source("syntax_error_unicode", "x = '\u00e4\u00e4' +* 1\n"),
      source("unclosed_parenthesis", "x = (1,\n\nprint(2)\n"),
      source("unterminated_string", "print('''abc\n"),
      source("indentation_error", "def f():\nprint(1)\n"),
      source("tab_error", "if True:\n        x = 1\n\ty = 2\n"),
      source("unexpected_indent", "  print(1)\n"),
      source("return_outside", "return 1\n"),
      source("await_outside", "await x\n"),
      source("nonlocal_at_module", "nonlocal x\n"),
      source("bad_future", "from __future__ import braces\n"),
      source("syntax_warning", "x = 1\nprint(x is 1)\n"),
      source("invalid_escape", "print('\\d')\n"),
      source("assert_tuple", "assert (1, 'always true')\nprint(1)\n"),
      source("future_annotations", "from __future__ import annotations\ndef f(x: y): pass\nprint(f.__annotations__)\n"
                                   "print(eval('(lambda: 0)').__code__.co_flags, compile('1', '', 'eval').co_flags)\n",
             Expect::bare),
      source("long_line", "x = '" + std::string(300000, 'a') + "'\nprint(len(x))\n", Expect::bare),
      source("many_lines", [] {
        std::string text;
        for (int i = 0; i < 20000; ++i) text += "x = " + std::to_string(i) + "\n";
        return text + "print(x)\n1/0\n";
      }(), Expect::bare),
      source("deep_nesting", std::string(150, '(') + "1" + std::string(150, ')') + "\nprint(1)\n"),
      source("too_deep_nesting", std::string(1000, '(') + "1" + std::string(1000, ')') + "\n"),
      source("shebang", "#!/bin/false\nprint(1)\n", Expect::bare),
      source("docstring", "'''The text.'''\nprint(__doc__, __annotations__ if '__annotations__' in globals() else 0)\n"
                          "x: int = 1\n", Expect::bare),
      source("debug_name", "print(__debug__)\n__debug__ = 1\n"),
      source("module_level_frame", "import sys\nf = sys._getframe()\nprint(f.f_lineno, f.f_code, f.f_code.co_firstlineno)\n"
                                   "print(f.f_globals is f.f_locals, f.f_code.co_flags)\n",
             Expect::bare),
      {.name = "syntax_error_in_dev_mode", .options = {"-X", "dev"}, .target = {"main.py"}, .expect = Expect::any,
       .files = {{"main.py", "print('\\d' is 1)\n"}}},
      {.name = "syntax_warning_as_error", .options = {"-W", "error"}, .target = {"main.py"}, .expect = Expect::any,
       .files = {{"main.py", "print(1)\nprint('\\d', 1 is 1)\n"}}},
      {.name = "syntax_warning_ignored", .options = {"-W", "ignore"}, .target = {"main.py"}, .expect = Expect::any,
       .files = {{"main.py", "print(1 is 1)\n"}}},
  };
}
KILN_TABLE(Sources, source_rows());

}  // namespace
}  // namespace kiln::e2e
