import zipfile

archive = zipfile.ZipFile("module.zip", "w")
log = open("module.log", "w")


def add(name, text):
    archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    log.write(name)


add("a.txt", "written by the module")
