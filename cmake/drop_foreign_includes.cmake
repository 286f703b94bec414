# The CMake files inside the ROS 2 wheels name include folders of the machine that built them (/opt/python/...), which
# CMake refuses because they do not exist here. Named as CMAKE_PROJECT_INCLUDE in colcon_defaults.yaml, this takes them
# out of every imported target once the package's own CMakeLists.txt has been read. It finds nothing on an ordinary ROS 2
# installation.
function(lrm_drop_foreign_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders MATCHES "/opt/python/")
      list(FILTER folders EXCLUDE REGEX "^/opt/python/")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}")
    endif()
  endforeach()
endfunction()

cmake_language(DEFER CALL lrm_drop_foreign_includes)
