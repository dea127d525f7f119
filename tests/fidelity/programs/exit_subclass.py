class Leave(SystemExit):
    code = 11


raise Leave("ignored")
