import left_open_zip

left_open_zip.add("b.txt", "written by main")
print("the archive stays open")
