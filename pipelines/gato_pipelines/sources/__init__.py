"""One module per source; the module's name is the source's name on the command line."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
