text = open("module.txt", "w")
text.write("left by a module; ")
