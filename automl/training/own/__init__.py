"""Training code of a person's own: functions that are handed a ``Trial``, and programs that are started."""
