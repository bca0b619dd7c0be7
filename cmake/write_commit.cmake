# cmake -D GIT=git -D SOURCE=folder -D HEADER=file -P write_commit.cmake
# HEADER is touched only where the commit is another, or whether the tree differs from it.
set(commit "")
if(GIT)
  execute_process(COMMAND ${GIT} rev-parse --show-prefix WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE inside OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
endif()
# An unpacked copy within another repository has no commit of its own.
if(GIT AND NOT failed AND inside STREQUAL "")
  execute_process(COMMAND ${GIT} describe --always --dirty WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(commit STREQUAL "")
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define BOREALIS_COMMIT \"${commit}\"\n")
