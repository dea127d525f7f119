"""An exception with a cause, through several frames, that nothing catches."""


def inner(value):
    return 1 / value


def outer():
    try:
        inner(0)
    except ZeroDivisionError as error:
        raise ValueError("no \u00e4nswer") from error


print("before")
outer()
