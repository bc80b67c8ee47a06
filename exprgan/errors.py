"""Every error that exprgan raises on purpose.

ExprganError                    exit code
├── UsageError                  2   an option or configuration that cannot work
├── NoFaceFound                 3   the photo shows no face that can be edited
├── UnreadableImage             4   damaged, unsupported or missing picture
├── WeightsError                5   weights missing, of the wrong hash or of an unsafe format
└── DeviceError                 6   the device is not there or has too little memory

A message is one sentence that says what is wrong, followed by what to try next.
"""


class ExprganError(Exception):
    """Base of all errors that are the user's to mend; `exit_code` is the command line's exit status."""

    exit_code = 1


class UsageError(ExprganError):
    """An option, a path or a configuration that cannot work."""

    exit_code = 2


class NoFaceFound(ExprganError):
    """No face was found, or none that can be edited."""

    exit_code = 3


class UnreadableImage(ExprganError):
    """The file is missing, damaged or of a format that is not supported."""

    exit_code = 4


class WeightsError(ExprganError):
    """Weights are missing, have another hash than recorded or come in an unsafe format."""

    exit_code = 5


class DeviceError(ExprganError):
    """The device asked for is not there, or its memory does not suffice."""

    exit_code = 6
