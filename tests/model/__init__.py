"""An independent reference model of faultline: the published layout of the dice and the laws of
the faults, written again in Python from their descriptions. It shares no code with the program."""
