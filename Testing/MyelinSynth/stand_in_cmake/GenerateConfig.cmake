# What the Extensions Index reads of an extension, one `NAME=value` a line.
set(lines "")
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS LICENSE_FILE README_FILE)
  string(APPEND lines "${name}=${EXTENSION_${name}}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/extension.txt" "${lines}")
