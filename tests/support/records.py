"""What file-log has written."""

import json

from .waiting import eventually


class Log:
    def __init__(self, path):
        self.path = path

    def lines(self):
        return self.path.read_text().splitlines() if self.path.exists() else []

    def records(self, count=1):
        """The records, once there are so many."""
        eventually(lambda: len(self.lines()) >= count, f"{count} records in {self.path}")
        return [json.loads(line) for line in self.lines()]
