# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
# cmake -D ... -P check_package.cmake: see CMakeLists.txt here.
cmake_minimum_required(VERSION 3.25)
set(ENV{DESTDIR} "")
set(prefix ${WORK_DIR}/prefix)
set(build ${WORK_DIR}/build)
file(REMOVE_RECURSE ${prefix} ${build})

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed (${status}): ${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix})

# The installed package stands alone: nothing in it names the source or build tree.
file(GLOB_RECURSE texts ${prefix}/*.cmake ${prefix}/*.hpp)
if(NOT texts)
  message(FATAL_ERROR "nothing was installed to ${prefix}")
endif()
foreach(file IN LISTS texts)
  file(READ ${file} text)
  string(REPLACE ${prefix} "" text "${text}")
  foreach(tree ${SOURCE_DIR} ${BUILD_DIR})
    string(FIND "${text}" ${tree} at)
    if(NOT at EQUAL -1)
      message(SEND_ERROR "${file} names ${tree}")
    endif()
  endforeach()
endforeach()

run(${prefix}/bin/gregale --version)
if(NOT output MATCHES "gregale ${VERSION}")
  message(SEND_ERROR "gregale --version printed '${output}', not 'gregale ${VERSION}'")
endif()

run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${build} -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${COMPILER}
  -D CMAKE_BUILD_TYPE=Release -D CMAKE_PREFIX_PATH=${prefix} -D GREGALE_VERSION=${VERSION})
if(NOT output MATCHES "Using gregale ${VERSION} in ${prefix}/")
  message(FATAL_ERROR "the consumer did not find the package in ${prefix}:\n${output}")
endif()
run(${CMAKE_COMMAND} --build ${build})
run(${build}/consumer)
if(NOT output MATCHES "^12 4 io")
  message(FATAL_ERROR "the consumer printed '${output}', not '12 4 io'")
endif()
