"""Finalizers of objects that an imported module holds, and that the interpreter's own modules hold."""
import collections
import holder

holder.add("by main")
collections.extra = holder.Resource("in a library module")
print("end")
