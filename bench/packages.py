"""Debian packages unpacked into folders of their own: nothing is installed."""
import postfix


class Packages:
    def __init__(self, folder):
        self.folder, self.known = folder, {}

    def get(self, name):
        if name not in self.known:
            self.known[name] = postfix.unpack(self.folder)
        return self.known[name]
