"""Exceptions: one class for each kind of error, all of them `Error`.

Each is one of Python's own classes, too, so that `except ValueError` sees what was wrong with the input.
"""


class Error(Exception):
    """Why a call was refused or did not complete. Its text names the thing, the numbers and what to do."""


class InputError(Error, ValueError):
    """An array, a setting or a call that does not fit. Nothing was computed."""


class FileError(Error, OSError):
    """A file that cannot be read or written, or does not hold what it should."""


class CapacityError(Error, MemoryError):
    """More memory than there is, or a limit of the device: make the work smaller."""


class UnavailableError(Error, RuntimeError):
    """There is no such engine or device here."""


class DeviceError(Error, RuntimeError):
    """The device or its driver failed; what it had not given back is lost."""


class DefectError(Error, RuntimeError):
    """A defect of this package: report it."""
