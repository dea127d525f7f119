"""Namaste: a main script that imports a module which imports another; each says when its code runs."""
print("main:     begins, and imports greeting")
import greeting

print("main:     goes on")
print(greeting.greet("world"))
