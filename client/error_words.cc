#include "client/error_words.h"

#include "common/error_type.h"
#include "common/printable.h"

namespace kiln {

std::string error_words(const std::string& type, const std::string& message) {
  std::string words = printable(message);
  // A ValueError is Kiln's, of two sources with one place for their bytecode, or tells of NUL bytes.
  const bool is_plain = is_system_error(type) || type == "ValueError";
  if (!is_plain) return type + ": " + words;
  const bool is_word = words.size() > 1 && words[0] >= 'A' && words[0] <= 'Z' && words[1] >= 'a';
  if (is_word) words[0] = static_cast<char>(words[0] - 'A' + 'a');  // strerror(3) begins a sentence
  return words;
}

}  // namespace kiln
