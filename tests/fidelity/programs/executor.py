import concurrent.futures

with concurrent.futures.ThreadPoolExecutor(2) as threads:
    print(list(threads.map(str, range(4))))
if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(2) as processes:
        print(list(processes.map(abs, range(-4, 0))))
