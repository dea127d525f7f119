// Would tearing the interpreter down do anything that the world could see?
#pragma once

#include <string>

namespace kiln::image {

// In an image, when it is complete: notes whether objects that it has made have finalizers. Then all runs
// finalize. Which there are: "an object of demo.Thing"; empty: none. Generators that are under way are looked
// at again at the end of each run.
std::string note_own_finalizers();

// In a child, at the end of its program: true if any object that the run made may have a finalizer, if
// anybody watches finalization itself, or if it cannot be told.
bool finalization_matters();

}  // namespace kiln::image
