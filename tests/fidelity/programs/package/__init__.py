print("package", __name__, __spec__.name)
