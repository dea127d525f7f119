raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("nested", [TypeError(2)])])
