# The kernels for NVIDIA's GPUs, where nvcc is (BOREALIS_CUDA: AUTO looks for it, ON insists, OFF does
# without). No GPU is needed to build them. Of the toolkit: the runtime, linked in, and cuBLASLt; and
# cuDNN for attention, by the headers of cudnn-frontend (scripts/install_packages.sh cuda).
set(BOREALIS_CUDA AUTO CACHE STRING "Kernels for CUDA: AUTO, ON or OFF")
set_property(CACHE BOREALIS_CUDA PROPERTY STRINGS AUTO ON OFF)
set(BOREALIS_CUDA_ARCHITECTURES "" CACHE STRING "What nvcc compiles for, as CMAKE_CUDA_ARCHITECTURES; empty: A100, H100, B200")

set(BOREALIS_CUDNN_FRONTEND ${CMAKE_SOURCE_DIR}/build/cudnn-frontend CACHE PATH
    "Where cudnn-frontend's include/cudnn_frontend.h is, should no folder of the system have it")

set(cuda_missing "")
if(BOREALIS_CUDA STREQUAL OFF OR BOREALIS_SANITIZE OR BOREALIS_FUZZ)
  set(cuda_missing "not asked for")
else()
  find_program(BOREALIS_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT BOREALIS_NVCC)
    set(cuda_missing "no nvcc: install the CUDA toolkit, or set CUDA_PATH")
  else()
    set(ENV{CUDACXX} ${BOREALIS_NVCC})
    include(CheckLanguage)
    check_language(CUDA)
    find_package(CUDAToolkit 12.0 QUIET)  # the first with C++20
    if(NOT CMAKE_CUDA_COMPILER)
      set(cuda_missing "${BOREALIS_NVCC} cannot compile here")
    elseif(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublasLt)
      set(cuda_missing "no CUDA toolkit from 12.0 on with cuBLASLt beside ${BOREALIS_NVCC}")
    endif()
  endif()
endif()

if(cuda_missing)
  if(BOREALIS_CUDA STREQUAL ON)
    message(FATAL_ERROR "BOREALIS_CUDA=ON: ${cuda_missing}")
  endif()
  message(STATUS "CUDA: none (${cuda_missing})")
  return()
endif()

enable_language(CUDA)
# B200 where nvcc knows it; what comes later compiles the last one's PTX.
set(cuda_architectures ${BOREALIS_CUDA_ARCHITECTURES})
if(NOT cuda_architectures)
  set(cuda_architectures 80-real 90)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    set(cuda_architectures 80-real 90-real 100)
  endif()
endif()
# CMake 3.25.1 does not know C++20 of nvcc.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()

file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/cuda/*.cu
     ${CMAKE_SOURCE_DIR}/src/kernels/cuda/*.cpp)

# Wheels and some packages have the library by its version's name alone.
find_path(BOREALIS_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ENV CUDNN_PATH PATH_SUFFIXES include)
find_library(BOREALIS_CUDNN NAMES cudnn libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR} ENV CUDNN_PATH
             PATH_SUFFIXES lib lib64)
find_path(BOREALIS_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
          HINTS ${CUDAToolkit_INCLUDE_DIRS} ${BOREALIS_CUDNN_FRONTEND} PATH_SUFFIXES include)
set(cudnn_missing "")
if(NOT BOREALIS_CUDNN_INCLUDE OR NOT BOREALIS_CUDNN)
  set(cudnn_missing "no cudnn.h and libcudnn, set CUDNN_PATH")
elseif(NOT TARGET CUDA::nvrtc)
  set(cudnn_missing "no NVRTC in the toolkit")
elseif(NOT BOREALIS_CUDNN_FRONTEND_INCLUDE)
  set(cudnn_missing "no cudnn_frontend.h: scripts/install_packages.sh cuda")
endif()
set(fused_attention ${CMAKE_SOURCE_DIR}/src/kernels/cuda/fused_attention)
if(cudnn_missing)
  list(REMOVE_ITEM cuda_sources ${fused_attention}.cpp)
else()
  list(REMOVE_ITEM cuda_sources ${fused_attention}_none.cpp)
endif()

# Objects, for the module that the program loads (src/kernels/cuda_module.h) and for the tests.
add_library(borealis_cuda_objects OBJECT ${cuda_sources})
set_target_properties(borealis_cuda_objects PROPERTIES CUDA_ARCHITECTURES "${cuda_architectures}"
  CUDA_STANDARD 20 POSITION_INDEPENDENT_CODE ON)
# What is fused is asked for by name, as on the CPU.
target_compile_options(borealis_cuda_objects PRIVATE
  $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-Xcompiler=-Wall,-Wextra>)
target_link_libraries(borealis_cuda_objects PRIVATE borealis_kernels OpenMP::OpenMP_CXX)
set(cuda_libraries CUDA::cudart_static CUDA::cublasLt)
if(cudnn_missing)
  set(cuda_attention "attention without cuDNN (${cudnn_missing})")
else()
  set(cuda_attention "attention by ${BOREALIS_CUDNN}")
  # A minute of compiling for calls that take microseconds: no more of it than there must be.
  set_source_files_properties(${fused_attention}.cpp PROPERTIES COMPILE_OPTIONS -O1)
  target_include_directories(borealis_cuda_objects SYSTEM PRIVATE ${BOREALIS_CUDNN_INCLUDE}
                             ${BOREALIS_CUDNN_FRONTEND_INCLUDE})
  # cudnn-frontend calls NVRTC, and so does cuDNN, which looks for it by its name.
  list(APPEND cuda_libraries ${BOREALIS_CUDNN} CUDA::nvrtc)
endif()
target_include_directories(borealis_cuda_objects SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})

add_library(borealis_cuda STATIC $<TARGET_OBJECTS:borealis_cuda_objects>)
target_include_directories(borealis_cuda SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
target_link_libraries(borealis_cuda PUBLIC borealis_kernels ${cuda_libraries})
set_target_properties(borealis_cuda PROPERTIES LINKER_LANGUAGE CXX)

# The module has what it needs of our other modules compiled in: they are not made for being loaded.
set(src ${CMAKE_SOURCE_DIR}/src)
add_library(borealis_cuda_module MODULE $<TARGET_OBJECTS:borealis_cuda_objects>
  ${src}/kernels/cuda/module/cuda_backend.cpp ${src}/kernels/cuda/module/gpu_watch.cpp ${src}/base/check.cpp ${src}/base/error.cpp
  ${src}/base/units.cpp ${src}/kernels/gpu_needs.cpp)
target_include_directories(borealis_cuda_module PRIVATE ${src})
target_include_directories(borealis_cuda_module SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
target_link_libraries(borealis_cuda_module PRIVATE borealis_flags fmt::fmt OpenMP::OpenMP_CXX
                      ${cuda_libraries})
set_target_properties(borealis_cuda_module PROPERTIES PREFIX "" OUTPUT_NAME borealis_cuda
  LINKER_LANGUAGE CXX INSTALL_RPATH_USE_LINK_PATH ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
install(TARGETS borealis_cuda_module LIBRARY DESTINATION bin)
message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION} for ${cuda_architectures}, ${cuda_attention}")
