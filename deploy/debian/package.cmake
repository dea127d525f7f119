# The Debian package, as CPack's DEB generator makes it: `cpack -G DEB` in a build tree, or deploy/package.
#
# It has no maintainer scripts: nothing is enabled or started by an installation, for the first client starts a daemon; and
# nothing has to be stopped by a removal, for a daemon whose binary is gone ends by itself.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME kiln)
set(CPACK_PACKAGE_CONTACT "Kiln developers <kiln@kiln.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "bytecode cache daemon for Python")
set(CPACK_PACKAGE_DESCRIPTION
"Kiln bakes Python source into bytecode once and keeps it hot: a program that
is started with `kiln run` behaves as under `python`, and starts sooner.
.
It compiles directories as `python -m compileall` does, restores what was
compiled before by content, keeps watched directories compiled, and tells what
is fresh, stale or broken, and why.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # of kilnd, and of kiln_image.so; kiln is static
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3 (>= 3.8)")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "bash-completion, zsh, fish")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/compress.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/drop_scripts.cmake)
include(CPack)
