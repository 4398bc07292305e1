"""The same verbs at scale: sources, ingest and recorders on Apache Beam.

Folders named `gato_pipelines/sources` elsewhere on Python's path hold further sources: one module
is enough.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
