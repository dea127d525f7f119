// Why a file was not compiled, for people.
#pragma once

#include <string>

namespace kiln {

// "SyntaxError: invalid syntax", as Python has it, of what its compiler says; else no name of an exception,
// but words alone: "no such file or directory". Documents have TYPE and MESSAGE as they are.
std::string error_words(const std::string& type, const std::string& message);

}  // namespace kiln
