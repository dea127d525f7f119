// Would tearing the interpreter down do anything that the world could see?
#pragma once

namespace kiln::image {

// True if any object that this run made may have a finalizer, or if it cannot be told.
bool finalization_matters();

}  // namespace kiln::image
