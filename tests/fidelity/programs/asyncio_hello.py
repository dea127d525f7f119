import asyncio


async def work(number):
    await asyncio.sleep(0)
    return number * 2


async def main():
    print(await asyncio.gather(*(work(number) for number in range(5))))
    process = await asyncio.create_subprocess_exec("echo", "from a child", stdout=asyncio.subprocess.PIPE)
    print(await process.communicate())
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, [1, 2, 3]))


asyncio.run(main())
