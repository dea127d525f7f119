#include "daemon/explanation.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "common/absence.h"
#include "common/path_text.h"
#include "common/pyc.h"
#include "daemon/bytecode_place.h"
#include "daemon/freshness.h"
#include "daemon/shown_tag.h"
#include "daemon/source_encoding.h"
#include "daemon/source_text.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxImporters = 20;
constexpr std::size_t kMaxLine = 1'000;  // bytes of a source's line
constexpr std::int64_t kSecond_ns = 1'000'000'000;

std::optional<FileStamp> look_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return stamp_of(status);
}

const char* kind_word(PycKind kind) {
  switch (kind) {
    case PycKind::timestamp:
      return "timestamp";
    case PycKind::checked_hash:
      return "checked-hash";
    case PycKind::unchecked_hash:
      return "unchecked-hash";
  }
  return "";
}

// Without its end, in UTF-8. Empty: there is no such line.
std::string line_of(const std::string& source, int line) {
  const auto text = line > 0 ? read_source(source) : ReadResult(CompileError{});
  if (!text) return {};
  std::string_view rest = text->bytes;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);  // a byte order mark is in no column
  for (int at = 1; at < line && !rest.empty(); ++at) {
    rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
  }
  rest = rest.substr(0, rest.find_first_of("\r\n"));
  const std::string encoding = declared_encoding(text->bytes);
  const std::string_view shown = rest.substr(0, kMaxLine);
  return encoding.empty() ? std::string(shown) : in_utf8(shown, encoding);
}

void describe(const CompileError& error, const std::string& source, proto::ExplainReply::Error& described) {
  described.set_type(error.type);
  described.set_message(error.message);
  described.set_line(error.line);
  described.set_column(error.column);
  described.set_text(line_of(source, error.line));
}

// What an entry's files are at this moment.
struct Sight {
  std::optional<FileStamp> source;
  PycCheck check;
};

Sight look_at(const IndexEntry& entry, const std::optional<FileStamp>& source, bool overlaid) {
  const auto hash = [&] { return source_hash_of(entry.source, entry.magic); };
  const auto content = [&] { return content_of(entry.source); };
  const PycQuestion question{entry.magic, source.value_or(FileStamp{}), {}, hash, overlaid, &entry.made,
                             content};
  return {source, check_pyc(entry.pyc, question)};
}

// The source is the one that did not compile.
bool is_still_error(const IndexEntry& entry, const FileStamp& source) {
  if (!entry.error || source.modified_ns != entry.source_mtime_ns || source.size != entry.source_size) {
    return false;
  }
  if (source.changed_ns == entry.made.source_changed_ns) return true;
  return entry.made.source_content != 0 && content_of(entry.source) == entry.made.source_content;
}

EntryState state_of(const IndexEntry& entry, const Sight& sight) {
  if (!sight.source) return EntryState::orphan;
  if (sight.check.freshness == Freshness::fresh) return EntryState::fresh;
  return is_still_error(entry, *sight.source) ? EntryState::error : EntryState::stale;
}

// What Python goes by says that the bytecode is that of the source, and it is not, or need not be.
bool is_taken(const PycCheck& check) {
  if (check.freshness == Freshness::changed || check.freshness == Freshness::doubtful) return true;
  return check.freshness == Freshness::hash && check.kind == PycKind::unchecked_hash;
}

// Empty: nothing is there.
std::string what_is_at(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (S_ISREG(status.st_mode)) return "a file";
  if (S_ISDIR(status.st_mode)) return "a directory";
  return S_ISLNK(status.st_mode) ? "a symbolic link" : "what is no regular file";
}

// What is in the place of PYC and is not replaced, for it is no regular file, or in that of its directory.
void describe_way(const std::string& pyc, proto::ExplainReply::Entry& described) {
  const std::string directory(directory_of(pyc));
  std::error_code ignored;
  const bool has_directory = fs::is_directory(directory, ignored);
  const std::string& way = has_directory ? pyc : directory;
  const std::string what = what_is_at(way);
  if (what.empty() || (has_directory && what == "a file")) return;
  described.set_in_the_way(what);
  described.set_way(way);
}

void describe(const IndexEntry& entry, const Sight& sight, proto::ExplainReply::Entry& described) {
  const EntryState state = state_of(entry, sight);
  described.set_pyc(entry.pyc);
  described.set_python(entry.executable);
  described.set_tag(shown_tag(entry));
  described.set_optimize(entry.optimize);
  described.set_state(std::string(word(state)));
  described.set_made_us(entry.made_us);
  described.set_restored(entry.restored);
  described.set_magic(entry.magic & 0xffff);
  described.set_sourceless(directory_of(entry.pyc) == directory_of(entry.source));
  described.set_warnings(name_file_in(entry.warnings, entry.source));
  if (sight.check.kind) described.set_kind(kind_word(*sight.check.kind));
  if (state == EntryState::stale || state == EntryState::error) {
    described.set_taken(is_taken(sight.check));
    describe_way(entry.pyc, described);
  }
  if (state == EntryState::stale) described.set_why(std::string(word(sight.check.freshness)));
  if (state == EntryState::error) describe(*entry.error, entry.source, *described.mutable_error());
}

void add_interpreter(const std::vector<InterpreterInfo>& interpreters, const IndexEntry& entry,
                     proto::ExplainReply::Entry& described) {
  described.set_interpreter_gone(!entry.executable.empty() && is_gone(entry.executable));
  const auto found = std::ranges::find(interpreters, entry.executable, &InterpreterInfo::executable);
  if (found == interpreters.end()) return;
  described.set_version(found->version);
  described.set_other_version(found->cache_tag != entry.cache_tag);
}

void describe(const EntryPoint& program, proto::ExplainReply::Program& described) {
  described.set_entry(program.entry);
  described.set_python(program.executable);
  described.set_version(program.version);
  described.set_last_run_s(program.last_run_ns / kSecond_ns);
}

}  // namespace

proto::ExplainReply explain(const KnownFile& file, const std::string& overlay) {
  proto::ExplainReply reply;
  const auto source = look_at(file.source);
  reply.set_source(file.source);
  reply.set_source_exists(source.has_value());
  for (const auto& entry : file.entries) {
    const bool overlaid = !overlay.empty() && entry.pyc.starts_with(overlay + "/");
    Sight sight = look_at(entry, source, overlaid);
    if (overlaid && is_superseded(entry.pyc, entry.source, !file.runs.empty())) {
      sight.check.freshness = Freshness::missing;  // from where it belongs
    }
    if (!source && sight.check.freshness == Freshness::missing) continue;
    auto& described = *reply.add_entries();
    describe(entry, sight, described);
    described.set_overlaid(overlaid);
    add_interpreter(file.interpreters, entry, described);
  }
  const std::size_t shown = std::min(file.importers.size(), kMaxImporters);
  for (std::size_t at = 0; at < shown; ++at) describe(file.importers[at], *reply.add_importers());
  reply.set_importers_count(file.importers.size());
  for (const auto& program : file.runs) describe(program, *reply.add_runs());
  return reply;
}

std::vector<std::string> names_of(const std::string& path) {
  std::vector<std::string> names{clean_path(path)};
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  std::error_code failed;
  const auto directory = fs::canonical(directory_of(path), failed);
  if (!failed) add((directory / fs::path(path).filename()).string());
  const auto real = fs::canonical(path, failed);
  if (!failed) add(real.string());
  return names;
}

}  // namespace kiln
