# The commit a binary was built from, written into every run's config and report.
find_package(Git QUIET)
set(BOREALIS_COMMIT "unknown")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                  OUTPUT_VARIABLE BOREALIS_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(BOREALIS_COMMIT STREQUAL "")
  set(BOREALIS_COMMIT "unknown")
endif()
add_library(borealis_version INTERFACE)
target_compile_definitions(borealis_version INTERFACE BOREALIS_VERSION="${PROJECT_VERSION}"
                                                      BOREALIS_COMMIT="${BOREALIS_COMMIT}")
