// Findings about the places where Kiln keeps its things. Nothing is created.
#pragma once

#include <cstdint>
#include <string>

#include "client/finding.h"
#include "common/file_system_kind.h"

namespace kiln {

// Is DIRECTORY, which VARIABLE would set, as open_private_dir() wants it, and may it be written to?
Findings directory_findings(const std::string& directory, const std::string& variable);

// Is there room in DIRECTORY, which need not be there yet? It is tried with a file that has no name.
Findings disk_findings(const std::string& directory);
// The same, once it is known that it can be written to.
Finding room_finding(std::uint64_t free_bytes, const std::string& directory);
// What an index that begins takes at least, with its log.
constexpr std::uint64_t kRoomToBegin = 4U << 20;

// The command that makes ROOM bytes on the disk of the cache DIRECTORY: what Kiln itself has there may go, if
// that is as much.
std::string make_room(const std::string& directory, std::uint64_t room);

// May the index lie in DIRECTORY?
Findings file_system_findings(const std::string& directory);
Finding file_system_finding(const FileSystemKind& kind);

}  // namespace kiln
