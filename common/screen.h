// Text for people, as wide as the terminal that shows it. Elsewhere, in a pipe or a file, lines stay as they
// are: programs read them, and paths are never shortened there.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kiln {

// Width of the terminal that FD is; 0: it is none, or a dumb one.
unsigned terminal_columns(int fd);
// Its height; 0 as above.
unsigned terminal_rows(int fd);

// Columns that TEXT takes, in characters; what colours it takes none.
std::size_t display_width(std::string_view text);

// TEXT with its middle, which of a path says least, left out, so that it takes WIDTH columns at most.
std::string shortened(std::string_view text, std::size_t width);

// Whose lines are behind four spaces: a source's, with its caret below, must stay as they are.
enum class Indented { ours, others };

// The same with its end left out.
std::string cut_short(std::string_view text, std::size_t width);

// A word that is longer than a line, such as a path.
enum class LongWords { shortened, whole };

// TEXT with each line that is longer than COLUMNS broken at spaces, and gone on with below where its last
// column begins, or a little further in behind a label. Hints stay whole, for they are to be copied, and so
// do commands with which a line ends, "..., and so does: kiln precompile a.py". COLUMNS 0: all do.
std::string wrapped(std::string_view text, unsigned columns, Indented indented = Indented::ours,
                    LongWords long_words = LongWords::shortened);

// Prints TEXT on standard output, wrapped for it.
void show(std::string_view text, Indented indented = Indented::ours);

}  // namespace kiln
