#include "client/log_line.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <charconv>

#include "common/json_text.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 1;  // of the JSON object
constexpr std::string_view kLikeATime = "0000-00-00 00:00:00.000 ";

bool begins_with_time(std::string_view line) {
  if (line.size() <= kLikeATime.size()) return false;
  for (std::size_t at = 0; at < kLikeATime.size(); ++at) {
    const bool is_digit = line[at] >= '0' && line[at] <= '9';
    if (kLikeATime[at] == '0' ? !is_digit : line[at] != kLikeATime[at]) return false;
  }
  return true;
}

// Takes the word that TEXT begins with.
std::string_view take_word(std::string_view& text) {
  const auto word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

}  // namespace

std::string log_line_json(std::string_view line) {
  json::object object{{"version", kFormat}, {"time", nullptr}, {"pid", nullptr}, {"level", nullptr}};
  if (begins_with_time(line)) {
    const std::string day(take_word(line));
    object["time"] = day + "T" + std::string(take_word(line));
    const auto digits = take_word(line);
    int pid = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), pid);
    object["pid"] = pid;
    object["level"] = json::string(take_word(line));
  }
  object["message"] = json::string(line);
  return json_text(object);
}

}  // namespace kiln
