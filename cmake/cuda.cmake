# The kernels for NVIDIA's GPUs, where nvcc is (BOREALIS_CUDA: AUTO looks for it, ON insists, OFF does
# without). No GPU is needed to build them. Of the toolkit: the runtime, linked in, and cuBLASLt.
set(BOREALIS_CUDA AUTO CACHE STRING "Kernels for CUDA: AUTO, ON or OFF")
set_property(CACHE BOREALIS_CUDA PROPERTY STRINGS AUTO ON OFF)
set(BOREALIS_CUDA_ARCHITECTURES "" CACHE STRING "What nvcc compiles for, as CMAKE_CUDA_ARCHITECTURES; empty: A100, H100, B200")

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
add_library(borealis_cuda STATIC ${cuda_sources})
set_target_properties(borealis_cuda PROPERTIES CUDA_ARCHITECTURES "${cuda_architectures}" CUDA_STANDARD 20)
# What is fused is asked for by name, as on the CPU.
target_compile_options(borealis_cuda PRIVATE
  $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-Xcompiler=-Wall,-Wextra>)
target_link_libraries(borealis_cuda PUBLIC borealis_kernels CUDA::cudart_static CUDA::cublasLt)
message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION} for ${cuda_architectures}")
