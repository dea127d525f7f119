# CPack runs this on what it has laid out for the package: Debian has manual pages and the changelog compressed (policy
# 12.1, 12.7).
file(GLOB_RECURSE pages ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/man/*)
foreach(page IN LISTS pages ITEMS ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc/kiln/changelog)
  execute_process(COMMAND gzip -9n ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
