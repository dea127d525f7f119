# Writes OUTPUT: the version and a digest over all sources. Left alone when nothing changed, so that nothing rebuilds.
file(GLOB_RECURSE sources
     ${SOURCE_DIR}/proto/*.proto ${SOURCE_DIR}/common/*.cc ${SOURCE_DIR}/common/*.h ${SOURCE_DIR}/client/*.cc
     ${SOURCE_DIR}/client/*.h ${SOURCE_DIR}/daemon/*.cc ${SOURCE_DIR}/daemon/*.h ${SOURCE_DIR}/daemon/*.py)
list(SORT sources)
set(digests "")
foreach(source IN LISTS sources)
  file(SHA256 ${source} digest)
  string(APPEND digests ${digest})
endforeach()
string(SHA256 digest "${digests}")
string(SUBSTRING ${digest} 0 12 digest)
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[#pragma once
#define KILN_VERSION "@VERSION@"
#define KILN_BUILD_ID "@VERSION@-@digest@"
]] @ONLY)
