def generate(name):
    try:
        yield 1
        yield 2
    finally:
        print("finally", name)


async def coroutine():
    pass


suspended = generate("global")
next(suspended)
listed = [generate("never started"), generate("in a list")]
next(listed[1])
never_awaited = coroutine()
print("end")
