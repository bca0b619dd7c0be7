# Flags shared by every target. Contraction is off so that results do not depend on which expressions
# a compiler happens to fuse (kernels ask for fused multiply-adds by name); fast-math is never used.
add_library(borealis_flags INTERFACE)
# Not for nvcc, which knows other ones (cuda.cmake).
set(borealis_host_code $<COMPILE_LANGUAGE:C,CXX>)
target_compile_options(borealis_flags INTERFACE
  $<${borealis_host_code}:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wno-psabi;-ffp-contract=off;-fno-math-errno>)
# Several sources in one: GCC takes a source that is included for a header.
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(borealis_flags INTERFACE $<${borealis_host_code}:-Wno-subobject-linkage>)
endif()
if(BOREALIS_WERROR)
  target_compile_options(borealis_flags INTERFACE $<${borealis_host_code}:-Werror>)
endif()
if(BOREALIS_SANITIZE)
  set(borealis_address -fsanitize=address,undefined -fno-sanitize-recover=all)
  set(borealis_thread -fsanitize=thread)
  if(NOT DEFINED borealis_${BOREALIS_SANITIZE})
    message(FATAL_ERROR "BOREALIS_SANITIZE is OFF, address or thread, not ${BOREALIS_SANITIZE}")
  endif()
  target_compile_options(borealis_flags INTERFACE ${borealis_${BOREALIS_SANITIZE}} -fno-omit-frame-pointer)
  target_link_options(borealis_flags INTERFACE ${borealis_${BOREALIS_SANITIZE}})
endif()
if(BOREALIS_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "BOREALIS_FUZZ needs clang (libFuzzer): cmake --preset fuzz")
  endif()
  target_compile_options(borealis_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                                                  -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(borealis_flags INTERFACE -fsanitize=address,undefined)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -g1 -DNDEBUG")
# For sanitizers: -g1 has the lines of their traces; -g makes the build half as long again.
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1")
