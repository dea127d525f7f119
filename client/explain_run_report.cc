#include "client/explain_run_report.h"

#include <algorithm>
#include <boost/json/value_from.hpp>
#include <vector>

#include "common/printable.h"
#include "common/reason.h"

namespace kiln {
namespace {

namespace json = boost::json;
using Stop = proto::ExplainRunReply::Stop;

constexpr int kNamedVariables = 8;

std::string milliseconds(std::uint64_t us) {
  return std::to_string((us + 500) / 1000) + " ms";
}

std::string place_of(const Stop& stop) {
  return stop.image().place().empty() ? "its end" : printable(stop.image().place());
}

std::string number_of(std::uint64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

// "LANG, TZ and 3 more variables"
std::string variables_text(const Stop& stop) {
  const int named = std::min(stop.variables_size(), kNamedVariables);
  std::string text;
  for (int i = 0; i < named; ++i) text += (i > 0 ? ", " : "") + printable(stop.variables(i));
  if (stop.variables_size() > named)
    text += " and " + std::to_string(stop.variables_size() - named) + " more";
  return text;
}

std::string dependencies(const Stop& stop) {
  std::vector<std::string> parts{number_of(static_cast<std::uint64_t>(stop.inputs_size()),
                                           "file or directory", "files and directories")};
  if (stop.image().arguments_size() > 0) parts.emplace_back("its arguments");
  if (stop.directory()) parts.emplace_back("the working directory");
  if (stop.whole_environment()) {
    parts.emplace_back("the whole environment, which native code may have read");
  } else if (stop.variables_size() > 0) {
    parts.push_back((stop.variables_size() == 1 ? "the variable " : "the variables ") + variables_text(stop));
  }
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += (i == 0 ? "" : i + 1 == parts.size() ? ", and on " : ", on ") + parts[i];
  return text;
}

// What the user could do about it, if anything.
std::string advice(const Stop& stop) {
  const std::string& step = stop.image().step();
  if (!stop.image().last() || step == "ends") return {};
  if (step.starts_with("writes to standard")) return {};  // its work is done, or begins
  return "If that is done while modules are imported, move it into functions that are called later: images "
         "then reach further.\n";
}

std::string goes_on(const Stop& stop) {
  const auto& image = stop.image();
  if (image.place().empty() && image.step() == "ends") return "It goes on just before it ends";
  return "It goes on at " + place_of(stop) + ", before it " + printable(image.step());
}

std::string text_of_serving(const Stop& stop) {
  const auto& image = stop.image();
  std::string text = goes_on(stop) + ": " + number_of(image.modules(), "module is", "modules are") +
                     " loaded there, and " + milliseconds(image.saved_us()) + " of computing done.\n";
  text += "That depends on " + dependencies(stop) + ".\n";
  if (!image.finalized().empty())
    text += "At its end the interpreter is torn down, which takes a while, because of " +
            printable(image.finalized()) + ".\n";
  return text + advice(stop);
}

std::string text_of_other(const Stop& stop) {
  return "  " + place_of(stop) + ", before it " + printable(stop.image().step()) + ": " +
         (stop.unsuited().empty() ? "less far" : printable(stop.unsuited())) + "\n";
}

std::string text_of_executed(const proto::ExplainRunReply& reply, const std::string& python) {
  const auto reason = reason_from_word(reply.reason()).value_or(Reason::protocol);
  const std::string why = reply.detail().empty() ? std::string(wording(reason)) : reply.detail();
  std::string text = "Executed: " + printable(python) + " itself runs it (" + reply.reason() + ": " +
                     printable(why) + ").\n";
  if (reason == Reason::no_image || reason == Reason::image_starting)
    text += "That run starts what the next one may need.\n";
  return text;
}

}  // namespace

std::string run_explanation_text(const proto::ExplainRunReply& reply, const std::string& python) {
  if (reply.how() == "exec") return text_of_executed(reply, python);
  const auto serving =
      std::ranges::find_if(reply.stops(), [](const Stop& stop) { return stop.unsuited().empty(); });
  const bool is_ahead = reply.how() == "program" && serving != reply.stops().end();
  std::string text =
      is_ahead ? "Warm: the program was run ahead, and goes on from there.\n" + text_of_serving(*serving)
               : "Bare: it starts in an interpreter that is already up, and imports what it imports.\n";
  if (!reply.run_ahead()) text += "It is not run ahead: " + reply.not_ahead() + ".\n";
  if (!is_ahead && reply.run_ahead() && reply.in_vain()) {
    text +=
        "It could not be run ahead: it came to no step before which to stop. That is tried again after some "
        "minutes.\n";
  } else if (!is_ahead && reply.run_ahead() && reply.stops().empty()) {
    text += "It has not been run ahead yet; that is done after a run of it, or by kiln warm.\n";
  }
  std::string others;
  for (const Stop& stop : reply.stops()) {
    if (!is_ahead || &stop != &*serving) others += text_of_other(stop);
  }
  if (!others.empty())
    text += (is_ahead ? "Its other stops:\n" : "Its stops do not suit this run:\n") + others;
  return text;
}

json::object run_explanation_json(const proto::ExplainRunReply& reply) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(text);
  };
  const auto list = [](const auto& texts) {
    return json::value_from(std::vector<std::string>(texts.begin(), texts.end()));
  };
  json::array stops;
  for (const Stop& stop : reply.stops()) {
    const auto& image = stop.image();
    stops.push_back({{"place", text_or_null(image.place())},
                     {"step", image.step()},
                     {"serves", stop.unsuited().empty()},
                     {"unsuited", text_or_null(stop.unsuited())},
                     {"saved_us", image.saved_us()},
                     {"modules", image.modules()},
                     {"finalized", text_or_null(image.finalized())},
                     {"arguments", image.arguments_size() > 0},
                     {"directory", stop.directory()},
                     {"variables", list(stop.variables())},
                     {"whole_environment", stop.whole_environment()},
                     {"inputs", list(stop.inputs())}});
  }
  return {{"version", 1},
          {"how", reply.how()},
          {"reason", text_or_null(reply.reason())},
          {"detail", text_or_null(reply.detail())},
          {"run_ahead", reply.run_ahead()},
          {"not_ahead", text_or_null(reply.not_ahead())},
          {"in_vain", reply.in_vain()},
          {"stops", std::move(stops)}};
}

}  // namespace kiln
