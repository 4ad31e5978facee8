"""Exceptions of the package.

Each class is one of the library's predicates, and also the exception of Python that programs
already handle: a process that has ended is a ``ProcessLookupError``, a refusal is a
``PermissionError``. ``errno`` is the library's error number, and ``str()`` says what failed,
why, and what helps.
"""


class IntrospectionError(OSError):
    """Query or operation that failed."""

    @property
    def is_permission_denied(self) -> bool:
        """Whether access was refused, the process is hidden, or frame numbers are."""
        return isinstance(self, AccessDeniedError)

    @property
    def is_frames_hidden(self) -> bool:
        """Whether this caller cannot see frame numbers: only the layout and residence."""
        return isinstance(self, FramesHiddenError)

    @property
    def is_gone(self) -> bool:
        """Whether there is no such process, or its memory went away while it was read."""
        return isinstance(self, ProcessGoneError)

    @property
    def is_not_mapped(self) -> bool:
        """Whether nothing, or not all of the requested range, is mapped there."""
        return isinstance(self, NotMappedError)

    @property
    def is_unsupported(self) -> bool:
        """Whether this kernel, or this container's /proc, lacks the feature."""
        return isinstance(self, UnsupportedError)

    @property
    def is_silent(self) -> bool:
        """Whether the process did not answer in time."""
        return isinstance(self, NoAnswerError)

    @property
    def is_invalid_argument(self) -> bool:
        """Whether the arguments are invalid, such as a range that runs backwards."""
        return isinstance(self, InvalidArgumentError)


class AccessDeniedError(IntrospectionError, PermissionError):
    """Access to the process was refused, or the process is hidden."""


class FramesHiddenError(AccessDeniedError):
    """This caller cannot see frame numbers: they need CAP_SYS_ADMIN."""


class ProcessGoneError(IntrospectionError, ProcessLookupError):
    """There is no such process, or its memory went away while it was read."""


class NotMappedError(IntrospectionError):
    """Nothing, or not all of the requested range, is mapped there."""


class UnsupportedError(IntrospectionError):
    """This kernel, or this container's /proc, lacks the feature."""


class NoAnswerError(IntrospectionError, TimeoutError):
    """The process did not answer in time."""


class InvalidArgumentError(IntrospectionError, ValueError):
    """The arguments are invalid."""


class LakeError(Exception):
    """A file of a lake is damaged, or a later version wrote it.

    A file that cannot be opened or read is an ``OSError``.
    """


class SnapshotNotFoundError(LakeError, LookupError):
    """The lake does not have the snapshot, or the snapshot does not have the table."""
