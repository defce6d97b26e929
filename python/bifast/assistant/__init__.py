"""Voice assistants: a Wyoming service, and wake words in the shape that pymicro-wakeword has."""
