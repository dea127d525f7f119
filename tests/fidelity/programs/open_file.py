"""Text that sits in buffers of files which nobody closes must reach the disk."""
import left_open

out = open("main.txt", "w")
out.write("left by main")
binary = open("main.bin", "wb")
binary.write(b"\x00" * 9000 + b"end")
left_open.text.write("written by main")
cycle = [open("cycle.txt", "w")]
cycle.append(cycle)
cycle[0].write("in a cycle")


def function(file=open("default.txt", "w")):
    file.write("held by a default argument")


function()
