#include "client/status_screen.h"

#include <algorithm>
#include <vector>

#include "common/printable.h"
#include "common/quantity.h"
#include "common/screen.h"

namespace kiln {
namespace {

// A title, and what may be left out below it: lines of one thing each, with what belongs to it.
struct Section {
  std::string title;
  std::vector<std::string> items;
  bool may_shrink = false;
  std::size_t shown = 0;  // of the items

  std::size_t height() const {
    std::size_t lines = title.empty() ? 0 : 1;
    for (std::size_t at = 0; at < shown; ++at)
      lines += static_cast<std::size_t>(std::ranges::count(items[at], '\n'));
    return lines + (shown < items.size() ? 1 : 0);
  }
};

std::string duration_text(std::uint64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
}

std::string count(std::uint64_t number, const char* noun) {
  return count_text(number) + " " + noun + (number == 1 ? "" : "s");
}

class Screen {
 public:
  explicit Screen(unsigned columns) : columns_(columns) {}

  std::vector<Section> sections(const proto::Status& status) const {
    return {daemon(status.daemon()), images(status), interpreters(status), watched(status), cache(status)};
  }

 private:
  // NAME is what may be shortened.
  std::string line(const std::string& before, const std::string& name, const std::string& behind = {}) const {
    const std::size_t taken = display_width(before) + display_width(behind);
    const bool is_long = columns_ != 0 && taken + display_width(name) > columns_;
    return before + (is_long ? shortened(name, columns_ - std::min<std::size_t>(columns_, taken)) : name) +
           behind + "\n";
  }

  std::string sentence(const std::string& text) const {
    return columns_ == 0 ? text + "\n" : shortened(text, columns_) + "\n";
  }

  Section daemon(const proto::Status::Daemon& daemon) const {
    std::string text =
        sentence("  pid " + std::to_string(daemon.pid()) + ", kilnd " + daemon.version() + ", up " +
                 duration_text(daemon.uptime_s()) + ", " + bytes_text(daemon.resident_bytes()));
    text += line("  socket ", daemon.socket()) + line("  log    ", daemon.log());
    if (!daemon.configuration_error().empty())
      text += sentence("  configuration ignored: " + daemon.configuration_error());
    return {.title = "daemon", .items = {text}};
  }

  std::string image(const proto::Status::Image& image) const {
    std::string name = image.python();
    for (const auto& option : image.options()) name += " " + option;
    if (!image.entry().empty()) name += " " + image.entry();
    for (const auto& argument : image.arguments()) name += " " + argument;
    std::string text = line("  ", printable(name));
    const std::string process =
        "pid " + std::to_string(image.pid()) + ", " + bytes_text(image.memory_bytes());
    text += sentence("    " + image.kind() + ", " + image.state() + ", " +
                     (image.pid() != 0 ? process + ", " : "") + count(image.runs(), "run") + " (" +
                     std::to_string(image.running()) + " now), " + duration_text(image.age_s()) + " old");
    if (image.step().empty()) return text;
    const std::string place = image.place().empty() ? "its end" : image.place();
    return text + line("    stops at ", printable(place),
                       ": " + printable(image.step()) + "; saves " +
                           std::to_string((image.saved_us() + 500) / 1000) + " ms");
  }

  Section images(const proto::Status& status) const {
    Section section{.title = "images", .items = {}, .may_shrink = true};
    for (const auto& one : status.images()) section.items.push_back(image(one));
    if (section.items.empty())
      section.items.emplace_back("  none yet; the first run of an interpreter starts one\n");
    return section;
  }

  Section interpreters(const proto::Status& status) const {
    Section section{.title = "interpreters", .items = {}, .may_shrink = true};
    for (const auto& one : status.interpreters()) {
      section.items.push_back(line("  ", printable(one.path()),
                                   "  " + one.version() + (one.tag().empty() ? "" : ", " + one.tag()) +
                                       ", magic " + std::to_string(one.magic()) +
                                       (one.gone() ? ", gone" : "")));
    }
    if (section.items.empty()) section.items.emplace_back("  none yet\n");
    return section;
  }

  std::string root(const proto::Status::Root& root) const {
    std::string text =
        line("  ", printable(root.path()),
             "  " + root.policy() + ", " + root.state() + ", directories: " + count_text(root.directories()));
    if (!root.reason().empty()) text += sentence("    " + printable(root.reason()));
    if (!root.hint().empty()) text += "    hint: " + root.hint() + "\n";
    if (!root.configuration_error().empty())
      text += sentence("    configuration ignored: " + root.configuration_error());
    for (const auto& directory : root.unwatched())
      text += sentence("    not watched: " + printable(directory));
    return text;
  }

  Section watched(const proto::Status& status) const {
    Section section{.title = "watched", .items = {}, .may_shrink = true};
    if (status.overflows() > 0) {
      section.items.push_back(sentence("  the kernel's queue of changes overflowed " +
                                       count(status.overflows(), "time") + "; all was looked at again"));
    }
    if (status.imported_directories() > 0) {
      std::string text =
          sentence("  directories of what was imported: " + count_text(status.imported_directories()));
      if (status.unwatched_imports() > 0) {
        text += sentence("    " + count_text(status.unwatched_imports()) + " of them not watched");
        for (const auto& directory : status.unwatched_directories())
          text += sentence("    not watched: " + printable(directory));
      }
      section.items.push_back(std::move(text));
    }
    for (const auto& one : status.roots()) section.items.push_back(root(one));
    if (section.items.empty()) section.title.clear();
    return section;
  }

  Section cache(const proto::Status& status) const {
    const auto& cache = status.cache();
    std::string text = line("cache  ", status.daemon().cache_dir());
    text += sentence("  " + std::to_string(cache.entries()) + " entries: " + std::to_string(cache.fresh()) +
                     " fresh, " + std::to_string(cache.stale()) + " stale, " + std::to_string(cache.error()) +
                     " error, " + std::to_string(cache.orphan()) + " orphan");
    text += "limits\n";
    for (const auto& one : status.limits()) {
      const bool is_bytes = one.name().ends_with("_bytes");
      const auto amount = is_bytes ? bytes_text : count_text;
      text += sentence("  " + one.name().substr(0, one.name().find("_bytes")) + ": " + amount(one.used()) +
                       " of " + amount(one.limit()));
    }
    return {.title = "", .items = {text}};
  }

  unsigned columns_;
};

// ROWS 0: all fits.
void fit(std::vector<Section>& sections, unsigned rows) {
  for (Section& section : sections) section.shown = section.items.size();
  const auto height = [&] {
    std::size_t lines = 1;  // of the next prompt
    for (const Section& section : sections) lines += section.height();
    return lines;
  };
  const auto room = [](const Section& section) {
    return section.may_shrink && section.shown > 1 ? section.height() : 0;
  };
  while (rows != 0 && height() > rows) {
    const auto longest = std::ranges::max_element(sections, {}, room);
    if (room(*longest) == 0) return;
    --longest->shown;
  }
}

}  // namespace

std::string status_text(const proto::Status& status, unsigned columns, unsigned rows) {
  auto sections = Screen(columns).sections(status);
  fit(sections, rows);
  std::string text;
  for (const Section& section : sections) {
    if (!section.title.empty()) text += section.title + "\n";
    for (std::size_t at = 0; at < section.shown; ++at) text += section.items[at];
    const std::size_t left_out = section.items.size() - section.shown;
    if (left_out > 0) text += "  and " + std::to_string(left_out) + " more: kiln status --json\n";
  }
  return text;
}

}  // namespace kiln
