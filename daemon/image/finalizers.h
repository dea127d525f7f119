// Would tearing the interpreter down do anything that the world could see?
#pragma once

namespace kiln::image {

// In an image, when it is complete: notes whether objects of start-up code have finalizers. Then all runs
// finalize.
void note_own_finalizers();

// In a child, at the end of its program: true if any object that the run made may have a finalizer, if
// anybody watches finalization itself, or if it cannot be told.
bool finalization_matters();

}  // namespace kiln::image
