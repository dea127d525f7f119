// Text of others, such as paths, in what a command prints.
#pragma once

#include "common/printable.h"
#include "common/shell_word.h"
