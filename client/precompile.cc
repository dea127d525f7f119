#include "client/command.h"
namespace kiln { int precompile_command(std::span<char*>) { return 0; } }
