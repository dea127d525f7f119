// `kiln gc`: shrinks the store and the overlay to their limits, removes what is damaged, and says what was
// removed and what is left.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "client/command.h"
#include "client/patience.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/quantity.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 1;  // of the JSON document

std::string check_size(const std::string& text) {
  return parse_bytes(text) ? std::string() : "not a size such as 500MB or 2GiB: " + text;
}

Result<proto::GcReply> collect(std::optional<std::uint64_t> limit) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  auto& gc = *request.mutable_gc();
  if (limit) gc.set_limit(*limit);
  TRY_VOID(connection.send(std::move(request)));
  return TRY(receive_patiently(connection, "collecting")).gc();
}

json::object to_json(const proto::GcReply& done) {
  const auto& overlay = done.overlay();
  return {{"version", kFormat},
          {"objects", done.objects()},
          {"bytes", done.bytes()},
          {"removed_objects", done.removed_objects()},
          {"removed_bytes", done.removed_bytes()},
          {"overlay",
           {{"files", overlay.files()},
            {"bytes", overlay.bytes()},
            {"removed_files", overlay.removed_files()},
            {"removed_bytes", overlay.removed_bytes()}}}};
}

std::string amount(std::uint64_t count, const std::string& noun, std::uint64_t bytes) {
  return count_text(count) + " " + noun + (count == 1 ? ", " : "s, ") + bytes_text(bytes);
}

void print_lines(const proto::GcReply& done) {
  std::printf("store: %s; removed %s\n", amount(done.objects(), "object", done.bytes()).c_str(),
              amount(done.removed_objects(), "object", done.removed_bytes()).c_str());
  const auto& overlay = done.overlay();
  std::printf("overlay: %s; removed %s\n", amount(overlay.files(), "file", overlay.bytes()).c_str(),
              amount(overlay.removed_files(), "file", overlay.removed_bytes()).c_str());
}

}  // namespace

int gc_command(std::span<char*> arguments) {
  CLI::App app(
      "Removes the longest unused objects of the store, and files of the overlay, until both are "
      "within their limits; in the overlay also what has lost its source, in the store what is damaged",
      "kiln gc");
  std::string limit;
  bool as_json = false;
  app.add_option("--limit", limit,
                 "of the store, instead of the configured store.limit: 500MB, 2GiB, 0 for all")
      ->type_name("SIZE")
      ->check(check_size);
  app.add_flag("--json", as_json,
               "one JSON document (keys version, objects, bytes, removed_objects, removed_bytes, overlay)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto done = collect(parse_bytes(limit));
  if (!done) {
    print_error(done.error());
    return exit_code(done.error());
  }
  if (as_json) {
    std::printf("%s\n", json_text(to_json(*done)).c_str());
  } else {
    print_lines(*done);
  }
  return kExitDone;
}

}  // namespace kiln
