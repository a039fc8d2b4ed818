# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
# gregale_room(NAME [ROOMS room...] [LIBRARIES target...] [RAW_BYTES] [BUSY_TESTS] [ONE_THREAD] [ONE_THREAD_TESTS regex...])
#
# One folder of src/ is one room: a static library gregale_NAME of every *.cpp below it, with NAME_test made of
# every *_test.cpp. ROOMS lists the rooms it may include; the test `layering` holds every #include against this list.
# RAW_BYTES: code here reads bytes as numbers, of files or buffers, and UBSan checks that their addresses are aligned. That
# is a fifth of its compilation, so it is left out elsewhere.
# BUSY_TESTS: the tests' own loops are what they spend time in, so sanitizers optimise them, which takes half as long again.
# ONE_THREAD, ONE_THREAD_TESTS: nothing in the room, or in tests whose paths match, runs on several threads, so
# ThreadSanitizer has nothing to see there: its build leaves those tests out.
# Files named *_isa.cpp are compiled once per instruction set, with GREGALE_ISA_NAMESPACE telling which.
if(GREGALE_SANITIZE)
  set(GREGALE_TOGETHER ON)  # such a build is one from nothing, and shares no object with another
endif()
add_library(gregale_options INTERFACE)
target_compile_options(gregale_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # g++ 12 sees overlaps in std::string that are not there (GCC bug 105651)
if(GREGALE_TOGETHER)  # inlines std::string otherwise, and sees sizes in it that cannot be (the same bug)
  target_compile_options(gregale_options INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow> $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
    # Of sources compiled together it takes all but the first for headers.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(GREGALE_WERROR)
  target_compile_options(gregale_options INTERFACE -Werror)
endif()
if(GREGALE_SANITIZE)
  # Null pointers and the ends of objects are AddressSanitizer's anyway; UBSan's checks of them cost half of compilation.
  target_compile_options(gregale_options INTERFACE -fsanitize=${GREGALE_SANITIZE} -fno-sanitize=null,object-size
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(gregale_options INTERFACE -fsanitize=${GREGALE_SANITIZE})
endif()

# For the tests' own code, after gregale_options: it is compiled in half the time. What is tested keeps -O3 and UBSan.
add_library(gregale_test_options INTERFACE)
target_compile_options(gregale_test_options INTERFACE $<$<CONFIG:Release>:-Og>)
# For rooms without RAW_BYTES, after gregale_options.
add_library(gregale_typed_options INTERFACE)
if(GREGALE_SANITIZE MATCHES "undefined")
  target_compile_options(gregale_test_options INTERFACE -fno-sanitize=undefined)
  target_compile_options(gregale_typed_options INTERFACE -fno-sanitize=alignment)
endif()

# Builds from nothing (sanitizers', and those of CI, which sets GREGALE_TOGETHER) spend most of their time on what every
# file compiles again: these headers, which the first target of a kind compiles beforehand for all of its kind, and what
# is inline in them, for which several sources are compiled as one. So names in namespaces without a name differ within a
# room. (Other builds share objects through ccache instead, and compile what was changed alone.)
set(common_headers <gregale/op.hpp> <base/json.hpp> <fmt/format.h> <algorithm> <array> <atomic> <chrono> <cmath>
  <cstdint> <cstring> <filesystem> <functional> <limits> <map> <memory> <mutex> <numeric> <optional> <set> <span>
  <string> <string_view> <thread> <utility> <variant> <vector>)
function(gregale_compile_together kind target)
  if(NOT GREGALE_TOGETHER)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  if(kind STREQUAL "isa")
    return()
  endif()
  get_property(first GLOBAL PROPERTY GREGALE_HEADERS_OF_${kind})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY GREGALE_HEADERS_OF_${kind} ${target})
  endif()
endfunction()

# gregale_unwatched(SANITIZERS file...): what these sanitizers (a regex) do not instrument. ThreadSanitizer: files whose
# memory is one thread's. All of them: what is another library's.
function(gregale_unwatched sanitizers)
  if(GREGALE_SANITIZE MATCHES ${sanitizers})
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "-O2;-fno-sanitize=all" SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

set_property(GLOBAL PROPERTY GREGALE_ROOMS "")
set_property(GLOBAL PROPERTY GREGALE_OBJECT_TARGETS "")  # whose objects make the one library that is installed
add_custom_target(gregale_sanitized_tests COMMENT "What sanitizer builds run: ctest -L sanitize")

function(gregale_room name)
  cmake_parse_arguments(ROOM "RAW_BYTES;BUSY_TESTS;ONE_THREAD" "" "ROOMS;LIBRARIES;ONE_THREAD_TESTS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  set(tests ${sources})
  set(isa_sources ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(GREGALE_SANITIZE MATCHES "thread")
    foreach(pattern IN LISTS ROOM_ONE_THREAD_TESTS)
      list(FILTER tests EXCLUDE REGEX ${pattern})
    endforeach()
  endif()
  list(FILTER isa_sources INCLUDE REGEX "_isa\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|isa|fuzz)\\.cpp$")
  set(target gregale_${name})
  if(NOT sources AND NOT isa_sources)  # nothing to compile yet: the room hands on its headers and what it uses
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE
      $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>)
    target_link_libraries(${target} INTERFACE ${ROOM_LIBRARIES})
    foreach(room ${ROOM_ROOMS})
      target_link_libraries(${target} INTERFACE gregale_${room})
    endforeach()
    set_property(GLOBAL APPEND PROPERTY GREGALE_ROOMS ${name})
    set_property(GLOBAL PROPERTY GREGALE_ROOM_${name}_USES "${ROOM_ROOMS}")
    return()
  endif()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>)
  target_link_libraries(${target} PUBLIC ${ROOM_LIBRARIES} PRIVATE gregale_options)
  if(NOT ROOM_RAW_BYTES)
    target_link_libraries(${target} PRIVATE gregale_typed_options)
  endif()
  gregale_compile_together(rooms ${target} ${common_headers})
  set(oracles ${sources})  # on one thread, and most of what tests wait for
  list(FILTER oracles INCLUDE REGEX "/([a-z_]+_reference|[a-z_]*interpret(er)?|ref_array|ledger)\\.cpp$")
  gregale_unwatched(thread ${oracles})
  foreach(room ${ROOM_ROOMS})
    target_link_libraries(${target} PUBLIC gregale_${room})
  endforeach()
  if(isa_sources)
    foreach(isa generic avx2 avx512)
      add_library(${target}_${isa} OBJECT ${isa_sources})
      target_include_directories(${target}_${isa} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
      target_compile_definitions(${target}_${isa} PRIVATE GREGALE_ISA_NAMESPACE=isa_${isa})
      target_compile_options(${target}_${isa} PRIVATE -fno-math-errno -fno-trapping-math $<$<NOT:$<CONFIG:Debug>>:-O3>)
      target_link_libraries(${target}_${isa} PRIVATE gregale_options)
      gregale_compile_together(isa ${target}_${isa})
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
      set_property(GLOBAL APPEND PROPERTY GREGALE_OBJECT_TARGETS ${target}_${isa})
    endforeach()
    target_compile_options(${target}_avx2 PRIVATE -mavx2 -mfma)
    target_compile_options(${target}_avx512 PRIVATE -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl
      -mprefer-vector-width=512)
  endif()
  set_property(GLOBAL APPEND PROPERTY GREGALE_OBJECT_TARGETS ${target})
  set_property(GLOBAL APPEND PROPERTY GREGALE_ROOMS ${name})
  set_property(GLOBAL PROPERTY GREGALE_ROOM_${name}_USES "${ROOM_ROOMS}")
  if(GREGALE_TESTS AND tests)
    set(options SANITIZE)
    if(ROOM_BUSY_TESTS)
      list(APPEND options BUSY)
    endif()
    if(ROOM_ONE_THREAD)
      list(APPEND options ONE_THREAD)
    endif()
    gregale_test(${name}_test SOURCES ${tests} LIBRARIES ${target} LABELS unit ${options})
  endif()
endfunction()

# gregale_test(NAME SOURCES file... LIBRARIES target... LABELS label... [SANITIZE] [BUSY] [ONE_THREAD] [TIMEOUT seconds])
#
# SANITIZE: .ci/run builds and runs it under the sanitizers too (label `sanitize`). There it is two tests of CTest, halves
# that run side by side, and not one for each TEST(), because starting a sanitized process costs more than most tests.
# BUSY: sanitizers optimise it. ONE_THREAD: it is none of ThreadSanitizer's. (See gregale_room.)
function(gregale_test name)
  cmake_parse_arguments(TEST "SANITIZE;BUSY;ONE_THREAD" "TIMEOUT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBRARIES} gregale_options gregale_test_options
    GTest::gtest GTest::gmock GTest::gtest_main)
  set(kind tests)
  if(GREGALE_SANITIZE AND NOT TEST_BUSY)
    target_compile_options(${name} PRIVATE -O0)
    set(kind plain_tests)  # compiled headers serve one level of optimisation
  endif()
  gregale_compile_together(${kind} ${name} <gmock/gmock.h> <gtest/gtest.h> ${common_headers})
  if(TEST_SANITIZE AND NOT (TEST_ONE_THREAD AND GREGALE_SANITIZE MATCHES "thread"))
    list(APPEND TEST_LABELS sanitize)
    add_dependencies(gregale_sanitized_tests ${name})
  endif()
  if(GREGALE_SANITIZE)
    foreach(half 0 1)
      add_test(NAME ${name}:${half} COMMAND ${name})
      set_tests_properties(${name}:${half} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 900
        ENVIRONMENT "GTEST_TOTAL_SHARDS=2;GTEST_SHARD_INDEX=${half}")
    endforeach()
  else()
    gtest_discover_tests(${name} TEST_PREFIX ${name}: NO_PRETTY_VALUES DISCOVERY_TIMEOUT 120
      PROPERTIES TIMEOUT ${TEST_TIMEOUT})
    # gtest_discover_tests of CMake 3.25 takes no property that is a list, so labels are set when CTest reads its files.
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake
      "foreach(test IN LISTS ${name}_TESTS)\n"
      "  set_tests_properties(\"\${test}\" PROPERTIES LABELS \"${TEST_LABELS}\")\n"
      "endforeach()\n")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake)
  endif()
endfunction()
