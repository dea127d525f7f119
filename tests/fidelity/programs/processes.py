"""multiprocessing by the start method in argv[1]: a pool, a queue, an exit code, an error."""
import multiprocessing
import sys


def square(number):
    return number * number


def put(queue):
    queue.put(("from a child", __name__ in ("__main__", "__mp_main__")))
    queue.close()
    queue.join_thread()  # whose last moments now and then abort 3.8


def leave():
    sys.exit(3)


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    print(multiprocessing.current_process().name, multiprocessing.parent_process())
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(8)))
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=put, args=(queue,))
    child.start()
    print(queue.get(), child.join(), child.exitcode)
    child = multiprocessing.Process(target=leave)
    child.start()
    child.join()
    print(child.name, child.exitcode, len(multiprocessing.current_process().authkey))
