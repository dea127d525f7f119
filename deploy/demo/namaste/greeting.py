print("greeting: begins, and imports words")
import words

print("greeting: is ready")


def greet(name):
    return "%s, %s!" % (words.NAMASTE, name)
