# The commit a binary was built from, written into every run's config and report. It is asked for at
# every build, not when the build is configured: later commits would run under an earlier one's name.
find_package(Git QUIET)
set(BOREALIS_COMMIT_FOLDER ${CMAKE_BINARY_DIR}/generated)
add_custom_target(borealis_commit
                  COMMAND ${CMAKE_COMMAND} -D GIT=${GIT_EXECUTABLE} -D SOURCE=${CMAKE_SOURCE_DIR}
                          -D HEADER=${BOREALIS_COMMIT_FOLDER}/borealis_commit.h -P ${CMAKE_SOURCE_DIR}/cmake/write_commit.cmake
                  BYPRODUCTS ${BOREALIS_COMMIT_FOLDER}/borealis_commit.h
                  COMMENT "Asking git for the commit" VERBATIM)
add_library(borealis_version INTERFACE)
target_include_directories(borealis_version INTERFACE ${BOREALIS_COMMIT_FOLDER})
target_compile_definitions(borealis_version INTERFACE BOREALIS_VERSION="${PROJECT_VERSION}")
add_dependencies(borealis_version borealis_commit)
