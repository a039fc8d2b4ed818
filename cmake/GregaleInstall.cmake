# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
# `cmake --install`: one static library made of every room's objects, exported as gregale::gregale with its headers and a
# package for find_package(gregale), and the program. Rooms themselves are not installed: what users link is one thing.
include(CMakePackageConfigHelpers)

get_property(object_targets GLOBAL PROPERTY GREGALE_OBJECT_TARGETS)
list(TRANSFORM object_targets PREPEND "$<TARGET_OBJECTS:" OUTPUT_VARIABLE objects)
list(TRANSFORM objects APPEND ">")
add_library(gregale STATIC ${objects})
add_library(gregale::gregale ALIAS gregale)
set_target_properties(gregale PROPERTIES LINKER_LANGUAGE CXX)
target_compile_features(gregale INTERFACE cxx_std_20)
target_include_directories(gregale INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# What the archive needs at the link: every library that a room names. Public headers use none of their headers, so
# consumers get them for linking alone. gregale-config.cmake.in finds each again.
set(libraries "")
get_property(rooms GLOBAL PROPERTY GREGALE_ROOMS)
foreach(room IN LISTS rooms)
  get_target_property(room_libraries gregale_${room} INTERFACE_LINK_LIBRARIES)
  foreach(library IN LISTS room_libraries)
    if(library AND NOT library MATCHES "^(gregale_[a-z0-9_]+|xbyak::xbyak|\\$<LINK_ONLY:gregale_.*)$" OR library STREQUAL "gregale_udunits")
      list(APPEND libraries ${library})
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES libraries)
target_link_libraries(gregale PRIVATE ${libraries})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/gregale)
install(TARGETS gregale EXPORT gregale-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/gregale DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT gregale-targets NAMESPACE gregale:: DESTINATION ${package_folder})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/gregale-config.cmake.in ${CMAKE_BINARY_DIR}/gregale-config.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/gregale-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gregale-config.cmake ${CMAKE_BINARY_DIR}/gregale-config-version.cmake
  DESTINATION ${package_folder})
install(TARGETS gregale_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
